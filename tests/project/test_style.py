"""The conventions of book/style.md that a program can check, on every page."""

import json
import re
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *TOP.glob("notebooks/*.ipynb"),
        *(p for p in TOP.glob("book/*.md") if p.name != "style.md"),
        TOP / "README.md",
        TOP / "CONTRIBUTING.md",
        TOP / "CHANGELOG.md",
        TOP / "data/README.md",
    ]
)
# What American English spells otherwise.
SPELLED = re.compile(
    r"\b(behaviors?|colou?rize\w*|colors?|colored|favor\w*|labor|neighbor\w*|center(s|ed|ing)?|"
    r"(non)?centered|analyz\w+|labeled|labeling|modeled|modeling|traveled|traveling|canceled|"
    r"catalog|gray|artifacts?|judgment|skeptic\w*|toward|(stand|general|organ|real|recogn|"
    r"summar|random|minim|maxim|normal|optim|initial|visual|parametr|emphas)iz\w+)\b",
    re.IGNORECASE,
)
CONVENTIONS = {
    "a space before the per cent sign": re.compile(r"\d%"),
    "a minus sign, not a hyphen": re.compile(r"(?<![\w.`~=-])-\d"),
    "ranges with 'to'": re.compile(r"(?<![\d:/–-])\b(?!(19|20)\d\d–)\d[\d.,]*\s?–\s?\d"),
    "a comma in thousands": re.compile(r"(?<![\d.,/#-])\b[1-9]\d{4,}\b(?![-/.]\d)"),
    "British spelling": SPELLED,
}


def prose(path):
    """Text of a page without code, formulas, directives' options, links and citations."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    text = re.sub(r"\{glue:text\}`[^`]*`", "0", text)  # a number, by which signs are judged
    for code in (
        r"(?s)^(```+|:::+)\{?(code|bash|python|text|math|list|csv).*?^\1",
        r"(?sm)^```.*?^```",
        r"(?s)\$\$.*?\$\$",
        r"\$[^$\n]+\$",
        r"\{[\w:]+\}`[^`]*`",
        r"``?[^`\n]+``?",
        r"\]\([^)]*\)",
        r"https?://\S+",
        r"doi:?\s?\S+",
        r"(?m)^:\w.*$",
        r"(?m)^    .*$",
    ):
        text = re.sub(code, " ", text, flags=re.MULTILINE)
    return text


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(TOP)))
def test_page_follows(path, convention):
    found = [
        line.strip()[:120]
        for line in prose(path).splitlines()
        if CONVENTIONS[convention].search(line)
    ]
    assert not found, f"{convention}: {found}"


@pytest.mark.parametrize(
    ("text", "convention"),
    [
        ("a share of 30% of", "a space before the per cent sign"),
        ("it is -0.4 here", "a minus sign, not a hyphen"),
        ("between 2–3 rows", "ranges with 'to'"),
        ("with 30000 rows", "a comma in thousands"),
        ("the non-centered form", "British spelling"),
    ],
)
def test_what_breaks_a_convention_is_seen(text, convention):
    assert CONVENTIONS[convention].search(text)
