"""Make data/coverage_study.csv: do the 89 % intervals hold 89 % of truths drawn from the prior?

Run `python data/build/coverage_study.py`. For each design it draws parameters and counts from the
model's own prior, fits the model to the counts, and asks how often the intervals contain the
parameters. With a right sampler and a right density that is 89 % for each of them, up to chance.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr

from helpers import ConvergenceError, interval, masked_regression, shares_on_menu, simulate_counts
from helpers.book import set_up
from helpers.diagnostics import check_convergence
from helpers.models import ManyTables

DATA = Path(__file__).resolve().parents[1]
SHAPE = {"n_clusters": 20, "n_dates": 4, "n_categories": 4, "unavailable": (0, 0, 0.25, 0.25)}
REFERENCE = "category 1"
SAMPLING = {"draws": 800, "tune": 700, "chains": 4, "cores": 4, "target_accept": 0.9}
# Every parameter named here is checked, element by element.
DESIGNS = {
    "levels and spreads": (
        {"effects": "intercepts"},
        {},
        ["intercept_mean", "intercept_spread", "intercept"],
    ),
    "drift and scatter": (
        {"effects": "intercepts"},
        {"drift": "walk", "likelihood": "logistic-normal", "scatter": "normal"},
        ["intercept_mean", "intercept_spread", "drift_spread", "drift", "scatter_sd"],
    ),
    "prices, by cluster": (
        {"effects": "intercepts", "attribute_slope": {"price": -1.0}},
        {"attribute_effects": {"price": "varying"}},
        ["attribute_slope", "attribute_sd", "attribute_slopes", "intercept_spread"],
    ),
    "a nest": (
        {"effects": "pooled"},
        {"effects": "pooled", "nests": {"nest": ["category 3", "category 4"]}},
        ["intercept", "nest_scale"],
    ),
}


def drawn_from_prior(data, options, n_tables, seed):
    """Truths and tables: the prior of the model, on the menus and totals of a table."""
    model = masked_regression(data, reference=REFERENCE, **options)
    prior = pm.sample_prior_predictive(draws=n_tables, model=model, random_seed=seed)
    counts = prior.prior_predictive["counts"].isel(chain=0)
    for i in range(n_tables):
        truth = prior.prior.to_dataset().isel(draw=[i])
        yield replace(data, counts=counts.isel(draw=i).to_numpy()), truth


def held(draws, truth, names):
    """For each parameter, whether the intervals of its elements contain the truth."""
    out = {}
    for name in names:
        values = draws[name].stack(s=("chain", "draw")).transpose("s", ...).to_numpy()
        low, high = interval(values)
        true = truth[name].isel(chain=0, draw=0).to_numpy()
        out[name] = np.ravel((low <= true) & (true <= high))
    return out


def elasticity(draws, model, data):
    """By how many per cent the choices of each category change with each price, in NumPy."""
    draws = draws.stack(s=("chain", "draw")).transpose("s", ...)
    some = np.linspace(0, draws.sizes["s"] - 1, min(draws.sizes["s"], 400)).astype(int)
    slope, level = (
        draws[name].to_numpy()[some][:, data.cluster.codes]
        for name in ("attribute_slopes", "intercept")
    )
    price = data.attributes["price"]
    away = price - model["attribute_mean"].get_value()[:, 0]
    logits = np.insert(level, data.categories.index(REFERENCE), 0.0, axis=-1) + slope * away
    p = shares_on_menu(logits, data.available)
    weighted = data.n[:, None] * p * slope
    cross = -np.einsum("sij,sik,ik->sjk", weighted, p, price)
    own = np.einsum("sij,ij->sj", weighted, price)
    total = (data.n[:, None] * p).sum(axis=1)
    change = cross + own[:, :, None] * np.eye(p.shape[-1])
    of = xr.DataArray(change / total[:, :, None], dims=("draw", "category", "changed"))
    return xr.Dataset({"elasticity": of.expand_dims("chain")})


def study(name, n_tables, seed):
    """One design: coverage by parameter, and how the fits went."""
    simulated, options, names = DESIGNS[name]
    options = {"effects": "intercepts"} | options
    data, _ = simulate_counts(**SHAPE, n_range=(200, 2_000), **simulated, random_seed=seed)
    many = ManyTables(reference=REFERENCE, **options)
    inside = {n: [] for n in names}
    priced = "attribute_effects" in options
    gated, refused, start = 0, 0, time.time()
    for i, (table, truth) in enumerate(drawn_from_prior(data, options, n_tables, seed)):
        try:
            model, draws = many.fit(table, **SAMPLING, random_seed=seed + i)
        except ValueError as error:
            refused += 1
            print(name, i, str(error)[:200], flush=True)
            continue
        try:
            check_convergence(draws, rhat=1.02, divergences=20)
            gated += 1
        except ConvergenceError as error:  # a table that does not converge is counted, not dropped
            print(name, i, str(error)[:200].replace("\n", " "), flush=True)
        posterior = draws["posterior"].to_dataset()
        for parameter, hits in held(posterior, truth, names).items():
            inside[parameter].append(hits)
        if priced:
            of_price = [elasticity(x, model, table) for x in (posterior, truth)]
            inside.setdefault("elasticity", []).append(
                held(*of_price, ["elasticity"])["elasticity"]
            )
    lines = []
    for parameter, hits in inside.items():
        by_table = np.mean(hits, axis=1)  # elements of a table are not independent
        lines.append(
            {
                "design": name,
                "parameter": parameter,
                "tables": len(hits),
                "elements": len(hits[0]),
                "coverage": np.mean(by_table),
                "error": np.std(by_table, ddof=1) / np.sqrt(len(hits)),
                "converged": gated,
                "refused": refused,
            }
        )
    print(f"{time.time() - start:.0f} s", flush=True)
    return pd.DataFrame(lines)


def main():
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DATA, help="folder to write to")
    parser.add_argument("--tables", type=int, default=50, help="tables of each design")
    parser.add_argument("--designs", nargs="*", default=list(DESIGNS), choices=list(DESIGNS))
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    set_up(500, given.seed)
    tables = []
    for name in given.designs:
        tables.append(study(name, given.tables, given.seed))
        print(tables[-1].round(3).to_string(), flush=True)
        path = given.out / "coverage_study.csv"
        pd.concat(tables).round(3).to_csv(path, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
