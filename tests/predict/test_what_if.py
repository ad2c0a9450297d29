"""Shares under other menus, against a softmax worked out row by row."""

import sys
import warnings

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from pymc.model.transform.optimization import freeze_dims_and_data
from pytensor.compile.mode import Mode

from helpers import CategoryCounts, latent_preferences, masked_regression, what_if

CATEGORIES = ["bus", "car", "tram", "walk"]
MENUS = np.array(
    [[1, 1, 1, 1], [0, 1, 1, 1], [1, 1, 0, 1], [0, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 1]], bool
)


@pytest.fixture(scope="module")
def fitted():
    """A model, and draws from its prior in the posterior's place: 2 chains, 5 draws."""
    rng = np.random.default_rng(1)
    with pytest.warns(UserWarning, match="one category"):
        data = CategoryCounts(
            rng.integers(1, 9, (6, 4)) * MENUS,
            MENUS,
            tuple(CATEGORIES),
            cluster=pd.Categorical(list("uvwuvw")),
            predictors=pd.DataFrame({"km": rng.normal(size=6)}),
            rows=pd.Index(list("ABCDEF")),
        )
    model = masked_regression(data, effects="intercepts", reference="walk")
    with model:
        plain = {"mode": Mode(linker="py", optimizer="fast_compile")}  # nothing to compile
        prior = pm.sample_prior_predictive(10, random_seed=1, compile_kwargs=plain)["prior"]
    posterior = prior.to_dataset().isel(chain=0, drop=True)
    halves = [posterior.isel(draw=slice(i, i + 5)).drop_vars("draw") for i in (0, 5)]
    posterior = xr.concat(halves, "chain").assign_coords(chain=[0, 1], draw=range(5))
    return model, xr.DataTree.from_dict({"posterior": posterior})


def by_hand(posterior, menus):
    """Softmax over the menu, cell by cell with exp and sums."""
    logits = posterior["logits"].transpose("chain", "draw", "row", "category").to_numpy()
    out = np.zeros_like(logits)
    for at in np.ndindex(logits.shape[:3]):
        on = np.flatnonzero(menus[at[2]])
        total = sum(np.exp(logits[at][j] - logits[at][on[0]]) for j in on)
        for j in on:
            out[at][j] = np.exp(logits[at][j] - logits[at][on[0]]) / total
    return out


def changed(**on):
    menus = MENUS.copy()
    for name, value in on.items():
        menus[:, CATEGORIES.index(name)] = value
    return menus


