"""Effects conditioned on the data: the map, its inverse and its Jacobian, with any pilot."""

import itertools

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from effect_oracles import (
    CATEGORIES,
    CLUSTERS,
    EPS,
    PILOTS,
    block_diagonal,
    correlation,
    entries_of,
    expansions,
)
from oracles import PLAIN
from scipy import stats

from helpers.effects import Conditioned, cluster_intercepts


@pytest.fixture(scope="module", params=PILOTS)
def transform(request):
    """The transform, and its three methods compiled for values, mean and sd."""
    conditioned = Conditioned(*PILOTS[request.param])
    value, mu, sigma = pt.dvector("value"), pt.dscalar("mu"), pt.dscalar("sigma")
    inputs = (None, None, mu, sigma)  # as a normal variable's: rng, size, mu, sigma
    outputs = [
        conditioned.forward(value, *inputs),
        conditioned.backward(value, *inputs),
        conditioned.log_jac_det(value, *inputs),
    ]
    return pytensor.function([value, mu, sigma], outputs)


class TestSingleEffects:
    @pytest.mark.parametrize("sigma", [1e-3, 1.0, 30.0])
    def test_backward_undoes_forward(self, transform, sigma):
        theta = np.array([-2.0, 0.1, 1.5])
        t = transform(theta, 0.7, sigma)[0]
        np.testing.assert_allclose(transform(t, 0.7, sigma)[1], theta, rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("sigma", [0.2, 1.0, 30.0])
    def test_jacobian_is_the_derivative_of_backward(self, transform, sigma):
        t, step = np.array([-1.0, 0.3, 2.0]), 0.5
        up, down = transform(t + step, -0.4, sigma)[1], transform(t - step, -0.4, sigma)[1]
        # backward is linear in t, so a wide difference is exact but for rounding.
        scale = np.abs(up) + np.abs(down)
        slope = np.exp(transform(t, -0.4, sigma)[2])
        assert (np.abs((up - down) / (2 * step) - slope) <= 1e-14 * scale + 1e-12 * slope).all()

    def test_good_constants_make_it_standard_normal(self):
        """With a normal likelihood the expansion is exact, and t ~ N(0, 1) a posteriori."""
        h, b, mu, sigma = 4.0, 2.0, 0.5, 0.8
        mean, sd = (b + mu / sigma**2) / (h + sigma**-2), (h + sigma**-2) ** -0.5
        conditioned = Conditioned([h], [b])
        t = conditioned.forward(pt.constant([mean, mean + sd, mean - 2 * sd]), mu, sigma).eval()
        np.testing.assert_allclose(t, [0, 1, -2], atol=1e-14)

    def test_no_information_is_the_noncentred_form(self):
        conditioned = Conditioned(np.zeros(2), np.zeros(2))
        theta = conditioned.backward(pt.constant([1.0, -2.0]), 0.5, 3.0).eval()
        np.testing.assert_allclose(theta, [3.5, -5.5], rtol=1e-15)

    @pytest.mark.parametrize(
        ("information", "score", "message"),
        [
            ([1.0, -0.1], [0.0, 0.0], "negative"),
            ([1.0, np.nan], [0.0, 0.0], "finite"),
            ([1.0, 1.0], [0.0, np.inf], "finite"),
        ],
    )
    def test_impossible_constants_are_refused(self, information, score, message):
        with pytest.raises(ValueError, match=message):
            Conditioned(information, score)


class Compiled:
    """Conditioned's three methods as numpy functions of (value, mu, corr, sd)."""

    def __init__(self, information, score, joint, coupling=None):
        k, p = score.shape[-2:]
        self.joint = joint
        conditioned = Conditioned(information, score, coupling, joint=joint)
        value, mu = pt.tensor("value", shape=score.shape), pt.tensor("mu", shape=(k, p))
        if joint:
            rest = [pt.tensor("chol", shape=(k * p, k * p))]
        else:
            rest = [
                pt.tensor("sd", shape=(k, p)),
                pt.tensor("entries", shape=(k, p * (p - 1) // 2)),
            ]
        inputs = (None, None, mu, *rest)  # as those of a variable: rng, size, parameters
        outputs = [
            conditioned.forward(value, *inputs),
            conditioned.backward(value, *inputs),
            conditioned.log_jac_det(value, *inputs),
        ]
        self.function = pytensor.function(
            [value, mu, *rest], outputs, mode=PLAIN, on_unused_input="ignore"
        )

    def __call__(self, value, mu, corr, sd):
        if self.joint:
            # Categories uncorrelated or not, the prior's block of each is D corr D.
            covariance = block_diagonal(corr * sd[..., None] * sd[:, None])
            return self.function(value, mu, np.linalg.cholesky(covariance))
        return self.function(value, mu, sd, entries_of(np.linalg.cholesky(corr)))


@pytest.fixture(
    scope="module",
    params=itertools.product([1, 2, 3], [False, True], ["right", "none", "absurd"]),
    ids=lambda p: f"{p[0]} effects, {'joint' if p[1] else 'by category'}, {p[2]}",
)
def conditioned(request):
    """A compiled transform, its H and b, and a prior's mean, correlations and sds."""
    size, joint, which = request.param
    rng = np.random.default_rng(3)
    h, b = expansions(size)[which]
    mu, sd = rng.normal(size=(CATEGORIES, size)), rng.exponential(size=(CATEGORIES, size)) + 0.2
    return Compiled(h, b, joint), h, b, mu, correlation(rng, size, CATEGORIES), sd


def jacobians(compiled, at, *prior):
    """
    Derivative of backward, cluster by cluster and category by category, P x P each.

    backward is linear in t, so a wide difference is exact but for rounding.
    """
    columns = []
    for j in range(at.shape[-1]):
        step = np.eye(at.shape[-1])[j]
        up, down = (compiled(at + s * step, *prior)[1] for s in (1, -1))
        columns.append((up - down) / 2)
    return np.stack(columns, axis=-1)


def precision_of(h, mu, corr, sd):
    """Q = H + Sigma^-1."""
    return h + np.linalg.inv(corr * sd[..., None] * sd[:, None])


class TestConditioned:
    def test_equal_shapes_are_those_of_single_effects(self):
        """Two rows of three intercepts, not two vectors of three effects."""
        conditioned = Conditioned(np.ones((2, 3)), np.zeros((2, 3)))
        assert conditioned.single
        assert conditioned.ndim_supp == 0
        assert conditioned.start.shape == (2, 3)

    def test_one_prior_for_all_categories(self):
        """Broadcast, with the result of the prior written out for each of them."""
        conditioned = Conditioned(*expansions(2)["right"])
        rng = np.random.default_rng(21)
        t = pt.constant(rng.normal(size=(CLUSTERS, CATEGORIES, 2)))
        one = rng.normal(size=(1, 2)), np.array([[0.5, 2.0]]), np.array([[0.3]])
        each = [np.repeat(x, CATEGORIES, axis=0) for x in one]
        for method in (conditioned.backward, conditioned.log_jac_det):
            got, expected = (
                method(t, *map(pt.constant, prior)).eval(mode=PLAIN) for prior in (one, each)
            )
            np.testing.assert_allclose(got, expected, rtol=1e-12)

    def test_backward_undoes_forward(self, conditioned):
        compiled, h, b, *prior = conditioned
        theta = np.random.default_rng(4).normal(size=b.shape)
        t = compiled(theta, *prior)[0]
        # t is a difference of numbers far larger where the constants are absurd: rounding is
        # relative to those, and grows with the condition of C.
        worst = np.sqrt(np.linalg.cond(precision_of(h, *prior)).max()) * (1 + np.abs(t).max())
        back = compiled(t, *prior)[1]
        np.testing.assert_allclose(back, theta, rtol=0, atol=20 * EPS * worst)

    def test_jacobian_is_the_derivative_of_backward(self, conditioned):
        compiled, _, b, *prior = conditioned
        t = np.random.default_rng(5).normal(size=b.shape)
        sign, log_det = np.linalg.slogdet(jacobians(compiled, t, *prior))
        if compiled.joint:
            log_det = log_det.sum(axis=-1)
        ours = compiled(t, *prior)[2]
        assert ours.shape == log_det.shape
        np.testing.assert_allclose(ours, log_det, rtol=1e-7, atol=1e-7)
        # Each effect moves its own category and cluster only: else the blocks' product would
        # not be the determinant of the whole.
        other = t.copy()
        other[0, 0] += 1.0
        moved = compiled(other, *prior)[1] != compiled(t, *prior)[1]
        assert moved[0, 0].any()
        moved[0, 0] = False
        assert not moved.any()

    def test_is_the_location_and_spread_written_down(self, conditioned):
        """m = Q^-1 (b + Sigma^-1 mu) at t = 0, and theta's spread is Q^-1 when t's is 1."""
        compiled, h, b, mu, corr, sd = conditioned
        precision = np.linalg.inv(corr * sd[..., None] * sd[:, None])
        q = h + precision
        m = np.linalg.solve(q, (b + np.einsum("kpq,kq->kp", precision, mu))[..., None])[..., 0]
        scale = np.linalg.cond(q).max() * np.finfo(float).eps * 100
        prior = mu, corr, sd
        at_zero = compiled(np.zeros(b.shape), *prior)[1]
        np.testing.assert_allclose(at_zero, m, rtol=scale, atol=scale * np.abs(m).max())
        j = jacobians(compiled, np.zeros(b.shape), *prior)
        spread, expected = j @ np.swapaxes(j, -1, -2), np.linalg.inv(q)
        np.testing.assert_allclose(
            spread, expected, rtol=scale + 1e-9, atol=(scale + 1e-12) * np.abs(expected).max()
        )

    @pytest.mark.parametrize("joint", [False, True])
    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_good_constants_make_it_standard_normal(self, size, joint):
        """Prior times exp(b'theta - theta'H theta/2), normalised, is N(0, 1) in t."""
        h, b = expansions(size)["right"]
        rng = np.random.default_rng(6)
        mu, sd = rng.normal(size=(CATEGORIES, size)), rng.exponential(size=(CATEGORIES, size))
        corr = correlation(rng, size, CATEGORIES)
        sigma = corr * sd[..., None] * sd[:, None]
        evidence = 0.0
        for c, k in np.ndindex(CLUSTERS, CATEGORIES):
            # E exp(b'theta - theta'H theta/2) over the prior, in closed form.
            precision = np.linalg.inv(sigma[k])
            q, shifted_score = h[c, k] + precision, b[c, k] + precision @ mu[k]
            evidence += 0.5 * (
                shifted_score @ np.linalg.solve(q, shifted_score)
                - mu[k] @ precision @ mu[k]
                - np.linalg.slogdet(q)[1]
                - np.linalg.slogdet(sigma[k])[1]
            )
        compiled = Compiled(h, b, joint)
        for _ in range(5):
            t = rng.normal(size=b.shape) * 2
            _, theta, log_jac = compiled(t, mu, corr, sd)
            log_p = sum(
                stats.multivariate_normal.logpdf(theta[:, k], mu[k], sigma[k]).sum()
                for k in range(CATEGORIES)
            )
            log_p += (b * theta).sum() - np.einsum("ckp,ckpq,ckq", theta, h, theta) / 2
            expected = stats.norm.logpdf(t).sum()
            assert log_p + log_jac.sum() - evidence == pytest.approx(expected, rel=1e-9)

    @pytest.mark.slow
    @pytest.mark.parametrize("joint", [False, True])
    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_no_information_is_the_noncentred_form(self, size, joint):
        """With H = 0 theta is the mean plus a square root of Sigma times t: nothing is left out."""
        compiled = Compiled(*expansions(size)["none"], joint)
        rng = np.random.default_rng(7)
        mu, sd = rng.normal(size=(CATEGORIES, size)), rng.exponential(size=(CATEGORIES, size))
        corr = correlation(rng, size, CATEGORIES)
        zero = np.zeros((CLUSTERS, CATEGORIES, size))
        at_zero = compiled(zero, mu, corr, sd)[1]
        np.testing.assert_allclose(at_zero, np.broadcast_to(mu, zero.shape), rtol=1e-9, atol=1e-9)
        j = jacobians(compiled, zero, mu, corr, sd)
        sigma = np.broadcast_to(corr * sd[..., None] * sd[:, None], j.shape)
        np.testing.assert_allclose(j @ np.swapaxes(j, -1, -2), sigma, rtol=1e-8, atol=1e-10)

    def test_a_single_effect_is_the_normal_one(self):
        """P = 1 is what single effects are, whose formulas are tested on their own."""
        h, b = expansions(1)["right"]
        one = Conditioned(h[..., 0, 0], b[..., 0])
        t, mu, sd = np.random.default_rng(8).normal(size=(3, CLUSTERS, CATEGORIES))
        mu, sd = mu[0], np.exp(sd[0])
        expected = [
            f(pt.constant(t), mu, sd).eval(mode=PLAIN)
            for f in (one.forward, one.backward, one.log_jac_det)
        ]
        corr = np.ones((CATEGORIES, 1, 1))
        got = Compiled(h, b, False)(t[..., None], mu[:, None], corr, sd[:, None])
        np.testing.assert_allclose(got[0][..., 0], expected[0], rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(got[1][..., 0], expected[1], rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(got[2], expected[2], rtol=1e-11, atol=1e-12)

    @pytest.mark.parametrize(
        ("information", "score", "message"),
        [
            (np.ones((2, 3)), np.ones((2, 2)), "shape"),
            (np.ones((2, 3, 3)), np.ones((3, 3)), "shape"),
            (np.ones((3, 2)), np.ones(3), "shape"),
            (np.full((1, 2, 2), np.nan), np.zeros((1, 2)), "finite"),
            (np.eye(2)[None], np.array([[0.0, np.inf]]), "finite"),
            (np.array([[[1.0, 0.2], [0.3, 1.0]]]), np.zeros((1, 2)), "symmetric"),
            (np.array([[[1.0, 2.0], [2.0, 1.0]]]), np.zeros((1, 2)), "negative eigenvalue"),
            (np.array([[[-1e-9]]]), np.zeros((1, 1)), "negative eigenvalue"),
        ],
    )
    def test_impossible_constants_are_refused(self, information, score, message):
        with pytest.raises(ValueError, match=message):
            Conditioned(information, score)

    def test_one_bad_matrix_among_many_is_refused(self):
        """Each is judged by its own scale: a large neighbour must not hide it."""
        h = np.stack([1e12 * np.eye(2), np.array([[1.0, 0.2], [0.3, 1.0]])])
        with pytest.raises(ValueError, match="symmetric"):
            Conditioned(h, np.zeros((2, 2)))
        h[1] = [[1.0, 2.0], [2.0, 1.0]]
        with pytest.raises(ValueError, match="negative eigenvalue"):
            Conditioned(h, np.zeros((2, 2)))


class TestCoupling:
    @pytest.mark.parametrize("joint", [False, True])
    def test_is_a_linear_map_of_what_is_sampled(self, joint, coupling):
        """Against the same without a coupling, and the matrix product in numpy."""
        h, b = expansions(2)["right"]
        rng = np.random.default_rng(14)
        mu, sd = rng.normal(size=(CATEGORIES, 2)), rng.exponential(size=(CATEGORIES, 2)) + 0.2
        prior = mu, correlation(rng, 2, CATEGORIES), sd
        plain, coupled = Compiled(h, b, joint), Compiled(h, b, joint, coupling)
        s = rng.normal(size=b.shape)
        t = np.einsum("cij,cj->ci", coupling, s.reshape(CLUSTERS, -1)).reshape(s.shape)
        theta = coupled(s, *prior)[1]
        np.testing.assert_allclose(theta, plain(t, *prior)[1], rtol=1e-11, atol=1e-11)
        worst = np.linalg.cond(coupling).max()
        np.testing.assert_allclose(coupled(theta, *prior)[0], s, rtol=0, atol=100 * EPS * worst)
        log_jac = plain(t, *prior)[2]
        ours = coupled(s, *prior)[2]
        assert ours.shape == log_jac.shape
        if not joint:
            # The coupling's determinant is the cluster's, in parts of its categories.
            ours, log_jac = ours.sum(axis=-1), log_jac.sum(axis=-1)
        expected = log_jac + np.linalg.slogdet(coupling)[1]
        np.testing.assert_allclose(ours, expected, rtol=1e-11)

    def test_jacobian_is_the_derivative_of_backward(self, coupling):
        """All effects of a cluster move together now: one 6 x 6 derivative for each."""
        h, b = expansions(2)["right"]
        rng = np.random.default_rng(15)
        mu, sd = rng.normal(size=(CATEGORIES, 2)), rng.exponential(size=(CATEGORIES, 2)) + 0.2
        prior = mu, correlation(rng, 2, CATEGORIES), sd
        compiled = Compiled(h, b, False, coupling)
        columns = []
        for unit in np.eye(6).reshape(6, CATEGORIES, 2):
            up, down = (compiled(np.tile(s * unit, (CLUSTERS, 1, 1)), *prior)[1] for s in (1, -1))
            columns.append((up - down).reshape(CLUSTERS, 6) / 2)
        expected = np.linalg.slogdet(np.stack(columns, axis=-1))[1]
        ours = compiled(np.zeros(b.shape), *prior)[2].sum(axis=-1)
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-9)

    def test_of_a_single_effect(self, coupling):
        """That of single effects is the same linear map, and takes its determinant."""
        b = np.random.default_rng(16).normal(size=(CLUSTERS, 6))
        plain, coupled = Conditioned(b**2, b), Conditioned(b**2, b, coupling)
        s = np.random.default_rng(17).normal(size=(CLUSTERS, 6))
        t = np.einsum("cij,cj->ci", coupling, s)
        theta = coupled.backward(pt.constant(s), 0.3, 0.7)
        expected = plain.backward(pt.constant(t), 0.3, 0.7).eval(mode=PLAIN)
        np.testing.assert_allclose(theta.eval(mode=PLAIN), expected, rtol=1e-11)
        back = coupled.forward(theta, 0.3, 0.7).eval(mode=PLAIN)
        worst = np.linalg.cond(coupling).max()
        np.testing.assert_allclose(back, s, rtol=0, atol=100 * EPS * worst)
        log_jac = coupled.log_jac_det(pt.constant(s), 0.3, 0.7).eval(mode=PLAIN)
        q = b**2 + 0.7**-2
        expected = -0.5 * np.log(q).sum(axis=1) + np.linalg.slogdet(coupling)[1]
        np.testing.assert_allclose(log_jac.sum(axis=1), expected, rtol=1e-11)

    def test_density_of_a_model_with_a_single_effect(self, coupling):
        """The change of variables reaches the model: each cluster's determinant, once."""
        b = np.random.default_rng(18).normal(size=(CLUSTERS, 6))
        coords = {"cluster": range(CLUSTERS), "contrast": range(6)}
        with pm.Model(coords=coords) as model:
            cluster_intercepts(
                "theta", 0.2, 1.3, dims=tuple(coords), information=(b**2, b, coupling)
            )
        s = np.random.default_rng(19).normal(size=b.shape)
        t = np.einsum("cij,cj->ci", coupling, s)
        q = b**2 + 1.3**-2
        theta = (b + 0.2 / 1.3**2) / q + t / np.sqrt(q)
        expected = stats.norm.logpdf(theta, 0.2, 1.3).sum() - 0.5 * np.log(q).sum()
        expected += np.linalg.slogdet(coupling)[1].sum()
        ours = model.compile_logp(mode=PLAIN)({"theta_conditioned__": s})
        assert ours == pytest.approx(expected, rel=1e-12)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda b: b[:, :4, :4], "shape"),
            (lambda b: b[:2], "shape"),
            (lambda b: b * 0, "invertible"),
            (lambda b: b * np.nan, "finite"),
        ],
    )
    def test_impossible_ones_are_refused(self, change, message, coupling):
        with pytest.raises(ValueError, match=message):
            Conditioned(*expansions(2)["right"], change(coupling))
        with pytest.raises(ValueError, match=message):
            Conditioned(np.ones((CLUSTERS, 6)), np.ones((CLUSTERS, 6)), change(coupling))
