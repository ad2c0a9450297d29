"""The rows that a prediction is for: rows of the model, or new ones."""

import numpy as np
import pandas as pd

from helpers.data.messages import require_known
from helpers.effects.drift import walk_at
from helpers.predict.draws import value_by_draw

__all__ = ["wanted_rows"]


def wanted_rows(model, rows):
    """
    Find rows of a model by their labels, or lay out new ones.

    Parameters
    ----------
    model : pymc.Model
        A model made by :func:`~helpers.masked_regression`, or one with ``logits`` and
        ``available`` over (row, category).
    rows : None, sequence or pandas.DataFrame
        As in :func:`~helpers.what_if`.

    Returns
    -------
    object
        With ``own``, the rows' own menus, ``n``, their totals, ``labels``, and
        ``by_draw(posterior, rng)``, which yields logits and concentration (or None) of each draw.
    """
    return _NewRows(model, rows) if isinstance(rows, pd.DataFrame) else _RowsOfData(model, rows)


def _with_concentration(model, expressions):
    phi = model.named_vars.get("concentration")
    return expressions if phi is None else [*expressions, phi]


class _RowsOfData:
    def __init__(self, model, rows):
        self.model = model
        self.labels = pd.Index(model.coords["row"])
        self.position = np.arange(len(self.labels))
        if rows is not None:
            wanted = pd.Index(np.atleast_1d(rows))
            self.position = self.labels.get_indexer(wanted)
            if (self.position < 0).any():
                raise ValueError(
                    f"There are no rows {wanted[self.position < 0][:5].tolist()}: labels run from "
                    f"{self.labels[0]} to {self.labels[-1]}."
                )
            self.labels = self.labels[self.position]
        self.own = model["available"].eval()[self.position].astype(bool)
        has_n = "n" in model.named_vars
        self.n = model["n"].eval()[self.position] if has_n else np.ones(len(self.own), int)

    def by_draw(self, posterior, rng):
        wanted = _with_concentration(self.model, [self.model["logits"][self.position]])
        for logits, *phi in value_by_draw(posterior, self.model, wanted):
            yield logits, (float(phi[0]) if phi else None)


class _NewRows:
    def __init__(self, model, frame):
        self.model, self.labels = model, frame.index
        categories = [str(c) for c in model.coords["category"]]
        self.predictors = [str(p) for p in model.coords.get("predictor", ())]
        by_cluster, by_date = ("cluster_index" in model.named_vars), ("drift" in model.named_vars)
        needed = [*self.predictors, *["cluster"] * by_cluster, *["date"] * by_date]
        missing = [name for name in needed if name not in frame]
        if missing:
            raise ValueError(
                f"The new rows lack {', '.join(missing)}: this model needs the columns "
                f"{', '.join(needed)}."
            )
        columns = map(str, frame.columns)
        require_known("column", columns, ["cluster", "date", "n", *self.predictors, *categories])
        if not len(frame):
            raise ValueError("There are no new rows: the frame is empty.")
        self.own = self._menus(frame, categories)
        self.n = self._totals(frame)
        self.x = self._numbers(frame)
        self.cluster = self._clusters(frame) if by_cluster else None
        if by_date:
            self.dates = pd.Index(model.coords["date"])
            self.date = pd.Index(frame["date"])
            if isinstance(self.dates, pd.DatetimeIndex):
                self.date = pd.DatetimeIndex(pd.to_datetime(self.date))
            if self.date.isna().any():
                raise ValueError(
                    f"The date is missing in new row(s) {self._where(self.date.isna())}."
                )

    def _where(self, bad):
        return self.labels[np.asarray(bad)][:5].tolist()

    def _menus(self, frame, categories):
        own = np.ones((len(frame), len(categories)), dtype=bool)
        for k, category in enumerate(categories):
            if category in frame:
                values = frame[category].to_numpy()
                if not np.isin(values, (0, 1)).all():
                    raise ValueError(
                        f"The column {category!r} of new rows says whether it is on the menu, and "
                        "must hold True and False only."
                    )
                own[:, k] = values.astype(bool)
        return own

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
                f"{self.is_new.sum()} rows are of clusters that are not in the data, which are "
                f"drawn anew; up to {len(known)} are possible at once. Predict them in pieces."
            )
        code = known.get_indexer(frame["cluster"])
        code[self.is_new] = np.arange(self.is_new.sum())
        return code

    def _data(self):
        """What takes the place of the model's data."""
        data = {"n": self.n}
        if self.predictors:
            data["predictors"] = self.x
        if self.cluster is not None:
            data["cluster_index"] = self.cluster
        if "drift" in self.model.named_vars:
            # Dates without data start from the first date, and are moved from there.
            data["date_index"] = np.maximum(self.dates.get_indexer(self.date), 0)
        return data

    def by_draw(self, posterior, rng):
        model = self.model
        wanted = _with_concentration(model, [model["logits"]])
        has_phi = len(wanted) == 2
        new_dates = None
        if "drift" in model.named_vars:
            wanted = [*wanted, model["drift"], model["drift_sd"]]
            new_dates = self.date[self.dates.get_indexer(self.date) < 0].unique()
        both = value_by_draw(posterior, model, wanted, data=self._data())
        population = self._from_population(posterior, rng)
        for values, anew in zip(both, population, strict=True):
            logits = values[0]
            if anew is not None:
                logits[self.is_new] = anew[self.is_new]
            if new_dates is not None and len(new_dates):
                self._move(logits, new_dates, *values[-2:], rng)
            yield logits, (float(values[1]) if has_phi else None)

    def _from_population(self, posterior, rng):
        """Logits with all clusters' effects drawn anew."""
        size = posterior.sizes["chain"] * posterior.sizes["draw"]
        if self.cluster is None or not self.is_new.any():
            return (None for _ in range(size))
        dims = self.model.named_vars_to_dims
        of_clusters = [v.name for v in self.model.free_RVs if "cluster" in (dims.get(v.name) or ())]
        seed = int(rng.integers(2**31))
        return value_by_draw(
            posterior,
            self.model,
            self.model["logits"],
            data=self._data(),
            resample=of_clusters,
            random_seed=seed,
        )

    def _move(self, logits, new_dates, walk, sd, rng):
        """Shift rows of dates without data from the first date to their own."""
        drawn = walk_at(walk, sd, self.dates, new_dates, rng) - walk[0]
        categories = [str(c) for c in self.model.coords["category"]]
        columns = [categories.index(str(c)) for c in self.model.coords["contrast"]]
        which = new_dates.get_indexer(self.date)
        rows = np.flatnonzero(which >= 0)
        logits[np.ix_(rows, columns)] += drawn[which[rows]]
