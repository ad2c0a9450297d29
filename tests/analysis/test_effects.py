"""What predictors change, by own arithmetic on each draw."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from helpers import CategoryCounts, what_if
from helpers.analysis import choose, effect_words, plot_effects, predictor_steps

pytestmark = pytest.mark.filterwarnings("error")


def softmax(logits):
    weights = np.exp(logits)
    return weights / weights.sum(axis=-1, keepdims=True)


def table(n_clusters, rng):
    """Rows of clusters, with heat in degrees, and a stall that is open or not."""
    n = 6 * n_clusters
    counts = rng.multinomial(200, [0.5, 0.3, 0.2], size=n)
    available = np.ones_like(counts)
    available[::4, 0] = 0
    predictors = pd.DataFrame({"heat": rng.normal(20, 5, n), "open": np.arange(n) % 3 // 2 * 1.0})
    cluster = pd.Categorical(np.repeat([f"c{i}" for i in range(n_clusters)], 6))
    return CategoryCounts(
        counts * available, available, ("tea", "milk", "water"), cluster, predictors=predictors
    )


@pytest.fixture(scope="module", params=["slopes", "pooled"])
def fit(request, prior_of, tables_of):
    data = table(4 if request.param == "slopes" else 2, np.random.default_rng(5))
    choice = choose(data, likelihood="multinomial")
    assert choice.effects == request.param
    model, idata = prior_of(choice)
    return SimpleNamespace(
        choice=choice, idata=idata, effects=tables_of(choice, model, idata)["effects"]
    )


def by_hand(fit, predictor, step):
    """Changes of the latent shares by draw, row and category, with the rows' weights."""
    data, draws = fit.choice.data, fit.idata["prior"]
    logits = draws["logits"].transpose("chain", "draw", "row", "category").to_numpy()[0]
    if "effects" in draws:
        slope = draws["effects"].sel(effect=predictor).isel(cluster=data.cluster.codes)
        slope = slope.transpose("chain", "draw", "cluster", "contrast").to_numpy()[0]
    else:
        slope = draws["slope"].sel(predictor=predictor).to_numpy()[0][:, None]
    reference = data.categories.index(fit.choice.reference)
    slope = np.insert(slope, reference, 0.0, axis=-1)
    x = data.predictors[predictor].to_numpy()
    sd = x.std()
    start, end = {
        "1 sd": (x, x + sd), "1 unit": (x, x + 1), "0 to 1": (0 * x, 0 * x + 1),
    }[step]  # fmt: skip

    def at(value):
        return softmax(logits + slope * ((value - x) / sd)[:, None])

    return at(end) - at(start), data.n


@pytest.mark.parametrize(
    ("predictor", "step"), [("heat", "1 sd"), ("heat", "1 unit"), ("open", "1 sd"),
                            ("open", "0 to 1")]
)  # fmt: skip
def test_changes_are_of_all_rows_with_the_predictor_moved(fit, predictor, step):
    change, n = by_hand(fit, predictor, step)
    change = 100 * np.einsum("r,srk->sk", n, change) / n.sum()
    found = fit.effects.query("predictor == @predictor and step == @step and cluster == '(all)'")
    assert found["category"].tolist() == ["tea", "milk", "water"]
    np.testing.assert_allclose(found["mean"], change.mean(axis=0))
    np.testing.assert_allclose(found["low"], np.quantile(change, 0.055, axis=0))
    np.testing.assert_allclose(found["high"], np.quantile(change, 0.945, axis=0))
    direction = np.maximum((change > 0).mean(axis=0), (change < 0).mean(axis=0))
    np.testing.assert_allclose(found["probability_of_direction"], direction)
    assert abs(found["mean"].sum()) < 1e-9  # what some gain the others lose
    assert (found["unit"] == "percentage points").all()


def test_clusters_and_their_spread_are_told_where_slopes_vary(fit):
    of_clusters = fit.effects.query("cluster not in ('(all)', '(spread)')")
    if fit.choice.effects == "pooled":
        assert of_clusters.empty and "(spread)" not in set(fit.effects["cluster"])
        return
    change, n = by_hand(fit, "heat", "1 sd")
    codes = fit.choice.data.cluster.codes
    mean = np.stack(
        [np.einsum("r,srk->sk", n[codes == c], change[:, codes == c]) / n[codes == c].sum()
         for c in range(4)]
    )  # fmt: skip
    found = of_clusters.query("predictor == 'heat'").set_index(["cluster", "category"])["mean"]
    np.testing.assert_allclose(found["c2"], 100 * mean[2].mean(axis=0))
    spread = fit.effects.query("predictor == 'heat' and cluster == '(spread)'")
    np.testing.assert_allclose(spread["mean"], 100 * mean.std(axis=0).mean(axis=0))
    assert set(of_clusters["step"]) == {"1 sd"}


