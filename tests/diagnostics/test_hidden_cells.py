"""Hidden cells: which are hidden, and what is predicted for them, against brute force."""

import numpy as np
import pytest
from scipy import stats

from helpers import CategoryCounts
from helpers.diagnostics import hidden_cell_table, hide_cells, predict_hidden

NAMES = ["soup", "stew", "salad", "pie"]
SHARES = np.array([0.1, 0.2, 0.3, 0.4])


def make(n_rows=120, n_clusters=10, shares=SHARES, total=200, seed=1):
    """Counts with a tenth of the cells of two categories off the menu, in clusters."""
    rng = np.random.default_rng(seed)
    menus = np.ones((n_rows, 4), dtype=bool)
    menus[:, :2] = rng.uniform(size=(n_rows, 2)) > 0.1
    p = np.broadcast_to(shares, (n_rows, 4)) * menus
    counts = rng.multinomial(total, p / p.sum(axis=1, keepdims=True))
    return CategoryCounts(counts, menus, NAMES, cluster=np.arange(n_rows) % n_clusters)


def shares_of(data, n_draws=400):
    """Draws of the true shares: all the same."""
    p = SHARES * data.available
    p = p / p.sum(axis=1, keepdims=True)
    return np.broadcast_to(p, (n_draws, *p.shape))


class TestHide:
    @pytest.mark.parametrize("how", ["random", "weakest", "clusters"])
    def test_hidden_cells_are_off_the_menu_and_out_of_the_total(self, how):
        data = make()
        kept, hidden = hide_cells(data, how=how, random_seed=2)
        assert hidden.any() and data.available[hidden].all()
        np.testing.assert_array_equal(kept.available, data.available & ~hidden)
        np.testing.assert_array_equal(kept.counts, np.where(hidden, 0, data.counts))
        np.testing.assert_array_equal(kept.n, data.n - np.where(hidden, data.counts, 0).sum(axis=1))
        assert (kept.cluster == data.cluster).all() and kept.categories == data.categories

    def test_random_hides_a_share_of_each_category_that_is_named(self):
        data = make()
        _, hidden = hide_cells(data, share=0.3, categories=["soup", "pie"], random_seed=2)
        expected = (0.3 * data.available[:, [0, 3]].sum(axis=0)).round()
        np.testing.assert_array_equal(hidden.sum(axis=0), [expected[0], 0, 0, expected[1]])
        again = hide_cells(data, share=0.3, categories=["soup", "pie"], random_seed=2)[1]
        other = hide_cells(data, share=0.3, categories=["soup", "pie"], random_seed=3)[1]
        assert (again == hidden).all() and (other != hidden).any()

    def test_random_hides_zeros_like_other_cells(self):
        data = make(n_rows=2_000, shares=[0.002, 0.198, 0.3, 0.5])
        _, hidden = hide_cells(data, share=0.5, categories=["soup"], random_seed=2)
        zero = data.available[:, 0] & (data.counts[:, 0] == 0)
        assert zero.sum() > 1_000
        error = np.sqrt(0.25 / zero.sum())
        assert hidden[zero, 0].mean() == pytest.approx(0.5, abs=4 * error)

    @pytest.mark.parametrize(("how", "left"), [("weakest", 1), ("clusters", 0)])
    def test_the_weakest_clusters_are_hidden_but_for_one_row_or_wholly(self, how, left):
        rng = np.random.default_rng(4)
        cluster = np.repeat(np.arange(10), 6)
        weak = np.isin(cluster, [2, 7])
        p = np.where(weak[:, None], [0.02, 0.28, 0.3, 0.4], SHARES)
        counts = rng.multinomial(1_000, p)
        data = CategoryCounts(counts, np.ones_like(counts, bool), NAMES, cluster=cluster)
        kept, hidden = hide_cells(data, how=how, categories=["soup"], random_seed=2)
        assert set(cluster[hidden[:, 0]]) == {2, 7}
        assert hidden[:, 0].sum() == 2 * (6 - left)
        for c in (2, 7):
            assert kept.available[cluster == c, 0].sum() == left

    def test_every_row_keeps_two_categories_that_somebody_chose_of(self):
        """Three of four categories wanted hidden in almost every row."""
        data = make()
        kept, hidden = hide_cells(data, share=0.9, categories=NAMES[:3], random_seed=2)
        assert (kept.available.sum(axis=1) >= 2).all() and (kept.n > 0).all()
        assert kept.available.any(axis=0).all()
        assert (kept.available.sum(axis=1) == 2).any()

    def test_another_cell_takes_the_place_of_one_that_must_stay(self):
        """Four rows have two categories only: the two hidden cells are those of the other two."""
        menus = [[True, True, False]] * 4 + [[True] * 3] * 2
        counts = np.where(menus, 5, 0)
        data = CategoryCounts(counts, menus, NAMES[:3])
        for seed in range(5):
            _, hidden = hide_cells(data, share=0.34, categories=["stew"], random_seed=seed)
            assert np.flatnonzero(hidden[:, 1]).tolist() == [4, 5]

    def test_a_row_in_which_nobody_chose_anything_else_stays(self):
        counts = [[9, 0, 0], [9, 4, 2], [9, 3, 2]]
        data = CategoryCounts(counts, np.ones((3, 3), bool), NAMES[:3])
        for seed in range(5):
            _, hidden = hide_cells(data, share=0.6, categories=["soup"], random_seed=seed)
            assert np.flatnonzero(hidden[:, 0]).tolist() == [1, 2]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"how": "all"}, "how must be one of 'random', 'weakest', 'clusters'"),
            ({"share": 1.0}, "between 0 and 1"),
            ({"categories": ["soap"]}, "did you mean 'soup'"),
        ],
    )
    def test_faulty_options_are_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            hide_cells(make(), **options)

    def test_clusters_are_needed_to_hide_by_cluster(self):
        data = CategoryCounts([[5, 5, 5]] * 3, [[True] * 3] * 3, NAMES[:3])
        with pytest.raises(ValueError, match="needs clusters"):
            hide_cells(data, how="weakest")

    def test_a_category_that_cannot_be_hidden_is_named(self):
        data = CategoryCounts([[5, 5]] * 3, [[True] * 2] * 3, NAMES[:2])
        with pytest.raises(ValueError, match="No cell of soup can be hidden"):
            hide_cells(data)


