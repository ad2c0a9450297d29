"""Regressions on many simulated tables: right ones pass, and planted faults are found."""

import os
import signal
import sys
import threading

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from pymc.logprob.transforms import LogTransform

from helpers import calibrate, simulate_counts
from helpers.models import ManyTables, masked_regression

REFERENCE = {"reference": "category 1", "progressbar": False, "random_seed": 1}
QUICK = {"draws": 300, "tune": 300, "chains": 2}


def table(totals=(20, 60), clusters=6, dates=3, effects="intercepts"):
    return simulate_counts(
        clusters,
        dates,
        3,
        unavailable=(0, 0, 0.4),
        n_range=totals,
        effects=effects,
        random_seed=1,
    )[0]


@pytest.fixture(scope="module")
def found():
    return calibrate(table(), effects="pooled", simulations=60, sampling=QUICK, **REFERENCE)


@pytest.mark.slow
class TestOneModel:
    def test_that_is_right_passes(self, found):
        assert found.right, found.table
        assert found.positions.shape == (60, 100, 3)
        assert list(found.table.index) == ["intercept", "log likelihood"]
        assert found.ranks.columns.get_level_values("element").tolist()[0] == "category 2"
        assert (found.simulations["refused"] == "").all()

    @pytest.mark.second_seed
    def test_with_matrices_ranks_what_varies_in_them(self):
        found = calibrate(
            table(effects="slopes"), covariance="kronecker", simulations=20,
            sampling={"draws": 100, "tune": 100, "chains": 2}, **REFERENCE,
        )  # fmt: skip
        elements = found.table["elements"].to_dict()
        # Of a triangle of two rows, what is above the diagonal is 0, and its first entry is 1.
        assert elements["effects_category_corr_chol"] == elements["effects_effect_corr_chol"] == 2
        assert elements["effects"] == 6 * 2 * 2
        labels = found.ranks["effects_category_corr_chol"].columns.tolist()
        assert labels == ["1, 0", "1, 1"]

    def test_gives_the_same_in_other_processes(self, found):
        distributed = pytest.importorskip("distributed")
        with (
            distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=":0") as cluster,
            distributed.Client(cluster) as client,
        ):
            pids = list(client.run(os.getpid).values())
            # One worker dies while it works; its nanny starts another, and its tasks are repeated.
            killer = threading.Timer(9, os.kill, (pids[0], signal.SIGKILL))
            killer.start()
            elsewhere = calibrate(
                table(), effects="pooled", simulations=60, sampling=QUICK, client=client,
                **REFERENCE,
            )  # fmt: skip
            killer.cancel()
            assert pids[0] not in client.run(os.getpid).values()
        np.testing.assert_array_equal(elsewhere.positions, found.positions)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Kept, but take note")
class TestPlantedFaults:
    def verdicts(self, data=None, simulations=100, **options):
        options = {"sampling": QUICK} | REFERENCE | options
        found = calibrate(data or table(), simulations=simulations, **options)
        return (
            found.table["verdict"]
            .drop(
                [name for name in found.table.index if found.table.loc[name, "verdict"] == "right"]
            )
            .to_dict()
        )

    def test_a_likelihood_without_menus(self):
        found = self.verdicts(
            effects="pooled", availability="ignored", truth={"availability": "known"}
        )
        assert "intercept" in found

    def test_a_prior_twice_as_wide(self):
        # Where a table says little, the posterior is nearly the prior.
        def wide(name, **kwargs):
            return pm.Normal(name, 0, 3, **kwargs)

        def narrow(name, **kwargs):
            return pm.Normal(name, 0, 1.5, **kwargs)

        found = self.verdicts(
            table(totals=(1, 1), clusters=2, dates=1),
            effects="pooled",
            priors={"intercept": wide},
            truth={"priors": {"intercept": narrow}},
        )
        # Ranks of the intercepts alone do not show it with so few simulations.
        assert found == {"log likelihood": "too high"}

    # Three minutes on two busy cores: for the longer round.
    @pytest.mark.second_seed
    def test_a_wrong_jacobian(self, monkeypatch):
        # Counted twice: with none at all a spread would have no proper posterior.
        right = LogTransform.log_jac_det
        monkeypatch.setattr(LogTransform, "log_jac_det", lambda *args: 2 * right(*args))
        assert self.verdicts(effects="intercepts")["intercept_spread"] == "too high"

    def test_a_posterior_that_is_its_prior(self, monkeypatch):
        def prior_only(self, data, random_seed, **sampling):
            model = masked_regression(data, **self.options)
            draws = pm.sample_prior_predictive(
                200, model, random_seed=random_seed, var_names=["intercept"]
            )
            two = draws["prior"].to_dataset().isel(chain=[0, 0])
            return model, xr.DataTree.from_dict(
                {"posterior": two, "sample_stats": two.rename(intercept="diverging") > np.inf}
            )

        monkeypatch.setattr(ManyTables, "fit", prior_only)
        assert self.verdicts(effects="pooled") == {"log likelihood": "too low"}


class TestRefusals:
    def test_no_reference(self):
        with pytest.raises(ValueError, match="Name the reference"):
            calibrate(table(), effects="pooled")

    def test_a_prior_that_cannot_be_drawn_from(self):
        def flat(name, **kwargs):
            return pm.Flat(name, **kwargs)

        with pytest.raises(ValueError, match="cannot be drawn from"):
            calibrate(table(), effects="pooled", priors={"intercept": flat}, **REFERENCE)

    def test_a_scheduler_that_does_not_answer(self, monkeypatch):
        pytest.importorskip("distributed")
        monkeypatch.setattr("helpers.diagnostics._spread.SECONDS_TO_CONNECT", 1)
        with pytest.raises(ValueError, match="No Dask scheduler answers"):
            calibrate(table(), effects="pooled", client="tcp://127.0.0.1:9", **REFERENCE)

    def test_without_dask_says_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "distributed", None)
        with pytest.raises(ImportError, match="pip install"):
            calibrate(table(), effects="pooled", client="local", **REFERENCE)
