"""The choices follow the data, can be overruled, and are said in words."""

import numpy as np
import pandas as pd
import pytest

from helpers import CategoryCounts, simulate_counts
from helpers.analysis import build_model, choose, expected_time, substitution_section

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


def test_slopes_that_hardly_differ_are_common():
    """What varies is known to be next to nothing; with a spread of 0.2 it is not."""
    rng = np.random.default_rng(2)
    cluster, x = np.repeat(np.arange(30), 6), rng.normal(size=180)
    for spread, effects in ((0.0, "intercepts"), (0.2, "slopes")):
        slope = [0.3, -0.2, 0.0] + spread * rng.normal(size=(30, 3))
        weights = np.exp(rng.normal(0, 0.4, size=(30, 3))[cluster] + x[:, None] * slope[cluster])
        counts = rng.multinomial(200_000, weights / weights.sum(axis=1, keepdims=True))
        frame = pd.DataFrame(counts, columns=list("abc")).assign(shop=cluster, price=x)
        data = CategoryCounts.from_wide(frame, list("abc"), cluster="shop", predictors=["price"])
        choice = choose(data)
        assert choice.effects == effects
        assert ("Slopes hardly differ by shop" in choice.description) == (spread == 0)


class TestScatterBesideClusters:
    """Rows are needed beyond the clusters' effects, or the two cannot be told apart."""

    @pytest.mark.parametrize(("n_clusters", "effects"), [(24, "pooled"), (12, "intercepts")])
    def test_one_row_in_each_cluster(self, n_clusters, effects):
        choice = choose(table(cluster=np.arange(24) % n_clusters, spread=0.5))
        assert (choice.effects, choice.likelihood) == (effects, "logistic-normal")
        assert ("hardly more than one row for each shop" in choice.description) == (
            effects == "pooled"
        )

    def test_nothing_is_mistaken_where_rows_cannot_scatter(self):
        data = table(cluster=np.arange(24), spread=0.5)
        assert choose(data, likelihood="multinomial").effects == "intercepts"

    def test_slopes_need_more_rows(self):
        price = np.random.default_rng(1).normal(size=24)
        choice = choose(table(cluster=np.arange(24) % 12, predictors=price, spread=0.5))
        assert choice.effects == "intercepts"
        assert "slopes are common to all" in choice.description


class TestZeros:
    def test_a_zero_that_is_hardly_a_choice_is_asked_about(self):
        data = table(n=2_000)
        counts = data.counts.copy()
        counts[7, 2] = 0
        asked = CategoryCounts(counts, data.available, NAMES)
        choice = choose(asked)
        assert choice.question.startswith("Was it on the menu? 1 zero is hardly a choice: water")
        assert "in row 7 " in choice.question
        assert choice.data is asked
        assert choose(data).question == ""

    def test_menus_that_are_not_believed_are_not_asked_about(self):
        counts = table(n=2_000).counts.copy()
        counts[1:3, 2] = 0
        data = CategoryCounts(counts, np.ones_like(counts, dtype=bool), NAMES)
        assert choose(data).question
        for availability in ("unknown", "ignored"):
            assert choose(data, availability=availability).question == ""


def test_zeros_are_not_asked_about_where_counts_are_ranks():
    """What is in doubt there is said of the whole table."""
    rng = np.random.default_rng(1)
    ranks = np.array([rng.permutation(3) + 1 for _ in range(20)])
    asked = CategoryCounts(ranks, np.ones_like(ranks, dtype=bool), NAMES)
    assert [doubt.kind for doubt in asked.suspicions] == ["ranks"]
    assert choose(asked).question == ""


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

    def test_a_predictor_of_dates_is_left_to_the_drift(self):
        date = np.arange(24) % 4
        data = table(date=date, predictors=date**2.0)
        choice = choose(data)
        assert choice.drift == "walk" and list(choice.data.predictors) == []
        assert "The same in all rows of each date is price: its effect" in choice.description
        assert list(choose(data, drift="none").data.predictors) == ["price"]
        within = np.arange(24.0)
        assert list(choose(table(date=date, predictors=within)).data.predictors) == ["price"]

    def test_a_constant_predictor_is_not_mistaken_for_one_of_dates(self):
        with pytest.raises(ValueError, match="same in every row"):
            choose(table(date=np.arange(24) % 4, predictors=np.ones(24)))


