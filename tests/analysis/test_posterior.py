"""What was sampled is kept, and read again for the same table and model only."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers import CategoryCounts, ConvergenceError, simulate_counts
from helpers.analysis import (
    AnalysisOptions,
    NotConverged,
    Unfinished,
    analyse,
    choose,
    fit_choice,
    keep_draws,
    label_draws,
    read_posterior,
)


@pytest.fixture(scope="module")
def data():
    return simulate_counts(
        n_clusters=3, n_dates=4, n_categories=3, unavailable=(0.4, 0, 0), random_seed=1
    )[0]


@pytest.fixture(scope="module")
def fit(data, prior_of):
    """A choice, its model, and draws from the prior that say what they are of."""
    choice = choose(data)
    model, idata = prior_of(choice)
    idata["posterior"].attrs["settings"] = "drawn from the prior"
    return choice, model, label_draws(idata, choice, AnalysisOptions(cluster="shop"))


@pytest.fixture
def stored(fit, tmp_path):
    fit[2].to_netcdf(tmp_path / "posterior.nc", engine="h5netcdf")
    return tmp_path / "posterior.nc"


class TestReading:
    def test_draws_come_back(self, fit, stored):
        choice, model, idata = fit
        again = read_posterior(stored, choice, model)["posterior"]
        xr.testing.assert_allclose(again["preference"], idata["posterior"]["preference"])
        assert again.attrs["options"] == '{"cluster": "shop"}'
        assert again.attrs["settings"] == "drawn from the prior"
        assert again.attrs["kept"] == str(stored)

    @pytest.mark.parametrize("change", ["counts", "menus", "cluster", "date", "predictors"])
    def test_of_another_table(self, fit, stored, change):
        choice, model, _ = fit
        data = choice.data
        counts, menus = data.counts.copy(), data.available.copy()
        counts[0, 1] += change == "counts"
        menus[np.flatnonzero(counts[:, 0] == 0)[0], 0] ^= change == "menus"
        parts = {
            "counts": counts,
            "available": menus,
            "cluster": data.cluster[::-1] if change == "cluster" else data.cluster,
            "date": data.date[::-1] if change == "date" else data.date,
            "predictors": data.predictors * (2 if change == "predictors" else 1),
        }
        other = replace(choice, data=CategoryCounts(categories=data.categories, **parts))
        with pytest.raises(ValueError, match="posterior.nc are of another table"):
            read_posterior(stored, other, model)

    def test_of_another_model(self, fit, stored):
        choice, model, _ = fit
        other = replace(choice, drift=None, spreads="contrast")
        with pytest.raises(
            ValueError,
            match="another model: drift walk there, None here; spreads category there, contrast",
        ):
            read_posterior(stored, other, model)

    def test_of_an_older_version(self, fit, tmp_path):
        choice, model, idata = fit
        old = idata["posterior"].to_dataset().drop_attrs()
        path = tmp_path / "old.nc"
        xr.DataTree.from_dict({"posterior": old}).to_netcdf(path, engine="h5netcdf")
        with pytest.warns(UserWarning, match="does not say which table"):
            read_posterior(path, choice, model)
        without = old.drop_vars("effects_mean")
        other = xr.DataTree.from_dict({"posterior": without})
        other.to_netcdf(path, engine="h5netcdf")
        with pytest.raises(
            ValueError, match="older version of this package, are not those.*effects_mean is missi"
        ):
            read_posterior(path, choice, model)
        shops = old.assign_coords(cluster=["x", "y", "z"])
        other = xr.DataTree.from_dict({"posterior": shops})
        other.to_netcdf(path, engine="h5netcdf")
        with pytest.raises(ValueError, match="of other cluster labels"):
            read_posterior(path, choice, model)

    def test_what_is_no_posterior(self, fit, tmp_path):
        choice, model, _ = fit
        with pytest.raises(FileNotFoundError, match=r"none\.nc"):
            read_posterior(tmp_path / "none.nc", choice, model)
        (tmp_path / "text.nc").write_text("no draws")
        with pytest.raises(ValueError, match=r"text\.nc cannot be read as draws"):
            read_posterior(tmp_path / "text.nc", choice, model)
        empty = xr.DataTree.from_dict({"prior": xr.Dataset({"x": 1})})
        empty.to_netcdf(tmp_path / "empty.nc", engine="h5netcdf")
        with pytest.raises(ValueError, match=r"empty\.nc cannot be read as draws"):
            read_posterior(tmp_path / "empty.nc", choice, model)


class TestKeeping:
    def test_what_was_sampled_is_kept_and_named(self, fit, tmp_path):
        choice, model, idata = fit
        with pytest.raises(Unfinished, match="Counting failed: IndexError: five") as found:
            with keep_draws(idata, tmp_path / "out", "Counting"):
                raise IndexError("five")
        path = tmp_path / "out/unfinished-posterior.nc"
        assert found.value.kept == path and str(path) in str(found.value)
        assert isinstance(found.value.__cause__, IndexError)
        assert [p.name for p in (tmp_path / "out").iterdir()] == [path.name]
        read_posterior(path, choice, model)

    def test_in_a_folder_of_its_own_if_none_is_given(self, fit):
        with pytest.raises(Unfinished) as found, keep_draws(fit[2], None, "Counting"):
            raise ValueError
        assert found.value.kept.is_file()
        found.value.kept.unlink()
        found.value.kept.parent.rmdir()

    def test_the_first_failure_is_the_one_that_is_told(self, fit, tmp_path):
        with pytest.raises(Unfinished, match="^Counting failed"):
            with keep_draws(fit[2], tmp_path, "Writing"), keep_draws(fit[2], tmp_path, "Counting"):
                raise ValueError

    def test_ctrl_c_passes_and_leaves_nothing(self, fit, tmp_path):
        with pytest.raises(KeyboardInterrupt), keep_draws(fit[2], tmp_path / "out", "Counting"):
            raise KeyboardInterrupt
        assert list(tmp_path.iterdir()) == []

    def test_a_full_disk_is_said_beside_the_failure(self, fit, tmp_path):
        (tmp_path / "out").write_text("a file where the folder should be")
        with pytest.raises(Unfinished, match="IndexError.*could not be kept, either") as found:
            with keep_draws(fit[2], tmp_path / "out", "Counting"):
                raise IndexError
        assert found.value.kept is None


@pytest.fixture
def sampled(fit, monkeypatch):
    """Draws that take no sampler, and pass for converged."""
    table = pd.DataFrame({"rhat": [1.0], "ess_bulk": [900.0], "ess_tail": [800.0]})
    measured = SimpleNamespace(check=lambda: table)
    monkeypatch.setattr("helpers.analysis.fit._sampled", lambda model, **_: (fit[2], measured))
    monkeypatch.setattr("helpers.analysis.fit.measure_convergence", lambda idata: measured)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["check_predictions", "all_tables", "Analysis.report"])
def test_a_step_that_fails_loses_nothing(step, data, sampled, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise ZeroDivisionError("too bad")

    with monkeypatch.context() as patched:
        patched.setattr(f"helpers.analysis.analysis.{step}", fail)
        with pytest.raises(Unfinished, match="ZeroDivisionError: too bad.*goes on from") as found:
            analyse(data, output_dir=tmp_path / "out", progressbar=False)
    kept = tmp_path / "out/unfinished-posterior.nc"
    assert found.value.kept == kept
    assert [path.name for path in (tmp_path / "out").iterdir()] == [kept.name]
    if step != "all_tables":
        return
    # It goes on from there, without the sampler.
    monkeypatch.setattr("helpers.analysis.fit._sampled", fail)
    analysis = analyse(data, posterior=kept, output_dir=tmp_path / "out", progressbar=False)
    assert analysis.options.posterior == kept
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"posterior.nc", "report.html", "checks.csv", "comparison.csv"} < names
    # Nothing else fails in a way that sampling could have been spared: it is still where it was.
    with monkeypatch.context() as patched:
        patched.setattr("helpers.analysis.analysis.all_tables", fail)
        with pytest.raises(Unfinished, match=f"are still in {kept}") as found:
            analyse(data, posterior=kept, output_dir=tmp_path / "other", progressbar=False)
    assert not (tmp_path / "other").exists()


@pytest.mark.slow
def test_draws_that_must_not_be_used_are_kept_for_a_look(fit, monkeypatch, tmp_path):
    choice, _, idata = fit
    idata = idata.copy()
    idata["posterior"].attrs.update(tune=2_000, target_accept=0.95)

    def diverged(problem):
        def check():
            raise ConvergenceError(f"The draws must not be used yet: {problem}. Try more.")

        measured = SimpleNamespace(check=check)
        monkeypatch.setattr("helpers.analysis.fit._sampled", lambda model, **_: (idata, measured))
        with pytest.raises(NotConverged) as found:
            fit_choice(choice, AnalysisOptions(output_dir=tmp_path, progressbar=False))
        return found.value

    error = diverged("7 divergent transitions (limit 0)")
    assert error.suggested == {"target_accept": 0.99, "tune": 4_000}
    path = Path(tmp_path) / "unfinished-posterior.nc"
    assert path.is_file()
    assert str(error) == (
        "The draws must not be used yet: 7 divergent transitions (limit 0). Run it again with "
        f"target_accept=0.99, tune=4000. What was sampled is kept in {path}."
    )
    error = diverged("; ".join([*(f"x{i} has ess_bulk 3" for i in range(12)), "and 3 more"]))
    assert error.suggested == {"draws": 4_000, "tune": 4_000}
    assert "x3 has ess_bulk 3; and 11 more. Run" in str(error)
    assert "`spreads`" not in str(error)
    assert "With `spreads` as contrast" in str(diverged("intercept_spread has R-hat 1.1"))
