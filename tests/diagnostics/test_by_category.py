"""Checks by category on tables simulated for each verdict."""

import numpy as np
import pytest
from scipy import stats

from helpers.diagnostics import category_checks, verdict_text

NAMES = ["soup", "stew", "salad"]


def draw(rng, size, scatter=0.4, level=(-1.5, 0, 0), n=2_000):
    """Logistic-normal counts of three categories, with a spread of scatter for each or for all."""
    logits = np.asarray(level) + rng.normal(0, scatter, size=(*size, 3))
    weights = np.exp(logits)
    return rng.multinomial(n, weights / weights.sum(axis=-1, keepdims=True))


def check(observed, predicted, menus=None, **options):
    menus = np.ones(observed.shape, dtype=bool) if menus is None else menus
    options = {"categories": NAMES, "random_seed": 3} | options
    return category_checks(observed, menus, predicted, **options)


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(21)


@pytest.fixture(scope="module")
def observed(rng):
    return draw(rng, (300,))


@pytest.fixture(scope="module")
def predicted(rng):
    return draw(rng, (400, 300))


class TestVerdicts:
    def test_a_true_model_fits(self, observed, predicted):
        table = check(observed, predicted)
        assert table["verdict"].tolist() == ["fits"] * 3
        assert table["cells"].tolist() == [300] * 3
        error = np.sqrt([0.5 * 0.5 / 300, 0.89 * 0.11 / 300])
        assert (np.abs(table[["inside_50", "inside_89"]] - [0.5, 0.89]) < 4 * error).all(axis=None)

    @pytest.mark.parametrize(("factor", "verdict"), [(0.5, "more"), (0.66, "more"), (1.5, "less")])
    def test_a_wrong_spread_is_named(self, rng, factor, verdict):
        """Scatter so small that it hardly moves the mean of exp(scatter)."""
        observed = draw(rng, (300,), scatter=0.15, n=20_000)
        table = check(observed, draw(rng, (400, 300), scatter=0.15 * factor, n=20_000))
        assert table["verdict"].tolist() == [verdict] * 3

    def test_only_the_category_with_the_wrong_spread_fails(self, rng):
        """Shares of 2 % each, so that what is wrong with one hardly moves another."""
        size, level = (300,), [-4, -4, 0]
        observed = draw(rng, size, scatter=[0.3, 0.15, 0.01], level=level, n=50_000)
        predicted = draw(rng, (400, *size), scatter=[0.15, 0.15, 0.01], level=level, n=50_000)
        assert check(observed, predicted)["verdict"].tolist()[:2] == ["more", "fits"]

    def test_a_wrong_level_is_named_before_the_spread(self, rng, observed):
        table = check(observed, draw(rng, (400, 300), level=(-1.1, 0, 0)))
        assert table.loc["soup", "verdict"] == "shifted"
        # 0.4 on the logit scale of a share of about 0.1 is some 40 % more
        assert table.loc["soup", "expected_over_observed"] == pytest.approx(1.4, abs=0.15)

    def test_scatter_that_is_far_too_wide_does_not_excuse_a_shift(self, rng, observed):
        table = check(observed, draw(rng, (400, 300), scatter=1.5))
        assert table.loc["soup", "verdict"] == "shifted"

    def test_few_cells_fail_a_category_but_cannot_pass_it(self, rng):
        observed, right = draw(rng, (12,)), draw(rng, (400, 12))
        assert check(observed, right)["verdict"].tolist() == ["too few to tell"] * 3
        far_off = draw(rng, (400, 12), scatter=0.01)
        assert check(observed, far_off)["verdict"].tolist() == ["more"] * 3

    @pytest.mark.parametrize(
        ("factor", "low", "high"), [(1, 0, 0.12), (0.5, 0.85, 1), (0.66, 0.5, 0.85)]
    )
    def test_error_rates_are_those_of_the_docstring(self, rng, factor, low, high):
        """Of 100 tables of 50 rows: 5 false alarms, 94 and 66 found, give or take 3 errors."""
        failed = 0
        for _ in range(100):
            observed = draw(rng, (50,))[:, [0]]
            predicted = draw(rng, (100, 50), scatter=0.4 * factor)[..., [0]]
            table = check(observed, predicted, categories=["soup"], random_seed=rng)
            failed += table.loc["soup", "verdict"] != "fits"
        assert low <= failed / 100 <= high