class TestShares:
    def test_own_menus_give_the_models_share(self, fitted):
        model, idata = fitted
        answer = what_if(idata, model, MENUS)
        share = idata["posterior"]["share"].transpose("chain", "draw", "row", "category")
        np.testing.assert_allclose(answer["share"][:, :, 0], share, rtol=1e-12)
        np.testing.assert_allclose(answer["baseline"], share, rtol=1e-12)
        assert answer["removed"].size == 0

    @pytest.mark.parametrize(
        ("menu", "expected"),
        [
            ({"bus": True}, changed(bus=True)),
            ({"tram": False, "walk": np.True_}, changed(tram=False, walk=True)),
            (["car", "walk"], np.tile([False, True, False, True], (6, 1))),
            ("car", np.tile([False, True, False, False], (6, 1))),
            (np.array([1, 1, 0, 1]), np.tile([True, True, False, True], (6, 1))),
            (changed(car=True, tram=True), changed(car=True, tram=True)),
            ({"named": ["bus", "car"]}, np.tile([True, True, False, False], (6, 1))),
            ({"named": {"car": True, "walk": 0}}, changed(car=True, walk=False)),
            (pd.DataFrame({"bus": [True]}, index=["named"]), changed(bus=True)),
        ],
        ids=lambda given: type(given).__name__,
    )
    def test_each_form_of_menu_is_understood(self, fitted, menu, expected):
        model, idata = fitted
        answer = what_if(idata, model, menu)
        np.testing.assert_array_equal(answer["available"][0], expected)
        np.testing.assert_allclose(
            answer["share"][:, :, 0], by_hand(idata["posterior"], expected), rtol=1e-10
        )
        np.testing.assert_allclose(answer["share"].sum("category"), 1, rtol=1e-13)
        named = "named" in str(menu)
        assert answer["scenario"].to_numpy().tolist() == ["named" if named else "what if"]

    def test_several_scenarios_keep_their_names_and_order(self, fitted):
        model, idata = fitted
        menus = {"no tram": {"tram": False, "car": True}, "all": np.ones(4, bool), "car": ["car"]}
        answer = what_if(idata, model, menus)
        assert answer["scenario"].to_numpy().tolist() == ["no tram", "all", "car"]
        assert dict(answer["share"].sizes) == {
            "chain": 2, "draw": 5, "scenario": 3, "row": 6, "category": 4
        }  # fmt: skip
        for name, menu in [
            ("no tram", changed(tram=False, car=True)),
            ("all", np.ones((6, 4), bool)),
            ("car", np.tile([False, True, False, False], (6, 1))),
        ]:
            np.testing.assert_allclose(
                answer["share"].sel(scenario=name), by_hand(idata["posterior"], menu), rtol=1e-10
            )
        table = pd.DataFrame([[False, True], [True, True]], ["none", "all"], ["tram", "car"])
        answer = what_if(idata, model, table)
        np.testing.assert_array_equal(
            answer["available"], [changed(tram=False, car=True), changed(tram=True, car=True)]
        )

    def test_some_rows_are_those_rows_of_all(self, fitted):
        model, idata = fitted
        everything = what_if(idata, model, {"tram": False, "car": True})
        some = what_if(idata, model, {"tram": False, "car": True}, rows=["E", "A"])
        one = what_if(idata, model, {"tram": False, "car": True}, rows="C")
        xr.testing.assert_allclose(some, everything.sel(row=["E", "A"]))
        assert one["row"].to_numpy().tolist() == ["C"]
        menus = np.array([[True, True, False, False], [False, False, False, True]])
        shaped = what_if(idata, model, menus, rows=["B", "F"])
        np.testing.assert_array_equal(shaped["available"][0], menus)

    def test_stored_order_of_dims_does_not_matter(self, fitted):
        """Three clusters and three contrasts: a transpose would fit, and be wrong."""
        model, idata = fitted
        turned = (
            idata["posterior"]
            .to_dataset()
            .transpose("contrast", "predictor", "cluster", "draw", "row", "category", "chain")
        )
        again = what_if(
            xr.DataTree.from_dict({"posterior": turned}), model, {"tram": False, "car": True}
        )
        expected = what_if(idata, model, {"tram": False, "car": True})
        xr.testing.assert_identical(again, expected)

    def test_the_model_stays_as_it_is_and_may_be_frozen(self, fitted):
        model, idata = fitted
        before = model["available"].get_value()
        expected = what_if(idata, model, ["car"])
        np.testing.assert_array_equal(model["available"].get_value(), before)
        frozen = what_if(idata, freeze_dims_and_data(model), ["car"])
        xr.testing.assert_allclose(frozen, expected)

    def test_row_level_variables_need_not_be_stored(self, fitted):
        model, idata = fitted
        small = idata["posterior"].to_dataset()[[v.name for v in model.free_RVs]]
        answer = what_if(xr.DataTree.from_dict({"posterior": small}), model, ["car", "walk"])
        xr.testing.assert_allclose(answer, what_if(idata, model, ["car", "walk"]))


