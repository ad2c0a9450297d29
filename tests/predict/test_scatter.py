"""Realised, mean and typical shares of rows that scatter: by hand, and by brute force."""

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from scipy import stats
from scipy.special import log_softmax, softmax

from helpers import CategoryCounts, masked_regression, menu_probabilities, what_if
from helpers.predict import _rows, _scatter

NAMES = ("bus", "car", "tram", "walk")
LEVELS = np.array([0.4, -0.8, 0.1, 0.0])
SPREAD = np.array([0.3, 0.9, 0.5, 0.2])
MENUS = np.array([[1, 1, 1, 1], [1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 0]], bool)
COUNTS = np.array([[5, 2, 0, 9], [300, 200, 80, 420], [9, 0, 2, 1], [1, 4, 2, 0]])
ALL = {"all": list(NAMES)}
NEW = pd.DataFrame({"n": [40, 1]})


def model_of(counts=COUNTS, reference="walk", **options):
    data = CategoryCounts(counts, MENUS, NAMES)
    options = {"effects": "pooled", "likelihood": "logistic-normal"} | options
    return masked_regression(data, reference=reference, **options)


def posterior_of(model, draws, spread=SPREAD, df=None, levels=LEVELS, **more):
    """The same parameters, or those given for each draw, as a posterior without `scatter`."""
    reference = [c not in model.coords["contrast"] for c in NAMES].index(True)
    levels = np.broadcast_to(levels, (draws, 4))
    contrasts = np.delete(levels - levels[:, [reference]], reference, axis=1)
    values = {"intercept": contrasts, "scatter_sd": np.broadcast_to(spread, (draws, 4))} | more
    if df is not None:
        values["scatter_df"] = np.full(draws, df)
    dims = {name: list(model.named_vars_to_dims.get(name, ())) for name in values}
    return az.from_dict(
        {"posterior": {name: np.asarray(v)[None] for name, v in values.items()}},
        coords={d: list(model.coords[d]) for of in dims.values() for d in of},
        dims={name: of for name, of in dims.items() if of},
    )


def new_scatter(size, df=None, seed=0):
    rng = np.random.default_rng(seed)
    u = rng.normal(size=(size, 4)) * SPREAD
    return u if df is None else u / np.sqrt(rng.gamma(df / 2, 2 / df, size=(size, 1)))


def near(ours, draws, chance=4.5):
    """Whether the mean of our draws is that of independent ones, within their joint error."""
    error = np.sqrt(ours.var(axis=0) / len(ours) + draws.var(axis=0) / len(draws))
    assert (np.abs(ours.mean(axis=0) - draws.mean(axis=0)) <= chance * error + 1e-12).all()


@pytest.fixture(scope="module")
def models():
    return {scatter: model_of(scatter=scatter) for scatter in ("normal", "t")}


both = pytest.mark.parametrize(("scatter", "df"), [("normal", None), ("t", 4.0)])


