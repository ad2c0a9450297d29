"""The pilot's expansion is the exact likelihood's, and nothing in the data can make it fail."""

import warnings

import numpy as np
import pytest
from scipy import optimize

from helpers.effects import Conditioned, expand_likelihood


def simulated(size, *, n=40, seed=1, strength=1.0, categories=4, clusters=4, rows=12, spread=0.5):
    """Counts, menus, clusters and design: `size` effects; category 1 the reference."""
    rng = np.random.default_rng(seed)
    available = rng.random((rows, categories)) < 0.75
    available[:, -1] = True
    cluster = np.repeat(np.arange(clusters), rows // clusters)
    x = np.column_stack([np.ones(rows), rng.normal(size=(rows, size - 1))])
    theta = rng.normal(size=(1, size, categories))
    theta = strength * (theta + spread * rng.normal(size=(clusters, size, categories)))
    logits = np.einsum("rp,rpk->rk", x, theta[cluster])
    logits[:, 1] = 0
    p = np.exp(np.where(available, logits, -np.inf))
    p /= p.sum(axis=1, keepdims=True)
    counts = np.array([rng.multinomial(n, row) for row in p])
    return counts, available, cluster, x


def by_cluster(*data, **more):
    return expand_likelihood(*data, **more).by_cluster


def log_likelihood(theta, counts, available, x, reference=1, offset=0.0):
    """Masked multinomial of some rows in plain numpy; theta is (effect, contrast)."""
    logits = np.insert(x @ theta + offset, reference, 0.0, axis=1)
    masked = np.where(available, logits, -np.inf)
    top = masked.max(axis=1, keepdims=True)
    log_p = masked - top - np.log(np.exp(masked - top).sum(axis=1, keepdims=True))
    return (counts * np.where(counts > 0, log_p, 0.0)).sum()


def by_differences(theta, *args, step=1e-3, **more):
    """
    Gradient and minus second derivatives at theta (effect, contrast).

    Of all effects of a cluster in one row, those of a contrast side by side.
    """
    size = theta.size
    units = step * np.eye(size).reshape(size, *theta.T.shape).transpose(0, 2, 1)

    def f(move):
        return log_likelihood(theta + move, *args, **more)

    gradient = [(f(a) - f(-a)) / (2 * step) for a in units]
    information = [
        [-(f(a + b) - f(a - b) - f(b - a) + f(-a - b)) / (4 * step**2) for b in units]
        for a in units
    ]
    return np.array(gradient), np.array(information)


def blocks(matrix, size):
    """Those of each contrast, (contrast, effect, effect)."""
    k = len(matrix) // size
    return matrix.reshape(k, size, k, size)[np.arange(k), :, np.arange(k)]


def maximum(start, centre, precision, *args, **more):
    """The maximum of the likelihood with a normal penalty, by scipy."""

    def loss(flat):
        theta = flat.reshape(start.shape)
        penalty = (precision * (theta - centre) ** 2).sum() / 2
        return penalty - log_likelihood(theta, *args, **more)

    found = optimize.minimize(loss, start.ravel(), method="BFGS", options={"gtol": 1e-7})
    # Differences of the loss stop it a little short; a second start from there gets closer.
    found = optimize.minimize(loss, found.x, method="Nelder-Mead", options=TIGHT)
    return found.x.reshape(start.shape)


TIGHT = {"xatol": 1e-8, "fatol": 1e-12, "maxiter": 20_000, "maxfev": 20_000, "adaptive": True}


def assert_is_usable(information, score, coupling, clusters, contrasts, size):
    """Finite, symmetric, positive semi-definite: what the parametrisation asks for."""
    assert information.shape == (clusters, contrasts, size, size)
    assert score.shape == (clusters, contrasts, size)
    assert np.isfinite(information).all()
    assert np.isfinite(score).all()
    scale = np.abs(information).max(axis=(-1, -2), initial=0)
    skew = np.abs(information - information.mT).max(axis=(-1, -2))
    assert (skew <= 1e-14 * scale).all()
    assert (np.linalg.eigvalsh(information) >= -1e-12 * scale[..., None]).all()
    Conditioned(information, score, coupling)  # refuses what it cannot use
    assert np.linalg.cond(coupling).max() < 1e8


class TestExpansion:
    @pytest.mark.parametrize("common", [False, True])
    @pytest.mark.parametrize(("size", "strength"), [(1, 1.0), (2, 1.0), (2, 3.0), (3, 1.0)])
    def test_is_the_exact_likelihoods_at_the_penalised_maximum(self, size, strength, common):
        """
        One round, whose estimate is plain to find by scipy: all rows together with a penalty of
        1/100, then each cluster with a penalty of 1 around that, common slopes held.
        """
        counts, available, cluster, x = simulated(size, strength=strength)
        z = np.random.default_rng(2).normal(size=(12, 1)) if common else None
        h, b, coupling = by_cluster(counts, available, cluster, 4, 1, x, z, rounds=1)
        design = x if z is None else np.hstack([x, z])
        pooled = maximum(np.zeros((design.shape[1], 3)), 0.0, 1e-2, counts, available, design)
        offset = z @ pooled[size:] if common else np.zeros((12, 1))
        for c in range(4):
            rows = cluster == c
            args = counts[rows], available[rows], x[rows]
            one = maximum(pooled[:size], pooled[:size], 1.0, *args, offset=offset[rows])
            gradient, full = by_differences(one, *args, offset=offset[rows])
            information = blocks(full, size)
            # Differences of a log-likelihood of some 100 leave 1e-14 * 100 / step^2, and the
            # estimates agree to 1e-6.
            np.testing.assert_allclose(h[c], information, rtol=2e-5, atol=2e-5)
            expected = np.einsum("kpq,qk->kp", information, one) + gradient.reshape(3, size)
            np.testing.assert_allclose(b[c], expected, rtol=1e-4, atol=1e-4)
            # B B' is the covariance of t = C'(theta - estimate) over all categories.
            penalised = full + np.eye(3 * size)
            factors = np.zeros((3, size, 3, size))
            block_factors = np.linalg.cholesky(information + np.eye(size))
            factors[np.arange(3), :, np.arange(3)] = block_factors
            factors = factors.reshape(penalised.shape)
            expected = factors.T @ np.linalg.inv(penalised) @ factors
            np.testing.assert_allclose(coupling[c] @ coupling[c].T, expected, atol=1e-4)

    @pytest.mark.parametrize("size", [1, 2])
    def test_of_many_counts_is_at_the_maximum_likelihood(self, size):
        """At n = 10^7 the penalty is nothing: the gradient is 0 there, and b is H times it."""
        counts, available, cluster, x = simulated(size, n=10**7)
        available[:] = True
        counts = np.maximum(counts, 10**4)
        h, b, _ = by_cluster(counts, available, cluster, 4, 1, x)
        for c in range(4):
            rows = cluster == c
            args = counts[rows] / 1e6, available[rows], x[rows]
            mle = maximum(np.zeros((size, 3)), 0.0, 0.0, *args)
            information = blocks(by_differences(mle, *args)[1], size)
            np.testing.assert_allclose(h[c] / 1e6, information, rtol=1e-4, atol=1e-4)
            expected = np.einsum("kpq,qk->kp", information, mle)
            np.testing.assert_allclose(b[c] / 1e6, expected, rtol=1e-3, atol=1e-3)

    def test_of_one_row_by_hand(self):
        """From H = n p (1 - p) of a single row follow p and the estimate; b must fit them."""
        counts = np.array([[30, 50, 20], [3, 1, 9], [0, 40, 2]])
        h, b, _ = by_cluster(counts, np.ones((3, 3)), np.arange(3), 3, 1, np.ones((3, 1)))
        n = counts.sum(axis=1, keepdims=True)
        root = np.sqrt(1 - 4 * h[:, :, 0, 0] / n)
        # Two roots each; the shares of the three categories sum to 1 with all of them positive.
        for c in range(3):
            errors = []
            for signs in np.array([[-1, -1], [-1, 1], [1, -1]]):
                p = (1 + signs * root[c]) / 2
                rest = 1 - p.sum()
                if rest > 0:
                    theta = np.log(p / rest)
                    expected = h[c, :, 0, 0] * theta + counts[c, [0, 2]] - n[c] * p
                    errors.append(np.abs(b[c, :, 0] - expected).max())
            assert min(errors) < 1e-9

    def test_more_rows_of_the_same_add_up(self):
        counts, available, cluster, x = simulated(2)
        one = by_cluster(counts * 10, available, cluster, 4, 1, x)
        ten = by_cluster(
            *(np.repeat(v, 10, axis=0) for v in (counts, available, cluster)),
            4,
            1,
            np.repeat(x, 10, axis=0),
        )
        for a, b in zip(one, ten, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)

    def test_rows_in_any_order(self):
        """Rows of a cluster need not be next to each other."""
        counts, available, cluster, x = simulated(3)
        z = np.random.default_rng(2).normal(size=(12, 1))
        order = np.random.default_rng(3).permutation(12)
        one = by_cluster(counts, available, cluster, 4, 1, x, z)
        other = by_cluster(
            *(v[order] for v in (counts, available, cluster)), 4, 1, x[order], z[order]
        )
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)

    def test_clusters_far_apart_are_less_shrunk(self):
        """The penalty is estimated: the same cluster is held closer where others are alike."""
        counts = np.tile([[50, 50]], (20, 1))
        counts[0] = [10, 2]
        apart = np.column_stack([np.r_[10, np.linspace(1, 99, 19).astype(int)], np.zeros(20, int)])
        apart[1:, 1], apart[0, 1] = 100 - apart[1:, 0], 2
        ones, clusters = np.ones((20, 1)), np.arange(20)
        share = []
        for y in (counts, apart):
            h, *_ = by_cluster(y, np.ones((20, 2)), clusters, 20, 1, ones)
            share.append((1 + np.sqrt(1 - 4 * h[0, 0, 0, 0] / 12)) / 2)
        assert 0.5 <= share[0] < 0.6  # 10 of 12 is chance, among clusters at a half
        assert 0.75 < share[1] < 10 / 12


