"""Is substitution proportional? Against odds ratios by hand, and on simulated tables."""

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from oracles import PLAIN
from scipy.stats import norm

from helpers import CategoryCounts, masked_regression, simulate_counts, substitution
from helpers.data import nested_logits, shares_on_menu
from helpers.diagnostics import Substitution, substitution_words

NEST = np.array([0, -1, 0, -1])


def at_the_start(model):
    """One draw, where the pilot puts the model's variables."""
    values = model.compile_fn(
        model.replace_rvs_by_values(model.free_RVs),
        inputs=model.value_vars,
        mode=PLAIN,
        on_unused_input="ignore",
    )(model.initial_point())
    names = [v.name for v in model.free_RVs]
    names += [v.name for v in model.deterministics if v.name == "attribute_slope"]
    if "attribute_slope" in names:
        scaled = values[names.index("attribute_slope_scaled")]
        values = [*values, scaled / model["attribute_scale"].get_value()]
    draws = {
        name: (("chain", "draw", *(model.named_vars_to_dims.get(name) or ())), value[None, None])
        for name, value in zip(names, map(np.asarray, values), strict=True)
    }
    return xr.DataTree.from_dict({"posterior": xr.Dataset(draws)})


def buses(scale, seed, n_range=(6_000, 119_000), scatter=0.0, **options):
    """Two buses in a nest, at the origin's size."""
    rng = np.random.default_rng(seed)
    data, truth = simulate_counts(
        20, 4, 4, unavailable=(0.3, 0, 0.3, 0), effects="intercepts", n_range=n_range,
        random_seed=seed, **options,
    )  # fmt: skip
    eta = truth["logits"].to_numpy() + scatter * rng.normal(size=data.counts.shape)
    share = shares_on_menu(nested_logits(eta, data.available, NEST, [scale]), data.available)
    return CategoryCounts(
        rng.multinomial(data.n, share), data.available, data.categories, cluster=data.cluster,
        cluster_name="district", attributes=data.attributes,
    )  # fmt: skip


def ask(data, **options):
    model = masked_regression(data, effects="intercepts", **options)
    return substitution(at_the_start(model), model)


def of_buses(pairs):
    names = {"category 1", "category 3"}
    return [{a, b} == names for a, b in zip(pairs["removed"], pairs["category"], strict=True)]


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(1)
    on = np.ones((60, 3), dtype=bool)
    on[:25, 0] = False
    share = np.where(on, [0.3, 0.2, 0.5], 0) * np.where(on, 1, [1, 1.6, 1])
    share /= share.sum(axis=1, keepdims=True)
    return CategoryCounts(rng.multinomial(400, share), on, ["red", "blue", "car"])