class TestMean:
    @both
    def test_is_the_average_over_scatter(self, models, scatter, df):
        model = models[scatter]
        idata = posterior_of(model, 400, df=df)
        answer = what_if(idata, model, {"no car": {"car": False}}, at="mean", random_seed=1)
        assert answer.attrs["at"] == "mean"
        eta = LEVELS + new_scatter(400_000, df)
        for row, menu in enumerate(MENUS):
            without = menu & (np.array(NAMES) != "car")
            for name, on in [("baseline", menu), ("share", without)]:
                ours = answer[name].isel(row=row).squeeze().to_numpy()
                near(ours, softmax(np.where(on, eta, -np.inf), axis=1))
        # Of the choices of cars, by their number: more go to others where there are more.
        p = softmax(eta, axis=1)[:, 1]
        part = softmax(np.where([1, 0, 1, 1], eta, -np.inf), axis=1)
        expected = (p @ part) / p.sum()
        ours = answer["diversion"].isel(row=0).squeeze().to_numpy()
        np.testing.assert_allclose(ours.sum(axis=1), 1, rtol=1e-12)
        np.testing.assert_allclose(ours.mean(axis=0), expected, atol=2e-3)
        plain = part.mean(axis=0)
        assert np.abs(expected - plain).max() > 5e-3  # or this would not tell them apart

    def test_of_one_draw_is_nearly_exact(self, models):
        """The error that the documentation states, at these spreads."""
        model = models["normal"]
        answer = what_if(posterior_of(model, 200), model, ALL, at="mean", rows=[0], random_seed=1)
        share = answer["share"].squeeze().to_numpy()
        assert (share.std(axis=0) / share.mean(axis=0) < 0.02).all()

    def test_rows_in_blocks_are_those_at_once(self, models, monkeypatch):
        model, idata = models["normal"], posterior_of(models["normal"], 3)
        once = what_if(idata, model, {"s": {"bus": False}}, at="mean", random_seed=1)
        monkeypatch.setattr(_scatter, "BLOCK", 2 * _scatter.POINTS)
        xr.testing.assert_allclose(
            what_if(idata, model, {"s": {"bus": False}}, at="mean", random_seed=1), once
        )

    def test_of_categories_that_nobody_would_choose(self, models):
        """Their shares are below rounding, and what they lose is divided all the same."""
        levels = np.array([-60.0, -900.0, 0.5, 0.0])
        idata = posterior_of(models["t"], 50, df=0.3, levels=levels)
        answer = what_if(idata, models["t"], {"s": {"bus": False, "car": False}}, at="mean")
        for name in ("share", "baseline", "diversion"):
            values = answer[name].sel(row=[0, 1])
            np.testing.assert_allclose(values.sum("category"), 1, rtol=1e-9)


class TestRealised:
    def test_reproduces_what_rows_showed_where_they_are_many(self, models):
        rng = np.random.default_rng(2)
        share = softmax(np.where(MENUS, LEVELS + new_scatter(4), -np.inf), axis=1)
        counts = np.stack([rng.multinomial(10**8, p) for p in share])
        model = model_of(counts)
        idata = posterior_of(model, 2_000)
        answer = what_if(idata, model, ALL, random_seed=1)
        assert answer.attrs["at"] == "realised"
        observed = counts / counts.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(answer["baseline"][0].mean("draw"), observed, atol=1e-4)
        # Cars, off the menu of row 2, are a normal given what the row showed.
        log = np.log(answer["share"].isel(row=2).squeeze().to_numpy())
        ours = (log[:, 1] - log[:, 3])[:, None]
        seen = np.log(observed[2, [0, 2]] / observed[2, 3]) - LEVELS[[0, 2]]
        joint = np.diag(SPREAD[[1, 0, 2]] ** 2) + SPREAD[3] ** 2
        gain = np.linalg.solve(joint[1:, 1:], joint[1:, 0])
        expected = stats.norm(LEVELS[1] + gain @ seen, np.sqrt(joint[0, 0] - gain @ joint[1:, 0]))
        assert stats.kstest(ours.ravel(), expected.cdf).pvalue > 1e-3

    @pytest.mark.slow
    @both
    def test_of_few_counts_is_what_bayes_rule_says(self, models, scatter, df):
        model = models[scatter]
        answer = what_if(posterior_of(model, 1_500, df=df), model, ALL, random_seed=1)
        eta = LEVELS + new_scatter(400_000, df)
        share = softmax(eta, axis=1)
        for row in range(4):
            log_p = log_softmax(np.where(MENUS[row], eta, -np.inf), axis=1)
            weight = softmax((log_p[:, MENUS[row]] * COUNTS[row, MENUS[row]]).sum(axis=1))
            ours = answer["share"].isel(row=row).squeeze().to_numpy()
            for power in (1, 2):
                expected = weight @ share**power
                error = np.sqrt(weight**2 @ (share**power - expected) ** 2)
                error = np.hypot(error, (ours**power).std(axis=0) / np.sqrt(len(ours)))
                assert (np.abs((ours**power).mean(axis=0) - expected) <= 4.5 * error).all()

    def test_is_that_of_stored_scatter(self, models):
        model = models["normal"]
        eps = np.random.default_rng(4).normal(size=(5, 4, 3))
        idata = posterior_of(model, 5, scatter=eps)
        answer = what_if(idata, model, {"s": {"bus": False, "car": True}}, rows=[2, 0])
        assert answer.attrs["at"] == "realised"
        eta = (LEVELS + np.insert(eps, 3, 0, axis=2))[:, [2, 0]]
        expected = softmax(np.where([False, True, True, True], eta, -np.inf), axis=2)
        np.testing.assert_allclose(answer["share"][0, :, 0], expected, rtol=1e-10)

    def test_does_not_depend_on_the_reference(self):
        found = []
        for reference in ("walk", "bus"):
            model = model_of(reference=reference, scatter="t")
            idata = posterior_of(model, 40, df=5.0)
            found.append(
                [
                    what_if(idata, model, {"s": {"tram": False}}, at=at, random_seed=1)
                    for at in ("realised", "mean", "typical")
                ]
            )
        for one, other in zip(*found, strict=True):
            xr.testing.assert_allclose(one, other, rtol=1e-6)

    def test_draws_in_blocks_keep_their_order(self, models, monkeypatch):
        model = models["normal"]
        levels = np.random.default_rng(5).normal(size=(7, 4))
        idata = posterior_of(model, 7, spread=np.full(4, 1e-5), levels=levels)
        monkeypatch.setattr(_rows, "BLOCK", 3 * 16)
        answer = what_if(idata, model, ALL, random_seed=1)
        for row in range(4):
            ours = answer["share"].isel(row=row).squeeze()
            np.testing.assert_allclose(ours, softmax(levels, axis=1), rtol=1e-3)

    def test_of_exchanged_rows_is_refused(self):
        model = model_of()
        idata = posterior_of(model, 2)
        with model:
            pm.set_data({"n": [1, 2, 3, 4]})
        with pytest.raises(ValueError, match="totals or rows of the model were exchanged"):
            what_if(idata, model, ALL)
        assert what_if(idata, model, ALL, at="typical").attrs["at"] == "typical"


