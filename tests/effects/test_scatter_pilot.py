"""The pilot of rows that scatter finds what was simulated, and nothing can make it fail."""

import time
import warnings

import numpy as np
import pytest

from helpers.effects import Conditioned, expand_scattered

CLUSTERS, DATES, CATEGORIES = 52, 13, 8


def table(*, tau=None, n=(1_000, 1_000_000), off=0.15, seed=1, freedom=None, categories=CATEGORIES):
    """Counts of clusters by dates whose logits drift and scatter; category 0 on every menu."""
    rng = np.random.default_rng(seed)
    tau = np.linspace(0.1, 0.7, categories) if tau is None else np.asarray(tau)
    cluster = np.repeat(np.arange(CLUSTERS), DATES)
    date = np.tile(np.arange(DATES), CLUSTERS)
    shape = (len(cluster), categories)
    level = rng.normal(size=categories) + 0.4 * rng.normal(size=(CLUSTERS, categories))
    drift = np.cumsum(0.3 * rng.normal(size=(DATES, categories)), axis=0)
    drift -= drift.mean(axis=0)
    mean = level[cluster] + drift[date]
    scatter = tau * rng.normal(size=shape)
    if freedom:
        scatter /= np.sqrt(rng.gamma(freedom / 2, 2 / freedom, size=(shape[0], 1)))
    available = rng.random(shape) >= off
    available[:, 0] = True
    share = np.exp(np.where(available, mean + scatter, -np.inf))
    share /= share.sum(axis=1, keepdims=True)
    totals = np.exp(rng.uniform(*np.log(n), size=shape[0])).astype(int)
    counts = rng.multinomial(totals, share)
    truth = {"level": level, "drift": drift, "mean": mean, "tau": tau}
    return (counts, available, cluster, date), truth


def pilot(data, reference=0, **more):
    counts, available, cluster, date = data
    ones = np.ones((len(counts), 1))
    return expand_scattered(
        counts, available, cluster, CLUSTERS, reference, ones, date=date, n_dates=DATES, **more
    )


def contrasts(logits, reference=0):
    return np.delete(logits - logits[:, [reference]], reference, axis=1)


