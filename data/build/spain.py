"""Make data/spain_elections.csv: votes by family of lists, 52 provinces x 13 general elections.

Run `python data/build/spain.py`. It reads the result files that ship inside the PyPI package
interregnum 0.4.1 and data/spain_list_families.csv, which says what family each list belongs to.
After editing that table, `--refresh` fills in its computed columns again. `--alternative` gives the
lists of data/spain_list_families_alternative.csv their other family, and makes
data/spain_elections_alternative.csv.
"""

import argparse
import csv
import hashlib
import importlib.util
import io
import sys
from collections import defaultdict
from pathlib import Path

DATA = Path(__file__).resolve().parents[1]
FAMILIES_CSV = DATA / "spain_list_families.csv"
ALTERNATIVE_CSV = DATA / "spain_list_families_alternative.csv"

VERSION = "0.4.1"
SOURCE_FOLDER = "tests/examples/es/generales"
# Over the bytes of the 13 files, one after the other in the order of ELECTIONS.
SOURCE_SHA256 = "71ffef1a4caa02bad349c71ba4cac417263ef70e8b624dc7fe2c51550aa26576"

# The files name the year only. Melilla's row of 1989 is the vote repeated on 25 March 1990.
ELECTIONS = {
    1977: "1977-06-15",
    1979: "1979-03-01",
    1982: "1982-10-28",
    1986: "1986-06-22",
    1989: "1989-10-29",
    1993: "1993-06-06",
    1996: "1996-03-03",
    2000: "2000-03-12",
    2004: "2004-03-14",
    2008: "2008-03-09",
    2011: "2011-11-20",
    2015: "2015-12-20",
    2016: "2016-06-26",
}
FAMILIES = ("farleft", "left", "green", "centre", "right", "farright", "regional", "other")
# A list that ever took this share of a province's votes must have a row in the table of families;
# a smaller one has a row where its name leaves no doubt, and is other without one.
THRESHOLD = 0.01

COLUMNS = ("province", "community", "date", "population", "seats", "blank", "void")
FAMILY_COLUMNS = ("list", "family", "votes", "max_share", "first", "last", "provinces", "note")


def read_source():
    """Return one dict per province and election, its lists still by name."""
    # find_spec locates a top-level package without importing it.
    spec = importlib.util.find_spec("interregnum")
    if spec is None or spec.origin is None:
        sys.exit(f"The package interregnum is missing: pip install interregnum=={VERSION}")
    import yaml  # interregnum depends on PyYAML, so it is here from now on

    folder = Path(spec.origin).parent / SOURCE_FOLDER
    try:
        files = {y: (folder / f"es_generales_diputados_{y}.yaml").read_bytes() for y in ELECTIONS}
    except FileNotFoundError as error:
        sys.exit(f"No {Path(error.filename).name} in it: pip install interregnum=={VERSION}")
    if hashlib.sha256(b"".join(files.values())).hexdigest() != SOURCE_SHA256:
        sys.exit(f"Not the files of this version: pip install interregnum=={VERSION}")

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader is 10 times as fast
    rows = []
    for year, text in files.items():
        for division in yaml.load(text, Loader=loader)["divisions"]:
            # A community of one province is written as that province alone.
            for province in division.get("divisions", [division]):
                rows.append(read_province(year, division["name"], province))
    return rows


def read_province(year, community, province):
    votes = {c["name"]: c["votes"] for c in province["candidates"]}
    if len(votes) != len(province["candidates"]):
        sys.exit(f"{province['name']} {year} has a list twice.")
    # Names that start with ? and ! are blank and void ballots.
    (blank,) = [votes.pop(name) for name in list(votes) if name.startswith("?")]
    (void,) = [votes.pop(name) for name in list(votes) if name.startswith("!")]
    if blank == void == 0:
        # Ourense 1979: none at all among 143,391 ballots means that nobody wrote them down.
        blank = void = None
    return {
        "province": tidy(province["name"]),
        "community": tidy(community),
        "date": ELECTIONS[year],
        "population": province["meta"].get("population"),
        "seats": province["seats"],
        "blank": blank,
        "void": void,
        "year": year,
        "votes": votes,
    }


