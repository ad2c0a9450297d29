"""The report answers in the order in which people ask, whatever the table is like."""

from dataclasses import replace
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from helpers import CategoryCounts, simulate_counts
from helpers.analysis import (
    Analysis,
    Checks,
    Predictions,
    Source,
    choose,
    report_sections,
)
from helpers.data import Suspicion

NAMES = ("$0 to $5", "<b>R&D</b>", "% x_1^2")


def analysis_of(data, choice, model, idata, tables_of, question=""):
    """With made-up checks, and all tables as they are."""
    idata["posterior"].attrs["settings"] = "Four chains of 40 draws after 1,000 of tuning"
    convergence = pd.DataFrame(
        {"rhat": [1.001, 1.004], "ess_bulk": [900.0, 3_000.0], "ess_tail": [800.4, 2_000.0]}
    )
    table = pd.DataFrame(
        {"cells": 12, "inside_50": 0.5, "inside_89": 0.9, "expected_over_observed": 1.0},
        index=pd.Index(data.categories, name="category"),
    ).assign(verdict=["fits", "more", *["shifted"] * (len(data.categories) - 2)])
    predictions = Predictions(np.stack([data.counts] * 40), table, np.zeros(len(data)))
    source = Source("mine & yours.csv", data, ("Kept, but take note.",))
    choice = replace(choice, question=question)
    tables = tables_of(choice, model, idata, predictions=predictions, random_seed=1)
    return Analysis(source, choice, model, idata, Checks(convergence, predictions), tables)


@pytest.fixture(scope="module", params=["slopes", "unknown", "plain"])
def analysis(request, prior_of, tables_of):
    data, _ = simulate_counts(
        n_clusters=3, n_dates=4, n_categories=3, unavailable=(0.4, 0, 0), random_seed=1
    )
    if request.param == "slopes":
        data = CategoryCounts(
            data.counts, data.available, NAMES, data.cluster, data.date, data.predictors
        )
        choice = choose(data, likelihood="multinomial", drift="walk")
    else:
        data = CategoryCounts(data.counts, np.ones_like(data.available), data.categories)
        unknown = request.param == "unknown"
        choice = choose(
            data, availability="unknown" if unknown else "known", likelihood="multinomial"
        )
    question = "Was it on the menu?" if request.param == "slopes" else ""
    return analysis_of(data, choice, *prior_of(choice), tables_of, question)


def test_the_order_of_the_answers(analysis):
    sections = report_sections(analysis, "Python 3\npymc 6")
    predictors = "effects" in analysis.tables
    assert list(sections) == [
        "What was asked",
        "Can it be trusted?",
        "Shares and preferences",
        *["What the predictors change"] * predictors,
        "Differences",
        "Where the choices would go",
        *["Is substitution proportional?"] * predictors,
        *["The menus"] * (analysis.choice.availability == "unknown"),
        "What ignoring the menus would have said",
        "How much hangs on the priors",
        "How it was run",
    ]
    plt.close("all")


def test_page_says_it_all(analysis):
    page = BeautifulSoup(analysis.report("Python 3\npymc 6"), "html.parser")
    assert page.title.text == "Counts with menus: mine & yours.csv"
    paragraphs = [paragraph.text for paragraph in page.find_all("p")]
    asked = [analysis.choice.question] if analysis.choice.question else []
    for said in (
        f"{analysis.source.data!r}, read from mine & yours.csv.",
        "Kept, but take note.",
        *asked,
        analysis.choice.description,
        "Four chains of 40 draws after 1,000 of tuning; no divergent transition; largest R-hat "
        "1.004; smallest effective sample size 800.",
        analysis.checks.predictions.verdict,
        "pymc 6",
    ):
        assert said in paragraphs
    # Menus, fit, preferences; with dates, clusters and predictors one more each.
    assert len(page.find_all("img")) == (6 if "effects" in analysis.tables else 3)
    for name in analysis.data.categories:
        assert page.find("th", string=name), name
    assert plt.get_fignums() == []


def test_gaps_and_their_absence_are_spoken_of(analysis):
    words = " ".join(map(str, report_sections(analysis)["What ignoring the menus would have said"]))
    nothing = "Everything was on every menu" in words
    known = analysis.choice.availability == "known"
    assert nothing == (known and bool(analysis.data.available.all()))
    plt.close("all")


def test_one_table_has_all_four_kinds_of_shares(analysis):
    parts = report_sections(analysis)["Shares and preferences"]
    table = next(part for part in parts if isinstance(part, pd.DataFrame))
    assert list(table) == [
        *("rows on menu", "plain share", "share where on the menu"),
        *("expected under own menus", "latent"),
    ]
    overall = 100 * analysis.tables["overall"]["mean"]
    for name, text in table["latent"].items():
        mean, _, ends = text.partition(" (")
        assert float(mean) == pytest.approx(overall[name], abs=0.006)
        assert ends.endswith(")") and " to " in ends
    plt.close("all")


def test_suspicions_come_first_and_once(analysis):
    data = SimpleNamespace(
        suspicions=(Suspicion("subtotal", "Is this a total?"),),
        describe=analysis.source.data.describe,
        patterns=analysis.source.data.patterns,
        categories=analysis.source.data.categories,
    )
    source = replace(analysis.source, data=data)
    source = replace(source, notes=(*source.doubts, "Take note."))
    sections = report_sections(replace(analysis, source=source))
    assert sections["Can it be trusted?"][0].startswith("Is this a total?")
    texts = [part for part in sections["What was asked"] if isinstance(part, str)]
    assert source.doubts[0] not in texts
    assert "Take note." in texts
    plt.close("all")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Kept")
def test_many_categories_are_cut_to_what_can_be_read(prior_of, tables_of):
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 50, (4, 90))
    data = CategoryCounts(
        counts, np.ones_like(counts), [f"c{k}" for k in range(90)],
        predictors=pd.DataFrame({"x": [1.0, 2, 4, 3]}),
    )  # fmt: skip
    choice = choose(data, likelihood="multinomial")
    analysis = analysis_of(data, choice, *prior_of(choice), tables_of)
    sections = report_sections(analysis)
    tables = [p for parts in sections.values() for p in parts if isinstance(p, pd.DataFrame)]
    assert max(map(len, tables)) <= 60
    assert any("and 30 more lines" in str(table.columns.name) for table in tables)
    assert len(analysis.tables["diversion"]) == 90 * 89
    plt.close("all")
