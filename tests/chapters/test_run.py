"""Every notebook runs from start to end with another seed; nbval runs it with its own."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from helpers import simulate_counts

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


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


@pytest.mark.second_seed
def test_analyse_your_counts_by_parameters(tmp_path):
    """The menus are recorded of one category only; names are given as text and as lists."""
    data, _ = simulate_counts(n_clusters=8, n_range=(200, 500), random_seed=3)
    names = list(data.categories)
    frame = data.to_frame().drop(columns="date")
    frame[names] = frame[names].fillna(0)
    frame["offered"] = data.available[:, 2]
    frame.to_csv(tmp_path / "mine.csv", index=False)
    out = tmp_path / "out"
    done = run(
        "analyse_your_counts",
        tmp_path,
        data_path=str(tmp_path / "mine.csv"),
        categories=",".join(names),
        cluster="district",
        predictors=["x"],
        available={"category 3": "offered"},
        availability="unknown",
        scenarios={"two": ["category 1", "category 2"]},
        output_dir=str(out),
        draws=1_000,
        random_seed=2,
    )
    assert done.returncode == 0, done.stderr
    tables = {"checks.csv", "preferences.csv", "shares.csv", "menus.csv", "effects.csv"}
    assert {path.name for path in out.iterdir()} > tables | {"posterior.nc", "report.html"}
    menus = pd.read_csv(out / "menus.csv").set_index("category")["probability"]
    assert len(menus) == data.counts.size
    assert (menus["category 3"].to_numpy() == data.available[:, 2]).all()
    assert "slopes of x" in (out / "report.html").read_text(encoding="utf-8")
    assert "two" in set(pd.read_csv(out / "shares.csv")["scenario"])


@pytest.mark.slow
def test_bad_file_ends_with_its_message_and_writes_nothing(tmp_path):
    """What the messages are is tested in tests/analysis: here, that papermill passes one on."""
    frame = pd.DataFrame({"shop": list("aabb"), "n_left": [1, -3, 3, 4], "n_right": [4, 3, 2, 1]})
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
    assert (
        "The table cannot be analysed. Negative counts in row(s) 1, column(s) n_left" in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert not out.exists()


@pytest.mark.slow
def test_a_table_may_come_as_columns(tmp_path):
    """As JSON passes them: here two that cannot be counts, so that nothing is fitted."""
    table = {"n_left": [1.5, 3.5], "n_right": [4, 3]}
    done = run("analyse_your_counts", tmp_path, data_path=table)
    assert done.returncode == 1
    assert "The table cannot be analysed. Fractional counts in row(s) 0, 1" in done.stderr


@pytest.mark.slow
def test_kernel_that_dies_is_heard(tmp_path):
    """Its standard error is kept apart from the reader's, until it is all there is to read."""
    source = "import os\nos.write(2, b'last words\\n')\nos._exit(3)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbformat.write(notebook, tmp_path / "dies.ipynb")
    command = [sys.executable, "book/run_notebook.py", str(tmp_path / "dies.ipynb")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "last words" in done.stderr and "Kernel died" in done.stderr
