"""Make data/spain_codings.csv: what the country preferred, under two codings of the families.

Run `python data/build/spain_codings.py`. It fits the model of chapter 12 to
data/spain_elections.csv and to data/spain_elections_alternative.csv.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytensor
from spain_hidden_cells import DATA, SEED, fit

from helpers import interval, preferences_over_time, read_counts

CODINGS = {"first": "spain_elections.csv", "alternative": "spain_elections_alternative.csv"}


def by_date(data):
    """Plain and realised shares of the votes by date and family."""
    draws, model = fit(data)
    some = draws.isel(draw=slice(None, None, draws["posterior"].sizes["draw"] // 50))
    national = preferences_over_time(some, model, random_seed=SEED)
    low, high = interval(national, axis=(0, 1))
    votes = pd.DataFrame(data.counts, columns=data.categories).groupby(data.date).sum()
    tables = {
        "plain": votes.div(votes.sum(axis=1), axis=0).to_numpy(),
        "latent": np.median(national, axis=(0, 1)),
        "low": low,
        "high": high,
    }
    families = [name.removeprefix("n_") for name in data.categories]
    index = pd.MultiIndex.from_product(
        [votes.index.strftime("%Y-%m-%d"), families], names=["date", "family"]
    )
    return pd.DataFrame({name: table.ravel() for name, table in tables.items()}, index)


def main():
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DATA, help="folder to write to")
    out = parser.parse_args().out
    logging.getLogger("pymc").setLevel(logging.ERROR)
    pytensor.config.numba__fastmath = False
    tables = {
        coding: by_date(read_counts(DATA / name, cluster="province", date="date"))
        for coding, name in CODINGS.items()
    }
    table = pd.concat(tables, names=["coding"])
    table.round(6).to_csv(out / "spain_codings.csv", lineterminator="\n")


if __name__ == "__main__":
    main()