class TestIngredients:
    def test_hundreds_of_categories_have_the_false_alarms_of_ten(self, rng):
        """Two in a hundred each, and more, would be ten or so of 300."""
        logits = rng.normal(size=300)

        def counts(size):
            weights = np.exp(logits + rng.normal(0, 0.3, size=(*size, 300)))
            return rng.multinomial(20_000, weights / weights.sum(axis=-1, keepdims=True))

        observed, predicted = counts((40,)), counts((400, 40))
        table = category_checks(observed, np.ones(observed.shape, bool), predicted, random_seed=1)
        assert (~table["verdict"].isin(["fits", "too few to tell"])).sum() <= 2
        # Ten of them by themselves are judged as any ten.
        worst = table["inside_89"].argsort()[:10]
        few = category_checks(
            observed[:, worst],
            np.ones((40, 10), bool),
            predicted[:, :, worst],
            random_seed=1,
        )
        assert (few["verdict"] == "more").sum() >= 1

    def test_inside_shares_are_those_of_quantiles(self, rng):
        """Continuous counts have no ties, so the PIT is inside where the quantiles are."""
        observed, predicted = rng.normal(size=(200, 3)), rng.normal(size=(999, 200, 3))
        table = check(observed, predicted)
        for prob in (0.5, 0.89):
            low, high = np.quantile(predicted, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
            inside = ((low < observed) & (observed < high)).mean(axis=0)
            np.testing.assert_allclose(table[f"inside_{100 * prob:.0f}"], inside, atol=0.011)

    def test_ties_and_few_draws_leave_the_pit_uniform(self, rng):
        """Five draws: if a count had no rank of its own, it would too often be outside."""
        observed, predicted = rng.poisson(0.5, (20_000, 1)), rng.poisson(0.5, (5, 20_000, 1))
        table = check(observed, predicted, categories=["soup"])
        for prob in (0.5, 0.89):
            error = np.sqrt(prob * (1 - prob) / 20_000)
            assert table[f"inside_{100 * prob:.0f}"].item() == pytest.approx(prob, abs=4 * error)

    def test_weights_are_used(self, rng, observed, predicted):
        """Of draws half right and half far off, those that are far off weigh nothing."""
        both = np.concatenate([predicted, draw(rng, (400, 300), level=(3, 0, 0))])
        log_weights = np.repeat([[0.0], [-np.inf]], 400, axis=0) + rng.normal(size=300)
        weighted = check(observed, both, log_weights=log_weights)
        alone = check(observed, predicted)
        for column in ("inside_50", "inside_89"):
            np.testing.assert_array_equal(weighted[column], alone[column])
        assert check(observed, both)["inside_89"]["soup"] != alone["inside_89"]["soup"]

    def test_weights_of_importance_mend_draws_of_another_model(self, rng):
        """Draws from Poisson(12), weighted to Poisson(10), the distribution of the counts."""
        observed, predicted = rng.poisson(10, (2_000, 1)), rng.poisson(12, (1_000, 2_000, 1))
        ratio = stats.poisson(10).logpmf(predicted) - stats.poisson(12).logpmf(predicted)
        options = {"categories": ["soup"]}
        mended = check(observed, predicted, log_weights=ratio[..., 0], **options)
        assert mended["inside_89"].item() == pytest.approx(0.89, abs=4 * np.sqrt(0.0979 / 2_000))
        assert check(observed, predicted, **options)["inside_89"].item() < 0.85

    def test_a_pit_that_is_given_takes_the_place_of_the_draws(self, observed, predicted):
        pit = np.full(observed.shape, 0.5)
        pit[:60] = 0.2  # outside 50 %, inside 89 %
        pit[:30] = 0.99
        table = check(observed, predicted, pit=pit)
        assert table[["inside_50", "inside_89"]].to_numpy().tolist() == [[0.8, 0.9]] * 3
        assert table["verdict"].tolist() == ["less"] * 3

    def test_cells_off_the_menu_do_not_count(self, rng, observed, predicted):
        menus = np.ones(observed.shape, dtype=bool)
        menus[200:, 0] = False
        spoilt, wrong = observed.copy(), predicted.copy()
        spoilt[200:, 0], wrong[:, 200:, 0] = 0, 10**6
        table, short = check(spoilt, wrong, menus), check(observed[:200], predicted[:, :200])
        assert table.loc["soup", "cells"] == 200
        assert table.loc["soup", "inside_50"] == pytest.approx(short.loc["soup", "inside_50"])
        ratio = "expected_over_observed"
        assert table.loc["soup", ratio] == pytest.approx(short.loc["soup", ratio])

    def test_ratio_is_that_of_totals_and_by_date_the_median_of_dates(self):
        """Six dates whose expected choices are 1, 1, 1, 2, 2 and 9 times the observed ones."""
        factors = np.array([1, 1, 1, 2, 2, 9])
        observed = np.array([[10], [20], [30], [40], [50], [60]])
        predicted = np.repeat((observed * factors[:, None])[None], 3, axis=0)
        options = {"categories": ["soup"]}
        ratio = "expected_over_observed"
        of_totals = (observed[:, 0] * factors).sum() / 210
        assert check(observed, predicted, **options)[ratio].item() == pytest.approx(of_totals)
        dates = list("abcdef")
        by_date = check(observed, predicted, date=dates, **options)[ratio].item()
        assert by_date == pytest.approx(1 / np.median(1 / factors))
        few = check(observed[:5], predicted[:, :5], date=dates[:5], **options)[ratio].item()
        assert few == pytest.approx((observed[:5, 0] * factors[:5]).sum() / 150)

    def test_level_of_most_dates_decides_and_not_of_one(self, rng):
        """Expected choices are 1.3 times the observed ones in all dates but one, or in one."""
        size, date = (240,), np.repeat(np.arange(12), 20)
        observed = rng.poisson(200, (*size, 1))
        for wrong, verdict in ((date > 0, "shifted"), (date == 0, "fits")):
            rate = np.where(wrong, 260, 200)[:, None]
            pit = rng.uniform(size=observed.shape)  # so that the level alone is judged
            predicted = rng.poisson(rate, (200, *rate.shape))
            table = check(observed, predicted, pit=pit, date=date, categories=["soup"])
            assert table["verdict"].item() == verdict

    def test_a_category_that_nobody_chose_or_that_nothing_was_expected_of(self):
        observed, predicted = np.zeros((40, 2), int), np.zeros((50, 40, 2), int)
        observed[:, 0], predicted[..., 1] = 5, 5
        options = {"pit": np.full((40, 2), 0.5), "categories": ["soup", "stew"]}
        table = check(observed, predicted, **options)
        assert table["verdict"].tolist() == ["shifted", "shifted"]
        assert table["expected_over_observed"].tolist() == [0, np.inf]

    def test_a_category_on_no_menu_is_not_judged(self, observed, predicted):
        menus = np.ones(observed.shape, dtype=bool)
        menus[:, 2] = False
        assert check(observed, predicted, menus).loc["salad", "verdict"] == "too few to tell"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"menus": np.ones((3, 3), bool)}, r"must agree.*\(300, 3\), \(3, 3\)"),
            ({"categories": ["soup"]}, "3 names"),
            ({"date": [1, 2]}, "One date per row"),
            ({"log_weights": np.zeros((400, 2))}, r"per draw and row.*\(400, 2\)"),
            ({"log_weights": np.full((400, 300), np.nan)}, "finite"),
            ({"pit": np.full((300, 3), 1.1)}, r"\[0, 1\]"),
            ({"pit": np.ones((300, 3)), "log_weights": np.zeros((400, 300))}, "not both"),
        ],
    )
    def test_faulty_input_is_refused(self, observed, predicted, options, message):
        with pytest.raises(ValueError, match=message):
            check(observed, predicted, **options)


class TestText:
    def test_names_what_fails_first_and_worst_first(self, observed, predicted):
        table = check(observed, predicted)
        assert verdict_text(table) == "All 3 categories fit."
        table.loc["salad"] = [300, 0.31, 0.58, 1.01, "more"]
        table.loc["stew"] = [300, 0.5, 0.89, 2.2, "shifted"]
        assert verdict_text(table) == (
            "2 of 3 categories fail: the model expects 2.20 times the observed choices of stew; "
            "salad scatters more than predicted (50 % intervals hold 31 % of its counts, 89 % "
            "intervals 58 %). The rest fit: soup."
        )
        table.loc["salad", "verdict"] = "less"
        assert "salad scatters less than predicted" in verdict_text(table)

    def test_does_not_say_that_all_fit_where_one_was_not_judged(self, observed, predicted):
        table = check(observed, predicted)
        table.loc["salad", ["cells", "verdict"]] = [9, "too few to tell"]
        assert verdict_text(table) == "Too few cells to tell: salad (9). The rest fit: soup, stew."
        table["verdict"] = "too few to tell"
        assert verdict_text(table) == "Too few cells to tell: soup (300), stew (300), salad (9)."