class TestTypical:
    def test_has_no_scatter(self, models):
        model = models["t"]
        for rows in (None, NEW):
            answer = what_if(posterior_of(model, 3, df=4.0), model, ALL, at="typical", rows=rows)
            expected = np.broadcast_to(softmax(LEVELS), answer["share"].shape)
            np.testing.assert_allclose(answer["share"], expected, rtol=1e-12)
            assert answer.attrs["at"] == "typical"


class TestNewRows:
    @both
    def test_draw_their_own(self, models, scatter, df):
        model = models[scatter]
        idata = posterior_of(model, 4_000, df=df)
        menus = {"all": list(NAMES), "no bus": {"bus": False}}
        answer = what_if(idata, model, menus, rows=NEW, random_seed=1)
        assert answer.attrs["at"] == "realised"
        log = np.log(answer["share"].sel(scenario="all")[0].to_numpy())
        eta = log[..., :3] - log[..., 3:] - LEVELS[:3]
        theirs = new_scatter(100_000, df, seed=6)
        theirs = theirs[:, :3] - theirs[:, 3:]
        for row in (0, 1):
            for k in range(3):
                assert stats.ks_2samp(eta[:, row, k], theirs[:, k]).pvalue > 1e-3
            rank = stats.spearmanr(eta[:, row]).statistic
            np.testing.assert_allclose(rank, stats.spearmanr(theirs).statistic, atol=0.07)
        assert abs(stats.spearmanr(eta[:, 0, 0], eta[:, 1, 0]).statistic) < 0.07
        # One scatter in all scenarios: a row keeps its proportions.
        less = answer["share"].sel(scenario="no bus", category=["car", "walk"])
        more = answer["baseline"].sel(category=["car", "walk"])
        np.testing.assert_allclose(
            less[..., 0] / less[..., 1], more[..., 0] / more[..., 1], rtol=1e-9
        )

    def test_at_the_mean_are_the_average_of_those(self, models):
        model = models["normal"]
        idata = posterior_of(model, 4_000)
        own = what_if(idata, model, ALL, rows=NEW, random_seed=1)["share"]
        mean = what_if(idata, model, ALL, rows=NEW, at="mean", random_seed=2)["share"]
        near(mean[0, :, 0, 0].to_numpy(), own[0, :, 0, 0].to_numpy())

    @pytest.mark.parametrize("at", ["realised", "mean"])
    def test_counts_scatter_with_them(self, models, at):
        model = models["normal"]
        frame = pd.DataFrame({"n": [10**6]})
        answer = what_if(
            posterior_of(model, 4_000), model, ALL, rows=frame, counts=True, at=at, random_seed=1
        )
        ours = answer["counts"].squeeze().to_numpy() / 10**6
        theirs = softmax(LEVELS + new_scatter(100_000), axis=1)
        for k in range(4):
            assert stats.ks_2samp(ours[:, k], theirs[:, k]).pvalue > 1e-3


