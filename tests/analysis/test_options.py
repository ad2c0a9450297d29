"""Library, command line and notebook take the same options, with the same defaults."""

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path

import nbformat
import pytest

from helpers.analysis import AnalysisOptions, analyse, run_command

ROOT = Path(__file__).parents[2]
NAMES = [each.name for each in fields(AnalysisOptions)]
# A notebook shows a bar or not as its environment says.
OF_NOTEBOOK = [name for name in NAMES if name != "progressbar"]


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(ROOT / "notebooks/analyse_your_counts.ipynb", as_version=4)


def parameters(notebook):
    (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    found = {}
    exec(cell.source, {"__builtins__": {}}, found)
    return found


def test_library():
    signature = inspect.signature(analyse).parameters
    assert list(signature) == ["source", *NAMES]
    given = {name: signature[name].default for name in NAMES}
    assert AnalysisOptions(**given) == AnalysisOptions()
    with pytest.raises(TypeError, match="clster"):
        analyse("none.csv", clster="shop")


def test_notebook(notebook):
    given = parameters(notebook)
    assert sorted(given) == sorted(["data_path", *OF_NOTEBOOK])
    assert AnalysisOptions(**{name: given[name] for name in OF_NOTEBOOK}) == AnalysisOptions()
    code = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
    calls = [c for c in ast.walk(ast.parse(code)) if isinstance(c, ast.Call)]
    (made,) = [c for c in calls if ast.unparse(c.func) == "AnalysisOptions"]
    passed = {keyword.arg: ast.unparse(keyword.value) for keyword in made.keywords}
    assert passed.pop("progressbar") == "settings['progressbar']"
    assert passed == {name: name for name in OF_NOTEBOOK}


@pytest.fixture
def asked(monkeypatch):
    """What the command passes on, as options."""

    def ask(*arguments):
        seen = {}

        def stop(source, **options):
            seen.update(options, source=source)
            raise ValueError("seen")

        monkeypatch.setattr("helpers.analysis.command.analyse", stop)
        assert run_command(list(arguments)) == 2
        return seen.pop("source"), AnalysisOptions(**seen)

    return ask


def test_command_line(asked):
    folder = Path("analysis/lunches")
    assert asked("there/lunches.csv.gz") == (
        "there/lunches.csv.gz",
        AnalysisOptions(output_dir=folder),
    )
    values = {
        "categories": "tea, milk",
        "predictors": '["price, net"]',
        "accept": "subtotal",
        "available": '{"tea": "has tea"}',
        "scenarios": "hot=tea",
        "availability": "ignored",
        "likelihood": "multinomial",
        "scatter": "normal",
        "drift": "none",
        "spreads": "contrast",
        "attributes": '{"price": {"tea": "price of tea"}}',
        "exposure": "tea=hours of tea",
        "attribute_effects": "varying",
        "nests": "buses=red, blue",
        "draws": "50",
        "tune": "60",
        "target_accept": "0.9",
        "random_seed": "3",
        "sheet": "2",
    }
    flags = []
    for name in NAMES:
        if name not in ("progressbar", "row", "category", "count"):
            flags += [f"--{name.replace('_', '-')}", values.get(name, f"the {name}")]
    _, found = asked("f.csv", *flags, "--no-progressbar")
    expected = {
        name: values.get(name, f"the {name}")
        for name in NAMES
        if name not in ("progressbar", "row", "category", "count")
    }
    for number in ("draws", "tune", "random_seed", "target_accept"):
        expected[number] = float(expected[number])
    assert found == AnalysisOptions(**expected, progressbar=False)
    assert found.categories == ("tea", "milk") and found.predictors == ("price, net",)
    assert found.available == {"tea": "has tea"} and found.sheet == 2
    assert found.nests == {"buses": ["red", "blue"]} and found.formula == "the formula"


def test_short_names_and_repeated_options(asked):
    _, found = asked(
        *("f.csv", "-o", "out", "--seed", "4", "--scenario", "hot=tea, milk"),
        *("--scenario", "more=+tea,-milk", "--available", "tea=t", "--available", "milk=m"),
    )
    assert found == AnalysisOptions(
        output_dir="out",
        random_seed=4,
        scenarios={"hot": ["tea", "milk"], "more": {"tea": True, "milk": False}},
        available={"tea": "t", "milk": "m"},
    )
    _, long = asked(
        *("f.csv", "--row", "day", "--category", "dish", "--count", "n", "--available", "offered")
    )
    assert long.available == "offered" and long.of_table()["row"] == "day"


def test_the_book_describes_all():
    text = (ROOT / "book/how_to_run.md").read_text(encoding="utf-8")
    described = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert described == ["data_path", *OF_NOTEBOOK]


def test_empty_is_not_given():
    empty = {"categories": [], "cluster": "", "predictors": "", "available": {}, "scenarios": None}
    assert AnalysisOptions(**empty) == AnalysisOptions()
    assert AnalysisOptions(output_dir="", posterior="").given() == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"likelihood": "normal"}, "likelihood must be one of 'auto', 'multinomial'"),
        ({"draws": 0}, "draws must be a whole number from 1, not 0"),
        ({"target_accept": 1}, "target_accept must lie between 0 and 1"),
        ({"row": "day"}, "A long table needs.*give `category` and `count`, too"),
        ({"scenarios": "tea"}, "scenarios cannot be read from 'tea'. It takes other menus"),
        ({"scenarios": "hot=tea,-milk"}, "names with a sign and names without"),
        ({"available": "tea"}, "available cannot be read from 'tea'. It takes CATEGORY=COLUMN"),
        ({"categories": "[tea"}, "categories looks like JSON"),
    ],
)
def test_what_makes_no_sense_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        AnalysisOptions(**given)
