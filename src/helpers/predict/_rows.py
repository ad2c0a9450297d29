"""The rows that a prediction is for: rows of the model, or new ones."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import batched
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
import xarray as xr
from pytensor.graph.replace import graph_replace

from helpers.data.dates import parse_dates
from helpers.data.messages import require_known
from helpers.effects.drift import walk_at
from helpers.effects.rows import draw_new_scatter, draw_scatter
from helpers.models.predictors import terms_of
from helpers.predict._scatter import (
    Nests,
    chosen,
    nests_of,
    require_stored_scatter,
    scatter_terms,
    scatters,
)
from helpers.predict._scenarios import Scenario, changed_data
from helpers.predict.draws import value_by_draw

# Doubles of logits whose scatter is drawn at once.
BLOCK = 2**21


class Draw(NamedTuple):
    """
    What one draw says of the rows.

    Logits (R, K), and the concentration of a Dirichlet-multinomial. The spread (K,) and the
    degrees of freedom of the scatter are there if shares are to be averaged over it. Shifts (R, K)
    are what scenarios that change predictors or attributes add to the logits, by position. Nests
    are there if the model has them.
    """

    logits: np.ndarray
    concentration: float | None = None
    spread: np.ndarray | None = None
    df: float | None = None
    shifts: Mapping[int, np.ndarray] = {}
    nests: Nests | None = None


class RowsToPredict(Protocol):
    """Rows with their labels (R,), menus (R, K) and totals (R,), and what of them is predicted."""

    at: str
    labels: pd.Index
    row_menus: np.ndarray
    n: np.ndarray

    def prepare(self, scenarios: Sequence[Scenario]) -> None:
        """Take note of scenarios that change predictors or attributes."""
        ...

    def by_draw(
        self, posterior: xr.Dataset | xr.DataTree, rng: np.random.Generator
    ) -> Iterator[Draw]:
        """What each draw says of the rows."""
        ...


def rows_to_predict(
    model: pm.Model, rows: Sequence | np.ndarray | pd.DataFrame | None, at: str | None = None
) -> RowsToPredict:
    """Find rows of a model by their labels, or set up new ones."""
    at = chosen(model, at, "realised")
    kind = _NewRows if isinstance(rows, pd.DataFrame) else _ModelRows
    return kind(model, rows, at)


def _terms(model, logits, with_scatter):
    """What to evaluate in each draw, by the field of `Draw`."""
    terms = {"logits": logits}
    if "concentration" in model.named_vars:
        terms["concentration"] = model["concentration"]
    if "nest_scale" in model.named_vars:
        terms["nests"] = model["nest_scale"]
    return terms | scatter_terms(model) if with_scatter else terms


def log_exposure(model: pm.Model) -> np.ndarray | float:
    """What exposure adds to the logits of the model's rows (R, K): no part of preferences."""
    return model["log_exposure"].eval() if "log_exposure" in model.named_vars else 0.0


def _as_draw(model, terms, values):
    """A draw of the values of the terms."""
    given = dict(zip(terms, values, strict=False))
    if "nests" in given:
        given["nests"] = Nests(nests_of(model), given["nests"])
    return Draw(**given)


def _without_scatter(model):
    return model["mean_logits" if scatters(model) else "logits"]


class _Rows:
    """What both kinds of rows share: how scenarios move their logits."""

    model: pm.Model
    moved: tuple[int, ...] = ()

    def prepare(self, scenarios):
        self.moved = tuple(s for s, scenario in enumerate(scenarios) if scenario.changes)
        self.scenarios = scenarios

    def shift_terms(self, logits, data, rows, given):
        """What each scenario adds to the logits of all rows, whose predictors are `given`."""
        terms = []
        for s in self.moved:
            changed = changed_data(self.scenarios[s], self.model, data, rows, given)
            other = {
                self.model[name]: pt.constant(values, dtype=self.model[name].dtype)
                for name, values in changed.items()
            }
            terms.append(graph_replace(logits, other, strict=False) - logits)
        return terms

    def with_shifts(self, draws, shifts):
        """Draws, each with what its scenarios add."""
        if not self.moved:
            return draws
        return (
            draw._replace(shifts=dict(zip(self.moved, values, strict=True)))
            for draw, values in zip(draws, shifts, strict=True)
        )


