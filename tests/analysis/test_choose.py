"""The choices follow the data, can be overruled, and are said in words."""

import numpy as np
import pandas as pd
import pytest

from helpers import CategoryCounts, simulate_counts
from helpers.analysis import build_model, choose, expected_time

pytestmark = pytest.mark.filterwarnings("error")
NAMES = ("tea", "milk", "water")


def table(cluster=None, date=None, predictors=None, *, n=200, spread=0.0, seed=1):
    """Counts of three categories, tea off every third menu, with a scatter of rows if wished."""
    rows = max(len(x) for x in (cluster, date, predictors, range(24)) if x is not None)
    rng = np.random.default_rng(seed)
    available = np.ones((rows, 3), dtype=bool)
    available[::3, 0] = False
    weights = available * np.exp(rng.normal(0, spread, (rows, 3)))
    counts = rng.multinomial(n, weights / weights.sum(axis=1, keepdims=True))
    return CategoryCounts(
        counts,
        available,
        NAMES,
        cluster=None if cluster is None else pd.Categorical(cluster),
        date=date,
        predictors=None if predictors is None else pd.DataFrame({"price": predictors}),
        cluster_name=None if cluster is None else "shop",
        date_name=None if date is None else "day",
    )


class TestEffects:
    def test_no_clusters(self):
        choice = choose(table())
        assert (choice.effects, choice.drift, choice.likelihood) == ("pooled", None, "multinomial")
        assert choice.description == (
            "Masked multinomial regression, the same preferences in all rows; logits against "
            f"{choice.reference}."
        )

    @pytest.mark.parametrize(("n_clusters", "effects"), [(2, "pooled"), (3, "intercepts")])
    def test_three_clusters_are_needed(self, n_clusters, effects):
        choice = choose(table(cluster=np.arange(24) % n_clusters))
        assert choice.effects == effects
        assert ("fewer than three clusters" in choice.description) == (effects == "pooled")
        assert ("intercepts varying by shop" in choice.description) == (effects != "pooled")

    def test_slopes_vary_if_predictors_vary_within_clusters(self):
        choice = choose(table(cluster=np.arange(24) % 4, predictors=np.arange(24.0)))
        assert choice.effects == "slopes"
        assert (
            "intercepts and slopes varying by shop, slopes of price per standard deviation"
            in choice.description
        )

    def test_slopes_are_common_if_predictors_are_the_same_within_clusters(self):
        cluster = np.arange(24) % 4
        choice = choose(table(cluster=cluster, predictors=cluster.astype(float)))
        assert choice.effects == "intercepts"
        assert ", common slopes of price per standard deviation;" in choice.description


class TestDrift:
    @pytest.mark.parametrize(
        ("n_dates", "drift"), [(2, None), (3, "walk"), (12, "walk"), (13, None), (24, None)]
    )
    def test_three_dates_and_two_rows_for_each(self, n_dates, drift):
        choice = choose(table(date=np.arange(24) % n_dates))
        assert choice.drift == drift
        assert (f"drifting over {n_dates} dates" in choice.description) == (drift == "walk")

    def test_it_can_be_overruled(self):
        assert choose(table(date=np.arange(24) % 2), drift="walk").drift == "walk"
        assert choose(table(date=np.arange(24) % 4), drift="none").drift is None

    def test_a_walk_needs_dates(self):
        with pytest.raises(ValueError, match="date"):
            choose(table(), drift="walk")


class TestLikelihood:
    def test_rows_that_scatter(self):
        choice = choose(table(spread=0.5))
        assert choice.likelihood == "dirichlet-multinomial"
        assert choice.evidence.startswith("In a quick fit the squared residuals are ")
        assert choice.description.startswith("Masked dirichlet-multinomial regression, ")

    def test_it_can_be_overruled(self):
        assert choose(table(spread=0.5), likelihood="multinomial").likelihood == "multinomial"
        overruled = choose(table(), likelihood="dirichlet-multinomial")
        assert overruled.likelihood == "dirichlet-multinomial"
        assert len(overruled.data) == 24

    def test_unknown_menus_go_with_the_multinomial(self):
        choice = choose(table(spread=0.5), availability="unknown")
        assert choice.likelihood == "multinomial" and choice.availability == "unknown"
        assert (
            f"Menus are unknown: any zero but those of {choice.reference} may mean"
            in choice.description
        )

    def test_ignored_menus_are_said(self):
        assert "Menus are ignored" in choose(table(), availability="ignored").description


class TestCollapse:
    def test_single_choices_are_summed(self):
        data = table(cluster=np.arange(300) % 3, n=1)
        choice = choose(data)
        # Three clusters, and the menu goes with the row's number modulo three.
        assert choice.n_rows == 300 and len(choice.data) == 3
        assert choice.data.counts.sum() == 300
        assert "Rows with the same menu and predictors were summed, 300 to 3;" in choice.evidence

    def test_sums_may_scatter_where_single_choices_cannot(self):
        """Four days, each with its own taste, and no date: only sums show it."""
        rng = np.random.default_rng(3)
        cluster = np.repeat(np.arange(30), 40)
        taste = rng.dirichlet([1, 1, 1], 120)[np.arange(1200) // 10]
        counts = np.array([rng.multinomial(1, p) for p in taste])
        price = np.arange(1200) // 10 % 4 / 4
        data = CategoryCounts(
            counts,
            np.ones_like(counts, dtype=bool),
            NAMES,
            cluster=pd.Categorical(cluster),
            predictors=pd.DataFrame({"price": price}),
            cluster_name="shop",
        )
        choice = choose(data)
        assert len(choice.data) == 120 and choice.likelihood == "dirichlet-multinomial"

    def test_nothing_is_summed_where_rows_matter(self):
        data = table(cluster=np.arange(300) % 3, n=1)
        assert len(choose(data, availability="unknown").data) == 300
        assert len(choose(data, likelihood="dirichlet-multinomial").data) == 300

    def test_warnings_are_not_repeated(self):
        """Rows without choices were warned of when the table was read."""
        counts = np.tile([[3, 2, 1], [0, 0, 0]], (20, 1))
        menus = np.tile([[True, True, True], [True, True, False]], (20, 1))
        with pytest.warns(UserWarning, match="total of 0"):
            data = CategoryCounts(counts, menus, NAMES)
        assert len(choose(data).data) == 2


def test_the_model_is_the_chosen_one():
    data, _ = simulate_counts(n_clusters=6, n_range=(200, 900), random_seed=1)
    choice = choose(data, likelihood="dirichlet-multinomial")
    model = build_model(choice)
    assert {"effects", "drift", "concentration"} <= set(model.named_vars)
    assert choice.reference not in model.coords["contrast"]
    data, _ = simulate_counts(n_clusters=6, n_range=(5, 30), random_seed=1)
    plain = build_model(choose(data, drift="none", availability="unknown"))
    assert "psi" in plain.named_vars and "drift" not in plain.named_vars


def test_more_menus_to_sum_over_take_longer():
    data, _ = simulate_counts(n_clusters=300, n_range=(200, 900), random_seed=1)
    seconds = [
        int(expected_time(choose(data, availability=availability), 1_000).split()[2])
        for availability in ("known", "unknown")
    ]
    assert seconds[0] < seconds[1]