class TestPredict:
    def test_is_the_posterior_of_the_total_with_a_prior_of_one_over_n(self):
        """Brute force: every total up to 20,000, with probability 1/n, seen through a binomial."""
        seen, q = 7, 0.4
        data = CategoryCounts([[5, 2, 4, 1]], [[True] * 4], NAMES)
        p = np.array([0.4, 0.2, 0.3, 0.1])
        shares = np.broadcast_to(p, (100_000, 1, 4))
        drawn = predict_hidden(data, [[True, False, False, False]], shares, random_seed=1)[:, 0]
        totals = np.arange(seen, 20_000)
        weight = stats.binom.pmf(seen, totals, 1 - q) / totals
        weight /= weight.sum()
        observed = np.bincount(drawn, minlength=40)[:40]
        error = np.sqrt(1e5 * weight[:40]) + 1
        assert (np.abs(observed - 1e5 * weight[:40]) < 4.5 * error).all()

    def test_cells_hidden_in_one_row_are_negative_multinomial(self):
        """Brute force over pairs of counts and totals, with two categories hidden."""
        data = CategoryCounts([[2, 1, 1, 1]], [[True] * 4], NAMES)
        p = np.array([0.25, 0.15, 0.35, 0.25])
        shares = np.broadcast_to(p, (100_000, 1, 4))
        drawn = predict_hidden(data, [[True, True, False, False]], shares, random_seed=1)
        size, exact = 60, {}
        for a in range(size):
            for b in range(size):
                n = 2 + a + b
                exact[a, b] = stats.multinomial.pmf([a, b, 1, 1], n, p) / n
        probability = np.zeros((size, size))
        for pair, value in exact.items():
            probability[pair] = value
        probability /= probability.sum()
        observed = np.zeros((size, size))
        np.add.at(observed, tuple(np.minimum(drawn, size - 1).T), 1)
        near = (slice(4), slice(4))
        error = np.sqrt(1e5 * probability[near])
        assert (np.abs(observed - 1e5 * probability)[near] < 4.5 * error).all()

    def test_kept_total_says_nothing_of_the_shares_under_this_prior_alone(self):
        """Sum over totals of prior times binomial, for three values of the kept share."""
        totals = np.arange(5, 200_000)
        for power, constant in ((1, True), (0, False), (2, False)):
            prior = totals ** float(-power)
            marginal = [
                (prior * stats.binom.pmf(5, totals, kept)).sum() for kept in (0.2, 0.5, 0.8)
            ]
            assert np.allclose(marginal, marginal[0], rtol=1e-6) == constant

    def test_cells_are_in_the_order_of_the_mask(self):
        data = make(total=10_000)
        hidden = np.zeros(data.counts.shape, dtype=bool)
        hidden[[3, 3, 8, 40], [2, 3, 3, 2]] = True
        drawn = predict_hidden(data, hidden, shares_of(data, 50), random_seed=1)
        assert drawn.shape == (50, 4)
        assert drawn.mean(axis=0) == pytest.approx(data.counts[hidden], rel=0.1)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda hidden, p: (hidden[:5], p), "must fit the counts"),
            (lambda hidden, p: (hidden, p[:, :5]), "must fit the counts"),
            (lambda hidden, p: (hidden, 2 * p), "1 in all"),
            (lambda hidden, p: (hidden, np.full_like(p, 0.25)), "0 off the menu"),
            (lambda hidden, p: (np.ones_like(hidden), p), "not on the menu"),
        ],
    )
    def test_faulty_input_is_refused(self, change, message):
        data = make()
        hidden = data.available & ([True] + [False] * 3)
        hidden, p = change(hidden, np.array(shares_of(data, 3)))
        with pytest.raises(ValueError, match=message):
            predict_hidden(data, hidden, p)

    def test_a_row_with_nothing_beside_the_hidden_cell_is_refused(self):
        data = CategoryCounts([[5, 0, 0], [5, 5, 5]], np.ones((2, 3), bool), NAMES[:3])
        hidden = np.array([[True, False, False], [False] * 3])
        with pytest.raises(ValueError, match=r"Nothing was counted .* row\(s\) 0"):
            predict_hidden(data, hidden, np.full((3, 2, 3), 1 / 3))


