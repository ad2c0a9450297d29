"""The gate lets converged draws pass and names each kind that has not."""

import warnings

import arviz as az
import numpy as np
import pytest
import xarray as xr

from helpers import ConvergenceError, check_convergence

CITIES = ["Rome", "Oslo"]


def tree(draws, diverging=None, name="x"):
    """Draws of a variable over (city, k), as pm.sample would return them."""
    groups = {"posterior": {name: draws}}
    if diverging is not None:
        groups["sample_stats"] = {"diverging": diverging}
    return az.from_dict(groups, coords={"city": CITIES}, dims={name: ["city", "k"]})


@pytest.fixture
def draws():
    """Independent draws: R-hat 1, effective sample size 4,000."""
    return np.random.default_rng(1).normal(size=(4, 1_000, 2, 3))


class TestConvergence:
    def test_independent_draws_pass_without_a_warning(self, draws):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            table = check_convergence(tree(draws, np.zeros((4, 1_000), bool)))
        line = table.loc["x"]
        assert (line["elements"], line["constant"]) == (6, 0)
        assert 0.999 < line["rhat"] < 1.01
        assert 3_000 < line["ess_bulk"] < 5_000 and 3_000 < line["ess_tail"] < 5_000

    def test_a_stuck_chain_is_named_by_element(self, draws):
        draws[2, :, 1, 2] = 0.3
        with pytest.raises(ConvergenceError, match=r"x\[Oslo, 2\] has R-hat 1\.\d+ \(limit 1.01\)"):
            check_convergence(tree(draws))

    def test_chains_in_different_places_are_named_by_element(self, draws):
        draws[:, :, 0, 1] += np.arange(4)[:, None]
        with pytest.raises(ConvergenceError, match=r"x\[Rome, 1\] has R-hat"):
            check_convergence(tree(draws))

    def test_few_effective_draws_are_named_by_element(self, draws):
        """A random walk through white noise: each draw repeated 40 times."""
        draws[:, :, 1, 0] = np.repeat(draws[:, :25, 1, 0], 40, axis=1)
        with pytest.raises(ConvergenceError, match=r"x\[Oslo, 0\] has ess_bulk \d+ \(limit 400\)"):
            check_convergence(tree(draws), rhat=np.inf)

    def test_poor_tails_are_named_by_element(self, draws):
        """Good in the middle, but the lowest tenth is visited once and for all."""
        draws[:, :, 1, 1] = np.sort(draws[:, :, 1, 1], axis=1)
        rest = np.random.default_rng(2).permuted(draws[:, 100:, 1, 1], axis=1)
        draws[:, 100:, 1, 1] = rest
        with pytest.raises(ConvergenceError, match=r"x\[Oslo, 1\] has ess_tail"):
            check_convergence(tree(draws), rhat=np.inf, ess=500)

    def test_divergences_are_counted_against_the_limit(self, draws):
        diverging = np.zeros((4, 1_000), bool)
        diverging[1, [3, 5]] = True
        with pytest.raises(ConvergenceError, match=r"2 divergent transitions \(limit 0\)"):
            check_convergence(tree(draws, diverging))
        check_convergence(tree(draws, diverging), divergences=2)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    @pytest.mark.parametrize("where", [slice(None), (0, 5)])
    def test_draws_that_are_not_finite_are_named_by_element(self, draws, bad, where):
        draws[..., 1, 2][where] = bad
        with pytest.raises(ConvergenceError, match=r"x\[Oslo, 2\] has draws that are not finite"):
            check_convergence(tree(draws))

    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_too_few_draws_to_tell_do_not_pass(self, draws, n):
        with (
            warnings.catch_warnings(action="ignore"),  # ArviZ: more chains than draws
            pytest.raises(ConvergenceError, match="too few draws|has ess"),
        ):
            check_convergence(tree(draws[:, :n]))

    def test_one_chain_or_no_draws_are_refused(self, draws):
        with pytest.raises(ValueError, match="one only: sample at least 2"):
            check_convergence(tree(draws[:1]))
        with warnings.catch_warnings(action="ignore"), pytest.raises(ValueError, match="no draws"):
            check_convergence(tree(draws[:, :0]))

    def test_constant_elements_are_left_out_and_counted(self, draws):
        draws[..., 0, 0] = 1.0
        table = check_convergence(tree(draws))
        assert table.loc["x", "constant"] == 1
        draws[..., 1, 0] *= np.where(np.arange(4) == 3, 9, 1)[:, None]  # still judged: the others
        with pytest.raises(ConvergenceError, match=r"x\[Oslo, 0\]"):
            check_convergence(tree(draws))

    def test_discrete_variables_are_judged_too(self):
        stuck = np.repeat([[1], [2], [3], [4]], 1_000, axis=1)
        with pytest.raises(ConvergenceError, match="k has R-hat"):
            check_convergence(az.from_dict({"posterior": {"k": stuck}}))

    def test_only_the_named_variables_are_judged(self, draws):
        groups = {"posterior": {"good": draws, "bad": draws * np.arange(1, 5)[:, None, None, None]}}
        idata = az.from_dict(groups)
        for names in (["good"], "good"):
            assert check_convergence(idata, var_names=names).index.tolist() == ["good"]
        with pytest.raises(ConvergenceError, match="bad"):
            check_convergence(idata)

    def test_measures_are_those_of_arviz_for_elements_that_repeat_each_other_too(self, draws):
        """Across variables and dims in any order; a constant takes no other's place."""
        draws[..., 1, :] = draws[..., 0, :]
        draws[..., 1, 2] *= 1 + 0.2 * np.arange(4)[:, None]
        once = draws[..., 0, 1]
        posterior = {"x": draws, "same": once, "still": np.ones_like(once), "other": once + 1e-9}
        idata = az.from_dict({"posterior": posterior})
        dataset = idata["posterior"].to_dataset()
        turned = dataset.assign(x=dataset["x"].transpose("x_dim_1", "draw", "x_dim_0", "chain"))
        for given in (idata, xr.DataTree.from_dict({"posterior": turned})):
            table = check_convergence(given, rhat=9, ess=0)
            assert np.isnan(table.loc["still", "rhat"])
            for name in ("x", "same", "other"):
                for measure, expected in (
                    ("rhat", az.rhat(dataset[name]).max()),
                    ("ess_bulk", az.ess(dataset[name], method="bulk").min()),
                    ("ess_tail", az.ess(dataset[name], method="tail").min()),
                ):
                    assert table.loc[name, measure] == pytest.approx(float(expected), rel=1e-9)

    def test_limits_can_be_set(self, draws):
        check_convergence(tree(draws), rhat=1.1, ess=100)
        with pytest.raises(ConvergenceError, match="limit 9000"):
            check_convergence(tree(draws), ess=9_000)