def test_steps_suit_the_range_of_the_predictor():
    frame = pd.DataFrame({"rate": [0.02, 0.05, 0.09], "income": [1e4, 3e4, 2e4], "east": [0, 1, 1]})
    steps = {(s.predictor, s.name): s for s in predictor_steps(frame, np.array([1.0, 2.0, 3.0]))}
    assert list(steps) == [
        ("rate", "1 sd"), ("rate", "0.01 units"), ("income", "1 sd"), ("income", "1 unit"),
        ("east", "1 sd"), ("east", "0 to 1"),
    ]  # fmt: skip
    moved = steps["rate", "0.01 units"].end
    np.testing.assert_allclose(moved["rate"], [0.03, 0.06, 0.1])
    assert moved[["income", "east"]].equals(frame[["income", "east"]])
    assert steps["east", "0 to 1"].start["east"].tolist() == [0, 0, 0]


def test_steps_of_labels_and_quartiles():
    frame = pd.DataFrame({"age": [20.0, 30, 40, 50, 60], "east": [0, 1, 1, 0, 1]})
    frame["size"] = pd.Categorical(["city", "town", "farm", "city", "town"])
    steps = predictor_steps(frame, np.array([1.0, 2.0, np.nan]), quartiles=True)
    assert [(s.predictor, s.name) for s in steps] == [
        ("age", "30 to 50"), ("east", "0 to 1"), ("size", "city to farm"), ("size", "city to town"),
    ]  # fmt: skip
    assert steps[0].size == 20 and steps[0].start["age"].eq(30).all()
    assert steps[3].end["size"].eq("town").all() and np.isnan(steps[3].size)
    assert steps[3].end["size"].dtype == frame["size"].dtype
    assert steps[3].end["age"].equals(frame["age"])


def test_quartiles_are_over_the_rows_that_were_added_up():
    frame = pd.DataFrame({"age": [20.0, 20, 20, 20, 30, 40, 50, 60]})
    added = pd.DataFrame({"age": [20.0, 30, 40, 50, 60]})
    given = {"sd": np.array([1.0]), "quartiles": True}
    names = [step.name for step in predictor_steps(frame, **given)]
    assert [s.name for s in predictor_steps(added, **given)] != names
    assert [s.name for s in predictor_steps(added, **given, weights=[4, 1, 1, 1, 1])] == names


@pytest.mark.parametrize("formula", [None, "region * heat"])
def test_labels_and_formulas(formula, prior_of, tables_of):
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.integers(1, 60, (30, 3)), columns=["tea", "milk", "water"])
    frame = frame.assign(region=["north", "south"] * 15, heat=rng.normal(20, 5, 30))
    everywhere = ["tea", "milk", "water"]
    frame["milk"] = frame["milk"].where(frame.index > 5)
    data = CategoryCounts.from_wide(frame, everywhere, predictors=["region", "heat"])
    choice = choose(data, formula=formula, likelihood="multinomial")
    assert (formula or "region, heat") in choice.description
    model, idata = prior_of(choice)
    tables = tables_of(choice, model, idata, random_seed=1)
    effects = tables["effects"]
    weight = data.n / data.n.sum()
    ends = [
        what_if(idata, model, {"menu": everywhere, "predictors": {"region": value}})["share"]
        .isel(scenario=0)
        .to_numpy()
        for value in ("north", "south")
    ]
    change = 100 * np.einsum("cdrk,r->cdk", ends[1] - ends[0], weight).mean((0, 1))
    line = effects[(effects["step"] == "north to south") & (effects["cluster"] == "(all)")]
    np.testing.assert_allclose(line.set_index("category").loc[everywhere, "mean"], change)
    assert any(
        words.startswith("With region from north to south") for words in effect_words(effects)
    )
    assert ("1 sd" in set(effects["step"])) == (formula is None)
    ignored = tables["ignored"]
    known = ignored[ignored["quantity"] == "region: north to south"]
    assert np.isfinite(known[["quick_with_menus", "menus_ignored"]]).all(axis=None)
    assert len(plot_effects(effects)) == 2


def test_words_begin_with_the_largest_change_and_admit_an_open_direction():
    lines = [("tea", 0.4, -1.0, 2.0), ("milk", -4.12, -5.0, -3.0), ("water", 3.7, 3.0, 4.5)]
    effects = pd.DataFrame(lines, columns=["category", "mean", "low", "high"])
    effects = effects.assign(predictor="heat", step="1 sd", size=5.25, cluster="(all)")
    (sentence,) = effect_words(effects)
    assert sentence == (
        "Per standard deviation of heat (5.25), milk loses 4.1 points (89 % interval −5.0 to "
        "−3.0); water gains 3.7 points (89 % interval 3.0 to 4.5); tea gains 0.4 points (89 % "
        "interval −1.0 to 2.0, so that its direction is open)."
    )