class TestDiversion:
    def test_is_in_proportion_to_the_other_shares(self, fitted):
        """Of what leaves j, k gets p_k / (1 - p_j); every row by hand."""
        model, idata = fitted
        answer = what_if(idata, model, {"fewer": {"tram": False, "bus": False, "car": True}})
        p = answer["baseline"].to_numpy()
        assert answer["removed"].to_numpy().tolist() == ["bus", "tram"]
        for j, name in [(0, "bus"), (2, "tram")]:
            part = answer["diversion"].sel(removed=name, scenario="fewer").to_numpy()
            was_on = MENUS[:, j]
            expected = p / (1 - p[..., [j]])
            expected[..., j] = 0
            np.testing.assert_allclose(part[:, :, was_on], expected[:, :, was_on], rtol=1e-9)
            np.testing.assert_allclose(part[:, :, was_on].sum(axis=-1), 1, rtol=1e-13)
            assert np.isnan(part[:, :, ~was_on]).all()

    def test_is_missing_where_the_scenario_keeps_the_category_or_nothing_else_was_on(self, fitted):
        model, idata = fitted
        menus = MENUS.copy()
        menus[0, 2] = False  # tram goes in row A only
        menus[3] = [True, False, False, False]  # car was all there was in row D
        answer = what_if(idata, model, {"s": menus})
        there = ~np.isnan(answer["diversion"][0, 0, 0]).any("category")
        assert answer["removed"].to_numpy().tolist() == ["car", "tram"]
        assert there.sel(removed="tram").to_numpy().tolist() == [True] + [False] * 5
        assert not there.sel(removed="car").any()

    def test_of_a_category_that_nobody_would_choose_still_sums_to_one(self, fitted):
        """Its share is below rounding: the difference of two shares would be all noise."""
        model, idata = fitted
        posterior = idata["posterior"].to_dataset().copy(deep=True)
        posterior["intercept"].loc[{"contrast": "tram"}] = -60.0
        tiny = xr.DataTree.from_dict({"posterior": posterior})
        answer = what_if(tiny, model, {"s": {"tram": False}}, rows=["A", "B"])
        assert float(answer["baseline"].sel(category="tram").max()) < 1e-17
        part = answer["diversion"].sel(removed="tram", scenario="s")
        np.testing.assert_allclose(part.sum("category"), 1, rtol=1e-13)
        expected = answer["baseline"] / (1 - answer["baseline"].sel(category="tram"))
        others = ["bus", "car", "walk"]
        np.testing.assert_allclose(
            part.sel(category=others), expected.sel(category=others), rtol=1e-9
        )


@pytest.fixture(scope="module")
def many():
    """400 categories on one menu, 40 draws of their logits, and all but the first removed."""
    names = [f"c{k}" for k in range(400)]
    with pm.Model(coords={"row": [0], "category": names}) as model:
        pm.Data("available", np.ones((1, 400), bool), dims=("row", "category"))
        pm.Normal("logits", dims=("row", "category"))
    logits = np.random.default_rng(1).normal(size=(1, 40, 1, 400))
    posterior = xr.Dataset({"logits": (("chain", "draw", "row", "category"), logits)})
    posterior = posterior.assign_coords(chain=[0], draw=range(40))
    menus = {f"without {name}": {name: False} for name in names[1:]}
    return model, xr.DataTree.from_dict({"posterior": posterior}), menus


