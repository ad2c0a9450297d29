"""Make data/calibration.csv: do the intervals of every model mean what they say?

Run `python data/build/calibration.py`. For each model it draws parameters from the priors and
counts from the likelihood, on the menus and totals of one small table, fits the same model to each
set of counts, and ranks the truths among the draws (simulation-based calibration). The fits run in
as many processes as there are cores. A model that is in the file already is passed over, so that
it can be run in pieces.
"""

import argparse
import logging
import time
from pathlib import Path

import pandas as pd
import pytensor

from helpers import calibrate, simulate_counts

OUT = Path(__file__).resolve().parents[1] / "calibration.csv"
SHAPE = {"n_clusters": 6, "n_dates": 3, "n_categories": 4, "unavailable": (0, 0, 0.3, 0.3)}
PRICE = {"attribute_slope": {"price": -1.0}}
INTERCEPTS = {"effects": "intercepts"}
# A table with a predictor: without one, the model has no slopes.
PREDICTOR, SLOPES = {"effects": "slopes"}, {"effects": "slopes"}
SCATTER = {"likelihood": "logistic-normal"}
UNKNOWN = {"availability": "unknown", "inflated": ["category 3", "category 4"]}
# What differs in the table, then the model.
MODELS = {
    "pooled": ({}, {"effects": "pooled"}),
    "intercepts": ({}, INTERCEPTS),
    "intercepts, centred": ({}, INTERCEPTS | {"centring": "centred"}),
    "intercepts, non-centred": ({}, INTERCEPTS | {"centring": "noncentred"}),
    "slopes": (PREDICTOR, SLOPES),
    "slopes, independent": (PREDICTOR, SLOPES | {"covariance": "independent"}),
    "slopes, full": (PREDICTOR, SLOPES | {"covariance": "full"}),
    "slopes, kronecker": (PREDICTOR, SLOPES | {"covariance": "kronecker"}),
    "Dirichlet-multinomial": ({}, INTERCEPTS | {"likelihood": "dirichlet-multinomial"}),
    "normal scatter": ({}, INTERCEPTS | SCATTER | {"scatter": "normal"}),
    "t scatter": ({}, INTERCEPTS | SCATTER | {"scatter": "t"}),
    "drift": ({}, INTERCEPTS | {"drift": "walk"}),
    "menus unknown, by row": ({}, INTERCEPTS | UNKNOWN),
    # Once more, with other tables: the first 200 had a verdict other than right.
    "menus unknown, by row, again": ({}, INTERCEPTS | UNKNOWN),
    "menus unknown, by cluster": ({}, INTERCEPTS | UNKNOWN | {"menu_of": "cluster"}),
    "price": (PRICE, INTERCEPTS),
    "price, by cluster": (PRICE, INTERCEPTS | {"attribute_effects": "varying"}),
    "nest": ({}, {"effects": "pooled", "nests": {"pair": ["category 3", "category 4"]}}),
}


LATER = {"menus unknown, by row, again": 1}  # added to the seed


def of_model(name, simulations, seed, client):
    """Its lines of the table."""
    simulated, options = MODELS[name]
    seed += LATER.get(name, 0)
    unknown = options.get("availability") == "unknown"
    shape = SHAPE | INTERCEPTS | ({"unavailable": (0,) * 4} if unknown else {}) | simulated
    data, _ = simulate_counts(**shape, n_range=(50, 300), random_seed=seed)
    start = time.time()
    found = calibrate(
        data,
        simulations=simulations,
        reference="category 1",
        client=client,
        random_seed=seed,
        progressbar=False,
        **options,
    )
    of_fits = found.simulations
    print(f"{name}: {time.time() - start:.0f} s. {found.words()}", flush=True)
    return found.table.reset_index().assign(
        model=name,
        simulations=len(found.ranks),
        refused=(of_fits["refused"] != "").sum(),
        divergences=of_fits["divergences"].gt(0).mean(),
        rhat=of_fits["rhat"].quantile(0.95),
        ess=of_fits["ess"].quantile(0.05),
        seconds=of_fits["seconds"].median(),
    )


def main():
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="file to write to")
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--client", default="local", help="local, or the address of a scheduler")
    given = parser.parse_args()
    logging.getLogger("pymc").setLevel(logging.ERROR)
    pytensor.config.numba__fastmath = False
    tables = [pd.read_csv(given.out)] if given.out.exists() else []
    done = set(tables[0]["model"]) if tables else set()
    for name in given.models:
        if name not in done:
            tables.append(of_model(name, given.simulations, given.seed, given.client))
            table = pd.concat(tables).round(4).set_index(["model", "parameter"])
            table = table.loc[[model for model in MODELS if model in table.index]]
            table.to_csv(given.out, lineterminator="\n")


if __name__ == "__main__":
    main()