class TestFindsWhatWasSimulated:
    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_the_spread_of_each_category(self, seed):
        """
        About 570 cells each less some 60 parameters: a standard error of 1 / sqrt(2 * 510) of
        the category's own spread, 3 %; and the smallest is seen beside larger ones only.
        """
        data, truth = table(seed=seed)
        found = pilot(data)
        np.testing.assert_allclose(found.spread[1:], truth["tau"][1:], rtol=0.13)
        assert found.spread[0] == pytest.approx(0.1, abs=0.06)

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_effects_and_drift_within_their_own_errors(self, seed):
        """Estimates over their standard errors are about standard normal."""
        data, truth = table(seed=seed)
        found = pilot(data)
        information, score, coupling = found.by_cluster
        assert coupling is None
        information = information[..., 0, 0]
        estimate = score[..., 0] / information
        z = (estimate - contrasts(truth["level"])) * np.sqrt(information)
        # A date's shift is the same in all clusters, which adds an error that they share; the
        # estimates of 364 effects are not independent, so the mean square may be off by a fifth.
        assert 0.7 < np.sqrt((z**2).mean()) < 1.35
        information, score, _ = found.by_date
        estimate = score / information
        np.testing.assert_allclose(estimate.mean(axis=0), 0, atol=0.02)
        z = (estimate - contrasts(truth["drift"])) * np.sqrt(information)
        assert 0.6 < np.sqrt((z**2).mean()) < 1.4
        error = found.fitted - (truth["mean"] - truth["mean"][:, :1])
        assert np.sqrt((error**2).mean()) < 0.2  # means of 13 rows: 0.7 / sqrt(13) at most
        assert not found.fitted[:, 0].any()

    def test_slopes_and_common_slopes(self):
        rng = np.random.default_rng(1)
        cluster = np.repeat(np.arange(40), 25)
        x, z = rng.normal(size=(2, len(cluster), 1))
        slope = np.array([0.0, 0.5, -0.7]) + 0.2 * rng.normal(size=(40, 3))
        mean = slope[cluster] * x + np.array([0.0, -0.4, 0.8]) * z
        share = np.exp(mean + [0.1, 0.4, 0.6] * rng.normal(size=mean.shape))
        counts = rng.multinomial(5_000, share / share.sum(axis=1, keepdims=True))
        menus, varying = np.ones(counts.shape, bool), np.hstack([np.ones_like(x), x])
        found = expand_scattered(counts, menus, cluster, 40, 0, varying, z)
        information, score, _ = found.by_cluster
        estimate = np.linalg.solve(information, score[..., None])[..., 1, 0]
        se = np.sqrt(np.linalg.inv(information)[..., 1, 1])
        error = (estimate - contrasts(slope)) / se
        assert 0.7 < np.sqrt((error**2).mean()) < 1.35
        # Without the common slope, rows would seem to scatter by 0.4 and 0.8 more. Of three
        # categories the reference's own spread is a covariance, hardly known; those of contrasts
        # have a standard error of 1 / sqrt(2 * 900).
        spread = np.hypot(found.spread[1:], found.spread[0])
        np.testing.assert_allclose(spread, np.hypot([0.4, 0.6], 0.1), rtol=0.09)

    def test_heavy_tails_are_told_from_normal_ones(self):
        assert pilot(table()[0]).heavy_tails > 50
        data, truth = table(freedom=4)
        found = pilot(data)
        assert 3 < found.heavy_tails < 8
        assert found.tail_evidence > 50
        # The scale of the t, as of what was drawn; taken for normal, it is up to 1.41 times that.
        np.testing.assert_allclose(pilot(data, freedom=4).spread[1:], truth["tau"][1:], rtol=0.13)

    def test_rows_that_do_not_scatter(self):
        assert pilot(table(tau=np.zeros(CATEGORIES))[0]).spread.max() < 0.02


class TestKnowsNoReference:
    def test_the_spread(self):
        """Only what stops the iterations early may differ: the start is the same, so nothing."""
        data, _ = table(n=(20, 2_000))
        first, second = pilot(data, 0), pilot(data, 3)
        np.testing.assert_allclose(first.spread, second.spread, rtol=1e-6)
        np.testing.assert_allclose(
            second.fitted, first.fitted - first.fitted[:, [3]], rtol=1e-6, atol=1e-6
        )
        np.testing.assert_allclose(first.uncertainty, second.uncertainty, rtol=1e-6)


class TestRows:
    def test_by_hand(self):
        counts = np.array([[30, 60, 10], [5, 0, 95], [0, 7, 0]])
        menus = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
        rows = expand_scattered(counts, menus, np.zeros(3, int), 1, 0, np.ones((3, 1))).rows
        np.testing.assert_array_equal(rows.base, [1, 2, 1])
        p = np.array([30.5, 60.5, 10.5]) / 101.5
        h = 100 * p * (1 - p)
        np.testing.assert_allclose(rows.information[0], h[[0, 2]])
        expected = h * np.log(p / p[1]) + counts[0] - 100 * p
        np.testing.assert_allclose(rows.score[0], expected[[0, 2]])
        # Off the menu nothing is known; the other two share the total.
        assert rows.information[1, 1] == rows.score[1, 1] == 0
        p = 5.5 / 101
        np.testing.assert_allclose(rows.information[1, 0], 100 * p * (1 - p))

    def test_where_the_reference_is_off_the_menu_the_others_still_tell(self):
        """A cluster without the reference: contrasts among its other categories are right."""
        data, truth = table()
        counts, available, cluster, date = data
        counts, available = counts.copy(), available.copy()
        gone = cluster == 5
        counts[gone, 0], available[gone, 0] = 0, False
        available[gone & ~available.any(axis=1), 1] = True
        information, score, _ = pilot((counts, available, cluster, date)).by_cluster
        estimate = (score / information[..., 0])[5, :, 0]
        level = truth["level"][5, 1:]
        error = (estimate - estimate.mean()) - (level - level.mean())
        assert np.abs(error).max() < 5 * 0.7 / np.sqrt(DATES)