class TestDiversionOfManyCategories:
    """Draws x scenarios x removed x categories: 0.5 GiB for each draw of 399 scenarios."""

    @pytest.mark.parametrize("total", [False, True])
    def test_is_left_out_and_says_so(self, many, total):
        model, idata, menus = many
        with pytest.warns(
            UserWarning, match=r"1\.9 GiB and is left out.*diversion=False"
        ) as caught:
            answer = what_if(idata, model, menus, draws=4, total=total)
        assert caught[0].filename == __file__
        assert ("total=True" in str(caught[0].message)) == (not total)
        assert "diversion" not in answer
        assert answer.nbytes < 2**23
        assert answer["removed"].to_numpy().tolist() == [f"c{k}" for k in range(1, 400)]
        p = answer["baseline"].to_numpy()[..., 7]
        share = answer["share"].sel(scenario="without c7", category="c9").to_numpy()
        expected = answer["baseline"].sel(category="c9").to_numpy() / (1 - p)
        np.testing.assert_allclose(share, expected, rtol=1e-12)

    def test_is_refused_if_it_is_asked_for(self, many):
        model, idata, menus = many
        with pytest.raises(ValueError, match=r"19\.0 GiB: add rows up .total=True., use fewer"):
            what_if(idata, model, menus, diversion=True)

    def test_is_there_for_a_few_scenarios_at_a_time(self, many):
        model, idata, menus = many
        few = {name: menus[name] for name in ("without c7", "without c9")}
        answer = what_if(idata, model, few)
        assert answer["diversion"].shape == (1, 40, 2, 2, 1, 400)

    def test_no_work_is_done_for_what_is_left_out(self, many, monkeypatch):
        """A softmax for each draw and menu, and for the menus as they are."""
        model, idata, menus = many
        module = sys.modules["helpers.predict._scatter"]
        count, original = [], module.shares_on_menu
        monkeypatch.setattr(module, "shares_on_menu", lambda *a: count.append(1) or original(*a))
        with warnings.catch_warnings(action="error"):
            what_if(idata, model, menus, draws=2, diversion=False)
        assert len(count) == 2 * (399 + 1)

    @pytest.mark.parametrize("total", [False, True])
    def test_of_few_categories_is_as_if_it_were_asked_for(self, fitted, total):
        model, idata = fitted
        menus = {"fewer": {"tram": False, "bus": False}, "one": {"bus": False}}
        options = {"total": total, "counts": True, "random_seed": 1}
        answer = what_if(idata, model, menus, **options)
        asked = what_if(idata, model, menus, diversion=True, **options)
        without = what_if(idata, model, menus, diversion=False, **options)
        xr.testing.assert_identical(asked, answer)
        xr.testing.assert_identical(without, answer.drop_vars("diversion"))


@pytest.fixture(scope="module")
def slopes():
    """3 clusters x 3 contrasts x 3 effects: a transpose would fit. Draws from the prior."""
    rng = np.random.default_rng(2)
    menus = np.vstack([MENUS[:3], MENUS[4:], np.ones((4, 4), bool)])
    data = CategoryCounts(
        rng.integers(1, 9, (9, 4)) * menus,
        menus,
        tuple(CATEGORIES),
        cluster=pd.Categorical(list("uvwuvwuvw")),
        predictors=pd.DataFrame({"km": rng.normal(size=9), "rain": rng.random(9)}),
        rows=pd.Index(list("ABCDEFGHI")),
    )
    model = masked_regression(data, effects="slopes", reference="tram")
    with model:
        plain = {"mode": Mode(linker="py", optimizer="fast_compile")}
        prior = pm.sample_prior_predictive(8, random_seed=1, compile_kwargs=plain)["prior"]
    return model, data, xr.DataTree.from_dict({"posterior": prior.to_dataset()})


