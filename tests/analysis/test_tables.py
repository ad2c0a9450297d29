"""The tables are weighted as they say, whatever the draws: here they come from the prior."""

import arviz as az
import numpy as np
import pandas as pd
import pytest

from helpers import CategoryCounts, latent_preferences, simulate_counts
from helpers.analysis import (
    choose,
    cluster_means,
    menu_tables,
    preference_tables,
    scenario_menus,
    share_table,
    thin,
    widen_shares,
)

pytestmark = pytest.mark.filterwarnings("error")
SAMPLE = ("chain", "draw")


@pytest.fixture(scope="module")
def data():
    return simulate_counts(
        n_clusters=3,
        n_dates=4,
        n_categories=4,
        unavailable=(0.4, 0, 0.2, 0),
        n_range=(50, 900),
        effects="intercepts",
        random_seed=1,
    )[0]


@pytest.fixture(scope="module", params=["drift", "clusters", "pooled", "pooled drift"])
def fit(request, data, prior_of):
    """A choice, its model and draws, for each way to add clusters and dates up."""
    if "pooled" in request.param:
        data = CategoryCounts(data.counts, data.available, data.categories, date=data.date)
    drift = "walk" if "drift" in request.param else "none"
    choice = choose(data, likelihood="multinomial", drift=drift)
    assert (choice.effects == "pooled") == ("pooled" in request.param)
    return choice, *prior_of(choice)


def weighted(choice, values):
    """Mean over rows by their totals, and over draws."""
    weight = choice.data.n / choice.data.n.sum()
    return np.einsum("r,rk->k", weight, values.mean(SAMPLE).transpose("row", "category"))


class TestPreferences:
    def test_rows_weigh_as_their_totals(self, fit):
        choice, model, idata = fit
        overall = preference_tables(choice, model, idata)["overall"]
        assert list(overall) == ["mean", "low", "high", "at", "plain share"]
        assert (overall["at"] == ("realised" if choice.scatter else "mean")).all()
        assert overall.index.tolist() == list(choice.data.categories)
        np.testing.assert_allclose(overall["mean"], weighted(choice, idata["prior"]["preference"]))
        assert (overall["low"] < overall["high"]).all()
        counts = choice.data.counts.sum(axis=0)
        np.testing.assert_allclose(overall["plain share"], counts / counts.sum())

    def test_clusters_follow_all(self, fit):
        choice, model, idata = fit
        tables = preference_tables(choice, model, idata)
        preferences = tables["preferences"]
        assert list(preferences) == ["cluster", "category", "mean", "low", "high", "at"]
        assert (preferences["at"].iloc[4:] == "mean").all()
        first = preferences.iloc[:4]
        assert (first["cluster"] == "(all)").all()
        np.testing.assert_array_equal(first["mean"], tables["overall"]["mean"])
        means = cluster_means(preferences)
        if choice.effects == "pooled":
            assert means.empty and len(preferences) == 4
            return
        assert means.index.tolist() == list(choice.data.cluster.categories)
        assert means.columns.tolist() == list(choice.data.categories)
        expected = latent_preferences(idata, model).mean(SAMPLE)
        np.testing.assert_allclose(means, expected.transpose("cluster", "category"))

    def test_over_time_clusters_weigh_the_same_at_each_date(self, fit):
        choice, model, idata = fit
        tables = preference_tables(choice, model, idata)
        assert ("preferences_over_time" in tables) == bool(choice.drift)
        if not choice.drift:
            return
        over_time = tables["preferences_over_time"]
        assert list(over_time) == ["date", "category", "mean", "low", "high", "at"]
        assert over_time["date"].nunique() == 4
        data, preference = choice.data, idata["prior"]["preference"].mean(SAMPLE)
        cluster = np.zeros(len(data), int) if data.cluster is None else data.cluster.codes
        weight = np.bincount(cluster, data.n) / data.n.sum()
        for date, lines in over_time.groupby("date"):
            rows = np.flatnonzero(data.date == date)
            rows = rows[np.argsort(cluster[rows])]
            used = rows[:1] if data.cluster is None else rows
            by_cluster = preference.isel(row=used).transpose("row", "category")
            np.testing.assert_allclose(lines["mean"], weight @ by_cluster.to_numpy())