def small(size, categories, n, seed=1):
    """Twelve rows in four clusters; category 1 the reference, the last on every menu."""
    rng = np.random.default_rng(seed)
    available = rng.random((12, categories)) < 0.75
    available[:, -1] = True
    cluster = np.repeat(np.arange(4), 3)
    x = np.column_stack([np.ones(12), rng.normal(size=(12, size - 1))])
    share = np.exp(1.5 * rng.normal(size=(12, categories))) * available
    counts = rng.multinomial(n, share / share.sum(axis=1, keepdims=True))
    return counts, available, cluster, x


def ordinary(counts, available, cluster, x):
    pass


def never_chosen(counts, available, cluster, x):
    counts[:, 0] = 0


def never_on_the_menu_in_a_cluster(counts, available, cluster, x):
    counts[cluster == 0, 0], available[cluster == 0, 0] = 0, False


def never_on_the_menu(counts, available, cluster, x):
    counts[:, 0], available[:, 0] = 0, False


def reference_off_the_menu_in_a_cluster(counts, available, cluster, x):
    counts[cluster == 2, 1], available[cluster == 2, 1] = 0, False


def nothing_at_all(counts, available, cluster, x):
    counts[:] = 0


def empty_menus(counts, available, cluster, x):
    counts[::2], available[::2] = 0, False


def one_category_on_the_menu(counts, available, cluster, x):
    available[cluster == 0], counts[cluster == 0] = False, 0
    available[cluster == 0, 0], counts[cluster == 0, 0] = True, 5


def separated(counts, available, cluster, x):
    n = counts.sum(axis=1)
    available[:], counts[:] = True, 0
    counts[np.arange(12), (x[:, -1] > 0).astype(int)] = n


def one_choice_per_cluster(counts, available, cluster, x):
    n = counts.sum(axis=1)
    available[:], counts[:] = True, 0
    counts[np.arange(12), cluster % counts.shape[1]] = n


def constant_in_every_cluster(counts, available, cluster, x):
    x[:, 1:] = cluster[:, None] - 1.5


def an_outlier(counts, available, cluster, x):
    x[0, 1:] = 1e3


def huge_and_uneven(counts, available, cluster, x):
    counts[::2] *= 10**9 // max(counts.max(), 1)


TROUBLES = [
    ordinary,
    never_chosen,
    never_on_the_menu_in_a_cluster,
    never_on_the_menu,
    reference_off_the_menu_in_a_cluster,
    nothing_at_all,
    empty_menus,
    one_category_on_the_menu,
    separated,
    one_choice_per_cluster,
    constant_in_every_cluster,
    an_outlier,
    huge_and_uneven,
]


