"""MaskedMultinomial against scipy, exact arithmetic, enumeration and plain PyMC."""

import itertools
import math

import mpmath
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from oracles import PLAIN
from pymc.logprob.utils import ParameterValueError
from pymc.model.fgraph import clone_model
from pymc.model.transform.optimization import freeze_dims_and_data
from pymc.model_graph import model_to_mermaid
from pymc.testing import (
    BaseTestDistributionRandom,
    Domain,
    assert_support_point_is_expected,
    check_logp,
)
from scipy import stats

from helpers import MaskedMultinomial
from helpers.distributions.masked import MaskedMultinomialRV

EPS = np.finfo(float).eps


def compositions(n, k):
    """All ways to share n out over k categories."""
    cuts = itertools.combinations(range(n + k - 1), k - 1)
    return np.array([np.diff([-1, *cut, n + k - 1]) - 1 for cut in cuts])


def menus_of(k):
    """All non-empty menus of k categories."""
    return np.array([m for m in itertools.product([False, True], repeat=k) if any(m)])


def shares(logits, available):
    """Softmax over the menu, in numpy."""
    masked = np.where(available, logits, -np.inf)
    weights = np.exp(masked - masked.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def exact_logp(value, n, logits, available):
    """The formula in 60 digits, and the sum of the sizes of its terms."""
    with mpmath.workdps(60):
        on = [k for k, is_on in enumerate(available) if is_on]
        eta = [mpmath.mpf(float(logits[k])) for k in on]
        log_total = mpmath.log(sum(mpmath.exp(x) for x in eta))
        terms = [mpmath.loggamma(int(n) + 1)]
        terms += [-mpmath.loggamma(int(value[k]) + 1) for k in on]
        terms += [int(value[k]) * (x - log_total) for k, x in zip(on, eta, strict=True)]
        return float(sum(terms)), float(sum(abs(t) for t in terms))


@pytest.fixture(scope="module")
def density():
    """Log-probability and its gradient in the logits, by the default compiler, for any rows."""
    value, n = pt.lmatrix("value"), pt.lvector("n")
    logits, available = pt.dmatrix("logits"), pt.matrix("available", dtype="bool")
    logp = pm.logp(MaskedMultinomial.dist(n, logits, available=available), value)
    return pytensor.function([value, n, logits, available], [logp, pt.grad(logp.sum(), logits)])


@pytest.fixture(scope="module")
def random_rows():
    """Random menus, logits and counts: 200 rows of 6 categories."""
    rng = np.random.default_rng(1)
    available = rng.random((200, 6)) < 0.6
    available[np.arange(200), rng.integers(0, 6, 200)] = True
    logits = rng.normal(0, 2, (200, 6))
    n = rng.choice([0, 1, 7, 300, 20_000], 200)
    value = np.array(
        [rng.multinomial(m, p) for m, p in zip(n, shares(logits, available), strict=True)]
    )
    assert (value[~available] == 0).all()
    return value, n, logits, available


class TestLogp:
    def test_is_scipys_on_the_available_subset(self, density, random_rows):
        value, n, logits, available = random_rows
        expected = []
        for y, m, eta, on in zip(*random_rows, strict=True):
            p = np.exp(eta[on]) / np.exp(eta[on]).sum()
            expected.append(stats.multinomial.logpmf(y[on], m, p) if on.sum() > 1 else 0.0)
        np.testing.assert_allclose(density(*random_rows)[0], expected, rtol=1e-10, atol=1e-9)

    @pytest.mark.parametrize("n", [1, 100, 10**6, 10**9])
    @pytest.mark.parametrize("spread", [1.0, 30.0, 700.0])
    def test_is_exact_for_extreme_logits_and_totals(self, density, n, spread):
        rng = np.random.default_rng(2)
        logits = rng.uniform(-spread, spread, (8, 4))
        available = np.array([[True, True, False, True]] * 8)
        p = np.r_[rng.dirichlet(np.ones(3), 4), shares(logits, available)[4:, [0, 1, 3]]]
        value = np.insert(rng.multinomial(n, p), 2, 0, axis=1)
        logp = density(value, np.full(8, n), logits, available)[0]
        for row in range(8):
            expected, size = exact_logp(value[row], n, logits[row], available[row])
            # Each term is rounded, and so is each log of a sum between 1 and K.
            assert abs(logp[row] - expected) <= 8 * EPS * (size + n)

    def test_sums_to_one_over_the_support_of_every_menu(self, density):
        menus, support = menus_of(4), compositions(5, 4)
        logits = np.random.default_rng(3).normal(0, 2, 4)
        cells = (len(menus) * len(support), 4)
        logp, _ = density(
            np.tile(support, (len(menus), 1)),
            np.full(cells[0], 5),
            np.broadcast_to(logits, cells),
            np.repeat(menus, len(support), axis=0),
        )
        total = np.exp(logp).reshape(len(menus), -1).sum(axis=1)
        np.testing.assert_allclose(total, 1, rtol=1e-13)

    @pytest.mark.parametrize(
        "value", [[3, 1, 0], [4, 0, -1], [-1, 0, 4], [3, 0, 1], [0, 0, 0], [2, -1, 2]]
    )
    def test_of_impossible_counts_is_minus_infinity(self, density, value):
        logp, _ = density([value], [3], np.zeros((1, 3)), [[True, False, True]])
        assert logp == -np.inf

    def test_does_not_change_when_a_constant_is_added_to_a_row(self, density):
        value, on = np.array([[3, 2]]), np.array([[True, True]])
        for constant in (0.0, 1e4, -1e16, 1e300):
            logp, _ = density(value, [5], np.full((1, 2), constant), on)
            assert logp == pytest.approx(math.log(10 / 2**5), abs=1e-13)

    @pytest.mark.parametrize("hidden", [np.nan, np.inf, -np.inf, 1e308])
    def test_and_gradient_do_not_look_at_logits_off_the_menu(self, density, random_rows, hidden):
        value, n, logits, available = random_rows
        plain = density(value, n, np.where(available, logits, 0), available)
        masked = density(value, n, np.where(available, logits, hidden), available)
        np.testing.assert_array_equal(masked[0], plain[0])
        np.testing.assert_array_equal(masked[1], plain[1])

    def test_with_no_counts_or_one_category_is_zero(self, density):
        logp, gradient = density(
            [[0, 0, 0], [0, 8, 0]],
            [0, 8],
            [[1.0, 2.0, 3.0], [5.0, -700.0, 5.0]],
            [[True, True, False], [False, True, False]],
        )
        np.testing.assert_allclose(logp, 0, atol=1e-12)
        np.testing.assert_array_equal(gradient, np.zeros((2, 3)))

    def test_is_the_same_from_p_and_from_logits(self, random_rows):
        value, n, logits, available = random_rows
        preference = shares(logits, np.ones_like(available))
        by_p = pm.logp(MaskedMultinomial.dist(n, p=preference, available=available), value)
        by_logits = pm.logp(MaskedMultinomial.dist(n, logits, available=available), value)
        difference = (by_p - by_logits).eval(mode=PLAIN)
        np.testing.assert_allclose(difference, 0, atol=1e-8)

    def test_is_pymcs_multinomial_when_everything_is_available(self, random_rows):
        value, n, logits, _ = random_rows
        plain = pm.Multinomial.dist(n, p=pm.math.softmax(logits, axis=-1))
        ours = MaskedMultinomial.dist(n, logits, available=np.ones_like(logits, dtype=bool))
        np.testing.assert_allclose(
            pm.logp(ours, value).eval(mode=PLAIN),
            pm.logp(plain, value).eval(mode=PLAIN),
            rtol=1e-10,
            atol=1e-8,
        )

    def test_handles_p_of_zero(self):
        certain = MaskedMultinomial.dist(n=3, p=[0.0, 0.4, 0.6], available=[True, True, False])
        assert pm.logp(certain, [0, 3, 0]).eval(mode=PLAIN) == 0
        assert pm.logp(certain, [1, 2, 0]).eval(mode=PLAIN) == -np.inf

    def test_broadcasts_a_scalar_total_and_one_row_of_logits_over_menus(self):
        menus = np.array([[True, True, False], [True, True, True]])
        value = np.array([[2, 2, 0], [1, 1, 2]])
        logp = pm.logp(MaskedMultinomial.dist(4, [0.0, 0.0, 0.0], available=menus), value).eval(
            mode=PLAIN
        )
        # 4!/(2! 2!) / 2^4 and 4!/(1! 1! 2!) / 3^4.
        np.testing.assert_allclose(logp, np.log([6 / 16, 12 / 81]), rtol=1e-13)

    # PyMC's Domain casts its missing upper edge.
    @pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
    def test_passes_pymcs_own_check(self):
        def reference(value, n, logits, available):
            on = np.asarray(available, dtype=bool)
            p = np.exp(logits[on]) / np.exp(logits[on]).sum()
            return stats.multinomial.logpmf(value[on], n, p)

        check_logp(
            MaskedMultinomial,
            Domain([[2, 0, 1], [0, 0, 3], [3, 0, 0], [1, 0, 0]], "int64", (None, None)),
            {
                "n": Domain([0, 3, 3, 5], "int64", (0, None)),
                "logits": Domain([[0.0, 1.0, 2.0], [3.0, -1.0, 0.5]], edges=(None, None)),
                "available": Domain([[True, False, True]], "bool", (None, None)),
            },
            reference,
            n_samples=-1,
        )


class TestGradient:
    def test_is_counts_minus_expected_counts(self, density, random_rows):
        value, n, logits, available = random_rows
        expected = value - n[:, None] * shares(logits, available)
        np.testing.assert_allclose(density(*random_rows)[1], expected, rtol=1e-10, atol=1e-10)

    def test_agrees_with_finite_differences(self, density, random_rows):
        value, n, logits, available = (x[n_few] for n_few in [slice(40)] for x in random_rows)
        step, numerical = 1e-5, np.empty_like(logits)
        for k in range(logits.shape[1]):
            shift = step * np.eye(logits.shape[1])[k]
            up, _ = density(value, n, logits + shift, available)
            down, _ = density(value, n, logits - shift, available)
            numerical[:, k] = (up - down) / (2 * step)
        # Truncation is step² n / 6, rounding eps |logp| / step: below 1e-5 of the total.
        scale = 1 + n[:, None]
        gradient = density(value, n, logits, available)[1]
        np.testing.assert_allclose(gradient / scale, numerical / scale, atol=1e-5)

    @pytest.mark.parametrize("size", [1e4, 1e300])
    def test_is_right_at_huge_logits(self, density, size):
        logits = size * np.array([[1.0, -1.0, 0.5], [-1.0, -1.0, 1.0], [1.0, 1.0, -1.0]])
        available = np.array([[True, True, False], [True, True, False], [True, True, True]])
        value = np.array([[4, 0, 0], [1, 3, 0], [2, 1, 1]])
        _, gradient = density(value, [4, 4, 4], logits, available)
        # Shares are 1, 0 | 1/2, 1/2 | 1/2, 1/2, 0.
        np.testing.assert_allclose(gradient, [[0, 0, 0], [-1, 1, 0], [0, -1, 1]], atol=1e-12)


@pytest.fixture(scope="module")
def symbolic():
    n, p, available = pt.lscalar("n"), pt.dvector("p"), pt.dvector("available")
    rv = MaskedMultinomial.dist(n=n, p=p, available=available)
    logp, inputs = pm.logp(rv, np.array([1, 1])), [n, p, available]
    return pytensor.function(inputs, logp), pm.compile(inputs, logp), pm.compile(inputs, rv)


class TestErrors:
    @pytest.mark.parametrize("given", [{}, {"logits": [0.0, 0.0], "p": [0.5, 0.5]}])
    def test_exactly_one_of_logits_and_p(self, given):
        with pytest.raises(ValueError, match="exactly one of `logits` and `p`"):
            MaskedMultinomial.dist(n=2, available=[True, True], **given)

    @pytest.mark.parametrize("p", [[0.5, 0.6], [0.2, 0.2], [-0.1, 1.1], [np.nan, 1.0]])
    def test_constant_p_is_a_distribution(self, p):
        with pytest.raises(ValueError, match="`p` must be non-negative and sum to 1"):
            MaskedMultinomial.dist(n=2, p=p, available=[True, True])

    @pytest.mark.parametrize("available", [[0.5, 1], [2, 1], [-1, 1], [np.nan, 1]])
    def test_constant_menus_are_boolean(self, available):
        with pytest.raises(ValueError, match="only True/False"):
            MaskedMultinomial.dist(n=2, logits=[0.0, 0.0], available=available)

    def test_a_constant_empty_menu_is_refused_by_row(self):
        with pytest.raises(ValueError, match=r"empty at \[\[1\]\]"):
            MaskedMultinomial.dist(n=2, logits=[0.0, 0.0], available=[[1, 1], [0, 0]])

    @pytest.mark.parametrize(
        "changed",
        [
            {"available": [0.0, 0.0]},
            {"available": [0.5, 1.0]},
            {"available": [np.nan, 1.0]},
            {"p": [0.5, 0.6]},
            {"p": [-0.5, 1.5]},
            {"n": -1},
            {"available": [0.0, 1.0], "p": [1.0, 0.0]},
        ],
        ids=str,
    )
    def test_symbolic_violations_raise_when_evaluated(self, symbolic, changed):
        logp, sampled, draw = symbolic
        ok = {"n": 2, "p": [0.5, 0.5], "available": [1.0, 1.0]}
        assert logp(**ok) == sampled(**ok) == pytest.approx(math.log(0.5))
        assert draw(**ok).sum() == 2
        for function in (logp, draw):
            with pytest.raises(ParameterValueError):
                function(**(ok | changed))

    @pytest.mark.parametrize(
        "changed",
        [{"p": [np.nan, 0.5]}, {"p": [0.5, 0.6]}, {"n": -1}, {"available": [0.0, 0.0]}],
        ids=str,
    )
    def test_a_sampler_that_strays_is_turned_back_and_not_stopped(self, symbolic, changed):
        """As for PyMC's own: in a model's log-density, -inf stands for the error."""
        ok = {"n": 2, "p": [0.5, 0.5], "available": [1.0, 1.0]}
        assert symbolic[1](**(ok | changed)) == -np.inf


@pytest.fixture(scope="module")
def rows():
    """Totals, shares and a sampler of four rows: menus that end, begin and skip."""
    n = np.array([3, 40, 10_000, 7])
    logits = np.array([0.5, -1.0, 0.0, 1.5])
    available = np.array([[1, 1, 1, 0], [0, 1, 1, 1], [1, 0, 0, 1], [0, 0, 1, 0]], dtype=bool)
    rng = pytensor.shared(np.random.default_rng(0))
    rv = MaskedMultinomial.dist(n, logits, available=available, size=(20_000, 4), rng=rng)
    function = pm.compile([], rv)

    def draw(seed):
        rng.set_value(np.random.default_rng(seed))
        return function()

    return n, shares(logits, available), draw


class TestRandom(BaseTestDistributionRandom):
    """The shapes PyMC's own tests ask for."""

    pymc_dist = MaskedMultinomial
    pymc_dist_params = {"n": 9, "logits": [0.3, -1.0, 2.0], "available": [True, False, True]}
    expected_rv_op_params = pymc_dist_params
    sizes_to_check = [None, 1, (4,), (2, 3)]
    sizes_expected = [(3,), (1, 3), (4, 3), (2, 3, 3)]
    checks_to_run = ["check_pymc_params_match_rv_op", "check_rv_size"]

    def test_batches_and_shapes(self):
        menus = np.array([[True, False, True], [True, True, True]])
        batch = MaskedMultinomial.dist(n=[[3], [5]], logits=[0.0, 1.0, 2.0], available=menus)
        assert batch.type.shape == (2, 2, 3)
        assert pm.draw(batch, 4, random_seed=1).sum(axis=-1).tolist() == [[[3, 3], [5, 5]]] * 4
        shaped = MaskedMultinomial.dist(n=3, logits=[0.0, 1, 2], available=menus, shape=(5, 2, 3))
        assert shaped.type.shape == (5, 2, 3)
        assert isinstance(shaped.owner.op, MaskedMultinomialRV)

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_moments_are_those_of_theory(self, rows, seed):
        n, p, draw = rows
        x = draw(seed)
        size = len(x)
        covariance = n[:, None, None] * (
            p[:, :, None] * np.eye(p.shape[1]) - p[:, :, None] * p[:, None]
        )
        error = (x.mean(axis=0) - n[:, None] * p) * np.sqrt(size)
        sd = np.sqrt(np.einsum("rkk->rk", covariance))
        assert (error[sd == 0] == 0).all()
        assert (np.abs(error[sd > 0] / sd[sd > 0]) < 4.5).all()
        centred = x - n[:, None] * p
        products = centred[:, :, :, None] * centred[:, :, None]
        error = products.mean(axis=0) - covariance
        standard_error = products.std(axis=0) / np.sqrt(size)
        varies = standard_error > 0
        assert (error[~varies] == 0).all()
        assert (np.abs(error[varies] / standard_error[varies]) < 5).all()

    def test_frequencies_are_those_of_the_enumerated_support(self, rows):
        n, p, draw = rows
        x = draw(4)[:, 0]
        support = compositions(int(n[0]), p.shape[1])
        support = support[(support[:, p[0] == 0] == 0).all(axis=1)]
        pmf = stats.multinomial.pmf(support[:, p[0] > 0], n[0], p[0, p[0] > 0])
        observed = (x[:, None] == support).all(axis=-1).sum(axis=0)
        assert observed.sum() == len(x)
        assert stats.chisquare(observed, len(x) * pmf).pvalue > 1e-4

    def test_never_gives_a_count_off_the_menu(self):
        """Where rounding leaves something over, pm.Multinomial gives it to the last category."""
        flat = np.r_[np.log(np.full(10, 0.1)), np.nan]  # what is off the menu is not looked at
        tiny = np.r_[0.0, np.log(np.full(9, 1e-12)), np.inf]
        n = np.array([[10**9], [2**53]])
        menu = np.r_[np.ones(10, bool), False]
        rv = MaskedMultinomial.dist(n, np.stack([flat, tiny]), available=menu, size=(2_000, 2, 2))
        draws = pm.draw(rv, random_seed=5)
        assert (draws >= 0).all()
        assert (draws[..., -1] == 0).all()
        np.testing.assert_array_equal(draws.sum(axis=-1), np.broadcast_to(n, (2_000, 2, 2)))


class TestSupportPoint:
    @pytest.mark.parametrize(
        ("n", "p", "available", "size", "expected"),
        [
            # Means 4.375 and 2.625.
            (7, [0.5, 0.3, 0.2], [1, 1, 0], None, [4, 3, 0]),
            # Means 0.2, 0.3 and 0.5: rounding each one would leave the total out.
            (1, [0.2, 0.3, 0.5], [1, 1, 1], (2,), [[0, 0, 1]] * 2),
            ([0, 9], [0.25, 0.25, 0.5], [[1, 1, 1], [0, 1, 1]], None, [[0, 0, 0], [0, 3, 6]]),
        ],
    )
    def test_is_the_mean_in_whole_counts(self, n, p, available, size, expected):
        with pm.Model() as model:
            MaskedMultinomial("x", n=n, p=p, available=available, size=size)
        assert_support_point_is_expected(model, np.array(expected))

    def test_sums_to_the_total_on_every_menu(self):
        rng = np.random.default_rng(6)
        menus = menus_of(5)
        n, logits = rng.integers(0, 50, len(menus)), rng.normal(0, 3, menus.shape)
        rv = MaskedMultinomial.dist(n, logits, available=menus)
        point = MaskedMultinomial.support_point(rv, None, *rv.owner.inputs[2:]).eval(mode=PLAIN)
        np.testing.assert_array_equal(point.sum(axis=1), n)
        assert (point[~menus] == 0).all()
        assert (np.abs(point - n[:, None] * shares(logits, menus)) < 1).all()


@pytest.fixture(scope="module")
def model():
    menus = np.array([[True, True, True], [True, False, True]])
    with pm.Model(coords={"row": ["r1", "r2"], "category": list("abc")}) as model:
        z = pm.Normal("z", dims="category")
        shift = pm.Data("shift", np.zeros((2, 3)), dims=("row", "category"))
        available = pm.Data("available", menus, dims=("row", "category"))
        n = pm.Data("n", [10, 6], dims="row")
        MaskedMultinomial(
            "y",
            n,
            z + shift,
            available=available,
            observed=[[5, 3, 2], [4, 0, 2]],
            dims=("row", "category"),
        )
    return model


@pytest.fixture(scope="module")
def draws(model):
    with model:
        draws = pm.sample_prior_predictive(200, random_seed=1)
    draws["posterior"] = draws["prior"]
    return draws


class TestInAModel:
    # At z = 0: 10!/(5! 3! 2!) / 3^10 and 6!/(4! 2!) / 2^6.
    AT_ZERO = math.log(2520 / 3**10) + math.log(15 / 2**6)

    def test_logp_and_gradient_compile_in_the_default_mode(self, model):
        prior = 3 * stats.norm.logpdf(0)
        assert model.compile_logp()({"z": np.zeros(3)}) == pytest.approx(self.AT_ZERO + prior)
        # y - n p, added up over the rows.
        np.testing.assert_allclose(
            model.compile_dlogp()({"z": np.zeros(3)}), [5 - 10 / 3 + 1, 3 - 10 / 3, 2 - 10 / 3 - 1]
        )

    def test_frozen_data_do_not_change_the_logp(self, model):
        frozen = freeze_dims_and_data(model)
        assert sum(frozen.point_logps(round_vals=10).values()) == pytest.approx(
            self.AT_ZERO + 3 * stats.norm.logpdf(0)
        )

    def test_prior_predictive_stays_on_the_menu(self, draws):
        y = draws["prior_predictive"]["y"]
        assert (y.sum("category") == [10, 6]).all()
        assert (y.sel(row="r2", category="b") == 0).all()
        assert (y.sel(row="r1", category="b") > 0).any()

    def test_log_likelihood_is_stored_by_row(self, model, draws):
        stored = pm.compute_log_likelihood(draws.copy(), model=model, progressbar=False)
        p = shares(draws["posterior"]["z"].to_numpy()[0][:, None], model["available"].get_value())
        expected = [
            stats.multinomial.logpmf([5, 3, 2], 10, p[:, 0]),
            stats.multinomial.logpmf([4, 2], 6, p[:, 1][:, [0, 2]]),
        ]
        logp = stored["log_likelihood"]["y"]
        assert logp.dims == ("chain", "draw", "row")
        np.testing.assert_allclose(logp[0], np.transpose(expected), rtol=1e-9)

    def test_predictions_follow_a_changed_menu(self, model, draws):
        menus = np.array([[0, 1, 1], [1, 1, 0], [0, 0, 1], [1, 1, 1]], dtype=bool)
        changed = {"available": menus, "n": [4, 50, 6, 70], "shift": np.zeros((4, 3))}
        with clone_model(model):  # the other tests keep their data
            pm.set_data(changed, coords={"row": list("pqrs")})
            new = pm.sample_posterior_predictive(
                draws, predictions=True, progressbar=False, random_seed=2
            )
        y = new["predictions"]["y"].to_numpy()[0]
        assert y.shape == (200, 4, 3)
        assert (y[:, ~menus] == 0).all()
        assert (y[:, menus].max(axis=0) > 0).all()
        np.testing.assert_array_equal(y.sum(axis=-1), np.tile([4, 50, 6, 70], (200, 1)))
        # Averages of the shares given the draws, with the multinomial's own scatter.
        p = shares(draws["posterior"]["z"].to_numpy()[0][:, None], menus)
        n = np.array([4, 50, 6, 70])[:, None]
        sd = np.sqrt((n * p * (1 - p)).sum(axis=0))
        z = (y - n * p).sum(axis=0)[sd > 0] / sd[sd > 0]
        assert (np.abs(z) < 4.5).all()

    def test_do_and_observe_keep_it(self):
        with pm.Model() as model:
            logits = pm.Normal("logits", shape=3)
            MaskedMultinomial("y", 7, logits, available=[True, False, True])
        fixed = pm.do(model, {"logits": np.array([0.0, 9.0, 60.0])})
        assert pm.draw(fixed["y"], 3, random_seed=1).tolist() == [[0, 0, 7]] * 3
        seen = pm.observe(model, {"y": [3, 0, 4]})
        logp = seen.compile_logp(vars=[seen["y"]])({"logits": np.zeros(3)})
        assert logp == pytest.approx(math.log(35 / 2**7))

    def test_can_be_printed_and_drawn(self, model):
        assert "y ~ MaskedMultinomial(" in model.str_repr()
        assert "MaskedMultinomial" in model.str_repr(formatting="latex")
        # PyMC's graphs show an operation's plain name, as in Dirichlet_multinomial.
        assert "y ~ Masked_multinomial" in model_to_mermaid(model)

    def test_a_latent_count_starts_on_the_menu(self):
        with pm.Model() as model:
            MaskedMultinomial("y", 7, [0.0, 1.0, 2.0], available=[True, True, False])
        start = model.initial_point()["y"]
        # Means 7 / (1 + e) = 1.88 and 5.12.
        assert start.tolist() == [2, 5, 0]


@pytest.mark.parametrize(
    ("n", "shown"),
    [(10.7, "10.7"), (np.nan, "nan"), (np.inf, "inf"), ([3.0, 4.0, 5.0, 2.5], "2.5")],
)
def test_a_constant_total_that_is_not_whole_is_refused_and_shown(n, shown):
    with pytest.raises(ValueError, match=rf"whole numbers: found \[{shown}\]"):
        MaskedMultinomial.dist(n=n, logits=[0.0, 1.0], available=[1, 1])


def test_a_whole_total_may_be_a_float():
    draw = pm.draw(MaskedMultinomial.dist(n=10.0, logits=[0.0, 1.0], available=[1, 1]))
    assert draw.sum() == 10
