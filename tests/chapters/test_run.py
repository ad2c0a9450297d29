"""Every notebook runs from start to end with another seed; nbval runs it with its own."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers import simulate_counts

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
RESULTS = {"posterior.nc", "preferences.csv", "shares.csv", "report.html"}


def run(notebook, folder, **parameters):
    """Run a notebook into `folder` and return the finished process."""
    command = [sys.executable, "book/run_notebook.py", f"notebooks/{notebook}.ipynb"]
    command += ["--output", str(folder / f"{notebook}.ipynb")]
    for name, value in parameters.items():
        command += ["-p", name, repr(value)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ)


@pytest.mark.second_seed
@pytest.mark.parametrize("chapter", [path.stem for path in CHAPTERS])
def test_chapter_runs_with_another_seed(chapter, tmp_path):
    done = run(chapter, tmp_path, random_seed=2)
    assert done.returncode == 0, done.stderr


def test_analysis_of_spain(tmp_path):
    done = run(
        "analyse_your_counts",
        tmp_path,
        data_path=str(ROOT / "data/spain_elections.csv"),
        cluster="province",
        date="date",
        scenarios={"green everywhere": {"n_green": True}, "two": ["n_left", "n_right"]},
        output_dir=str(tmp_path / "out"),
        random_seed=2,
    )
    assert done.returncode == 0, done.stderr
    results = RESULTS | {"preferences_over_time.csv"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == results
    over_time = pd.read_csv(tmp_path / "out/preferences_over_time.csv")
    assert np.allclose(over_time.groupby("date")["mean"].sum(), 1)
    assert over_time["date"].nunique() == 13

    preferences = pd.read_csv(tmp_path / "out/preferences.csv")
    sums = preferences.groupby("cluster")["mean"].sum()
    assert len(sums) == 53 and np.allclose(sums, 1)
    shares = pd.read_csv(tmp_path / "out/shares.csv").set_index(["scenario", "category"])["mean"]
    assert np.allclose(shares.groupby("scenario").sum(), 1)
    assert shares["without n_green", "n_green"] == 0
    own, everywhere = shares["menus as they were"], shares["green everywhere"]
    assert everywhere["n_green"] > own["n_green"] and everywhere["n_left"] < own["n_left"]
    assert shares["two", "n_left"] + shares["two", "n_right"] == pytest.approx(1)
    posterior = xr.open_datatree(tmp_path / "out/posterior.nc", engine="h5netcdf")["posterior"]
    assert posterior["intercept"].sizes["cluster"] == 52
    report = (tmp_path / "out/report.html").read_text()
    assert report.count("<img alt=") >= 4 and "R-hat" in report


def test_analysis_with_predictors_and_recorded_zeros(tmp_path):
    """Zeros in place of empty cells, menus in columns of their own, names given as text."""
    data, truth = simulate_counts(n_clusters=8, n_range=(2_000, 5_000), slope_sd=0.0, random_seed=5)
    frame = data.to_frame().rename(columns=lambda name: name.replace(" ", "_"))
    names = [name for name in frame.columns if name.startswith("category_")]
    frame["offered_3"] = frame["category_3"].notna()
    frame["offered_4"] = frame["category_4"].notna()
    frame["category_3"] = frame["category_3"].fillna(0)
    frame["category_4"] = frame["category_4"].fillna(0)
    frame.to_csv(tmp_path / "mine.csv", index=False)
    done = run(
        "analyse_your_counts",
        tmp_path,
        data_path=str(tmp_path / "mine.csv"),
        categories=",".join(names),
        cluster="district",
        predictors=["x"],
        available={"category_3": "offered_3", "category_4": "offered_4"},
        output_dir=str(tmp_path / "out"),
        draws=600,
    )
    assert done.returncode == 0, done.stderr
    posterior = xr.open_datatree(tmp_path / "out/posterior.nc", engine="h5netcdf")["posterior"]
    slope = posterior["effects_mean"].sel(effect="x") / data.predictors["x"].std(ddof=0)
    # The notebook chooses a reference of its own: compare differences between two contrasts.
    first, second = slope["contrast"].values[:2]
    found = slope.sel(contrast=first) - slope.sel(contrast=second)
    true = truth["slope_mean"].assign_coords(
        contrast=[c.replace(" ", "_") for c in truth["contrast"].values]
    )
    expected = float(true.sel(contrast=first) - true.sel(contrast=second))
    assert abs(float(found.mean()) - expected) < 5 * float(found.std())


def test_analysis_with_unknown_menus(tmp_path):
    """Nobody recorded the menus: zeros in place of empty cells, and no columns for them."""
    data, _ = simulate_counts(n_clusters=8, n_range=(200, 500), effects="intercepts", random_seed=3)
    frame = data.to_frame().drop(columns="date")
    names = list(data.categories)
    frame[names] = frame[names].fillna(0)
    frame.to_csv(tmp_path / "mine.csv", index=False)
    done = run(
        "analyse_your_counts",
        tmp_path,
        data_path=str(tmp_path / "mine.csv"),
        categories=names,
        cluster="district",
        availability="unknown",
        output_dir=str(tmp_path / "out"),
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == RESULTS | {"menus.csv"}
    menus = pd.read_csv(tmp_path / "out/menus.csv")
    assert len(menus) == data.counts.size
    # With so many choices in a row hardly a zero is due to chance.
    truth = data.available.ravel()
    assert ((menus["probability"] > 0.5) == truth).mean() > 0.97
    assert "Menus are unknown" in (tmp_path / "out/report.html").read_text()


@pytest.mark.parametrize(
    ("cell", "value", "message"),
    [
        ("n_left", "-3", "Negative counts in row(s) 1, column(s) n_left"),
        ("n_left", "many", "no number in row(s) 1"),
        ("shop", "", "The cluster is missing in row(s) 1"),
    ],
)
def test_bad_file_ends_with_its_message_and_writes_nothing(cell, value, message, tmp_path):
    frame = pd.DataFrame(
        {"shop": list("aabb"), "n_left": [1, 2, 3, 4], "n_right": [4, 3, 2, 1]}, dtype=str
    )
    frame.loc[1, cell] = value
    frame.to_csv(tmp_path / "bad.csv", index=False)
    out = tmp_path / "out"
    done = run(
        "analyse_your_counts",
        tmp_path,
        data_path=str(tmp_path / "bad.csv"),
        cluster="shop",
        output_dir=str(out),
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_kernel_that_dies_is_heard(tmp_path):
    """Its standard error is kept apart from the reader's, until it is all there is to read."""
    source = "import os\nos.write(2, b'last words\\n')\nos._exit(3)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbformat.write(notebook, tmp_path / "dies.ipynb")
    command = [sys.executable, "book/run_notebook.py", str(tmp_path / "dies.ipynb")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "last words" in done.stderr and "Kernel died" in done.stderr