class TestSlopes:
    def test_shares_are_those_by_hand(self, slopes):
        """From the drawn effects alone: logits, other menus and softmax in numpy."""
        model, data, idata = slopes
        theta = idata["posterior"]["effects"].to_numpy()[0]
        x = data.predictors.to_numpy()
        z = np.column_stack([np.ones(9), (x - x.mean(axis=0)) / x.std(axis=0)])
        eta = np.einsum("rp,drkp->drk", z, theta[:, data.cluster.codes])
        eta = np.insert(eta, 2, 0.0, axis=-1)  # tram is the reference
        answer = what_if(idata, model, {"no car": {"car": False, "walk": True}})
        menus = data.available.copy()
        menus[:, 1], menus[:, 3] = False, True
        for got, on in ((answer["share"][0, :, 0], menus), (answer["baseline"][0], data.available)):
            masked = np.where(on, eta, -np.inf)
            weights = np.exp(masked - masked.max(axis=-1, keepdims=True))
            expected = weights / weights.sum(axis=-1, keepdims=True)
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-300)

    def test_only_the_free_variables_need_be_stored_in_any_order(self, slopes):
        model, _, idata = slopes
        free = idata["posterior"].to_dataset()[[v.name for v in model.free_RVs]]
        turned = free.transpose("effect", "contrast", ..., "cluster", "draw", "chain")
        menu = {"no car": {"car": False, "walk": True}}
        xr.testing.assert_allclose(
            what_if(xr.DataTree.from_dict({"posterior": turned}), model, menu),
            what_if(idata, model, menu),
        )

    def test_latent_preferences_from_the_same_draws(self, slopes):
        model, _, idata = slopes
        got = latent_preferences(idata, model).transpose("chain", "draw", "cluster", "category")
        intercepts = idata["posterior"]["effects"].to_numpy()[..., 0]
        eta = np.insert(intercepts, 2, 0.0, axis=-1)
        weights = np.exp(eta)
        np.testing.assert_allclose(got, weights / weights.sum(axis=-1, keepdims=True), rtol=1e-12)
        assert got["category"].to_numpy().tolist() == CATEGORIES


class TestErrors:
    @pytest.mark.parametrize(
        ("menu", "named"),
        [
            (["car", "trem"], ["'trem'", "did you mean 'tram'"]),
            ({"trem": True}, ["'trem'", "did you mean 'tram'"]),
            (pd.DataFrame({"trem": [True]}), ["'trem'", "did you mean 'tram'"]),
            (["zeppelin"], ["'zeppelin'", "bus, car, tram, walk"]),
            ({"s": np.ones(3)}, ["'s'", "(3,)", "(4,) or (6, 4)"]),
            (np.ones((5, 4)), ["(5, 4)", "(6, 4)"]),
            ({"s": [0.5, 1, 1, 1]}, ["'s'", "True and False"]),
            ({"s": {"bus": None}}, ["'s'", "'bus'", "not None"]),
            ({"bus": 0}, ["'bus'", "shape ()"]),
            ({"s": np.zeros(4, bool)}, ["'s'", "nothing on the menu", "A", "at least one"]),
            ({"s": {"bus": False, "walk": False}}, ["nothing on the menu", "['F']"]),
            ({}, ["No scenario"]),
            (pd.DataFrame({"bus": []}, dtype=bool), ["No scenario"]),
            (pd.DataFrame({"bus": [True, False]}, ["s", "s"]), ["More than one", "'s'"]),
        ],
        ids=str,
    )
    def test_menus_that_make_no_sense_are_refused(self, fitted, menu, named):
        model, idata = fitted
        with pytest.raises(ValueError) as caught:
            what_if(idata, model, menu)
        for words in named:
            assert words in str(caught.value)

    def test_unknown_rows_are_refused(self, fitted):
        model, idata = fitted
        with pytest.raises(ValueError, match=r"no rows \['Z'\].*A to F"):
            what_if(idata, model, ["car"], rows=["A", "Z"])

    @pytest.mark.parametrize("name", ["logits", "available"])
    def test_a_model_without_the_needed_variables_is_refused(self, fitted, name):
        _, idata = fitted
        other = {"logits": "available", "available": "logits"}[name]
        with pm.Model() as model:
            pm.Normal(other)
        with pytest.raises(ValueError, match=f"no variable '{name}'"):
            what_if(idata, model, ["car"])

    def test_a_posterior_without_a_free_variable_is_refused(self, fitted):
        model, idata = fitted
        posterior = idata["posterior"].to_dataset().drop_vars(["intercept", "slope"])
        with pytest.raises(ValueError, match="lacks intercept, slope: store all free variables"):
            what_if(xr.DataTree.from_dict({"posterior": posterior}), model, ["car"])
