"""Make data/choices_at_scale.csv: what it costs to count a hundred million choices.

Run `python data/build/choices_at_scale.py`. It writes a log of simulated purchases to 20 Parquet
files in a temporary folder, counts them by shop, week and menu with `count_choices`, and with the
same query written for DuckDB by hand, in turns, and compares the result with pandas' on one file.
"""

import argparse
import resource
import tempfile
import time
import warnings
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from helpers import count_choices

OUT = Path(__file__).resolve().parents[1] / "choices_at_scale.csv"
SHOPS, WEEKS, HOURS, FILES = 200, 52, 84, 20
WEIGHT = {"oats": 5, "rye": 3, "spelt": 2, "maize": 2, "wheat": 4, "none of these": 6}
# A quarter of the hours of a shop lack each product; nobody can be kept from buying nothing.
ALWAYS = "none of these"
ROUNDS = 3


def write_log(folder, lines, seed):
    """Choices among what the shop had in that hour, each in proportion to its weight."""
    names = list(WEIGHT)
    on = [
        "true" if name == ALWAYS else f"hash(concat_ws('-', shop, week, hour, {k})) % 4 <> 0"
        for k, name in enumerate(names)
    ]
    # The smallest of exponential times with these rates is drawn in proportion to them.
    times = [f"-ln(random()) / {WEIGHT[name]}" for name in names]
    waited = [f"CASE WHEN on_{k} THEN {times[k]} ELSE 1e300 END" for k in range(len(names))]
    menu = [f"CASE WHEN on_{k} THEN '{name}' END" for k, name in enumerate(names)]
    connection = duckdb.connect()
    connection.execute("SET threads = 1")  # random numbers are then the same every time
    for i in range(FILES):
        connection.execute(f"SELECT setseed({(seed + i) / 1_000})")
        connection.execute(f"""
            COPY (
                SELECT shop, week, hour, {names}[list_position(w, list_min(w))] AS bought,
                    list_filter([{", ".join(menu)}], lambda x: x IS NOT NULL) AS shelf
                FROM (SELECT *, [{", ".join(waited)}] w FROM (
                    SELECT *, {", ".join(f"{sql} AS on_{k}" for k, sql in enumerate(on))}
                    FROM (SELECT (random() * {SHOPS})::INTEGER % {SHOPS} AS shop,
                        (random() * {WEEKS})::INTEGER % {WEEKS} AS week,
                        (random() * {HOURS})::INTEGER % {HOURS} AS hour
                        FROM range({lines // FILES}))))
            ) TO '{folder}/{i:02d}.parquet'
        """)


def by_duckdb(files):
    """The same counts, in SQL written for it."""
    return duckdb.sql(f"""
        SELECT shop, week, array_to_string(list_sort(list_distinct(shelf)), '|') AS menu, bought,
            sum(n) AS n
        FROM (SELECT shop, week, shelf, bought, count(*) AS n FROM read_parquet({files})
            GROUP BY ALL)
        GROUP BY ALL
    """).to_arrow_table()


def by_helpers(files):
    return count_choices(files, choice="bought", menu="shelf", by=["shop", "week"])


def agrees_with_pandas(file):
    """Whether the counts of one file are those of a direct group-by."""
    log = pd.read_parquet(file, columns=["shop", "week", "shelf", "bought"]).head(300_000)
    part = Path(file).with_name("part.parquet")
    log.to_parquet(part)
    counted = by_helpers([str(part)])
    part.unlink()
    names = list(counted.categories)
    on = np.stack([log["shelf"].map(set).map(lambda s, n=n: n in s) for n in names], axis=1)
    keys = [log["shop"], log["week"], *on.T]
    direct = log["bought"].groupby(keys).value_counts().unstack(fill_value=0)[names]
    own = [np.asarray(counted.cluster), np.asarray(counted.date), *counted.available.T]
    found = pd.DataFrame(counted.counts, index=pd.MultiIndex.from_arrays(own)).sort_index()
    return np.array_equal(found.to_numpy(), direct.sort_index().to_numpy())


def timed(function, *given):
    start = time.perf_counter()
    result = function(*given)
    return time.perf_counter() - start, result


def main():
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="file to write to")
    parser.add_argument(
        "--lines", type=int, nargs="*", default=[1_000_000, 10_000_000, 100_000_000]
    )
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    table = []
    for lines in given.lines:
        with tempfile.TemporaryDirectory() as folder:
            made, _ = timed(write_log, folder, lines, given.seed)
            files = sorted(str(file) for file in Path(folder).glob("*.parquet"))
            size = sum(Path(file).stat().st_size for file in files)
            times = {"count_choices": [], "duckdb": []}
            for _ in range(ROUNDS):
                times["count_choices"].append(timed(by_helpers, files)[0])
                times["duckdb"].append(timed(by_duckdb, files)[0])
            counted = by_helpers(files)
            assert counted.n.sum() == lines // FILES * FILES
            assert agrees_with_pandas(files[0])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        line = {"lines": lines, "rows": len(counted.counts), "gigabytes": size / 1e9}
        line |= {"written": made, **{name: min(of) for name, of in times.items()}, "peak": peak}
        table.append(line)
        print(line, flush=True)
        pd.DataFrame(table).round(2).to_csv(given.out, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
