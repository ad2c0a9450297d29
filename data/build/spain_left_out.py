"""Make data/spain_left_out.csv: which model of Spain predicts what it has not seen?

Run `python data/build/spain_left_out.py`. It leaves out whole elections and whole provinces, each
in four folds, fits the three models of chapter 12 to the rest, and takes the joint log density of
what was left out. The effect that its rows share, the step of the election or the intercept of the
province, is integrated out, because nobody knows it beforehand.

Provinces are left out by emptying their rows: rows without votes say nothing, and the program that
was compiled once serves for all folds. Elections are taken out of the table. What is in the file
already is passed over, so that it can be run in pieces.
"""

import argparse
import dataclasses
import logging
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytensor
from scipy import optimize, stats
from scipy.special import gammaln, softmax

from helpers import CategoryCounts, check_convergence
from helpers.diagnostics import leave_groups_out
from helpers.effects import date_gaps, group_log_likelihood
from helpers.models import ManyTables

DATA = Path(__file__).resolve().parents[1]
SEED = 1
REFERENCE = "n_left"
MODELS = {
    "one concentration": {"likelihood": "dirichlet-multinomial"},
    "normal scatter": {"likelihood": "logistic-normal", "scatter": "normal"},
    "t scatter": {"likelihood": "logistic-normal", "scatter": "t"},
}
SAMPLING = {"draws": 600, "tune": 700, "chains": 4, "cores": 2}
GATE = {"rhat": 1.03, "ess": 150}
FOLDS = 4
# Draws that a density is averaged over, and points for the shared effect in each of them.
DRAWS, POINTS = 500, 128


def dirichlet_log_density(counts, menus, logits, concentration, shared, rng):
    """Joint log density (S,) of rows that scatter as a Dirichlet-multinomial, by importance."""

    def log_joint(v, at, phi, sd):
        """Log density of counts (R, K) and effects (..., K), at logits (..., R, K)."""
        eta = np.where(menus, at + v[..., None, :], -np.inf)
        alpha = np.where(menus, phi[..., None, None] * softmax(eta, axis=-1), 1.0)
        alpha = np.maximum(alpha, 1e-300)
        kept = np.where(menus, gammaln(counts + alpha) - gammaln(alpha), 0).sum(axis=(-1, -2))
        whole = (gammaln(phi[..., None]) - gammaln(phi[..., None] + counts.sum(axis=1))).sum(-1)
        return kept + whole + constant + stats.norm.logpdf(v, 0, sd).sum(axis=-1)

    n = counts.sum(axis=1)
    constant = gammaln(n + 1).sum() - gammaln(counts + 1).sum()
    at, phi, sd = logits.mean(axis=0), concentration.mean(), shared.mean(axis=0)
    size = counts.shape[1]
    target = lambda v: -log_joint(v, at, np.asarray(phi), sd)  # noqa: E731
    mode = optimize.minimize(target, np.zeros(size), method="BFGS").x
    step = 1e-3 * np.eye(size)
    second = [
        [
            (target(mode + a + b) - target(mode + a - b) - target(mode - a + b))
            + target(mode - a - b)
            for b in step
        ]
        for a in step
    ]
    wide = 1.3 * np.linalg.inv(np.array(second) / 4e-6)
    # In each draw the mode moves against the draw's own mean.
    centre = mode - (logits - at).mean(axis=1)
    proposal = stats.multivariate_t(np.zeros(size), wide, df=8, seed=rng)
    away = proposal.rvs(POINTS).reshape(POINTS, size)
    log_q = proposal.logpdf(away)
    out = np.empty(len(logits))
    for s in range(len(logits)):
        value = log_joint(centre[s] + away, logits[s], np.full(POINTS, concentration[s]), shared[s])
        out[s] = np.logaddexp.reduce(value - log_q) - np.log(POINTS)
    return out