class _ModelRows(_Rows):
    def __init__(self, model, rows, at):
        self.model, self.at = model, at
        self.labels = pd.Index(model.coords["row"])
        self.position = np.arange(len(self.labels))
        if rows is not None:
            labels = pd.Index(np.atleast_1d(rows))
            self.position = self.labels.get_indexer(labels)
            if (self.position < 0).any():
                raise ValueError(
                    f"There are no rows {labels[self.position < 0][:5].tolist()}: labels run from "
                    f"{self.labels[0]} to {self.labels[-1]}."
                )
            self.labels = self.labels[self.position]
        self.row_menus = model["available"].eval()[self.position].astype(bool)
        has_n = "n" in model.named_vars
        self.n = model["n"].eval()[self.position] if has_n else np.ones(len(self.labels), int)

    def by_draw(self, posterior, rng):
        shifts = None
        if self.moved:
            names = [n for n in ("predictors", "attributes") if n in self.model.named_vars]
            data = {name: self.model[name].eval() for name in names}
            logits = _without_scatter(self.model)
            given = self._given_predictors()
            terms = [t[self.position] for t in self.shift_terms(logits, data, self.position, given)]
            shifts = value_by_draw(posterior, self.model, terms)
        yield from self.with_shifts(self._draws(posterior, rng), shifts)

    def _given_predictors(self):
        """Predictors of the rows that were fitted, if a formula made columns of them."""
        terms = terms_of(self.model)
        if terms is None:
            return None
        now = self.model["predictors"].eval()
        if now.shape != terms.columns.shape or not np.array_equal(now, terms.columns):
            raise ValueError(
                "The predictors of the model were exchanged, and what they were made of is not "
                "known. Give a frame of new rows."
            )
        return terms.predictors

    def _draws(self, posterior, rng):
        model = self.model
        realised = self.at == "realised"
        if scatters(model) and realised and "scatter" not in posterior.data_vars:
            yield from self._given_counts(posterior, rng)
            return
        logits = model["logits"] if realised else _without_scatter(model)
        terms = _terms(model, logits[self.position], scatters(model) and self.at == "mean")
        for values in value_by_draw(posterior, model, list(terms.values())):
            yield _as_draw(model, terms, values)

    def _given_counts(self, posterior, rng):
        """Draw the scatter that rows showed from their counts."""
        model = self.model
        require_stored_scatter(model, posterior)
        counts = model.rvs_to_values[model["counts"]].eval()
        if (
            len(counts) != len(model.coords["row"])
            or (counts[self.position].sum(axis=1) != self.n).any()
        ):
            raise ValueError(
                "The counts are not of these rows: totals or rows of the model were exchanged, so "
                "that nobody knows how they scattered. Give a frame of new rows, or use "
                'at="mean".'
            )
        mean = _without_scatter(model)[self.position]
        values = value_by_draw(posterior, model, [mean, *scatter_terms(model).values()])
        for block in batched(values, max(1, BLOCK // self.row_menus.size)):
            logits, *of_scatter = map(np.stack, zip(*block, strict=True))
            given = counts[self.position], self.row_menus, logits, *of_scatter
            yield from map(Draw, draw_scatter(*given, rng=rng))


class _NewRows(_Rows):
    def __init__(self, model, frame, at):
        self.model, self.labels, self.at = model, frame.index, at
        categories = [str(c) for c in model.coords["category"]]
        self.terms = terms_of(model)
        if self.terms is None:
            self.predictors = [str(p) for p in model.coords.get("predictor", ())]
        else:
            self.predictors = list(self.terms.predictors.columns)
        by_cluster, by_date = ("cluster_index" in model.named_vars), ("drift" in model.named_vars)
        tables = self._tables(categories)
        needed = [*self.predictors, *["cluster"] * by_cluster, *["date"] * by_date]
        missing = [name for name in needed if name not in frame]
        if missing:
            raise ValueError(
                f"The new rows lack {', '.join(missing)}: this model needs the columns "
                f"{', '.join(needed)}."
            )
        columns = map(str, frame.columns)
        require_known(
            "column", columns, ["cluster", "date", "n", *self.predictors, *categories, *tables]
        )
        if not len(frame):
            raise ValueError("There are no new rows: the frame is empty.")
        self.row_menus = self._menus(frame, categories)
        self.n = self._totals(frame)
        self.given = None if self.terms is None else self.terms.checked(frame)
        self.x = self._numbers(frame)
        self.tables = self._by_category(frame, tables, categories)
        self.cluster = self._clusters(frame) if by_cluster else None
        if by_date:
            self.dates = pd.Index(model.coords["date"])
            self.date = pd.Index(frame["date"])
            if self.date.isna().any():
                raise ValueError(
                    f"The date is missing in new row(s) {self._where(self.date.isna())}."
                )
            if not all(isinstance(date, str) for date in self.dates):
                self.date = self._as_read(self.date)

    def _as_read(self, dates):
        """Dates as the table's were read: 01.02.2016 is the first of February."""
        read, _ = parse_dates(dates)
        timed = isinstance(self.dates, pd.DatetimeIndex)
        if timed and not isinstance(read, pd.DatetimeIndex):
            return pd.DatetimeIndex(pd.to_datetime(dates))
        return read

    def _where(self, bad):
        return self.labels[np.asarray(bad)][:5].tolist()

    def _menus(self, frame, categories):
        menus = np.ones((len(frame), len(categories)), dtype=bool)
        for k, category in enumerate(categories):
            if category in frame:
                values = frame[category].to_numpy()
                if not np.isin(values, (0, 1)).all():
                    raise ValueError(
                        f"The column {category!r} of new rows says whether it is on the menu, and "
                        "must contain True and False only."
                    )
                menus[:, k] = values.astype(bool)
        return menus

    def _tables(self, categories):
        """Columns such as price_oats and exposure_oats that new rows may have."""
        names = [str(name) for name in self.model.coords.get("attribute", ())]
        names += ["exposure"] if "log_exposure" in self.model.named_vars else []
        return [f"{name}_{category}" for name in names for category in categories]

    def _by_category(self, frame, columns, categories):
        """Attributes (R, K, Q), and the log of the exposure (R, K)."""
        given = {}
        for name in columns:
            if name in frame:
                given[name] = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=float)
                exposed = name.startswith("exposure_")
                bad = ~np.isfinite(given[name]) | (exposed & (given[name] < 0))
                if bad.any():
                    raise ValueError(
                        f"{name} must be a finite number{', 0 or more,' if exposed else ''} in new "
                        f"row(s) {self._where(bad)}."
                    )
        found, shape = {}, (len(frame), len(categories))
        if "attributes" in self.model.named_vars:
            usual = self.model["attributes"].eval().mean(axis=0)
            values = np.broadcast_to(usual, (len(frame), *usual.shape)).copy()
            for q, name in enumerate(self.model.coords["attribute"]):
                for k, category in enumerate(categories):
                    values[:, k, q] = given.get(f"{name}_{category}", values[:, k, q])
            found["attributes"] = values
        if "log_exposure" in self.model.named_vars:
            of = [given.get(f"exposure_{category}", np.ones(shape[0])) for category in categories]
            exposure = np.stack(of, axis=1)
            self.row_menus = self.row_menus & (exposure > 0)
            found["log_exposure"] = np.log(np.where(exposure > 0, exposure, 1.0))
        return found

    def _totals(self, frame):
        if "n" not in frame:
            return np.ones(len(frame), dtype=np.int64)
        n = pd.to_numeric(frame["n"], errors="coerce").to_numpy(dtype=float)
        bad = ~(np.isfinite(n) & (n >= 0) & (n == np.floor(n)))
        if bad.any():
            raise ValueError(
                f"`n` must be a whole number, 0 or more, in new row(s) {self._where(bad)}."
            )
        return n.astype(np.int64)

    def _numbers(self, frame):
        if self.terms is not None:
            return self.terms.columns_of(frame).to_numpy()
        x = frame[self.predictors].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
        bad = ~np.isfinite(x).all(axis=1)
        if bad.any():
            raise ValueError(
                f"Predictors ({', '.join(self.predictors)}) must be finite numbers in new row(s) "
                f"{self._where(bad)}."
            )
        return x

    def _clusters(self, frame):
        known = pd.Index(self.model.coords["cluster"])
        self.is_new = frame["cluster"].isna().to_numpy()
        require_known("cluster", frame["cluster"][~self.is_new].unique(), known)
        if self.is_new.sum() > len(known):
            raise ValueError(
                f"{self.is_new.sum()} rows are of clusters that are not in the data; up to "
                f"{len(known)} such clusters can be drawn at once. Predict them in several calls."
            )
        code = known.get_indexer(frame["cluster"])
        code[self.is_new] = np.arange(self.is_new.sum())
        return code

    def _data(self):
        """What replaces the model's data."""
        data = {"n": self.n, **self.tables}
        if self.predictors:
            data["predictors"] = self.x
        if self.cluster is not None:
            data["cluster_index"] = self.cluster
        if "drift" in self.model.named_vars:
            # Rows of dates without data start at the first date; `_move` takes them further.
            data["date_index"] = np.maximum(self.dates.get_indexer(self.date), 0)
        return data

    def by_draw(self, posterior, rng):
        model = self.model
        logits = _without_scatter(model)
        data = self._data()
        moves = self.shift_terms(logits, data, np.arange(len(self.n)), self.given)
        terms = _terms(model, logits, scatters(model) and self.at != "typical")
        drift = []
        if "drift" in model.named_vars:
            new_dates = self.date[self.dates.get_indexer(self.date) < 0].unique()
            if len(new_dates):
                spread = "drift_spread" if "drift_spread" in model.named_vars else "drift_sd"
                drift = [model["drift"], model[spread]]
        expressions = [*terms.values(), *moves, *drift]
        values_by_draw = value_by_draw(posterior, model, expressions, data=data)
        population = self._from_population(posterior, moves, data, rng)
        for values, new_clusters in zip(values_by_draw, population, strict=True):
            draw = _as_draw(model, terms, values)
            shifts = values[len(terms) : len(terms) + len(moves)]
            if new_clusters is not None:
                for array, new in zip((draw.logits, *shifts), new_clusters, strict=True):
                    array[self.is_new] = new[self.is_new]
            draw = draw._replace(shifts=dict(zip(self.moved, shifts, strict=True)))
            if drift:
                walk, sd = values[-2:]
                self._move(draw.logits, new_dates, walk, sd, rng)
            if draw.spread is not None and self.at == "realised":
                df = None if draw.df is None else [draw.df]
                own = draw_new_scatter([draw.spread], df, n_rows=len(draw.logits), rng=rng)[0]
                draw = Draw(draw.logits + own, shifts=draw.shifts)
            yield draw

    def _from_population(self, posterior, moves, data, rng):
        """Logits and shifts with all clusters' effects drawn from the population."""
        size = posterior.sizes["chain"] * posterior.sizes["draw"]
        if self.cluster is None or not self.is_new.any():
            return (None for _ in range(size))
        dims = self.model.named_vars_to_dims
        of_clusters = [v.name for v in self.model.free_RVs if "cluster" in (dims.get(v.name) or ())]
        seed = int(rng.integers(2**31))
        return value_by_draw(
            posterior,
            self.model,
            [_without_scatter(self.model), *moves],
            data=data,
            resample=of_clusters,
            random_seed=seed,
        )

    def _move(self, logits, new_dates, walk, sd, rng):
        """Take rows of dates without data from the first date to theirs."""
        categories = [str(c) for c in self.model.coords["category"]]
        columns = [categories.index(str(c)) for c in self.model.coords["contrast"]]
        if len(sd) == len(categories):
            # The reference takes steps, too, which all contrasts have in common. In logits of all
            # categories they are independent, and only differences of those count.
            full = np.zeros((len(walk), len(categories)))
            full[:, columns] = walk
            walk, columns = full, list(range(len(categories)))
        drawn = walk_at(walk, sd, self.dates, new_dates, rng) - walk[0]
        which = new_dates.get_indexer(self.date)
        rows = np.flatnonzero(which >= 0)
        logits[np.ix_(rows, columns)] += drawn[which[rows]]