def tidy(name):
    """Give a place one spelling: "Coruña, A" and "Araba - Álava" occur beside the usual ones."""
    if ", " in name:
        name = " ".join(reversed(name.split(", ")))
    if name.startswith("Castilla"):
        return name.replace(" - ", "-")
    return name.replace(" / ", "/").replace(" - ", "/")  # two languages, one place


def list_statistics(rows):
    """Return, for every list, the computed columns of the table of families."""
    votes, shares, years, provinces = (defaultdict(list) for _ in range(4))
    for row in rows:
        total = sum(row["votes"].values())
        for name, count in row["votes"].items():
            votes[name].append(count)
            shares[name].append(count / total)
            years[name].append(row["year"])
            provinces[name].append(row["province"])
    return {
        name: {
            "votes": sum(votes[name]),
            "max_share": max(shares[name]),
            "first": min(years[name]),
            "last": max(years[name]),
            "provinces": len(set(provinces[name])),
        }
        for name in votes
    }


def read_families(statistics, refresh):
    """Return list -> family, having checked the table against the source."""
    with FAMILIES_CSV.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    names = [entry["list"] for entry in table]
    problems = [f"{n} stands twice" for n in sorted(set(names)) if names.count(n) > 1]
    problems += [f"{n} is in no election" for n in names if n not in statistics]
    problems += [
        f"{entry['list']} has the unknown family {entry['family']!r}"
        for entry in table
        if entry["family"] not in FAMILIES
    ]
    problems += [
        f"{n} is missing: it took {s['max_share']:.1%} of a province"
        for n, s in statistics.items()
        if s["max_share"] >= THRESHOLD and n not in names
    ]
    if problems:
        sys.exit(f"{FAMILIES_CSV.name}: " + "; ".join(problems))

    for entry in table:
        computed = statistics[entry["list"]]
        entry.update(computed, max_share=f"{computed['max_share']:.4f}")
    table.sort(key=lambda entry: (-entry["votes"], entry["list"]))
    text = to_csv(FAMILY_COLUMNS, table)
    if refresh:
        FAMILIES_CSV.write_text(text, encoding="utf-8", newline="")
    elif text != FAMILIES_CSV.read_text(encoding="utf-8"):
        sys.exit(f"{FAMILIES_CSV.name}: its computed columns or its order are stale: run --refresh")
    return {entry["list"]: entry["family"] for entry in table}


def read_alternative(families):
    """Return list -> family, the other family for each arguable list."""
    with ALTERNATIVE_CSV.open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    names = [entry["list"] for entry in table]
    problems = [f"{n} stands twice" for n in sorted(set(names)) if names.count(n) > 1]
    problems += [f"{n} is not in {FAMILIES_CSV.name}" for n in names if n not in families]
    problems += [
        f"{entry['list']} has the unknown family {entry['family']!r}"
        for entry in table
        if entry["family"] not in FAMILIES
    ]
    problems += [
        f"{entry['list']} is {entry['family']} anyway"
        for entry in table
        if entry["family"] == families.get(entry["list"])
    ]
    if problems:
        sys.exit(f"{ALTERNATIVE_CSV.name}: " + "; ".join(problems))
    return families | {entry["list"]: entry["family"] for entry in table}


def add_family_votes(row, families):
    # A family without a list stays out of the dict, so its cell stays empty: not on the menu.
    for name, count in row["votes"].items():
        column = f"n_{families.get(name, 'other')}"
        row[column] = row.get(column, 0) + count


def to_csv(columns, rows):
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="where to write, if not to data/")
    parser.add_argument(
        "--alternative", action="store_true", help="give arguable lists their other family"
    )
    parser.add_argument(
        "--refresh", action="store_true", help="also rewrite what is computed in the families table"
    )
    arguments = parser.parse_args()

    rows = read_source()
    families = read_families(list_statistics(rows), arguments.refresh)
    out = DATA / "spain_elections.csv"
    if arguments.alternative:
        families, out = read_alternative(families), DATA / "spain_elections_alternative.csv"
    for row in rows:
        add_family_votes(row, families)
    rows.sort(key=lambda row: (row["date"], row["province"]))
    text = to_csv((*COLUMNS, *(f"n_{family}" for family in FAMILIES)), rows)
    (arguments.out or out).write_text(text, encoding="utf-8", newline="")


if __name__ == "__main__":
    main()