class LeftOut:
    """Fits of one model, and what they say of rows that were left out."""

    def __init__(self, frame, options):
        self.frame = frame
        self.data = data = self.table(frame)
        self.dates = data.date.unique().sort_values()
        self.categories = list(data.categories)
        self.options = {"effects": "intercepts", "drift": "walk", "reference": REFERENCE} | options
        self.many = ManyTables(**self.options)
        self.rng = np.random.default_rng(SEED)

    @staticmethod
    def table(frame):
        """Rows of the file as counts."""
        families = [name for name in frame if name.startswith("n_")]
        return CategoryCounts.from_wide(frame, families, cluster="province", date="date")

    def without_provinces(self, rows):
        """Draws of the parameters, with the counts of all other rows emptied."""
        counts = np.zeros_like(self.data.counts)
        counts[rows] = self.data.counts[rows]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the rows are emptied on purpose
            kept = dataclasses.replace(self.data, counts=counts)
            return self.draws(self.many.fit(kept, random_seed=SEED, **SAMPLING)[1])

    def without_elections(self, rows):
        """
        The same from a table without the other elections, which has fewer steps.

        An election that is empty would leave its step to the prior, and chains that crawl.
        """
        kept = self.table(self.frame.iloc[rows])
        found = self.draws(ManyTables(**self.options).fit(kept, random_seed=SEED, **SAMPLING)[1])
        return found | {"kept": np.unique(self.dates.get_indexer(self.data.date[rows]))}

    def draws(self, fitted):
        """Some draws, by name, if they have converged."""
        table = check_convergence(fitted, **GATE)
        print(f"  R-hat {table['rhat'].max():.3f}, ESS {table['ess_bulk'].min():.0f}", flush=True)
        posterior = fitted["posterior"].to_dataset().stack(sample=("chain", "draw"))
        total = posterior.sizes["sample"]
        posterior = posterior.isel(sample=np.linspace(0, total - 1, DRAWS).astype(int))
        return {name: v.transpose("sample", ...).to_numpy() for name, v in posterior.items()}

    def with_reference(self, values):
        """Contrasts (..., K - 1) as logits of all categories."""
        return np.insert(values, self.categories.index(REFERENCE), 0.0, axis=-1)

    def of_province(self, fit, rows):
        """Means without the province's intercept, and the spread of intercepts."""
        date = self.dates.get_indexer(self.data.date[rows])
        mean = fit["intercept_mean"][:, None] + fit["drift"][:, date]
        return self.with_reference(mean), fit["intercept_spread"]

    def of_election(self, fit, rows):
        """Means between the nearest elections that were kept, and the spread of the step there."""
        d, kept = self.dates.get_loc(self.data.date[rows[0]]), fit["kept"]
        years = np.r_[0.0, np.cumsum(date_gaps(self.dates))]
        after = np.searchsorted(kept, d)
        if 0 < after < len(kept):
            gaps = years[d] - years[kept[after - 1]], years[kept[after]] - years[d]
            weight = gaps[1] / sum(gaps)
            level = weight * fit["drift"][:, after - 1] + (1 - weight) * fit["drift"][:, after]
            variance = np.prod(gaps) / sum(gaps)
        else:
            near = min(after, len(kept) - 1)
            level, variance = fit["drift"][:, near], abs(years[d] - years[kept[near]])
        province = self.data.cluster.codes[rows]
        mean = fit["intercept"][:, province] + level[:, None]
        return self.with_reference(mean), fit["drift_spread"] * np.sqrt(variance)

    def log_density(self, fit, rows, of):
        """Joint log density (S,) of the rows, what they share and their scatter integrated out."""
        logits, shared = of(fit, rows)
        counts, menus = self.data.counts[rows], self.data.available[rows]
        if "concentration" in fit:
            return dirichlet_log_density(
                counts, menus, logits, fit["concentration"], shared, self.rng
            )
        spread, df = fit["scatter_sd"], fit.get("scatter_df")
        return group_log_likelihood(
            counts, menus, logits, spread, shared, df, random_seed=self.rng
        ).log_likelihood


def main():
    """Write the table, one line for each model and group."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DATA, help="folder to write to")
    path = parser.parse_args().out / "spain_left_out.csv"
    logging.getLogger("pymc").setLevel(logging.ERROR)
    pytensor.config.numba__fastmath = False
    frame = pd.read_csv(DATA / "spain_elections.csv", parse_dates=["date"])
    done = pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=["model", "kind"])
    for name, options in MODELS.items():
        left_out = LeftOut(frame, options)
        data = left_out.data
        elections = data.date.strftime("%Y-%m-%d")
        for kind, groups, fit, of in [
            ("province", data.cluster, left_out.without_provinces, left_out.of_province),
            ("election", elections, left_out.without_elections, left_out.of_election),
        ]:
            if ((done["model"] == name) & (done["kind"] == kind)).any():
                continue
            print(name, kind, flush=True)
            table = leave_groups_out(
                np.asarray(groups),
                fit,
                lambda fit, rows, of=of, by=left_out: by.log_density(fit, rows, of),
                folds=FOLDS,
                random_seed=SEED,
            )
            table = table.reset_index().assign(model=name, kind=kind)
            done = pd.concat([done, table]) if len(done) else table
            columns = ["model", "kind", "group", "rows", "fold", "elpd", "error", "effective"]
            done = done[columns]
            done.round(2).to_csv(path, index=False, lineterminator="\n")
            print(table[["elpd", "error", "effective"]].describe().round(1), flush=True)


if __name__ == "__main__":
    main()
