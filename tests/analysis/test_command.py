"""The command says what it does, ends with what was found, and refuses in one message."""

import os
import re
import shlex
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest

from helpers import simulate_counts
from helpers.analysis import NotConverged, Unfinished, run_command

ROOT = Path(__file__).parents[2]
ENTRY = [sys.executable, "-m", "not_on_the_menu"]


@pytest.fixture
def table(tmp_path):
    data, _ = simulate_counts(n_clusters=4, n_dates=2, n_range=(50, 90), random_seed=1)
    data.to_frame().to_csv(tmp_path / "mine.csv", index=False)
    return str(tmp_path / "mine.csv"), ",".join(data.categories)


@pytest.fixture
def ending(monkeypatch):
    """The command, with an analysis that ends as told."""

    def run(outcome, *arguments):
        def analyse(source, **options):
            warnings.warn("Look at row 3.", stacklevel=2)
            warnings.warn("for programmers", DeprecationWarning, stacklevel=2)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setattr("helpers.analysis.command.analyse", analyse)
        return run_command(["mine.csv", "-o", "out", *arguments])

    return run


def test_the_last_line_says_what_was_found(ending, capsys):
    class Found:
        headline = "Tea is liked."

    assert ending(Found()) == 0
    said = capsys.readouterr()
    assert said.out == f"Tea is liked. Report: {Path('out/report.html')}\n"
    assert said.err == "Note: Look at row 3.\n"


@pytest.mark.parametrize(
    ("outcome", "code", "message"),
    [
        (ValueError("Negative counts."), 2, "mine.csv cannot be analysed. Negative counts."),
        (FileNotFoundError("No file."), 2, "mine.csv cannot be analysed. No file."),
        (
            NotConverged("3 divergences", {"target_accept": 0.95}, "They are in x."),
            3,
            "No results: 3 divergences. Run it again with --target-accept 0.95. They are in x.",
        ),
        (Unfinished("It broke. All is in x.", Path("x")), 1, "No results: It broke. All is in x."),
        (KeyboardInterrupt(), 130, "Stopped: nothing was written."),
    ],
)
def test_other_ends_have_a_code_and_one_message(ending, outcome, code, message, capsys):
    assert ending(outcome) == code
    said = capsys.readouterr()
    assert said.out == "" and said.err.strip().splitlines()[-1] == message
    assert "Traceback" not in said.err


def test_faults_of_the_program_pass(ending):
    with pytest.raises(IndexError):
        ending(IndexError())


def test_a_wrong_option_is_refused_before_anything_is_read(capsys):
    assert run_command(["none.csv", "--drift", "yes"]) == 2
    assert "'yes' is not one of 'auto', 'walk', 'none'" in capsys.readouterr().err
    assert run_command(["none.csv", "--scenario", "yes"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("none.csv cannot be analysed. scenarios cannot be read from 'yes'.")


def test_a_refused_file(tmp_path, capsys):
    path = tmp_path / "bad.csv"
    pd.DataFrame({"n_left": [1, -3], "n_right": [4, 3]}).to_csv(path, index=False)
    out = tmp_path / "out"
    assert run_command([str(path), "-o", str(out), "--no-progressbar"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("bad.csv cannot be analysed. Negative counts in row(s) 1, column(s)")
    assert len(said.err.strip().splitlines()) == 1 and not out.exists()


def test_scenarios_are_looked_at_before_anything_is_fitted(table, capsys):
    path, categories = table
    assert run_command([path, "--categories", categories, "--scenario", "x=category 17"]) == 2
    assert "There is no category 'category 17' (scenario 'x')" in capsys.readouterr().err


def test_help_is_for_a_stranger(capsys):
    assert run_command(["--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Usage: not-on-the-menu [OPTIONS] FILE")
    for part in ("an empty cell says that the", "The table:", "The model:", "Exit codes: 0 done"):
        assert " ".join(part.split()) in " ".join(said.split())
    assert run_command(["--version"]) == 0
    assert "not-on-the-menu, version" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
@pytest.mark.parametrize("wait_for", ["", "Compiling"])
def test_ctrl_c_leaves_nothing_behind(table, tmp_path, wait_for):
    path, categories = table
    out = tmp_path / "out"
    started = subprocess.Popen(
        [*ENTRY, path, "--categories", categories, "--draws", "100000", "-o", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        # A shell starts what runs in its background deaf to Ctrl-C, and so are its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    line = started.stderr.readline()
    while wait_for not in line:
        line = started.stderr.readline()
    started.send_signal(signal.SIGINT)
    said, errors = started.communicate(timeout=120)
    assert started.returncode == 130, errors
    assert said == "" and errors.strip().splitlines()[-1] == "Stopped: nothing was written."
    assert "Traceback" not in errors
    assert [p.name for p in tmp_path.iterdir()] == ["mine.csv"]


def commands_of_the_pages():
    """Each command that a page tells its reader to type, as a list of words."""
    for page in [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"(?:\.venv/bin/)?not-on-the-menu [^`\n]*\.csv[^`\n|]*", text):
            yield pytest.param(shlex.split(line)[1:], id=f"{page.name}: {line[:60]}")


@pytest.mark.parametrize("arguments", list(commands_of_the_pages()))
def test_commands_of_the_pages_are_understood(monkeypatch, arguments):
    class Found:
        headline = "Found."

    asked = {}
    monkeypatch.setattr(
        "helpers.analysis.command.analyse",
        lambda source, **options: asked.update(options, source=source) or Found(),
    )
    assert run_command(arguments) == 0
    assert asked["source"].endswith(".csv")