class TestLikelihood:
    def test_rows_that_scatter(self):
        choice = choose(table(spread=0.5))
        assert (choice.likelihood, choice.scatter) == ("logistic-normal", "normal")
        assert choice.evidence.startswith("In a quick fit the squared residuals are ")
        assert choice.description.startswith("Masked logistic-normal regression, ")
        assert "rows scattering with a spread for each category;" in choice.description

    def test_rows_that_do_not(self):
        choice = choose(table())
        assert (choice.likelihood, choice.scatter) == ("multinomial", None)
        assert "scatter" not in choice.description

    def test_heavy_tails(self):
        rng = np.random.default_rng(1)
        scatter = 0.3 * rng.standard_t(2, 200)[:, None] * rng.normal(size=(200, 3))
        weights = np.exp(scatter)
        counts = rng.multinomial(50_000, weights / weights.sum(axis=1, keepdims=True))
        choice = choose(CategoryCounts(counts, np.ones_like(counts, dtype=bool), NAMES))
        assert choice.scatter == "t" and "and heavy tails (t);" in choice.description
        assert "like those of a t distribution with " in choice.evidence

    def test_it_can_be_overruled(self):
        assert choose(table(spread=0.5), likelihood="multinomial").likelihood == "multinomial"
        assert choose(table(spread=0.5), scatter="t").scatter == "t"
        for likelihood in ("dirichlet-multinomial", "logistic-normal"):
            overruled = choose(table(), likelihood=likelihood)
            assert overruled.likelihood == likelihood
            assert len(overruled.data) == 24
            assert (overruled.scatter is None) == (likelihood == "dirichlet-multinomial")

    @pytest.mark.parametrize(
        ("spread", "likelihood"), [(0.0, "multinomial"), (0.5, "logistic-normal")]
    )
    def test_unknown_menus_may_scatter(self, spread, likelihood):
        data = table(n=2_000, spread=spread)
        counts = data.counts.copy()
        counts[[3, 8, 15], 2] = 0  # off the menu, which nobody recorded
        data = CategoryCounts(counts, np.ones_like(counts, dtype=bool), NAMES)
        choice = choose(data, availability="unknown")
        assert choice.likelihood == likelihood and choice.availability == "unknown"
        assert choice.reference != NAMES[2]
        assert (
            f"Menus are unknown: any zero but those of {choice.reference} may mean"
            in choice.description
        )
        named = build_model(choice).named_vars
        assert "psi" in named and ("scatter" in named) == (spread > 0)

    def test_unknown_menus_need_a_category_that_was_on_all(self):
        counts = table(n=2_000).counts.copy()
        counts[[0, 1], [0, 1]] = counts[2, 2] = 0
        data = CategoryCounts(counts, np.ones_like(counts, dtype=bool), NAMES)
        with pytest.raises(ValueError, match="Every category has zeros that cannot be choices"):
            choose(data, availability="unknown")

    def test_single_choices_do_not_scatter(self):
        assert choose(table(n=1)).scatter is None
        with pytest.raises(ValueError, match="Each row is a single choice"):
            build_model(choose(table(n=1), likelihood="logistic-normal"))

    def test_ignored_menus_are_said(self):
        assert "Menus are ignored" in choose(table(), availability="ignored").description


class TestSpreads:
    @pytest.mark.parametrize(("n", "spreads"), [(1, "contrast"), (3, "category")])
    def test_few_choices_in_each_cluster_show_contrasts(self, n, spreads):
        data = table(cluster=np.arange(24) % 6, n=n)
        choice = choose(data, likelihood="multinomial")
        assert (choice.effects, choice.spreads) == ("intercepts", spreads)
        assert ("choices for each shop" in choice.description) == (spreads == "contrast")
        overruled = choose(data, likelihood="multinomial", spreads="category")
        assert overruled.spreads == "category" and "choices for each" not in overruled.description

    def data(self):
        """Tea is offered with milk or with water, and never all three."""
        rng = np.random.default_rng(1)
        menus = np.ones((24, 3), dtype=bool)
        menus[::2, 1], menus[1::2, 2] = False, False
        counts = rng.multinomial(40, [0.4, 0.3, 0.3], 24) * menus
        return CategoryCounts(counts, menus, NAMES, cluster=pd.Categorical(np.arange(24) % 4))

    def test_menus_that_show_no_spread_of_a_category_get_contrasts(self):
        choice = choose(self.data())
        assert choice.effects == "intercepts" and choice.spreads == "contrast"
        assert "pairs of them form no odd circle" in choice.description
        model = build_model(choice)
        assert "intercept_sd" in model.named_vars and "intercept_spread" not in model.named_vars

    def test_they_are_of_categories_elsewhere_and_can_be_overruled(self):
        data = table(cluster=np.arange(24) % 3)
        assert choose(data).spreads == "category" and "odd circle" not in choose(data).description
        assert "intercept_spread" in build_model(choose(data)).named_vars
        asked = build_model(choose(data, spreads="contrast"))
        assert "intercept_spread" not in asked.named_vars
        with pytest.raises(ValueError, match="odd circle"):
            build_model(choose(self.data(), spreads="category"))


