"""Draws that memory has no room for go to the disk, and an analysis goes on from there."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers import ConvergenceError, check_convergence, masked_regression, simulate_counts
from helpers.analysis import (
    AnalysisOptions,
    NotConverged,
    Unfinished,
    analyse,
    build_model,
    choose,
    fit_choice,
    is_on_disk,
    keep_on_disk,
    on_disk,
    open_draws,
    plan_sampling,
    sample_on_disk,
)

pytestmark = pytest.mark.filterwarnings("error")

OPTIONS = {"drift": "none", "likelihood": "multinomial", "draws": 400, "tune": 300}
OPTIONS |= {"progressbar": False, "random_seed": 1}


@pytest.fixture(scope="module")
def data():
    return simulate_counts(40, 4, 3, unavailable=(0.2, 0, 0), n_range=(200, 400), random_seed=1)[0]


@pytest.fixture
def no_room(monkeypatch):
    """As if memory had no room for any draws."""
    monkeypatch.setattr(on_disk, "_ROOM", 1.0)


@pytest.fixture(scope="module")
def found(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("large") / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(on_disk, "_ROOM", 1.0)
        return analyse(data, output_dir=folder, **OPTIONS), folder


@pytest.fixture(scope="module")
def model(data):
    return masked_regression(data, effects="intercepts")


class TestPlan:
    def test_what_fits_stays_in_memory(self, data):
        plan = plan_sampling(choose(data), AnalysisOptions())
        assert (plan.draws, plan.tune, plan.on_disk, plan.words) == (2_000, 1_000, False, "")

    def test_what_does_not_fit_goes_to_the_disk_with_fewer_draws(self, data, monkeypatch):
        # An intercept and a slope of 2 contrasts in 40 clusters.
        needed = 4 * 2_000 * 8 * 40 * 2 * 2
        choice = choose(data, **{"drift": "none"})
        monkeypatch.setattr(on_disk, "_ROOM", needed)
        assert not plan_sampling(choice, AnalysisOptions()).on_disk
        monkeypatch.setattr(on_disk, "_ROOM", needed - 1)
        plan = plan_sampling(choice, AnalysisOptions())
        assert plan.on_disk and (plan.draws, plan.tune) == (800, 300)
        assert plan.words.startswith("2,000 draws of 160 effects in each chain would take 0.0 GB")

    def test_numbers_that_are_asked_for_are_kept(self, data, no_room):
        plan = plan_sampling(choose(data), AnalysisOptions(draws=70))
        assert plan.on_disk and (plan.draws, plan.tune) == (70, 300)


@pytest.mark.slow
class TestAnalysis:
    def test_takes_the_way_by_itself_and_says_so(self, found, data, no_room, tmp_path, capsys):
        analysis, folder = found
        assert is_on_disk(analysis.idata)
        assert analysis.idata["posterior"].attrs["settings"] == (
            "Four chains of 400 draws after 300 of tuning, in paths of at most 31 steps"
        )
        assert "in paths of at most 31 steps" in (folder / "report.html").read_text()
        with pytest.raises(NotConverged, match=f"are still in {tmp_path}"):
            analyse(data, output_dir=tmp_path, **OPTIONS | {"progressbar": True, "draws": 20})
        said = capsys.readouterr().err
        assert "more than the 0 GB that are kept in memory: 20 draws" in said
        assert "Measuring the convergence" in said

    # Two more models to compile: for the longer round.
    @pytest.mark.second_seed
    def test_finds_what_an_analysis_in_memory_finds(self, found, data):
        analysis, _ = found
        other = analyse(data, **OPTIONS | {"draws": 1_000, "tune": 500})
        assert not is_on_disk(other.idata)
        one, two = (a.tables["comparison"] for a in (analysis, other))
        width = two["latent_high"] - two["latent_low"]
        # Means of 400 effective draws or more differ by a fifth of an interval's width at most:
        # 0.05 standard errors of 1 / 3.2 of the width, times 4, twice.
        assert ((one["latent"] - two["latent"]).abs() < 0.2 * width).all()
        pd.testing.assert_series_equal(one["plain_share"], two["plain_share"])

    def test_leaves_draws_and_nothing_of_the_sampler(self, found):
        analysis, folder = found
        store = folder / "posterior.zarr"
        assert {path.name for path in folder.iterdir()} >= {store.name, "report.html"}
        assert "posterior.nc" not in {path.name for path in folder.iterdir()}
        assert {path.name for path in store.iterdir()} == {
            "posterior",
            "sample_stats",
            "zarr.json",
        }
        kept = analysis.idata["posterior"]
        assert {"effects", "effects_mean"} < set(kept.data_vars)
        assert not [name for name in kept.data_vars if name.endswith("__")]
        assert list(kept["cluster"].to_numpy()) == list(analysis.data.cluster.categories)

    def test_goes_on_from_the_draws(self, found, data, tmp_path):
        analysis, folder = found
        store = folder / "posterior.zarr"
        again = analyse(data, posterior=store, output_dir=tmp_path / "new", **OPTIONS)
        for name, table in analysis.tables.items():
            pd.testing.assert_frame_equal(table, again.tables[name])
        copied = open_draws(tmp_path / "new/posterior.zarr", analysis.model)
        original = analysis.idata["posterior"]["effects"].isel(cluster=3)
        np.testing.assert_array_equal(copied["posterior"]["effects"].isel(cluster=3), original)
        assert copied["posterior"].attrs["data"] == analysis.idata["posterior"].attrs["data"]
        # Written again, it takes the place of what is there.
        files = again.write(tmp_path / "new")
        assert tmp_path / "new/posterior.zarr" in files

    def test_draws_of_another_table_or_model_are_refused(self, found, data):
        store = found[1] / "posterior.zarr"
        other = simulate_counts(40, 4, 3, unavailable=(0.2, 0, 0), random_seed=2)[0]
        with pytest.raises(ValueError, match="posterior.zarr are of another table"):
            analyse(other, posterior=store, **OPTIONS)
        with pytest.raises(ValueError, match="of another model: likelihood multinomial there"):
            analyse(data, posterior=store, **OPTIONS | {"likelihood": "dirichlet-multinomial"})

    def test_a_step_that_fails_says_where_they_are(self, found, data, monkeypatch):
        store = found[1] / "posterior.zarr"

        def fail(*_, **__):
            raise ZeroDivisionError("too bad")

        monkeypatch.setattr("helpers.analysis.analysis.all_tables", fail)
        with pytest.raises(Unfinished, match=f"are still in {store}"):
            analyse(data, posterior=store, **OPTIONS)

    def test_an_older_store_stays(self, found, data, tmp_path, no_room):
        shutil.copytree(found[1] / "posterior.zarr", tmp_path / "posterior.zarr")
        before = json.loads((tmp_path / "posterior.zarr/posterior/zarr.json").read_text())
        choice = choose(data, drift="none", likelihood="multinomial")
        with pytest.raises(NotConverged):
            fit_choice(
                choice, AnalysisOptions(draws=20, tune=50, output_dir=tmp_path, progressbar=False)
            )
        assert (tmp_path / "posterior-2.zarr").is_dir()
        after = json.loads((tmp_path / "posterior.zarr/posterior/zarr.json").read_text())
        assert before == after


@pytest.mark.slow
class TestSampling:
    def test_a_full_disk_is_refused_and_nothing_is_left(self, model, tmp_path, monkeypatch):
        usage = shutil.disk_usage(tmp_path)._replace(free=1_000)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
        with pytest.raises(ValueError, match=r"The draws need 0\.0 GB .* has 0\.0 GB left"):
            sample_on_disk(model, tmp_path / "new", draws=10, tune=10, progressbar=False)
        assert list(tmp_path.iterdir()) == []

    def test_without_a_folder_they_go_when_python_ends(self, model):
        idata = sample_on_disk(model, draws=10, tune=20, random_seed=1, progressbar=False)
        path = Path(idata["posterior"].attrs["kept"])
        other = sample_on_disk(model, draws=10, tune=20, random_seed=1, progressbar=False)
        told = Path(other["posterior"].attrs["kept"])
        keep_on_disk(told)
        on_disk._remove_temporary()
        assert not path.exists() and told.is_dir()
        shutil.rmtree(told.parent)

    @pytest.mark.second_seed
    def test_labels_may_be_dates(self, tmp_path):
        data, _ = simulate_counts(6, 5, 3, unavailable=(0.2, 0, 0), random_seed=1)
        frame = data.to_frame().reset_index(drop=True)
        frame["date"] = pd.date_range("2020-01-01", periods=5).to_numpy()[
            pd.factorize(frame["date"])[0]
        ]
        again = type(data).from_wide(
            frame, list(data.categories), cluster="district", date="date", predictors=["x"]
        )
        model = build_model(choose(again, drift="walk"))
        idata = sample_on_disk(model, tmp_path, draws=10, tune=20, progressbar=False)
        assert idata["posterior"]["drift"].sizes["date"] == 5
        assert str(idata["posterior"]["date"].dtype).startswith("datetime64")


def test_chance_alone_leads_as_many_beyond_as_are_allowed():
    """Four chains that agree, with 400 independent draws: the fewest that the gate accepts."""
    import arviz as az

    draws = np.random.default_rng(1).normal(size=(4, 100, 4_000))
    idata = az.from_dict({"posterior": {"x": draws}})
    beyond = az.rhat(idata)["x"].to_numpy()
    # Of the larger of two R-hats, for the bulk and the tails, each of them at 5 %.
    assert 0.04 < (beyond > 1.01).mean() < 0.11
    assert beyond.max() < 1.05
    with pytest.raises(ConvergenceError, match="R-hat"):
        check_convergence(idata, ess=0)
    with pytest.raises(ConvergenceError, match="R-hat"):
        check_convergence(idata, ess=0, exceptions=0.01)
    check_convergence(idata, ess=0, exceptions=0.12)


def test_one_chain_that_stands_elsewhere_is_found_among_many():
    import arviz as az

    draws = np.random.default_rng(1).normal(size=(4, 500, 2_000))
    draws[0, :, 77] += 1.0
    idata = az.from_dict({"posterior": {"x": draws}})
    with pytest.raises(ConvergenceError, match=r"x\[77\] has R-hat 1\.\d+ \(limit 1\.05\)"):
        check_convergence(idata, exceptions=0.05)
