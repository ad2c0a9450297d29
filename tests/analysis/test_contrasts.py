"""Differences, diversion and shares side by side, by own arithmetic on each draw."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from helpers import CategoryCounts, simulate_counts
from helpers.analysis import choose

pytestmark = pytest.mark.filterwarnings("error")


def softmax(logits, menus):
    weights = np.exp(logits) * menus
    return weights / weights.sum(axis=-1, keepdims=True)


def summary(values):
    """Mean and ends of the 89 % interval over draws, one line for each category."""
    return np.column_stack([values.mean(axis=0), *np.quantile(values, [0.055, 0.945], axis=0)])


@pytest.fixture(scope="module", params=[3, 8], ids=["pairs", "against the mean"])
def fit(request, prior_of, tables_of):
    data, _ = simulate_counts(
        n_clusters=request.param,
        n_dates=4,
        n_categories=3,
        unavailable=(0.4, 0, 0),
        n_range=(50, 900),
        effects="intercepts",
        random_seed=2,
    )
    choice = choose(data, likelihood="multinomial")
    assert choice.drift == "walk"
    model, idata = prior_of(choice)
    tables = tables_of(
        choice, model, idata, scenarios={"two": ["category 1", "category 2"]}, random_seed=1
    )
    logits = idata["prior"]["logits"].transpose("chain", "draw", "row", "category").to_numpy()[0]
    return SimpleNamespace(data=data, prior=idata["prior"], tables=tables, logits=logits)


def weighted(fit, shares):
    return np.einsum("r,srk->sk", fit.data.n / fit.data.n.sum(), shares)


def found(fit, between, one, other):
    lines = fit.tables["contrasts"]
    lines = lines[(lines["between"] == between) & (lines["one"] == one)]
    lines = lines[lines["other"] == other]
    assert lines["category"].tolist() == list(fit.data.categories)
    assert (lines["unit"] == "percentage points").all()
    return lines[["mean", "low", "high"]].to_numpy(), lines["probability_of_direction"].to_numpy()


def test_clusters_differ_by_their_intercepts(fit):
    contrast = fit.prior["intercept"].transpose("chain", "draw", "cluster", "contrast")
    names = [c for c in fit.data.categories if c not in contrast["contrast"].to_numpy()]
    position = fit.data.categories.index(names[0])
    preference = softmax(np.insert(contrast.to_numpy()[0], position, 0.0, axis=-1), 1)
    many = len(fit.data.cluster.categories) > 6
    other = "(mean of clusters)" if many else "district 2"
    difference = preference[:, 0] - (preference.mean(axis=1) if many else preference[:, 1])
    values, direction = found(fit, "clusters", "district 1", other)
    np.testing.assert_allclose(values, 100 * summary(difference), atol=1e-12)
    share_above = (difference > 0).mean(axis=0)
    np.testing.assert_allclose(direction, np.maximum(share_above, 1 - share_above))
    lines = fit.tables["contrasts"].query("between == 'clusters'")
    assert len(lines) == 3 * (8 if many else 3)


def test_dates_are_compared_from_end_to_end_and_one_by_one(fit):
    """Each date for all clusters, weighted by their totals."""
    over_time = fit.tables["preferences_over_time"].copy()
    over_time["date"] = over_time["date"].dt.strftime("%Y-%m-%d")
    dates = over_time["date"].unique()
    lines = fit.tables["contrasts"].query("between == 'dates'")
    pairs = list(zip(lines["one"], lines["other"], strict=True))[::3]
    assert pairs == [(dates[3], dates[0]), *((dates[d], dates[d - 1]) for d in (1, 2, 3))]
    means = over_time.pivot(index="date", columns="category", values="mean")[
        list(fit.data.categories)
    ]
    for one, other in pairs:
        values, _ = found(fit, "dates", one, other)
        np.testing.assert_allclose(values[:, 0], 100 * (means.loc[one] - means.loc[other]))


def test_scenarios_are_compared_with_the_menus_as_they_were(fit):
    own = weighted(fit, softmax(fit.logits, fit.data.available))
    for name, menu in (("full menu", [1, 1, 1]), ("two", [1, 1, 0])):
        change = weighted(fit, softmax(fit.logits, np.array(menu))) - own
        values, _ = found(fit, "scenarios", name, "menus as they were")
        np.testing.assert_allclose(values, 100 * summary(change), atol=1e-12)


def test_choices_of_what_is_removed_go_where_the_shares_rise(fit):
    menus, diversion = fit.data.available, fit.tables["diversion"]
    before = softmax(fit.logits, menus)
    for k, removed in enumerate(fit.data.categories):
        without = menus.copy()
        without[:, k] = False
        gained = weighted(fit, np.delete(softmax(fit.logits, without) - before, k, axis=-1))
        part = gained / gained.sum(axis=1, keepdims=True)
        lines = diversion[diversion["removed"] == removed]
        assert lines["category"].tolist() == list(np.delete(fit.data.categories, k))
        np.testing.assert_allclose(lines[["mean", "low", "high"]], summary(part))
    assert np.allclose(diversion.groupby("removed")["mean"].sum(), 1)


def test_shares_stand_side_by_side(fit):
    data, comparison = fit.data, fit.tables["comparison"]
    assert comparison["cluster"].iloc[:3].tolist() == ["(all)"] * 3
    for cluster in ("(all)", "district 2"):
        rows = np.ones(len(data), bool) if cluster == "(all)" else data.cluster == cluster
        counts, menus, n = data.counts[rows], data.available[rows], data.n[rows]
        lines = comparison[comparison["cluster"] == cluster]
        assert lines["category"].tolist() == list(data.categories)
        np.testing.assert_array_equal(lines["rows_on_menu"], menus.sum(axis=0))
        np.testing.assert_allclose(lines["plain_share"], counts.sum(axis=0) / n.sum())
        where = [counts[menus[:, k], k].sum() / n[menus[:, k]].sum() for k in range(3)]
        np.testing.assert_allclose(lines["share_on_menu"], where)
        for kind, on in (("expected", menus), ("latent", np.ones_like(menus))):
            shares = np.einsum("r,srk->sk", n / n.sum(), softmax(fit.logits[:, rows], on))
            columns = [kind, f"{kind}_low", f"{kind}_high"]
            np.testing.assert_allclose(lines[columns], summary(shares))


def test_without_menus_preferences_are_plain_shares_and_slopes_plain_ones(prior_of, tables_of):
    """The quick fits are maxima of the likelihood, with the menus and without."""
    rng = np.random.default_rng(3)
    x = rng.normal(10, 3, 40)
    menus = np.ones((40, 3), bool)
    menus[:, 2] = x < 11  # the third is off the menu where x is high: menus ignored, x repels
    logits = np.array([0.3, 0.0, 0.5]) + np.outer(x - 10, [0.1, 0.0, 0.15])
    counts = np.array([rng.multinomial(2_000, p) for p in softmax(logits, menus)])
    data = CategoryCounts(counts, menus, ("a", "b", "c"), predictors=pd.DataFrame({"x": x}))
    choice = choose(data, likelihood="multinomial")
    ignored = tables_of(choice, *prior_of(choice))["ignored"].set_index(["quantity", "category"])
    plain = ignored.loc["preference", "menus_ignored"]
    np.testing.assert_allclose(plain, counts.sum(axis=0) / counts.sum())
    z = (x - x.mean()) / x.std()
    for on, column in ((menus, "quick_with_menus"), (np.ones_like(menus), "menus_ignored")):

        def of_rows(theta, z=z):
            return np.column_stack([theta[:2] + np.outer(z, theta[2:]), np.zeros(len(z))])

        def loss(theta, on=on):
            with np.errstate(divide="ignore", invalid="ignore"):
                return -np.nansum(counts * np.log(softmax(of_rows(theta), on))) / counts.sum()

        theta = minimize(loss, np.zeros(4), options={"gtol": 1e-9}).x
        change = softmax(of_rows(theta, z + 1), 1) - softmax(of_rows(theta), 1)
        np.testing.assert_allclose(
            ignored.loc["1 sd of x", column], 100 * change.mean(axis=0), atol=0.02
        )
    effect = ignored.loc["1 sd of x"]
    assert effect.loc["c", "quick_with_menus"] > 0 > effect.loc["c", "menus_ignored"]


def test_clusters_that_are_pooled_have_no_contrasts(prior_of, tables_of):
    data, _ = simulate_counts(n_clusters=2, n_dates=1, n_categories=3, unavailable=(0, 0, 0),
                              random_seed=1)  # fmt: skip
    choice = choose(data, likelihood="multinomial")
    contrasts = tables_of(choice, *prior_of(choice))["contrasts"]
    assert set(contrasts["between"]) == {"scenarios"}
    assert np.allclose(contrasts["mean"], 0)  # nothing was ever off the menu
