"""Make data/likelihood_study.csv: what each likelihood says of tables that another one made.

Run `python data/build/likelihood_study.py --tables 20`. For each seed it draws one table in each
of four ways, fits four models to each, and appends sixteen lines. A seed that is in the file
already is passed over, so that the study can be run in pieces.

All tables have the same menus and totals, so each model is compiled once.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytensor
from scipy.special import gammaln, logsumexp, softmax

from helpers import (
    CategoryCounts,
    check_convergence,
    draw_counts,
    interval,
    latent_preferences,
    shares_on_menu,
    simulate_counts,
)
from helpers.effects import draw_new_scatter, draw_scatter, integrated_log_likelihood
from helpers.models import ManyTables

OUT = Path(__file__).resolve().parents[1] / "likelihood_study.csv"
CLUSTERS, DATES, CATEGORIES, REFERENCE = 12, 7, 5, 1
UNAVAILABLE = (0.2, 0.0, 0.4, 0.0, 0.1)
DEGREES = 4.0
MODELS = {
    "multinomial": {"likelihood": "multinomial"},
    "Dirichlet-multinomial": {"likelihood": "dirichlet-multinomial"},
    "normal scatter": {"likelihood": "logistic-normal", "scatter": "normal"},
    "t scatter": {"likelihood": "logistic-normal", "scatter": "t"},
}
SAMPLING = {"draws": 300, "tune": 500, "chains": 4, "cores": 1}
GATE = {"rhat": 1.03, "ess": 200}


def truth_and_rows(seed, way, design):
    """A table drawn in one way: counts, realised and mean preferences."""
    rng = np.random.default_rng([seed, list(MODELS).index(way)])
    _, levels = simulate_counts(
        CLUSTERS,
        1,
        CATEGORIES,
        unavailable=(0,) * CATEGORIES,
        effects="intercepts",
        intercept_spread=0.5,
        random_seed=seed,
    )
    of_cluster = levels["logits"].to_numpy()
    logits = np.repeat(of_cluster, DATES, axis=0)
    preference, scatter = softmax(logits, axis=1), 0.0
    mean = softmax(of_cluster, axis=1)
    if way.endswith("scatter"):
        spread = np.exp(rng.uniform(np.log(0.1), np.log(0.4)) + 0.5 * rng.normal(size=CATEGORIES))
        df = [DEGREES] if way == "t scatter" else None
        scatter = draw_new_scatter([spread], df, n_rows=len(logits), rng=rng)[0]
        many = draw_new_scatter([spread], df, n_rows=100_000, rng=rng)[0]
        mean = np.stack([softmax(own + many, axis=1).mean(axis=0) for own in of_cluster])
    realised = softmax(logits + scatter, axis=1)
    share = shares_on_menu(logits + scatter, design.available)
    if way == "Dirichlet-multinomial":
        weight = rng.standard_gamma(np.exp(rng.uniform(np.log(20), np.log(500))) * share)
        share = weight / weight.sum(axis=1, keepdims=True)
        realised = filled_in(share, preference, design.available)
    return draw_counts(rng, design.n, share), realised, mean.mean(axis=0)


def filled_in(share, preference, available):
    """Shares that rows showed on their menus, beside those expected of what was off them."""
    off = np.where(available, 0.0, preference)
    return share * (1 - off.sum(axis=-1, keepdims=True)) + off


def by_draw(draws, data, size=200):
    """Logits of rows (S, R, K) and what describes their scatter, of some draws."""
    posterior = draws["posterior"].to_dataset()
    posterior = posterior.stack(sample=("chain", "draw"))
    some = np.linspace(0, posterior.sizes["sample"] - 1, size).astype(int)
    posterior = posterior.isel(sample=some)
    intercept = posterior["intercept"].reindex(contrast=list(data.categories), fill_value=0.0)
    logits = intercept.transpose("sample", "cluster", "contrast").to_numpy()
    names = ("scatter_sd", "scatter_df", "concentration")
    values = {k: posterior[k].transpose("sample", ...).to_numpy() for k in names if k in posterior}
    return logits[:, np.asarray(data.cluster.codes)], values


def realised_national(train, logits, values, rng):
    """National shares, all on the menu, of the rows as they were, by draw."""
    if "scatter_sd" in values:
        shown = draw_scatter(train.counts, train.available, logits, **spreads(values), rng=rng)
        share = softmax(shown, axis=-1)
    else:
        share = shares_on_menu(logits, train.available)
        if "concentration" in values:
            phi = values["concentration"][:, None, None]
            weight = rng.standard_gamma(phi * share + train.counts)
            share = weight / weight.sum(axis=-1, keepdims=True)
        share = filled_in(share, softmax(logits, axis=-1), train.available)
    return np.average(share, axis=1, weights=train.n)


def spreads(values):
    return {"spread": values["scatter_sd"], "df": values.get("scatter_df")}


def log_score(test, logits, values, rng):
    """Mean log density of rows that were kept out."""
    y, on, n = test.counts, test.available, test.n
    if "scatter_sd" in values:
        log_p = integrated_log_likelihood(
            y, on, logits, **spreads(values), random_seed=rng
        ).log_likelihood
    else:
        share = shares_on_menu(logits, on)
        coefficient = gammaln(n + 1) - gammaln(y + 1).sum(axis=-1)
        if "concentration" in values:
            phi = values["concentration"][:, None, None]
            a = np.where(on, phi * share, 1.0)
            phi = phi[..., 0]
            log_p = coefficient + gammaln(phi) - gammaln(n + phi)
            log_p = log_p + (gammaln(y + a) - gammaln(a)).sum(axis=-1, where=on)
        else:
            log_p = coefficient + (y * np.log(np.where(on, share, 1.0))).sum(axis=-1)
    return (logsumexp(log_p, axis=0) - np.log(len(log_p))).mean()


def scores(draws, model, train, test, realised, mean, rng):
    """One line of the table."""
    logits, values = by_draw(draws, train)
    new, _ = by_draw(draws, test)
    line = {}
    every = draws.isel(draw=slice(None, None, 6))
    of_new = latent_preferences(every, model, random_seed=1).mean("cluster").to_numpy()
    of = {
        "realised": (realised_national(train, logits, values, rng), realised),
        "mean": (of_new.reshape(-1, CATEGORIES), mean),
    }
    for name, (drawn, true) in of.items():
        low, high = interval(drawn, axis=0)
        line[f"{name}_error"] = 100 * np.abs(drawn.mean(axis=0) - true).mean()
        line[f"{name}_inside"] = ((low <= true) & (true <= high)).mean()
    line["log_score"] = log_score(test, new, values, rng)
    checked = check_convergence(draws, rhat=9, ess=0, divergences=10**6)
    line["rhat"], line["ess"] = checked["rhat"].max(), checked["ess_bulk"].min()
    line["divergences"] = int(draws["sample_stats"]["diverging"].sum())
    return line


def run_table(seed, way, design, samplers):
    """Draw one table, fit all models to it."""
    counts, realised, mean = truth_and_rows(seed, way, design)
    last = np.arange(len(design)) % DATES == DATES - 1
    frame = CategoryCounts(
        counts=counts,
        available=design.available,
        categories=design.categories,
        cluster=design.cluster,
        cluster_name="district",
    ).to_frame()
    parts = [
        CategoryCounts.from_wide(frame[rows], list(design.categories), cluster="district")
        for rows in (~last, last)
    ]
    realised = np.average(realised[~last], axis=0, weights=parts[0].n)
    lines = []
    for name, sampler in samplers.items():
        model, draws = sampler.fit(parts[0], random_seed=seed, **SAMPLING)
        rng = np.random.default_rng(seed)
        line = scores(draws, model, *parts, realised, mean, rng)
        lines.append({"seed": seed, "truth": way, "fitted": name} | line)
    return pd.DataFrame(lines)


def main():
    """Append to the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=20, help="tables of each kind in the end")
    parser.add_argument("--out", type=Path, default=OUT, help="file to append to")
    asked = parser.parse_args()
    logging.getLogger("pymc").setLevel(logging.ERROR)
    pytensor.config.numba__fastmath = False
    design, _ = simulate_counts(
        CLUSTERS,
        DATES,
        CATEGORIES,
        unavailable=UNAVAILABLE,
        n_range=(300, 10_000),
        effects="pooled",
        random_seed=0,
    )
    common = {"effects": "intercepts", "reference": design.categories[REFERENCE]}
    samplers = {name: ManyTables(**common, **options) for name, options in MODELS.items()}
    done = set()
    if asked.out.exists():
        done = set(pd.read_csv(asked.out)[["seed", "truth"]].itertuples(index=False, name=None))
    for seed in range(1, asked.tables + 1):
        for way in MODELS:
            if (seed, way) in done:
                continue
            table = run_table(seed, way, design, samplers)
            table.round(4).to_csv(
                asked.out,
                mode="a",
                header=not asked.out.exists(),
                index=False,
                lineterminator="\n",
            )
            print(table.round(3).to_string(header=way == "multinomial", index=False), flush=True)


if __name__ == "__main__":
    main()
