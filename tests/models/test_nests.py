"""Nested logit on known menus: the model, and what it predicts."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
import xarray as xr
from oracles import PLAIN
from scipy.stats import multinomial

from helpers import (
    CategoryCounts,
    elasticities,
    latent_preferences,
    masked_regression,
    simulate_counts,
    what_if,
)
from helpers.data import nested_logits, shares_on_menu
from helpers.models import nest_of_categories
from helpers.ops import nested_logits as nested_graph
from helpers.predict import row_averages

NESTS = {"buses": ["category 1", "category 3"]}
NEST = np.array([0, -1, 0, -1])


def by_hand(eta, on, scale, nest=NEST):
    """Choice of a nest, then within it, in two steps with exp and sums."""
    own_scale = np.where(nest < 0, 1.0, np.asarray(scale)[np.maximum(nest, 0)])
    group = np.where(nest < 0, 100 + np.arange(len(nest)), nest)
    inclusive, out = {}, np.zeros(len(nest))
    for g in np.unique(group):
        inside = [k for k in np.flatnonzero(group == g) if on[k]]
        if inside:
            inclusive[g] = (
                sum(np.exp(eta[k] / own_scale[k]) for k in inside) ** own_scale[inside[0]]
            )
    total = sum(inclusive.values())
    for k in np.flatnonzero(on):
        inside = [j for j in np.flatnonzero(group == group[k]) if on[j]]
        within = np.exp(eta[k] / own_scale[k])
        within /= sum(np.exp(eta[j] / own_scale[j]) for j in inside)
        out[k] = inclusive[group[k]] / total * within
    return out


def data_of(seed=1, **options):
    given = {"effects": "intercepts", "attribute_slope": {"price": -1.0}}
    return simulate_counts(
        4, 6, 4, unavailable=(0.3, 0, 0.2, 0), random_seed=seed, **(given | options)
    )[0]


@pytest.fixture(scope="module")
def drawn():
    data = data_of(exposure=(0.5, 2.0))
    model = masked_regression(data, effects="intercepts", nests=NESTS)
    with model:
        prior = pm.sample_prior_predictive(3, random_seed=1, compile_kwargs={"mode": PLAIN})
    prior["posterior"] = prior["prior"]
    return data, model, prior


class TestLogits:
    @pytest.mark.parametrize("scale", [0.05, 0.5, 1.0])
    def test_give_the_shares_worked_out_in_two_steps(self, scale):
        rng = np.random.default_rng(1)
        eta, on = rng.normal(size=(20, 4)), rng.random((20, 4)) < 0.6
        on[:, 1] = True
        shares = shares_on_menu(nested_logits(eta, on, NEST, [scale]), on)
        expected = [by_hand(*row, [scale]) for row in zip(eta, on, strict=True)]
        np.testing.assert_allclose(shares, expected, atol=1e-14)
        graph = nested_graph(eta, on, NEST, np.array([scale])).eval(mode=PLAIN)
        np.testing.assert_allclose(
            np.where(on, graph, 0), np.where(on, nested_logits(eta, on, NEST, [scale]), 0)
        )

    def test_at_one_are_the_logits(self):
        eta = np.random.default_rng(2).normal(size=(5, 4))
        np.testing.assert_allclose(nested_logits(eta, True, NEST, [1.0]), eta)

    def test_gradient_is_finite_where_nothing_of_a_nest_is_on_the_menu(self):
        eta, scale = pt.matrix("eta"), pt.vector("scale")
        on = np.array([[False, True, False, True]])
        cost = pt.switch(on, nested_graph(eta, on, NEST, scale), 0).sum()
        found = pytensor.function([eta, scale], pytensor.grad(cost, [eta, scale]), mode=PLAIN)
        slopes = found(np.ones((1, 4)), np.array([0.3]))
        np.testing.assert_allclose(slopes[0], [[0, 1, 0, 1]])
        np.testing.assert_allclose(slopes[1], [0])


class TestModel:
    def test_density_is_that_of_the_shares_by_hand(self, drawn):
        data, model, prior = drawn
        posterior = prior["posterior"].to_dataset().isel(chain=0)
        for i in range(3):
            now = posterior.isel(draw=i)
            eta, scale = now["logits"].to_numpy(), now["nest_scale"].to_numpy()
            share = [by_hand(*row, scale) for row in zip(eta, data.available, strict=True)]
            np.testing.assert_allclose(now["share"], share, rtol=1e-6, atol=1e-12)

    def test_at_one_is_the_masked_multinomial(self):
        data = data_of()
        nested = masked_regression(data, effects="pooled", nests=NESTS)
        plain = masked_regression(data, effects="pooled")
        rng = np.random.default_rng(3)
        point = {k: rng.normal(0, 0.3, v.shape) for k, v in plain.initial_point().items()}
        almost = {"nest_scale_logodds__": np.array([40.0])}
        of = [
            model.compile_fn(
                model.logp(vars=[model["counts"]]), inputs=model.value_vars, mode=PLAIN
            )
            for model in (nested, plain)
        ]
        np.testing.assert_allclose(of[0](point | almost), of[1](point))
        share = plain.compile_fn(
            plain.replace_rvs_by_values([plain["share"]])[0], inputs=plain.value_vars, mode=PLAIN
        )(point)
        expected = multinomial.logpmf(data.counts, data.n, share).sum()
        np.testing.assert_allclose(of[1](point), expected)

    @pytest.mark.parametrize(
        ("nests", "message"),
        [
            ({"b": ["category 1"]}, "has one category"),
            ({"b": ["category 1", "category 1"]}, "has one category"),
            (
                {"b": ["category 1", "category 2"], "c": ["category 2", "category 3"]},
                "in two nests",
            ),
            ({"b": ["category 1", "category 7"]}, "category 7"),
            ({"b": "category 1"}, "must be a list"),
        ],
    )
    def test_nests_that_make_no_sense_are_refused(self, nests, message):
        with pytest.raises(ValueError, match=message):
            masked_regression(data_of(), effects="pooled", nests=nests)

    def test_nests_that_leave_no_trace_are_refused(self):
        counts = [[3, 4, 5], [2, 6, 1]]
        same = CategoryCounts(counts, np.ones((2, 3), bool), list("abc"))
        with pytest.raises(ValueError, match="cannot be told from the intercepts"):
            masked_regression(same, effects="pooled", nests={"n": ["a", "b"]})
        apart = CategoryCounts(
            [[3, 0, 5], [0, 6, 1]], [[True, False, True], [False, True, True]], list("abc")
        )
        with pytest.raises(ValueError, match="No menu holds two"):
            nest_of_categories(apart, {"n": ["a", "b"]})

    def test_not_with_scatter_or_unknown_menus(self):
        for option in ({"likelihood": "logistic-normal"}, {"availability": "unknown"}):
            with pytest.raises(ValueError, match="nests"):
                masked_regression(data_of(), effects="pooled", nests=NESTS, **option)


def shares_of(data, draw, menus, shift=0.0):
    eta = draw["logits"].to_numpy() + shift
    scale = draw["nest_scale"].to_numpy()
    return np.array([by_hand(*row, scale) for row in zip(eta, menus, strict=True)])


class TestPredictions:
    def test_what_if(self, drawn):
        data, model, prior = drawn
        off = data.available.copy()
        off[:, 0] = False
        dearer = {"attributes": {"price": {"category 3": lambda price: price + 1}}}
        found = what_if(prior, model, {"off": {"category 1": False}, "dearer": dearer})
        for i in range(3):
            draw = prior["posterior"].to_dataset().isel(chain=0, draw=i)
            now = found.isel(chain=0, draw=i)
            baseline = shares_of(data, draw, data.available)
            without = shares_of(data, draw, off)
            np.testing.assert_allclose(now["baseline"], baseline, atol=1e-10)
            np.testing.assert_allclose(now["share"].sel(scenario="off"), without, atol=1e-10)
            shift = np.outer(np.full(len(data), draw["attribute_slope"]), [0, 0, 1, 0])
            moved = shares_of(data, draw, data.available, shift)
            np.testing.assert_allclose(now["share"].sel(scenario="dearer"), moved, atol=1e-10)
            rows = data.available[:, 0] & (baseline[:, 0] > 1e-6)
            expected = (without - baseline)[rows] / baseline[rows, :1]
            part = now["diversion"].sel(scenario="off", removed="category 1")[rows]
            expected[:, 0] = 0
            np.testing.assert_allclose(part, expected, atol=1e-6)

    def test_averages_and_elasticities(self, drawn):
        data, model, prior = drawn
        draw = prior["posterior"].to_dataset().isel(chain=0, draw=1)
        weight = data.n / data.n.sum()
        found = row_averages(prior, model).isel(chain=0, draw=1)
        share = shares_of(data, draw, data.available)
        np.testing.assert_allclose(found["expected"], weight @ share, atol=1e-12)
        exposure = model["log_exposure"].get_value()
        full = shares_of(data, draw, np.ones_like(data.available), -exposure)
        np.testing.assert_allclose(found["latent"], weight @ full, atol=1e-12)
        off = data.available.copy()
        off[:, 2] = False
        rows = data.available[:, 2]
        moved = weight[rows] @ (shares_of(data, draw, off) - share)[rows]
        moved[2] = 0
        np.testing.assert_allclose(found["moved"].sel(removed="category 3"), moved, atol=1e-10)
        price, slope = data.attributes["price"][:, 2], float(draw["attribute_slope"].item())

        def total(part):
            step = np.outer(slope * price * part, [0, 0, 1, 0])
            return np.log(data.n @ shares_of(data, draw, data.available, step))

        by_hand = (total(1e-5) - total(-1e-5)) / 2e-5
        elastic = elasticities(prior, model, "price").isel(chain=0, draw=1)
        np.testing.assert_allclose(elastic.sel(changed="category 3"), by_hand, atol=1e-6)

    def test_latent_preferences(self, drawn):
        _, model, prior = drawn
        draw = prior["posterior"].to_dataset().isel(chain=0, draw=1)
        eta = draw["intercept"].reindex(contrast=model.coords["category"], fill_value=0.0)
        expected = [
            by_hand(row, np.ones(4, bool), draw["nest_scale"].to_numpy()) for row in eta.to_numpy()
        ]
        found = latent_preferences(prior, model).isel(chain=0, draw=1)
        np.testing.assert_allclose(found, expected, atol=1e-12)

    def test_at_one_substitution_is_proportional(self):
        data = data_of()
        model = masked_regression(data, effects="pooled", nests=NESTS)
        plain = masked_regression(data, effects="pooled")
        with plain:
            prior = pm.sample_prior_predictive(3, random_seed=1, compile_kwargs={"mode": PLAIN})
        posterior = prior["prior"].to_dataset()
        nested = posterior.assign(
            nest_scale=(("chain", "draw", "nest"), np.ones((1, 3, 1))), nest=["buses"]
        )
        answers = [
            what_if(
                xr.DataTree.from_dict({"posterior": draws}), of, {"off": {"category 1": False}}
            )["diversion"]
            for draws, of in ((posterior, plain), (nested, model))
        ]
        np.testing.assert_allclose(answers[0], answers[1], atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("true", "seed"), [(0.5, 1), (0.5, 2), (1.0, 3)])
def test_scale_is_recovered(true, seed):
    """Red and blue buses at the origin's size, drawn by hand."""
    rng = np.random.default_rng(seed)
    design, _ = simulate_counts(
        20, 4, 4, unavailable=(0.3, 0, 0.3, 0), effects="intercepts", random_seed=seed
    )
    eta = np.append(rng.normal(0, 0.5, (20, 3)), np.zeros((20, 1)), axis=1)[design.cluster.codes]
    share = shares_on_menu(nested_logits(eta, design.available, NEST, [true]), design.available)
    counts = rng.multinomial(design.n, share)
    data = CategoryCounts(
        counts, design.available, design.categories, cluster=design.cluster, cluster_name="district"
    )
    model = masked_regression(data, effects="intercepts", nests=NESTS)
    with model:
        draws = pm.sample(
            500, tune=500, chains=4, cores=2, nuts_sampler="nutpie", random_seed=seed,
            progressbar=False, compile_kwargs={"freeze_model": True},
        )["posterior"]  # fmt: skip
    low, high = draws["nest_scale"].quantile([0.001, 0.999], ("chain", "draw")).squeeze()
    assert low < true and (high > true or true == 1.0)
    if true == 1.0:
        assert high > 0.97
