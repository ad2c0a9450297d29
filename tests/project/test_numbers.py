"""Numbers typed in the prose of chapters are listed with their source, and the source has them."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHAPTERS = {p.stem: p for p in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))}
LISTED = yaml.safe_load((ROOT / "book" / "typed_numbers.yml").read_text(encoding="utf-8"))
NUMBER = re.compile(r"(?<![\w.,])[−-]?\d+(?:[.,]\d+)*")
# What is not prose: formulas, roles (glue among them), code, addresses, directives, the numbers of
# exercises. Intervals contain 89 % throughout.
NOT_PROSE = (
    r"```\{math\}.*?```",
    r"\$\$.*?\$\$",
    r"\{[\w:]+\}`[^`]*`",
    r"`[^`]*`",
    r"\$[^$\n]*\$",
    r"\]\([^)]*\)",
    r"^:::[^\n]*$",
    r"\*\*\d\.\*\*",
    r"\b89 %",
)
QUESTION = set("20 4 7 3 30 5 6,000 119,000 80".split())
SOURCES = {"code", "question", "spain", "definition", "history", "elsewhere"}


def cells(path, kind):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == kind]


def typed(path):
    for text in cells(path, "markdown"):
        for pattern in NOT_PROSE:
            text = re.sub(pattern, " ", text, flags=re.DOTALL | re.MULTILINE)
        yield from NUMBER.findall(text)


def value(number):
    return abs(float(number.replace("−", "-").replace(",", "")))


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_typed_numbers_are_listed_once_with_their_source(chapter):
    listed = LISTED[chapter]
    assert set(listed) <= SOURCES
    numbers = [number for group in listed.values() for number in group]
    assert len(numbers) == len(set(numbers)), "a number has two sources"
    found = set(typed(CHAPTERS[chapter]))
    assert found - set(numbers) == set(), "from the run by glue, or into book/typed_numbers.yml"
    assert set(numbers) - found == set(), "no longer in the prose"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_settings_stand_in_the_code(chapter):
    code = "\n".join(cells(CHAPTERS[chapter], "code")).replace("_", "")
    literals = {float(x) for x in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?", code)}
    # Shares are fractions in code and per cent in prose.
    for number in LISTED[chapter].get("code", []):
        v = value(number)
        assert {v, v / 100, round(1 - v / 100, 10), 10.0**-v} & literals, number


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_sizes_are_those_of_question_and_table(chapter):
    table = pd.read_csv(ROOT / "data" / "spain_elections.csv", parse_dates=["date"])
    families = [name for name in table if name.startswith("n_")]
    sizes = {len(table), table["province"].nunique(), table["date"].nunique(), len(families)}
    sizes |= set(table["date"].dt.year)
    assert {value(number) for number in LISTED[chapter].get("spain", [])} <= sizes
    assert set(LISTED[chapter].get("question", [])) <= QUESTION


def test_a_new_number_would_be_seen():
    text = "It takes 12.5 seconds, {glue:text}`n` of 3,000, `x = 7`, $k = 9$; 89 % of **1.** −4."
    for pattern in NOT_PROSE:
        text = re.sub(pattern, " ", text, flags=re.DOTALL | re.MULTILINE)
    assert NUMBER.findall(text) == ["12.5", "3,000", "−4"]