def never_chosen(counts, available, cluster, x):
    counts[:, 0] = 0


def never_chosen_in_a_cluster(counts, available, cluster, x):
    counts[cluster == 1, -1] = 0


def never_on_the_menu_in_a_cluster(counts, available, cluster, x):
    counts[cluster == 0, 0], available[cluster == 0, 0] = 0, False


def reference_off_the_menu_in_a_cluster(counts, available, cluster, x):
    counts[cluster == 2, 1], available[cluster == 2, 1] = 0, False


def reference_never_chosen(counts, available, cluster, x):
    counts[:, 1] = 0


def totals_of_zero(counts, available, cluster, x):
    counts[cluster <= 1] = 0


def nothing_at_all(counts, available, cluster, x):
    counts[:] = 0


def one_category_on_the_menu(counts, available, cluster, x):
    available[cluster == 0] = False
    available[cluster == 0, 0] = True
    counts[~available] = 0


def separated(counts, available, cluster, x):
    """A predictor, where there is one, tells all choices; else clusters choose one thing each."""
    available[:] = True
    side = (x[:, -1] > 0).astype(int) if x.shape[1] > 1 else cluster % 2
    n = counts.sum(axis=1)
    counts[:] = 0
    counts[np.arange(len(n)), side] = n


def one_choice_per_cluster(counts, available, cluster, x):
    n = counts.sum(axis=1)
    available[:], counts[:] = True, 0
    counts[np.arange(len(n)), cluster % counts.shape[1]] = n