class TestShares:
    def test_rows_weigh_as_their_totals(self, fit):
        choice, model, idata = fit
        given = {"first": {"category 1": True}, "two": ["category 2", "category 4"]}
        shares = share_table(choice.data, model, idata, given)
        assert list(shares) == ["scenario", "category", "mean", "low", "high", "at"]
        wide = widen_shares(shares) / 100
        assert wide.index.tolist() == [
            "menus as they were",
            "full menu",
            *(f"without category {k}" for k in (1, 2, 3, 4)),
            "first",
            "two",
        ]
        assert wide.columns.tolist() == list(choice.data.categories)
        np.testing.assert_allclose(wide.sum(axis=1), 1)
        own = weighted(choice, idata["prior"]["share"])
        np.testing.assert_allclose(wide.loc["menus as they were"], own)
        full = weighted(choice, idata["prior"]["preference"])
        np.testing.assert_allclose(wide.loc["full menu"], full)
        assert (np.diag(wide.iloc[2:6]) == 0).all()
        assert wide.loc["first", "category 1"] > own[0]
        assert wide.loc["two", ["category 2", "category 4"]].sum() == pytest.approx(1)

    def test_unknown_categories_are_named(self, fit):
        choice, model, idata = fit
        with pytest.raises(ValueError, match="category 9"):
            share_table(choice.data, model, idata, {"nine": ["category 9"]})

    def test_no_row_is_left_with_nothing(self):
        menus = [[1, 1, 1], [0, 1, 0], [1, 1, 1]]
        with pytest.warns(UserWarning, match="one category"):
            data = CategoryCounts(np.array(menus) * 3, np.array(menus), ("a", "b", "c"))
        assert scenario_menus(data) == {
            "full menu": ["a", "b", "c"],
            "without a": {"a": False},
            "without c": {"c": False},
        }

    def test_given_menus_come_last_and_win(self, data):
        menus = scenario_menus(data, {"full menu": ["category 1"], "mine": ["category 2"]})
        assert menus["full menu"] == ["category 1"]
        assert list(menus)[-1] == "mine" and len(menus) == 6


@pytest.mark.parametrize("kind", ["clusters", "drift", "pooled", "pooled drift"])
def test_rows_that_scatter_keep_their_scatter_in_what_is_added_up(kind, data, prior_of):
    """The scatter is stored here, so that the rows' own logits are known."""
    if "pooled" in kind:
        data = CategoryCounts(data.counts, data.available, data.categories, date=data.date)
    drift = "walk" if "drift" in kind else "none"
    choice = choose(data, likelihood="logistic-normal", drift=drift)
    assert choice.effects == ("pooled" if "pooled" in kind else "intercepts")
    model, idata = prior_of(choice)
    tables = preference_tables(choice, model, idata, random_seed=1)
    logits = idata["prior"]["logits"].transpose("row", "category", *SAMPLE)
    own = np.exp(logits - logits.max("category"))
    overall = tables["overall"]
    np.testing.assert_allclose(overall["mean"], weighted(choice, own / own.sum("category")))
    assert (overall["at"] == "realised").all()
    shares = share_table(choice.data, model, idata, random_seed=1)
    assert (shares["at"] == "realised").all()
    full = shares[shares["scenario"] == "full menu"]
    np.testing.assert_allclose(full["mean"], overall["mean"])
    if drift == "walk":
        over_time = tables["preferences_over_time"]
        weight = pd.Series(data.n).groupby(data.date).sum() / data.n.sum()
        by_date = over_time.pivot(index="date", columns="category", values="mean")
        np.testing.assert_allclose(weight @ by_date[list(data.categories)], overall["mean"])
        assert (over_time["at"] == "realised").all()
    if "pooled" not in kind:
        of_clusters = tables["preferences"].iloc[len(data.categories) :]
        expected = latent_preferences(idata, model, "mean", random_seed=1).mean(SAMPLE)
        np.testing.assert_allclose(of_clusters["mean"], expected.to_numpy().ravel())
        assert (of_clusters["at"] == "mean").all()


def test_unknown_menus(prior_of):
    data, _ = simulate_counts(
        n_clusters=3, n_dates=1, n_categories=3, unavailable=(0.5, 0, 0), random_seed=4
    )
    recorded = CategoryCounts(data.counts, np.ones_like(data.available), data.categories)
    choice = choose(recorded, availability="unknown")
    tables = menu_tables(*prior_of(choice))
    menus = tables["menus"]
    assert list(menus) == ["row", "category", "probability"]
    assert len(menus) == recorded.counts.size
    chosen = recorded.counts.ravel() > 0
    assert (menus["probability"][chosen] == 1).all() and (menus["probability"][~chosen] < 1).all()
    assert tables["psi"].index.tolist() == ["category 1"]
    assert list(tables["psi"]) == ["mean", "low", "high"]


@pytest.mark.parametrize(("rows", "kept"), [(10, 400), (10_000, 400), (50_000, 80), (100_000, 52)])
def test_large_tables_get_fewer_draws(rows, kept):
    """Ten categories, four chains of 2,000 draws: 40 million cells at most, 50 draws at least."""
    counts = np.ones((rows, 10), dtype=int)
    data = CategoryCounts(counts, counts.astype(bool), list("abcdefghij"))
    idata = az.from_dict({"posterior": {"x": np.zeros((4, 2_000))}})
    assert thin(idata, data)["posterior"].sizes["draw"] * 4 == kept