class TestManyCategories:
    """All contrasts share the reference, or the base of the row: one direction is the widest."""

    def scattering(self, off=0.0):
        rng = np.random.default_rng(4)
        shape, tau = (60, 40), rng.uniform(0.2, 0.5, 40)
        level = rng.normal(0, 0.5, 40)
        available = rng.random(shape) >= off
        available[:, 0] = True
        share = np.exp(np.where(available, level + tau * rng.normal(size=shape), -np.inf))
        counts = rng.multinomial(4_000, share / share.sum(axis=1, keepdims=True))
        one_cluster, ones = np.zeros(60, dtype=int), np.ones((60, 1))
        return counts, available, one_cluster, ones

    def test_a_clusters_contrasts_share_the_references_error(self):
        """
        Counts so many that rows are as good as seen: contrasts of R rows have the covariance
        (diag(tau^2) + tau_ref^2) / R.
        """
        counts, available, cluster, ones = self.scattering()
        found = expand_scattered(100_000 * counts, available, cluster, 1, 3, ones)
        covariance = found.spread[3] ** 2 + np.diag(np.delete(found.spread, 3) ** 2)
        scale = np.sqrt(np.diag(covariance))
        coupling = found.by_cluster.coupling[0]
        np.testing.assert_allclose(
            coupling @ coupling.T, covariance / np.outer(scale, scale), rtol=0.02, atol=0.01
        )

    def test_a_row_moves_along_the_widest_direction(self):
        """Against the eigenvectors of the row's whole covariance."""
        counts, available, cluster, ones = self.scattering(off=0.2)
        found = expand_scattered(counts, available, cluster, 1, 3, ones)
        rows, n = found.rows, 4_000
        for i in range(0, 60, 7):
            others = np.delete(np.arange(40), rows.base[i])
            smoothed = np.where(available[i], counts[i] + 0.5, 0)
            share = smoothed[others] / smoothed.sum()
            prior = np.diag(found.spread[others] ** 2) + found.spread[rows.base[i]] ** 2
            precision = n * (np.diag(share) - np.outer(share, share)) + np.linalg.inv(prior)
            own = np.sqrt(rows.information[i] + 1 / np.diag(prior))
            values, vectors = np.linalg.eigh(np.outer(own, own) * np.linalg.inv(precision))
            along = rows.along[i]
            stretch = 1 + along @ along
            assert stretch == pytest.approx(np.sqrt(values[-1]), rel=0.02) and stretch > 1.5
            cosine = along @ vectors[:, -1] / np.linalg.norm(along)
            assert abs(cosine) > 0.98

    def test_few_categories_need_neither(self):
        data, _ = table()
        found = pilot(data)
        assert found.by_cluster.coupling is None and found.rows.along is None


class TestCannotFail:
    @pytest.mark.parametrize("n", [1, 30, 10**9])
    @pytest.mark.parametrize("trouble", TROUBLES, ids=lambda f: f.__name__.replace("_", " "))
    def test_whatever_the_data(self, trouble, n):
        for size, categories, dated, freedom in [
            (1, 2, False, None),
            (2, 4, True, 4.0),
            (3, 12, True, None),
        ]:
            counts, available, cluster, x = small(size, categories, n)
            trouble(counts, available, cluster, x)
            more = {"date": np.arange(12) % 3, "n_dates": 4} if dated else {}
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found = expand_scattered(
                    counts, available, cluster, 4, 1, x, x[:, 1:], freedom=freedom, **more
                )
            information, score, _ = found.by_cluster
            assert information.shape == (4, categories - 1, size, size)
            Conditioned(information, score)  # refuses what is not finite, symmetric or PSD
            np.testing.assert_array_equal(information, information.mT)
            if dated:
                Conditioned(found.by_date.information, found.by_date.score)
                assert found.by_date.score.shape == (4, categories - 1)
                assert not found.by_date.information[3].any()  # a date without rows
            assert found.spread.shape == (categories,)
            assert (found.spread >= 1e-2).all() and (found.spread <= 5).all()
            Conditioned(found.rows.information, found.rows.score)
            assert (found.rows.information >= 0).all()
            for each in (found.fitted, found.realised, found.uncertainty, found.known):
                assert np.isfinite(each).all()

    def test_arguments_are_left_as_they_are(self):
        data = small(2, 4, 30)
        before = [v.copy() for v in data]
        expand_scattered(*data[:3], 4, 1, data[3])
        for a, b in zip(data, before, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_it_is_quick(self):
        data, _ = table()
        start = time.perf_counter()
        pilot(data)
        assert time.perf_counter() - start < 3  # 0.2 s on an idle core
