"""The gate lets a recovered truth pass and names each kind that is missed."""

import warnings

import arviz as az
import numpy as np
import pytest
import xarray as xr

from helpers import RecoveryError, check_recovery

CITIES = ["Rome", "Oslo"]


def tree(draws):
    """Draws of a variable over (city, k), as pm.sample would return them."""
    return az.from_dict(
        {"posterior": {"x": draws}}, coords={"city": CITIES}, dims={"x": ["city", "k"]}
    )


@pytest.fixture
def draws():
    return np.random.default_rng(1).normal(size=(4, 1_000, 2, 3))


class TestRecovery:
    @pytest.fixture
    def calibrated(self):
        """200 truths and posteriors with the right scatter about them."""
        rng = np.random.default_rng(3)
        truth, sd = rng.normal(size=200), rng.uniform(0.1, 2, 200)
        centre = rng.normal(truth, sd)
        return rng.normal(centre, sd, (4, 500, 200)), truth, sd

    def test_calibrated_posteriors_pass_without_a_warning(self, calibrated):
        draws, truth, _ = calibrated
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            table = check_recovery(az.from_dict({"posterior": {"x": draws}}), {"x": truth})
        # 200 intervals of 89 %: 4.4 points are two standard errors.
        assert table.loc["x", "coverage"] == pytest.approx(0.89, abs=0.07)
        assert table.loc["x", "elements"] == 200
        error = draws.mean(axis=(0, 1)) - truth
        assert table.loc["x", "mean_error"] == pytest.approx(error.mean())
        assert table.loc["x", "rmse"] == pytest.approx(np.sqrt((error**2).mean()))

    def test_one_truth_far_away_is_noticed(self, calibrated):
        draws, truth, _ = calibrated
        truth[7] = draws[..., 7].mean() + 6.5 * draws[..., 7].std()
        with pytest.raises(RecoveryError, match="x is up to 6.5 standard deviations off"):
            check_recovery(az.from_dict({"posterior": {"x": draws}}), {"x": truth})

    def test_a_common_shift_is_noticed(self, calibrated):
        draws, truth, sd = calibrated
        with pytest.raises(RecoveryError, match="of 200 intervals of x contain the truth"):
            check_recovery(
                az.from_dict({"posterior": {"x": draws + 1.5 * sd}}), {"x": truth}, max_z=np.inf
            )

    def test_too_narrow_a_posterior_is_noticed(self, calibrated):
        draws, truth, _ = calibrated
        centre = draws.mean(axis=(0, 1))
        narrow = az.from_dict({"posterior": {"x": centre + 0.5 * (draws - centre)}})
        with pytest.raises(RecoveryError, match="intervals of x contain the truth"):
            check_recovery(narrow, {"x": truth}, max_z=np.inf)

    def test_draws_that_are_no_numbers_do_not_pass(self, calibrated):
        draws, truth, _ = calibrated
        draws[:, :, 3] = np.nan
        with pytest.raises(RecoveryError, match="x is up to"):
            check_recovery(az.from_dict({"posterior": {"x": draws}}), {"x": truth})

    def test_a_truth_that_is_no_number_does_not_pass(self, calibrated):
        draws, truth, _ = calibrated
        truth[3] = np.nan
        with pytest.raises(RecoveryError, match="x is up to"):
            check_recovery(az.from_dict({"posterior": {"x": draws}}), {"x": truth})

    def test_intervals_are_equal_tailed(self):
        """Draws 0, 1, ..., 100: the 80 % interval runs from 10 to 90."""
        draws = np.stack([np.arange(101.0).reshape(1, 101)] * 4, axis=-1)
        truth = {"x": np.array([9.0, 11.0, 89.0, 91.0])}
        table = check_recovery(az.from_dict({"posterior": {"x": draws}}), truth, prob=0.8)
        assert table.loc["x", "coverage"] == 0.5
        # Standard deviation of 0, ..., 100: sqrt((101² - 1) / 12).
        assert table.loc["x", "largest_z"] == pytest.approx(41 / np.sqrt(850))

    def test_labelled_truth_is_matched_by_label_and_dim(self, draws):
        expected = np.array([[0, 10, 20], [30, 40, 50.0]])
        idata = tree(draws + expected)
        truth = xr.DataArray(expected, dims=("city", "k"), coords={"city": CITIES, "k": range(3)})
        turned = truth.isel(city=[1, 0], k=[2, 0, 1]).transpose("k", "city")
        check_recovery(idata, xr.Dataset({"x": turned}))
        with pytest.raises(RecoveryError):
            check_recovery(idata, {"x": turned.to_numpy().T})

    def test_a_truth_of_another_shape_is_refused(self, draws):
        with pytest.raises(ValueError, match=r"'x' has shape \(3, 2\).*\(2, 3\)"):
            check_recovery(tree(draws), {"x": np.zeros((3, 2))})
        assert check_recovery(tree(draws), {"x": 0.0}).loc["x", "elements"] == 6

    def test_a_constant_is_right_or_wrong(self, draws):
        draws[..., 0, 0] = 0.0
        check_recovery(tree(draws), {"x": np.zeros((2, 3))})
        truth = np.zeros((2, 3))
        truth[0, 0] = 1e-9
        with pytest.raises(RecoveryError, match="x is up to inf"):
            check_recovery(tree(draws), {"x": truth})
