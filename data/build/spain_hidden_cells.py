"""Make data/spain_hidden_cells.csv: does the model of Spain predict counts it has not seen?

Run `python data/build/spain_hidden_cells.py`. In three ways it hides cells that were on the menu,
fits the model of chapter 12 to the rest, and compares its predictions with what was hidden.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pymc as pm
import pytensor

from helpers import check_convergence, masked_regression, parameter_names, read_counts
from helpers.data import shares_on_menu
from helpers.diagnostics import hidden_cell_table, hide_cells
from helpers.effects import draw_scatter
from helpers.predict import value_by_draw

DATA = Path(__file__).resolve().parents[1]
SEED = 1
# Families that really are off many menus.
FAMILIES = ["n_green", "n_farright", "n_regional", "n_other"]
# A fifth of each family's cells, and its cells in 20 of 52 provinces.
WAYS = {
    "at random": {"how": "random", "share": 0.2},
    "all but one": {"how": "weakest", "share": 20 / 52},
    "whole provinces": {"how": "clusters", "share": 20 / 52},
}
DRAWS = 400


def fit(data):
    """Sample the final model, gated."""
    model = masked_regression(
        data, effects="intercepts", drift="walk", likelihood="logistic-normal", scatter="t"
    )
    with model:
        draws = pm.sample(
            500,
            tune=700,
            chains=4,
            cores=4,
            nuts_sampler="nutpie",
            random_seed=SEED,
            progressbar=False,
            compile_kwargs={"freeze_model": True},
            var_names=parameter_names(model),
        )
    print(check_convergence(draws, rhat=1.02).round(3).to_string(), flush=True)
    return draws, model


def realised_shares(draws, model, kept, menus, rng):
    """Shares that each row would have shown under these menus, given its counts."""
    names = ["mean_logits", "scatter_sd", "scatter_df"]
    total = draws["posterior"].sizes["chain"] * draws["posterior"].sizes["draw"]
    some = np.linspace(0, total - 1, DRAWS).astype(int)
    by_draw = value_by_draw(draws["posterior"], model, [model[name] for name in names], some)
    mean, spread, df = map(np.stack, zip(*by_draw, strict=True))
    logits = draw_scatter(kept.counts, kept.available, mean, spread, df, rng=rng)
    return shares_on_menu(logits, menus)


def main():
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DATA, help="folder to write to")
    out = parser.parse_args().out
    logging.getLogger("pymc").setLevel(logging.ERROR)
    pytensor.config.numba__fastmath = False
    data = read_counts(DATA / "spain_elections.csv", cluster="province", date="date")
    tables = []
    for way, options in WAYS.items():
        kept, hidden = hide_cells(data, categories=FAMILIES, random_seed=SEED, **options)
        rng = np.random.default_rng(SEED)
        shares = realised_shares(*fit(kept), kept, data.available, rng)
        table = hidden_cell_table(data, hidden, shares, random_seed=rng)
        table.index = table.index.str.removeprefix("n_").rename("family")
        tables.append(table.assign(hidden=way).set_index("hidden", append=True).swaplevel())
        print(tables[-1].round(2).to_string(), flush=True)
    path = out / "spain_hidden_cells.csv"
    pd.concat(tables).round(2).to_csv(path, lineterminator="\n")


if __name__ == "__main__":
    main()