def constant_in_a_cluster(counts, available, cluster, x):
    x[cluster == 3, 1:] = 1.5


def constant_in_every_cluster(counts, available, cluster, x):
    x[:, 1:] = cluster[:, None] - 1.5


def an_outlier(counts, available, cluster, x):
    x[0, 1:] = 1e3  # standard deviations: more than an outlier of a million rows


def huge_and_uneven(counts, available, cluster, x):
    counts[::2] *= 10**9 // counts.max()
    counts[0] = 0


TROUBLES = [
    never_chosen,
    never_chosen_in_a_cluster,
    never_on_the_menu_in_a_cluster,
    reference_off_the_menu_in_a_cluster,
    reference_never_chosen,
    totals_of_zero,
    nothing_at_all,
    one_category_on_the_menu,
    separated,
    one_choice_per_cluster,
    constant_in_a_cluster,
    constant_in_every_cluster,
    an_outlier,
    huge_and_uneven,
]


class TestCannotFail:
    @pytest.mark.parametrize("n", [1, 30, 10**9])
    @pytest.mark.parametrize("trouble", TROUBLES, ids=lambda f: f.__name__.replace("_", " "))
    def test_whatever_the_data(self, trouble, n):
        for size in (1, 2, 3):
            for categories in (2, 4, 12):
                data = simulated(size, n=n, categories=categories, seed=size * categories)
                trouble(*data)
                counts, available, cluster, x = data
                # A category that is on no menu of a row cannot be all there is.
                available[np.arange(12), counts.argmax(axis=1)] = True
                with warnings.catch_warnings():
                    warnings.simplefilter("error")  # nor may numpy complain on the way
                    h, b, coupling = by_cluster(counts, available, cluster, 4, 1, x)
                assert_is_usable(h, b, coupling, 4, categories - 1, size)

    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_one_cluster_one_row_each_and_unused_levels(self, size):
        counts, available, cluster, x = simulated(size)
        h, b, coupling = by_cluster(counts, available, 0 * cluster, 1, 1, x)
        assert_is_usable(h, b, coupling, 1, 3, size)
        h, b, coupling = by_cluster(counts, available, np.arange(12) + 1, 15, 1, x)
        assert_is_usable(h, b, coupling, 15, 3, size)
        # Clusters without rows (first and last) say nothing.
        assert not h[[0, 13, 14]].any()
        assert not b[[0, 13, 14]].any()
        assert h[1:13].any(axis=(1, 2, 3)).all()
        h, b, coupling = by_cluster(counts[:1], available[:1], np.zeros(1, int), 1, 1, x[:1])
        assert_is_usable(h, b, coupling, 1, 3, size)

    def test_what_says_nothing_weighs_nothing(self):
        """Off the menu, or without counts: H and b are 0, so the prior alone speaks."""
        data = simulated(2)
        never_on_the_menu_in_a_cluster(*data)
        h, b, _ = by_cluster(*data[:3], 4, 1, data[3])
        assert not h[0, 0].any()
        assert not b[0, 0].any()
        assert h[1:, 0].any(axis=(-1, -2)).all()
        data = simulated(2)
        totals_of_zero(*data)
        h, b, _ = by_cluster(*data[:3], 4, 1, data[3])
        assert not h[:2].any()
        assert not b[:2].any()
        assert h[2:].any(axis=(1, 2, 3)).all()

    def test_a_constant_predictor_has_a_singular_expansion(self):
        """H is n p (1 - p) [1, x; x, x^2] there: no more is known than of the sum."""
        data = simulated(2)
        constant_in_a_cluster(*data)
        h, *_ = by_cluster(*data[:3], 4, 1, data[3])
        expected = h[3, :, :1, :1] * np.array([[1, 1.5], [1.5, 2.25]])
        np.testing.assert_allclose(h[3], expected, rtol=1e-12)

    @pytest.mark.parametrize("reference", range(4))
    def test_any_category_may_be_the_reference(self, reference):
        """Also off the menu in every row of a cluster; H is at most n / 4 per row."""
        counts, available, cluster, x = simulated(1)
        counts[cluster == 2, reference], available[cluster == 2, reference] = 0, False
        available[np.arange(12), (reference + 1) % 4] = True
        h, b, coupling = by_cluster(counts, available, cluster, 4, reference, x)
        assert_is_usable(h, b, coupling, 4, 3, 1)
        free = np.arange(4) != reference
        n = (counts.sum(axis=1, keepdims=True) * available)[:, free]
        limit = np.array([n[cluster == c].sum(axis=0) / 4 for c in range(4)])
        assert (h[..., 0, 0] <= limit + 1e-12).all()

    def test_arguments_are_left_as_they_are(self):
        data = simulated(2)
        before = [v.copy() for v in data]
        by_cluster(*data[:3], 4, 1, data[3], data[3][:, 1:])
        for a, b in zip(data, before, strict=True):
            np.testing.assert_array_equal(a, b)