class TestTable:
    @pytest.mark.parametrize("total", [8, 200])
    def test_true_shares_have_their_coverage_and_their_totals(self, total):
        """Also with totals so small that the count's own noise is nearly all there is."""
        data = make(n_rows=3_000, total=total)
        _, hidden = hide_cells(data, categories=["soup", "salad"], random_seed=2)
        table = hidden_cell_table(data, hidden, shares_of(data), random_seed=3)
        assert table.index.tolist() == ["soup", "salad"]
        assert table["cells"].tolist() == hidden.sum(axis=0)[[0, 2]].tolist()
        for prob in (0.5, 0.89):
            error = np.sqrt(prob * (1 - prob) / table["cells"])
            assert (np.abs(table[f"inside_{100 * prob:.0f}"] - prob) < 4 * error).all()
        assert ((table["low"] < 1) & (1 < table["high"])).all()
        assert table["predicted_over_true"].between(0.85, 1.15).all()

    def test_interval_of_the_total_is_that_of_the_formula(self):
        """One cell: quantiles of its negative binomial over the count."""
        data = CategoryCounts([[50, 60, 140]], [[True] * 3], NAMES[:3])
        shares = np.broadcast_to([0.2, 0.3, 0.5], (40_000, 1, 3))
        table = hidden_cell_table(data, [[True, False, False]], shares, random_seed=1)
        exact = stats.nbinom(200, 0.8).ppf([0.5, 0.055, 0.945]) / 50
        found = table[["predicted_over_true", "low", "high"]].to_numpy()[0]
        assert found == pytest.approx(exact, abs=0.021)  # one choice more or less

    def test_wrong_shares_are_seen(self):
        data = make(n_rows=600)
        _, hidden = hide_cells(data, categories=["soup"], random_seed=2)
        p = np.array(shares_of(data))
        p[..., 0] *= 1.5
        table = hidden_cell_table(data, hidden, p / p.sum(axis=2, keepdims=True), random_seed=3)
        # odds of 0.15 to 0.9 instead of 0.1 to 0.9
        assert table.loc["soup", "predicted_over_true"] == pytest.approx(1.5, rel=0.05)
        assert table.loc["soup", "low"] > 1 and table.loc["soup", "inside_89"] < 0.6

    def test_nothing_hidden_is_refused(self):
        data = make()
        with pytest.raises(ValueError, match="hide some"):
            hidden_cell_table(data, np.zeros(data.counts.shape, bool), shares_of(data, 3))
