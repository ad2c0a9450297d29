"""Loops compute what their plain graphs say, gradients included, and refuse what does not fit."""

import importlib.util
import pickle

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from oracles import PLAIN
from pytensor.compile.mode import get_mode
from scipy import linalg, special, stats

from helpers import masked_regression, simulate_counts
from helpers.ops import (
    cluster_logits,
    conditioned_effects,
    contrast_covariance,
    contrast_distance,
    masked_log_likelihood,
    masked_shares,
    row_scatter,
)
from helpers.ops._loop import Loop, _sources
from helpers.ops.conditioned import ConditionedEffects
from helpers.ops.contrasts import ContrastDistance
from helpers.ops.likelihood import MaskedLogLikelihood, _exp_of_distances
from helpers.ops.logits import ClusterLogits
from helpers.ops.rows import RowScatter
from helpers.ops.shares import MaskedShares

C, K, R = 4, 3, 11
needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="pip install jax")
# Loops as numba compiles them within a graph, and as Python calls them.
MODES = [
    pytest.param("NUMBA", id="numba", marks=pytest.mark.slow),
    pytest.param(PLAIN, id="python"),
]


def example(which):
    """An operation, its inputs, and how many of them it can be differentiated in."""
    rng = np.random.default_rng(7)
    if which.startswith("distance"):
        size, reference = (int(x) for x in which.split()[1:3])
        value = rng.normal(size=(C, K, size))
        mean = rng.normal(size=(C if "means" in which else 1, K, size))
        sd = rng.gamma(2, size=(K + 1, size))
        entries = rng.uniform(-0.6, 0.6, (K + 1, size * (size - 1) // 2))
        inputs = [value, mean, sd, entries, np.int64(reference)]
        return ContrastDistance(size), inputs, 4 if size > 1 else 3
    if which.startswith("scatter"):
        value, score = rng.normal(size=(2, R, K))
        mean = rng.normal(size=(R, K + 1))
        pilot = [rng.gamma(2, size=(R, K)), 5 * score, rng.integers(0, K + 1, R)]
        inputs = [value, mean, rng.gamma(2, size=K + 1), *pilot, np.int64(which.split()[1])]
        return RowScatter(), inputs, 3
    if which.startswith("conditioned"):
        size = int(which.split()[1])
        mean, sd = rng.normal(size=(K, size)), rng.gamma(2, size=(K, size))
        entries = rng.uniform(-0.6, 0.6, (K, size * (size - 1) // 2))
        root = 5 * rng.normal(size=(C, K, size, size))
        b = 10 * rng.normal(size=(C, K, size))
        coupling = rng.normal(size=(C, size * K, size * K) if "coupled" in which else (0, 0, 0))
        t = rng.normal(size=(C, K, size))
        inputs = [t, mean, sd, entries, root @ root.mT, b, coupling]
        return ConditionedEffects(size, "joint" in which), inputs, 4 if size > 1 else 3
    if which.startswith("logits"):
        n_effects, reference = (int(x) for x in which.split()[1:])
        effects = rng.normal(size=(C, K, n_effects))
        design = rng.normal(size=(R, n_effects))
        return ClusterLogits(), [effects, rng.integers(0, C, R), design, np.int64(reference)], 1
    available = rng.random((R, K)) < 0.7
    available[:, 1] = True
    if which == "shares":
        return MaskedShares(), [5 * rng.normal(size=(R, K)), available], 1
    counts = rng.integers(0, 9, (R, K)) * available
    return MaskedLogLikelihood(), [5 * rng.normal(size=(R, K)), counts, counts.sum(1), available], 1


EXAMPLES = [
    "conditioned 1",
    pytest.param("conditioned 2", marks=pytest.mark.slow),
    "conditioned 2 coupled",
    pytest.param("conditioned 3", marks=pytest.mark.slow),
    pytest.param("conditioned 2 joint", marks=pytest.mark.slow),
    "conditioned 3 coupled",
    pytest.param("conditioned 3 coupled joint", marks=pytest.mark.slow),
    "distance 1 0",
    pytest.param("distance 1 3 means", marks=pytest.mark.slow),
    "distance 2 1",
    pytest.param("distance 3 2 means", marks=pytest.mark.slow),
    "scatter 0",
    "scatter 2",
    "logits 1 0",
    "logits 2 1",
    "logits 4 3",
    "likelihood",
    "shares",
]


def correlation_factor(entries, size):
    """Cholesky factor of correlations from its entries below the diagonal."""
    factor = np.zeros((size, size))
    factor[np.tril_indices(size, -1)] = entries
    np.fill_diagonal(factor, np.sqrt(1 - (factor**2).sum(axis=1)))
    return factor


def symbolic(inputs):
    # The coupling is a constant in use, and its being empty must be known.
    return [pt.as_tensor(x) if 0 in x.shape else pt.as_tensor(x).type() for x in inputs]


def as_list(outputs):
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def with_gradients(outputs, variables, n_wrt, n_results):
    """Outputs, and gradients of a sum of the results among them in which none cancels."""
    cost = sum((output * pt.sin(1 + output)).sum() for output in outputs[:n_results])
    return [*outputs, *pytensor.grad(cost, variables[:n_wrt])]


@pytest.mark.parametrize("which", EXAMPLES)
class TestAgainstThePlainGraph:
    @pytest.mark.slow
    @pytest.mark.parametrize("mode", MODES)
    def test_values_and_gradients(self, which, mode):
        op, inputs, n_wrt = example(which)
        variables = symbolic(inputs)
        several = ConditionedEffects, ContrastDistance, RowScatter
        n_results = 2 if isinstance(op, several) else 1
        both = [
            with_gradients(outputs, variables, n_wrt, n_results)
            for outputs in (op(*variables, return_list=True), as_list(op.plain(*variables)))
        ]
        given = {v: x for v, x in zip(variables, inputs, strict=True) if v.owner is None}
        free = [v for v in variables if not isinstance(v, pt.TensorConstant)]
        function = pytensor.function(
            free, [*both[0], *both[1]], mode=mode, on_unused_input="ignore"
        )
        results = function(*[given[v] for v in free])
        half = len(both[0])
        for got, expected in zip(results[:half], results[half:], strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11)

    @pytest.mark.slow
    def test_second_derivatives(self, which):
        op, inputs, n_wrt = example(which)
        variables = symbolic(inputs)
        free = [v for v in variables if not isinstance(v, pt.TensorConstant)]
        first = variables[0]
        curvatures = []
        for outputs in (op(*variables, return_list=True), as_list(op.plain(*variables))):
            # A square, so that there is a curvature where the output is linear.
            slope = pytensor.grad((outputs[0] ** 2).sum(), first)
            curvatures.append(pytensor.grad((slope**2).sum(), first))
        function = pytensor.function(free, curvatures, mode=PLAIN, on_unused_input="ignore")
        given = [x for v, x in zip(variables, inputs, strict=True) if v in set(free)]
        got, expected = function(*given)
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-9 * np.abs(expected).max())


# Each size is compiled by itself.
SLOW_2, SLOW_3 = (pytest.param(size, marks=pytest.mark.slow) for size in (2, 3))


class TestAgainstScipy:
    def test_likelihood(self):
        _, (logits, counts, n, available), _ = example("likelihood")
        value, residual, proper = (
            x.eval() for x in masked_log_likelihood(logits, counts, n, available)
        )
        assert proper
        for i in range(R):
            on = available[i]
            p = np.exp(logits[i, on]) / np.exp(logits[i, on]).sum()
            orders = stats.multinomial(n[i], np.full(on.sum(), 1 / on.sum()))
            coefficient = orders.logpmf(counts[i, on]) + n[i] * np.log(on.sum())
            expected = stats.multinomial(n[i], p).logpmf(counts[i, on]) - coefficient
            assert value[i] == pytest.approx(expected, rel=1e-10, abs=1e-10)
            np.testing.assert_allclose(residual[i, on], counts[i, on] - n[i] * p, atol=1e-12)
            assert not residual[i, ~on].any()

    def test_shares(self):
        _, (logits, available), _ = example("shares")
        got = masked_shares(logits, available).eval()
        for i, on in enumerate(available):
            np.testing.assert_allclose(got[i, on], special.softmax(logits[i, on]), rtol=1e-14)
            assert not got[i, ~on].any()

    @pytest.mark.parametrize("size", [1, SLOW_2, SLOW_3])
    def test_conditioned_effects(self, size):
        _, inputs, _ = example(f"conditioned {size} coupled")
        t, mean, sd, entries, h, b, coupling = inputs
        effects, log_det = (x.eval() for x in conditioned_effects(*inputs))
        for k in range(K):
            factor = sd[k, :, None] * correlation_factor(entries[k], size)
            precision = np.linalg.inv(factor @ factor.T)
            for c in range(C):
                uncoupled = (coupling[c] @ t[c].ravel()).reshape(K, size)
                q = h[c, k] + precision
                m = np.linalg.solve(q, b[c, k] + precision @ mean[k])
                expected = m + np.linalg.solve(np.linalg.cholesky(q).T, uncoupled[k])
                np.testing.assert_allclose(effects[c, k], expected, rtol=1e-8)
                assert log_det[c, k] == pytest.approx(-np.linalg.slogdet(q)[1] / 2)

    @pytest.mark.slow
    @pytest.mark.parametrize("means", ["", " means"])
    @pytest.mark.parametrize("which", ["1 0", "1 3", "2 1", "3 2"])
    def test_contrast_distance(self, which, means):
        """The covariance of contrasts written out: that of each category, and the reference's."""
        _, (value, mean, sd, entries, reference), _ = example(f"distance {which}{means}")
        size = sd.shape[1]
        covariance = covariance_of_contrasts(sd, entries, reference)
        squares, log_scale = (
            x.eval() for x in contrast_distance(value, mean, sd, entries, reference)
        )
        got = -0.5 * (squares + K * size * np.log(2 * np.pi)) - log_scale
        away = (value - mean).reshape(C, -1)
        expected = stats.multivariate_normal.logpdf(away, None, covariance)
        np.testing.assert_allclose(got, expected, rtol=1e-10)

    @pytest.mark.slow
    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_contrast_distance_knows_no_reference(self, size):
        _, (value, mean, sd, entries, reference), _ = example(f"distance {size} 0 means")
        results = []
        for other in range(K + 1):
            inputs = [
                np.delete((x := np.insert(given, reference, 0, axis=1)) - x[:, [other]], other, 1)
                for given in (value, mean)
            ]
            both = contrast_distance(*inputs, sd, entries, other)
            results.append(np.append(both[0].eval(), both[1].eval()))
        np.testing.assert_allclose(results, results[:1] * (K + 1), rtol=1e-11)

    def test_contrast_distance_with_a_spread_of_nearly_nothing(self):
        """The reference hardly varies: the contrasts are independent, to all digits."""
        _, (value, mean, sd, entries, _), _ = example("distance 1 3 means")
        sd[3] = 1e-9
        squares, log_scale = (x.eval() for x in contrast_distance(value, mean, sd, entries, 3))
        z = (value - mean) / sd[:3]
        np.testing.assert_allclose(squares, (z**2).sum(axis=(1, 2)), rtol=1e-12)
        assert log_scale == pytest.approx(np.log(sd[:3]).sum(), rel=1e-12)

    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_contrast_covariance(self, size):
        """Of each contrast: the blocks on the diagonal of all contrasts' covariance."""
        _, (_, _, sd, entries, _), _ = example(f"distance {size} 0")
        got = contrast_covariance(pt.as_tensor(sd), pt.as_tensor(entries), 2)
        of_contrasts, below = (x.eval() for x in got)
        expected = covariance_of_contrasts(sd, entries, 2).reshape(K, size, K, size)
        for k in range(K):
            factor = of_contrasts[k, :, None] * correlation_factor(below[k], size)
            np.testing.assert_allclose(factor @ factor.T, expected[k, :, k], rtol=1e-11)

    @pytest.mark.parametrize("reference", [0, 2])
    def test_row_scatter(self, reference):
        """Row by row in the row's own coordinates, and back to those of the model."""
        _, inputs, _ = example(f"scatter {reference}")
        value, mean, sd, h, b, base, _ = inputs
        scatter, log_det = (x.eval() for x in row_scatter(*inputs))
        for i in range(R):
            others = np.delete(np.arange(K + 1), base[i])
            prior = 1 / (sd[others] ** 2 + sd[base[i]] ** 2)
            q = h[i] + prior
            logits = np.zeros(K + 1)
            from_base = mean[i, others] - mean[i, base[i]]
            logits[others] = (b[i] + from_base * prior) / q + value[i] / np.sqrt(q)
            away = logits - mean[i]
            np.testing.assert_allclose(
                scatter[i], np.delete(away - away[reference], reference), rtol=1e-9, atol=1e-12
            )
            assert log_det[i] == pytest.approx(-np.log(q).sum() / 2)


def covariance_of_contrasts(sd, entries, reference):
    """Of all contrasts and effects together, (K P, K P): D + 1 1' x that of the reference."""
    size = sd.shape[1]
    factors = [s[:, None] * correlation_factor(e, size) for s, e in zip(sd, entries, strict=True)]
    blocks = [factor @ factor.T for factor in factors]
    at_reference = blocks.pop(reference)
    return linalg.block_diag(*blocks) + np.kron(np.ones((K, K)), at_reference)


class TestExponential:
    def test_is_that_of_numpy(self):
        rng = np.random.default_rng(1)
        x = np.concatenate([[-0.0, -5e-324, -1e-300], -(10 ** rng.uniform(-9, 2.85, 20_000))])
        result = x.copy()
        _exp_of_distances(result, np.empty_like(x))
        np.testing.assert_allclose(result, np.exp(x), rtol=5e-16)
        assert result[0] == 1

    def test_is_nothing_far_below(self):
        x = np.array([-709.0, -746.0, -1e308, -np.inf])
        _exp_of_distances(x, np.empty_like(x))
        assert (x == 0).all()


class TestImproper:
    """What has no likelihood, and what is no likelihood's business."""

    def value(self, logits=(0.0, 1.0, 2.0), counts=(1, 2, 0), n=3, available=(1, 1, 1)):
        outputs = masked_log_likelihood(
            np.array([logits]), np.array([counts]), np.array([n]), np.array([available], dtype=bool)
        )
        value, _, proper = (x.eval() for x in outputs)
        return value.item(), bool(proper)

    @pytest.mark.parametrize(
        "off", [{"counts": (1, 1, 1), "available": (1, 1, 0)}, {"counts": (-1, 2, 2)}, {"n": 4}]
    )
    def test_impossible_counts(self, off):
        assert self.value(**off) == (-np.inf, True)

    @pytest.mark.parametrize(
        "off",
        [
            {"available": (0, 0, 0), "counts": (0, 0, 0), "n": 0},
            {"logits": (np.nan, 1.0, 1.0)},
            {"logits": (-np.inf, 1.0, 1.0), "available": (1, 0, 0), "counts": (3, 0, 0)},
            {"n": -3},
        ],
    )
    def test_no_distribution(self, off):
        assert not self.value(**off)[1]

    def test_logits_off_the_menu_are_not_looked_at(self):
        on = self.value(available=(1, 1, 0))
        for odd in (np.nan, np.inf, -np.inf):
            assert self.value(logits=(0.0, 1.0, odd), available=(1, 1, 0)) == on

    def test_a_logit_of_minus_infinity_is_a_category_nobody_chooses(self):
        assert self.value(logits=(0.0, 1.0, -np.inf)) == self.value(available=(1, 1, 0))

    def test_shares(self):
        """Far below the highest logit of the menu is rare; above it, off the menu, is nothing."""
        logits = [[-1000.0, -1001.0, 900.0], [-np.inf, 0.0, np.nan], [0.0, -800.0, np.inf]]
        shares = masked_shares(logits, [[True, True, False]] * 3).eval()
        np.testing.assert_allclose(shares[0], [*special.softmax([1.0, 0.0]), 0.0], rtol=1e-14)
        assert shares[1].tolist() == [0.0, 1.0, 0.0]
        assert shares[2].tolist() == [1.0, 0.0, 0.0]

    @pytest.mark.parametrize("logit", [np.nan, np.inf])
    def test_no_shares(self, logit):
        shares = masked_shares([[0.0, logit], [0.0, 0.0]], [[True, True], [False, False]]).eval()
        assert np.isnan(shares).all()


class TestMisfit:
    """Loops do not check each index, so shapes are checked before."""

    @pytest.mark.parametrize("index", [-1, C])
    def test_cluster_that_is_none(self, index):
        with pytest.raises(IndexError, match="not that of a cluster"):
            cluster_logits(np.zeros((C, K, 2)), [index], np.zeros((1, 2)), 0).eval()

    @pytest.mark.parametrize(
        ("cluster", "design"), [([0, 1], np.zeros((3, 2))), ([0, 1, 2], np.zeros((3, 3)))]
    )
    def test_logits(self, cluster, design):
        with pytest.raises(ValueError, match="do not fit"):
            cluster_logits(np.zeros((C, K, 2)), cluster, design, 0).eval()

    @pytest.mark.parametrize("which", [0, 1, 2, 3])
    def test_likelihood(self, which):
        inputs = [np.zeros((R, K)), np.zeros((R, K), int), np.zeros(R, int), np.ones((R, K), bool)]
        inputs[which] = inputs[which][1:]
        with pytest.raises(ValueError, match="do not have the same shape"):
            masked_log_likelihood(*inputs)[0].eval()

    def test_shares(self):
        with pytest.raises(ValueError, match="do not have the same shape"):
            masked_shares(np.zeros((R, K)), np.ones((R, K - 1), bool)).eval()

    @pytest.mark.parametrize("which", [1, 2, 3, 4, 5, 6])
    def test_conditioned_effects(self, which):
        _, inputs, _ = example("conditioned 2 coupled")
        inputs[which] = inputs[which][:1]
        with pytest.raises(ValueError, match="fit|not for these"):
            conditioned_effects(*inputs)[0].eval()

    @pytest.mark.parametrize(
        ("which", "change"),
        [
            (0, lambda x: x[:, :2]),
            (1, lambda x: x[:2]),
            (1, lambda x: x[:, :2]),
            (2, lambda x: x[:2]),
            (3, lambda x: x[:2]),
        ],
    )
    def test_contrast_distance(self, which, change):
        _, inputs, _ = example("distance 2 1 means")
        inputs[which] = change(inputs[which])
        with pytest.raises(ValueError, match="do not fit"):
            contrast_distance(*inputs)[0].eval()

    @pytest.mark.parametrize(
        ("which", "change"),
        [(i, lambda x: x[:2]) for i in range(6)] + [(i, lambda x: x[:, :2]) for i in (0, 1, 3, 4)],
    )
    def test_row_scatter(self, which, change):
        _, inputs, _ = example("scatter 0")
        inputs[which] = change(inputs[which])
        with pytest.raises(ValueError, match="not fit|not for these"):
            row_scatter(*inputs)[0].eval()

    @pytest.mark.parametrize("index", [-1, K + 1])
    def test_reference_that_is_none(self, index):
        for which, operation in (("distance 2 1", contrast_distance), ("scatter 0", row_scatter)):
            *inputs, _ = example(which)[1]
            with pytest.raises(IndexError, match="reference is none"):
                operation(*inputs, index)[0].eval()

    @pytest.mark.parametrize("index", [-1, K + 1])
    def test_base_that_is_none(self, index):
        _, inputs, _ = example("scatter 0")
        inputs[5][3] = index
        with pytest.raises(IndexError, match="base is none"):
            row_scatter(*inputs)[0].eval()


@pytest.fixture(scope="module")
def model():
    data, _ = simulate_counts(n_clusters=5, n_dates=3, random_seed=2)
    return masked_regression(data)


@pytest.mark.slow
class TestInModels:
    def test_the_gradient_in_each_variable_by_itself(self, model):
        """Where only the determinant is differentiated, what is sampled is disconnected."""
        for value in model.value_vars:
            gradient = pytensor.grad(model.logp(), value)
            assert gradient.ndim == value.ndim

    def test_the_heavy_parts_are_loops(self, model):
        function = model.logp_dlogp_function(ravel_inputs=True, mode="NUMBA")
        nodes = function._pytensor_function.maker.fgraph.apply_nodes
        loops = {type(node.op).__name__ for node in nodes if isinstance(node.op, Loop)}
        assert loops == {
            "ClusterLogits",
            "ClusterLogitsBackward",
            "ConditionedEffects",
            "ConditionedEffectsBackward",
            "ContrastDistance",
            "ContrastDistanceBackward",
            "MaskedLogLikelihood",
        }

    def test_the_density_is_that_of_the_plain_graph(self, model):
        point = pm.blocking.DictToArrayBijection.map(model.initial_point()).data
        rng = np.random.default_rng(5)
        numba = get_mode("NUMBA")
        functions = []
        for mode in (numba, numba.including("loops_as_plain_graphs")):
            function = model.logp_dlogp_function(ravel_inputs=True, mode=mode)
            function.set_extra_values({})
            functions.append(function)
        nodes = functions[1]._pytensor_function.maker.fgraph.apply_nodes
        assert not any(isinstance(node.op, Loop) for node in nodes)
        for _ in range(5):
            at = point + rng.normal(0, 0.5, point.shape)
            loops, plain = (function(at) for function in functions)
            np.testing.assert_allclose(loops[0], plain[0], rtol=1e-12)
            largest = np.abs(plain[1]).max()
            np.testing.assert_allclose(loops[1], plain[1], rtol=1e-8, atol=1e-10 * largest)

    @needs_jax
    def test_jax_takes_the_plain_graphs(self, model):
        point = pm.blocking.DictToArrayBijection.map(model.initial_point()).data
        results = []
        for mode in ("NUMBA", "JAX"):
            function = model.logp_dlogp_function(ravel_inputs=True, mode=mode)
            function.set_extra_values({})
            results.append(function(point + 0.1))
        for numba, jax in zip(*results, strict=True):
            np.testing.assert_allclose(jax, numba, rtol=1e-6)


class TestCacheKey:
    """The compile cache on disk notices when a loop is edited, or what it calls; nothing else."""

    def test_covers_what_a_loop_calls(self):
        text = _sources(MaskedLogLikelihood.kernel)
        assert "def _likelihood_kernel" in text and "def _exp_of_distances" in text
        assert "class MaskedLogLikelihood" not in text

    def test_covers_a_loop_made_for_a_number_of_effects(self):
        text = _sources(ConditionedEffects(2).kernel)
        assert "def kernel" in text and "def prior(" in text and "def function(" in text
        assert "def prior_backward" not in text

    def test_loops_for_other_numbers_of_effects_are_other_operations(self):
        assert ConditionedEffects(2) == ConditionedEffects(2) != ConditionedEffects(3)

        assert ContrastDistance(2) == ContrastDistance(2) != ContrastDistance(3)

    @pytest.mark.parametrize("which", ["conditioned 2 coupled", "distance 2 1", "scatter 2"])
    def test_loops_survive_pickling(self, which):
        op, inputs, _ = example(which)
        copy = pickle.loads(pickle.dumps(op))
        assert copy == op
        for got, expected in zip(copy.kernel(*inputs), op.kernel(*inputs), strict=True):
            np.testing.assert_array_equal(got, expected)