@pytest.fixture(scope="module")
def unknown():
    data = CategoryCounts(COUNTS, np.ones((4, 4), bool), NAMES)
    options = {"availability": "unknown", "inflated": ["car", "tram"], "reference": "bus"}
    return masked_regression(data, effects="pooled", likelihood="logistic-normal", **options)


class TestUnknownMenus:
    def test_without_stored_scatter_are_refused(self, unknown):
        idata = posterior_of(unknown, 2, psi=np.full((2, 2), 0.7))
        for ask in (
            lambda: what_if(idata, unknown, ALL),
            lambda: menu_probabilities(idata, unknown),
        ):
            with pytest.raises(ValueError, match=r"names\(model\), \"scatter\"\]"):
                ask()
        new = what_if(idata, unknown, ALL, rows=NEW)
        assert new.attrs["at"] == "realised"
        assert what_if(idata, unknown, ALL, at="mean").attrs["at"] == "mean"

    def test_with_stored_scatter_are_bayes_rule(self, unknown):
        psi, eps = np.array([[0.7, 0.4]]), np.random.default_rng(7).normal(size=(1, 4, 3))
        idata = posterior_of(unknown, 1, psi=psi, scatter=eps)
        eta = LEVELS - LEVELS[0] + np.insert(eps[0], 0, 0, axis=1)
        got = menu_probabilities(idata, unknown).to_numpy()
        expected = np.ones((4, 4))
        for row, k, prior in [(0, 2, 0.4), (2, 1, 0.7)]:
            chance = []
            for on in (True, False):
                menu = np.arange(4) != (-1 if on else k)
                p = softmax(np.where(menu, eta[row], -np.inf))
                likelihood = stats.multinomial.pmf(COUNTS[row], COUNTS[row].sum(), p)
                chance.append((prior if on else 1 - prior) * likelihood)
            expected[row, k] = chance[0] / sum(chance)
        np.testing.assert_allclose(got, expected, rtol=1e-6)
        np.testing.assert_allclose(
            what_if(idata, unknown, ALL)["share"].squeeze(), softmax(eta, axis=1), rtol=1e-10
        )


class TestWithoutScatter:
    def test_all_three_are_the_same(self):
        model = model_of(likelihood="multinomial")
        idata = posterior_of(model, 3)
        answer = what_if(idata, model, ALL)
        assert answer.attrs["at"] == "mean"
        for at in ("realised", "mean", "typical"):
            named = what_if(idata, model, ALL, at=at)
            assert named.attrs["at"] == at
            xr.testing.assert_equal(named, answer)

    def test_what_the_model_cannot_say_is_refused(self):
        model = model_of(likelihood="dirichlet-multinomial")
        idata = posterior_of(model, 3, concentration=np.full(3, 20.0))
        assert what_if(idata, model, ALL).attrs["at"] == "mean"
        with pytest.raises(ValueError, match="does not keep how its rows scattered"):
            what_if(idata, model, ALL, at="realised")
        with pytest.raises(ValueError, match="at must be one of"):
            what_if(idata, model, ALL, at="average")