class TestCollapse:
    def test_single_choices_are_summed(self):
        data = table(cluster=np.arange(300) % 3, n=1)
        choice = choose(data)
        # Three clusters, and the menu goes with the row's number modulo three.
        assert choice.n_rows == 300 and len(choice.data) == 3
        assert choice.data.counts.sum() == 300 and choice.effects == "intercepts"
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
        assert len(choice.data) == 120 and choice.likelihood == "logistic-normal"

    def test_nothing_is_summed_where_rows_matter(self):
        data = table(cluster=np.arange(300) % 3, n=1)
        assert len(choose(data, availability="unknown").data) == 300
        assert len(choose(data, likelihood="dirichlet-multinomial").data) == 300

    def test_one_sum_in_each_cluster_says_nothing_of_scatter(self):
        rng = np.random.default_rng(3)
        cluster = np.repeat(np.arange(30), 40)
        taste = rng.dirichlet([1, 1, 1], 30)[cluster]
        counts = np.array([rng.multinomial(1, p) for p in taste])
        data = CategoryCounts(
            counts, np.ones_like(counts, dtype=bool), NAMES, cluster=pd.Categorical(cluster)
        )
        choice = choose(data)
        assert len(choice.data) == 30 and choice.effects == "intercepts"
        assert choice.likelihood == "multinomial"

    def test_other_rows_are_summed_only_if_they_are_many(self):
        assert len(choose(table(np.arange(300) % 3, n=20)).data) == 300
        assert len(choose(table(np.arange(6_000) % 3, n=20)).data) == 3

    def test_warnings_are_not_repeated(self):
        """Rows without choices were warned of when the table was read."""
        counts = np.tile([[0, 1, 0], [0, 0, 0]], (20, 1))
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
    scattered = build_model(choose(data, likelihood="logistic-normal", scatter="t"))
    assert {"effects", "drift", "scatter", "scatter_df"} <= set(scattered.named_vars)
    plain = build_model(choose(data, drift="none", availability="unknown"))
    assert "psi" in plain.named_vars and "drift" not in plain.named_vars


def test_more_menus_to_sum_over_take_longer():
    data, _ = simulate_counts(n_clusters=300, n_range=(200, 900), random_seed=1)
    seconds = [
        int(expected_time(choose(data, availability=availability), 1_000).split()[2])
        for availability in ("known", "unknown")
    ]
    assert seconds[0] < seconds[1]


def test_a_formula_of_what_is_the_same_at_each_date_is_refused():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.integers(1, 60, (24, 3)), columns=["tea", "milk", "water"])
    frame = frame.assign(day=np.repeat([1, 2, 3, 4], 6), season=["wet", "dry"] * 12)
    frame["heat"] = frame["day"] ** 2.0
    data = CategoryCounts.from_wide(
        frame, ["tea", "milk", "water"], date="day", predictors=["season", "heat"]
    )
    assert "heat" not in choose(data).data.predictors
    with pytest.raises(ValueError, match="same in all rows of each date: heat of the formula"):
        choose(data, formula="season * heat")
    assert choose(data, formula="season * heat", drift="none").formula == "season * heat"


def test_nests_go_with_a_scatter_of_all_categories_alike(prior_of, tables_of):
    nests = {"hot": ["tea", "milk"]}
    data = table(n=400, spread=0.6)
    assert choose(data).likelihood == "logistic-normal"
    choice = choose(data, nests=nests)
    assert choice.likelihood == "dirichlet-multinomial" and "nests" in choice.evidence
    assert "nests hot (tea, milk)" in choice.description
    model, idata = prior_of(choice)
    assert model.coords["nest"] == ("hot",)
    tables = tables_of(choice, model, idata, random_seed=1)
    assert tables["overall"]["mean"].sum() == pytest.approx(1)
    scale = float(idata["posterior"]["nest_scale"].mean())
    assert f"The nest hot has a scale of {scale:.2f} (89 %" in substitution_section(tables)[0]