class TestPairs:
    def test_are_odds_ratios(self, table):
        """Without clusters the model is saturated, and the shift is an odds ratio."""
        model = masked_regression(table, effects="pooled")
        pairs = substitution(at_the_start(model), model).pairs
        off = ~table.available[:, 0]
        (blue_off, car_off), (blue_on, car_on) = (
            table.counts[rows][:, 1:].sum(axis=0) for rows in (off, ~off)
        )
        line = pairs[pairs["category"] != pairs["relative_to"]].iloc[0]
        sign = 1 if line["category"] == "blue" else -1
        shift = sign * np.log(blue_off / car_off * car_on / blue_on)
        assert line["shift"] == pytest.approx(shift, rel=0.01)
        error = np.sqrt(1 / blue_off + 1 / car_off + 1 / blue_on + 1 / car_on)
        assert (line["high"] - line["low"]) / 2 / 1.598 == pytest.approx(error, rel=0.3)
        assert line["rows_off"] == 25 and line["rows_on"] == 35

    def test_of_named_categories(self, table):
        model = masked_regression(table, effects="pooled")
        idata = at_the_start(model)
        assert substitution(idata, model, removed=["car"]).pairs.empty
        with pytest.raises(ValueError, match="did you mean 'red'"):
            substitution(idata, model, removed=["rad"])

    def test_where_nobody_knows_the_menus_is_refused(self, table):
        counts = table.counts.copy()
        counts[3, 1] = 0
        data = CategoryCounts(counts, table.available, table.categories)
        model = masked_regression(data, effects="pooled", availability="unknown")
        with pytest.raises(ValueError, match="Menus are unknown"):
            substitution(at_the_start(model), model)

    @pytest.mark.parametrize("seed", [1, 2])
    def test_see_a_red_bus(self, seed):
        pairs = ask(buses(0.5, seed)).pairs
        own = np.array(of_buses(pairs))
        assert (pairs.loc[own, "verdict"] == "more").all()
        assert pairs.loc[own, "shift"].min() > pairs.loc[~own, "shift"].max()

    @pytest.mark.slow
    @pytest.mark.parametrize("options", [{}, {"scatter": 0.2}])
    def test_are_quiet_where_there_is_none(self, options):
        wrong = [
            ask(buses(1.0, seed, **options)).pairs["verdict"].isin(["more", "less"]).any()
            for seed in range(4)
        ]
        assert sum(wrong) <= 1  # of four tests at 5 %: more with a probability of 0.014

    def test_of_a_model_with_the_nest_are_quiet(self):
        data = buses(0.5, 1)
        model = masked_regression(
            data, effects="intercepts", nests={"buses": ["category 1", "category 3"]}
        )
        # The model with the right scale, at intercepts that fit it.
        idata = at_the_start(masked_regression(data, effects="intercepts"))
        plain = substitution(idata, masked_regression(data, effects="intercepts")).pairs
        posterior = idata["posterior"].to_dataset()
        posterior["nest_scale"] = ("chain", "draw", "nest"), np.array([[[0.5]]])
        nested = substitution(xr.DataTree.from_dict({"posterior": posterior}), model).pairs
        own = np.array(of_buses(plain))
        assert (nested.loc[own, "shift"].abs() < plain.loc[own, "shift"].abs() / 2).all()

    def test_power_is_that_of_a_nest_of_scale_one_half(self, table):
        """The shift is what a nested logit with the same odds side by side gives."""
        rng = np.random.default_rng(2)
        logits = np.log([0.3, 0.2, 0.5])
        share = shares_on_menu(logits, table.available)
        few = CategoryCounts(rng.multinomial(4, share), table.available, table.categories)
        model = masked_regression(few, effects="pooled", reference="car")
        posterior = at_the_start(model)["posterior"].to_dataset()
        posterior["intercept"] = posterior["intercept"].copy(data=[[logits[:2] - logits[2]]])
        pairs = substitution(xr.DataTree.from_dict({"posterior": posterior}), model).pairs
        line = pairs[pairs["category"] != pairs["relative_to"]].iloc[0]
        red, it = 0.3, {"blue": 0.2, "car": 0.5}[line["category"]]
        utilities, nest = [0.5 * np.log(red), 0.5 * np.log(it), 0.0], [0, 0, -1]
        menus = np.array([[True, True, True], [False, True, True]])
        p = shares_on_menu(nested_logits(utilities, menus, nest, [0.5]), menus)
        assert p[0, 0] / p[0, 1] == pytest.approx(red / it)
        gain = np.log(p[1, 1] / p[1, 2]) - np.log(p[0, 1] / p[0, 2])
        error = (line["high"] - line["low"]) / 2 / 1.598
        assert line["power"] == pytest.approx(norm.cdf(gain / error - 1.96), abs=0.02)
        assert 0.05 < line["power"] < 0.95

    def test_power_is_that_of_the_test_of_all_pairs_together(self):
        """One category removed, or all: the more pairs, the more a pair must stand out."""
        data = buses(0.5, 1, n_range=(3, 8))
        model = masked_regression(data, effects="intercepts")
        idata = at_the_start(model)
        alone = substitution(idata, model, removed=["category 1"]).pairs
        every = substitution(idata, model).pairs
        same = every[every["removed"] == "category 1"]
        z = []
        for pairs, of in ((alone, alone), (every, same)):
            tested = of["power"].notna().to_numpy()
            threshold = norm.isf(0.025 / pairs["power"].notna().sum())
            z.append(norm.ppf(of["power"].to_numpy()[tested]) + threshold)
        assert len(every) > len(alone)
        np.testing.assert_allclose(*z, rtol=1e-6)

    def test_power_says_when_silence_means_nothing(self):
        few = ask(buses(0.5, 1, n_range=(3, 8))).pairs
        many = ask(buses(0.5, 1)).pairs
        assert few["power"].mean() < many["power"].mean()
        assert (few["verdict"] == "cannot tell").any()


class TestSlopes:
    def test_are_the_same_without_a_nest_and_differ_with_one(self):
        options = {"attribute_slope": {"price": -1.0}}
        same = ask(buses(1.0, 1, n_range=(500, 5_000), **options)).slopes
        assert (same["verdict"] == "same").all()
        assert same["slope"].sub(-1).abs().max() < 0.1
        nested = ask(buses(0.4, 1, n_range=(500, 5_000), **options)).slopes
        assert (nested["verdict"] == "differs").any()

    def test_need_attributes(self):
        assert ask(buses(1.0, 1)).slopes.empty


def test_words():
    nothing = Substitution(pd.DataFrame(), pd.DataFrame())
    assert "nothing is known" in substitution_words(nothing)[0]
    found = ask(buses(1.0, 2))
    assert "in proportion, as far as can be seen" in substitution_words(found)[0]
    said = substitution_words(ask(buses(0.5, 1)))
    assert "more than its share" in said[0] and "by preference" in said[-1]


@pytest.mark.slow
def test_on_a_posterior():
    data = buses(0.5, 3, n_range=(200, 2_000))
    model = masked_regression(data, effects="intercepts")
    with model:
        draws = pm.sample(
            200, tune=300, chains=2, cores=2, nuts_sampler="nutpie", random_seed=1,
            progressbar=False, compile_kwargs={"freeze_model": True},
        )  # fmt: skip
    sampled, started = substitution(draws, model).pairs, ask(data).pairs
    np.testing.assert_allclose(sampled["shift"], started["shift"], atol=0.02)
