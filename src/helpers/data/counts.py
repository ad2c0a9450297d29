"""Tables of counts over categories, with what was on the menu in each row."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from helpers.data._columns import (
    _as_date,
    _as_list,
    _booleans,
    _cells,
    _given_menus,
    _numbers,
    _require_columns,
    _require_distinct_roles,
    _require_frame,
    _row_labels,
)
from helpers.data.messages import listing

__all__ = ["CategoryCounts"]


# From here on, double precision no longer tells a whole number from the next.
_TOO_LARGE = 2**53


@dataclass(frozen=True, eq=False)
class CategoryCounts:
    """
    Counts over categories, with what was on the menu in each row.

    Unlike a plain :class:`pandas.DataFrame` of counts, it keeps a zero that was chosen apart from
    a zero that could not have been anything else, and it cannot hold a table that contradicts
    itself. Build it with :meth:`from_wide`, :meth:`from_long` or
    :func:`~helpers.read_counts`.

    Attributes
    ----------
    counts : numpy.ndarray of int64, shape (R, K)
        Counts, 0 where a category was not on the menu.
    available : numpy.ndarray of bool, shape (R, K)
        Whether a category was on the menu.
    categories : tuple of str, length K
        Names of the categories.
    cluster : pandas.Categorical or None, length R
        The cluster (district, shop, person) of each row.
    date : pandas.Index or None, length R
        The date of each row, as dates, numbers or labels.
    predictors : pandas.DataFrame, shape (R, P)
        Predictors in their own units, floats.
    rows : pandas.Index, length R
        Labels of the rows, those of the frame they came from where these are unique.
    cluster_name, date_name : str or None
        Names of the columns these came from.

    Raises
    ------
    ValueError
        For any defect of the input: the message names rows and columns, says what is wrong and
        what to do.

    Warns
    -----
    UserWarning
        For what is allowed but carries no information: rows with a total of 0, rows with one
        category on the menu, categories on the menu but never chosen, clusters without rows.

    Examples
    --------
    Lunches by canteen; a missing count means that the dish was not on the menu:

    >>> import pandas as pd
    >>> from helpers import CategoryCounts
    >>> lunches = pd.DataFrame({
    ...     "canteen": ["north", "north", "south"],
    ...     "soup": [12, None, 30], "stew": [9, 25, None], "salad": [4, 11, 0],
    ... })
    >>> data = CategoryCounts.from_wide(lunches, ["soup", "stew", "salad"], cluster="canteen")
    >>> data
    CategoryCounts: 3 rows, 3 categories, 3 menus, 2 of 9 cells not on the menu, 2 clusters
    >>> data.counts
    array([[12,  9,  4],
           [ 0, 25, 11],
           [30,  0,  0]])
    >>> data.patterns.reset_index(drop=True)
        soup   stew  salad  rows
    0   True   True   True     1
    1   True  False   True     1
    2  False   True   True     1
    """

    counts: np.ndarray
    available: np.ndarray
    categories: tuple
    cluster: pd.Categorical | None = None
    date: pd.Index | None = None
    predictors: pd.DataFrame = None
    rows: pd.Index = None
    cluster_name: str | None = field(default=None)
    date_name: str | None = field(default=None)

    def __post_init__(self):
        def put(name, value):
            object.__setattr__(self, name, value)

        counts = np.asarray(self.counts)
        available = np.asarray(self.available)
        categories = tuple(str(c) for c in self.categories)
        put("categories", categories)
        if len(categories) < 2:
            raise ValueError(
                f"At least two categories are needed, and {len(categories)} was given: "
                "with one category there is no choice."
            )
        repeated = sorted({c for c in categories if categories.count(c) > 1})
        if repeated:
            raise ValueError(f"Each category must be given once: {listing(repeated)} is repeated.")
        labels = [self.cluster_name, self.date_name]
        labels += [] if self.predictors is None else map(str, pd.DataFrame(self.predictors))
        clash = [c for c in categories if c in labels]
        if clash:
            raise ValueError(
                f"{listing(clash)} names both a category and the cluster, date or a predictor: "
                "rename one of them."
            )
        if counts.ndim != 2 or counts.shape[1] != len(categories) or len(counts) == 0:
            raise ValueError(
                f"The counts must have one row per observation and {len(categories)} columns, "
                f"one per category: their shape is {counts.shape}."
            )
        if available.shape != counts.shape:
            raise ValueError(
                f"Availability must have the counts' shape {counts.shape}, not {available.shape}."
            )
        rows = pd.RangeIndex(len(counts), name="row") if self.rows is None else self.rows
        self._check_length("row labels", rows)
        put("rows", _row_labels(pd.Index(rows)))
        put("available", _booleans(available, self.rows, "Availability"))
        put("counts", self._whole_counts(counts))
        self._check_menus()
        self._check_labels(put)
        for array in (self.counts, self.available):
            array.flags.writeable = False
        self._warn_of_no_information()

    def _whole_counts(self, counts):
        rows, categories = self.rows, self.categories
        values = np.asarray(counts, dtype=float)
        missing = np.isnan(values) & self.available
        if missing.any():
            raise ValueError(
                f"Missing counts of categories that were on the menu in "
                f"{_cells(missing, rows, categories)}: write 0 if nobody chose them, or mark them "
                "as unavailable."
            )
        values = np.where(np.isnan(values), 0, values)
        for bad, what, remedy in (
            (np.isinf(values), "Infinite", "correct or leave out"),
            (values < 0, "Negative", "correct or leave out"),
            (values != np.floor(values), "Fractional", "give whole numbers, not shares, in"),
            (values >= _TOO_LARGE, "Too large (2**53 or more)", "rescale the units of"),
        ):
            if bad.any():
                raise ValueError(
                    f"{what} counts in {_cells(bad, rows, categories)}: {remedy} these cells."
                )
        impossible = (values > 0) & ~self.available
        if impossible.any():
            raise ValueError(
                f"Positive counts of categories that were not on the menu in "
                f"{_cells(impossible, rows, categories)}: correct the counts, or the availability."
            )
        large = values.sum(axis=1) >= _TOO_LARGE
        if large.any():
            raise ValueError(
                f"The total is too large (2**53 or more) in row(s) {listing(rows[large])}: "
                "rescale the units of the counts."
            )
        return values.astype(np.int64)

    def _check_menus(self):
        available, categories = self.available, np.array(self.categories)
        empty = ~available.any(axis=1)
        if empty.any():
            raise ValueError(
                f"Nothing was on the menu in row(s) {listing(self.rows[empty])}: leave these rows "
                "out, or correct their availability."
            )
        never = ~available.any(axis=0)
        if never.any():
            raise ValueError(
                f"Never on the menu: {listing(categories[never])}. Leave these categories out: "
                "the data cannot tell how they would have been chosen."
            )
        menus = csr_array(np.unique(available, axis=0).astype(np.int64))
        n_parts, part = connected_components(menus.T @ menus, directed=False)
        if n_parts > 1:
            groups = "; ".join(", ".join(categories[part == i]) for i in range(n_parts))
            raise ValueError(
                f"No chain of shared menus connects these groups of categories: {groups}. Their "
                "preferences cannot be compared: analyse each group by itself."
            )

    def _check_labels(self, put):
        n_rows = len(self.counts)
        if self.cluster is not None:
            cluster = self.cluster
            if not isinstance(cluster, pd.Categorical):
                cluster = pd.Categorical(cluster)
            self._check_length("cluster", cluster)
            missing = cluster.codes < 0
            if missing.any():
                raise ValueError(
                    f"The cluster is missing in row(s) {listing(self.rows[missing])}: fill the "
                    "gaps, or leave these rows out."
                )
            put("cluster", cluster)
            put("cluster_name", self.cluster_name or "cluster")
        if self.date is not None:
            self._check_length("date", self.date)
            put("date_name", self.date_name or "date")
            put("date", _as_date(self.date, self.rows, self.date_name))
        predictors = self.predictors
        if predictors is None:
            predictors = pd.DataFrame(index=range(n_rows))
        self._check_length("predictors", predictors)
        predictors = predictors.reset_index(drop=True).rename(columns=str)
        values = _numbers(predictors, self.rows, "predictor")
        for bad, what in ((np.isnan(values), "missing"), (np.isinf(values), "infinite")):
            if bad.any():
                raise ValueError(
                    f"Predictors are {what} in {_cells(bad, self.rows, predictors.columns)}: "
                    "correct them, or leave these rows out."
                )
        put("predictors", pd.DataFrame(values, self.rows, predictors.columns))

    def _check_length(self, what, values):
        if len(values) != len(self.counts):
            raise ValueError(
                f"The {what} must have one entry per row ({len(self.counts)}), not {len(values)}."
            )

    def _warn_of_no_information(self):
        categories = np.array(self.categories)
        notes = []
        no_total = self.n == 0
        if no_total.any():
            notes.append(
                f"row(s) {listing(self.rows[no_total])} have a total of 0 and carry no information"
            )
        no_choice = self.available.sum(axis=1) == 1
        if no_choice.any():
            notes.append(
                f"row(s) {listing(self.rows[no_choice])} had one category on the menu, so their "
                "counts carry no information"
            )
        never = self.counts.sum(axis=0) == 0
        if never.any():
            notes.append(
                f"{listing(categories[never])} was on the menu but never chosen, so that its "
                "estimates rest on the prior"
            )
        if self.cluster is not None:
            levels = self.cluster.categories
            unused = np.setdiff1d(np.arange(len(levels)), self.cluster.codes)
            if len(unused):
                notes.append(
                    f"cluster(s) {listing(levels[unused])} have no rows, so that their estimates "
                    "rest on the other clusters"
                )
        if notes:
            warnings.warn(
                "Kept, but take note: " + "; ".join(notes) + ".",
                # Point at the caller: past this package and the dataclass's own __init__ (from
                # "<string>"; Python 3.13 does not skip a file whose whole name is the prefix).
                skip_file_prefixes=(str(Path(__file__).parent), "<string"),
            )

    def __repr__(self):
        n_rows, n_categories = self.counts.shape
        parts = [
            f"{n_rows:,} rows",
            f"{n_categories} categories",
            f"{len(self.patterns)} menu{'s' * (len(self.patterns) > 1)}",
            f"{(~self.available).sum():,} of {self.available.size:,} cells not on the menu",
        ]
        if self.cluster is not None:
            parts.append(f"{len(self.cluster.categories):,} clusters")
        if self.date is not None:
            parts.append(f"{self.date.nunique():,} dates")
        if self.predictors.shape[1]:
            parts.append(f"predictors {', '.join(self.predictors.columns)}")
        return "CategoryCounts: " + ", ".join(parts)

    def __len__(self):
        return len(self.counts)

    # ------------------------------------------------------------------ construction

    @classmethod
    def from_wide(
        cls, frame, categories, *, cluster=None, date=None, predictors=(), available=None
    ):
        """
        Read a table with one row per observation and one column per category.

        Unlike :meth:`from_long`, an absent choice is an empty cell here.

        Parameters
        ----------
        frame : pandas.DataFrame, shape (R, ...)
            The table. A missing count means *not on the menu*, unless `available` says otherwise.
        categories : list of str, length K >= 2
            Names of the count columns.
        cluster, date : str, optional
            Names of the columns with the cluster and the date of each row. Text that is ISO 8601
            throughout is read as dates.
        predictors : list of str, optional
            Names of numeric columns, in their own units.
        available : mapping, pandas.DataFrame or numpy.ndarray, optional
            A mapping category -> boolean column of `frame`, or a boolean frame with one column
            per category and the index of `frame`, or a boolean array of shape (R, K). Given, it
            wins, and a zero count may be of either kind; categories that a mapping or frame does
            not name keep the rule of missing counts.

        Returns
        -------
        CategoryCounts

        Raises
        ------
        ValueError
            For any defect of the table, by row and column.

        Examples
        --------
        >>> import pandas as pd
        >>> from helpers import CategoryCounts
        >>> votes = pd.DataFrame({"left": [3, 5], "green": [1, 0], "stands": [True, False]})
        >>> data = CategoryCounts.from_wide(
        ...     votes.assign(right=[4, 2]), ["left", "green", "right"],
        ...     available={"green": "stands"},
        ... )
        >>> data.available[:, 1]
        array([ True, False])
        """
        _require_frame(frame)
        categories = _as_list(categories, "`categories`")
        predictors = _as_list(predictors, "`predictors`")
        _require_columns(frame, categories, "a category")
        _require_columns(frame, predictors, "a predictor")
        _require_columns(frame, [] if cluster is None else [cluster], "the cluster")
        _require_columns(frame, [] if date is None else [date], "the date")
        _require_distinct_roles(
            [("a category", c) for c in categories]
            + [("the cluster", cluster)] * (cluster is not None)
            + [("the date", date)] * (date is not None)
            + [("a predictor", p) for p in predictors]
        )
        rows = _row_labels(frame.index)
        counts = _numbers(frame[categories], rows, "count")
        menus = ~np.isnan(counts)
        if available is not None:
            menus = _given_menus(available, menus, categories, rows, frame)
        return cls(
            counts=counts,
            available=menus,
            categories=tuple(categories),
            cluster=None if cluster is None else pd.Categorical(frame[cluster]),
            date=None if date is None else frame[date].to_numpy(),
            predictors=frame[predictors],
            rows=rows,
            cluster_name=cluster,
            date_name=date,
        )

    @classmethod
    def from_long(
        cls,
        frame,
        *,
        row,
        category,
        count,
        cluster=None,
        date=None,
        predictors=(),
        available=None,
    ):
        """
        Read a table with one line per row and category.

        Unlike :meth:`from_wide`, an absent (row, category) pair means *not on the menu* here.

        Parameters
        ----------
        frame : pandas.DataFrame
            The table.
        row, category, count : str
            Names of the columns with the row's label, the category and the count.
        cluster, date : str, optional
            Names of columns that are constant within each row.
        predictors : list of str, optional
            Names of numeric columns that are constant within each row.
        available : str, mapping or pandas.DataFrame, optional
            Name of a boolean column of `frame`; or a mapping category -> boolean column that is
            constant within each row; or a boolean frame, one row per row label and one column
            per category. Given, it wins: an absent pair that was on the menu is a count of 0.

        Returns
        -------
        CategoryCounts
            Rows and categories in order of first appearance (a categorical column's own order).

        Raises
        ------
        ValueError
            For any defect of the table, by row and column.

        Examples
        --------
        >>> import pandas as pd
        >>> from helpers import CategoryCounts
        >>> sold = pd.DataFrame({
        ...     "day": ["mon", "mon", "tue"], "dish": ["soup", "stew", "stew"], "n": [3, 4, 6],
        ...     "sun": [0.2, 0.2, 0.9],
        ... })
        >>> data = CategoryCounts.from_long(
        ...     sold.query("day == 'mon'"), row="day", category="dish", count="n",
        ... )
        >>> data.counts
        array([[3, 4]])
        """
        _require_frame(frame)
        predictors = _as_list(predictors, "`predictors`")
        named = [("the row", row), ("the category", category), ("the count", count)]
        named += [("the cluster", cluster)] * (cluster is not None)
        named += [("the date", date)] * (date is not None)
        named += [("a predictor", p) for p in predictors]
        for role, name in named:
            _require_columns(frame, [name], role)
        _require_distinct_roles(named)
        positions = pd.RangeIndex(len(frame))
        for name in (row, category):
            missing = frame[name].isna().to_numpy()
            if missing.any():
                raise ValueError(
                    f"The column {name!r} is missing in line(s) {listing(positions[missing])}: "
                    "fill the gaps, or leave these lines out."
                )
        twice = frame.duplicated([row, category], keep=False)
        if twice.any():
            pairs = frame.loc[twice, [row, category]].drop_duplicates().itertuples(index=False)
            raise ValueError(
                f"More than one line for {listing(tuple(map(str, pair)) for pair in pairs)} "
                f"(columns {row!r}, {category!r}): add them up, or drop the duplicates."
            )
        constant = [name for name in (cluster, date, *predictors) if name is not None]
        if isinstance(available, Mapping):
            _require_columns(frame, available.values(), "availability")
            constant += [name for name in available.values() if name not in constant]
        for name in constant:
            varies = frame.groupby(row, sort=False, observed=True)[name].nunique(dropna=False) > 1
            if varies.any():
                raise ValueError(
                    f"The column {name!r} must be the same in all lines of a row, and is not in "
                    f"row(s) {listing(varies.index[varies])}."
                )

        labels = pd.Index(frame[row].unique(), name=row)
        if isinstance(frame[category].dtype, pd.CategoricalDtype):
            columns = frame[category].cat.categories
        else:
            columns = pd.Index(frame[category].unique())

        def spread(values):
            pairs = {"row": frame[row].array, "category": frame[category].array}
            table = pd.DataFrame(pairs | {"value": values})
            table = table.pivot(index="row", columns="category", values="value")
            return table.reindex(index=labels, columns=columns)

        wide = spread(_numbers(frame[[count]], positions, "count")[:, 0])
        per_row = frame.drop_duplicates(row).set_index(row)
        menus = wide.notna().to_numpy()
        if available is not None:
            names = list(columns)
            if isinstance(available, str):
                _require_columns(frame, [available], "availability")
                flags = _booleans(frame[available], positions, f"The column {available!r}")
                menus = spread(flags[:, 0].astype(float)).fillna(0).to_numpy(bool)
                absent = np.zeros_like(menus)
            else:
                menus = _given_menus(available, menus, names, labels, per_row)
                pairs = pd.MultiIndex.from_frame(frame[[row, category]])
                all_pairs = pd.MultiIndex.from_product([labels, columns])
                absent = ~all_pairs.isin(pairs).reshape(menus.shape)
            wide = wide.mask(menus & absent, 0)
        return cls(
            counts=wide.to_numpy(float),
            available=menus,
            categories=tuple(columns),
            cluster=None if cluster is None else pd.Categorical(per_row[cluster]),
            date=None if date is None else per_row[date].to_numpy(),
            predictors=per_row[predictors],
            rows=labels,
            cluster_name=cluster,
            date_name=date,
        )

    # ------------------------------------------------------------------ views

    @cached_property
    def n(self):
        """Total of each row, shape (R,)."""
        return self.counts.sum(axis=1)

    @cached_property
    def pattern_index(self):
        """Which line of :attr:`patterns` each row's menu is, shape (R,)."""
        return self._menus[1]

    @cached_property
    def patterns(self):
        """Table of the distinct menus and the number of rows that had each, commonest first."""
        menus, index = self._menus
        table = pd.DataFrame(menus, columns=list(self.categories)).rename_axis("pattern")
        return table.assign(rows=np.bincount(index, minlength=len(menus)))

    @cached_property
    def _menus(self):
        menus, index, rows = np.unique(
            self.available, axis=0, return_inverse=True, return_counts=True
        )
        # Commonest first, then the fullest, then those that keep the first categories.
        order = np.lexsort((-np.arange(len(menus)), -menus.sum(axis=1), -rows))
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return menus[order], place[index.ravel()]

    @property
    def coords(self):
        """Coordinates for ``pm.Model(coords=...)``: row, category, cluster and predictor."""
        coords = {"row": self.rows.to_numpy(), "category": list(self.categories)}
        if self.cluster is not None:
            coords["cluster"] = self.cluster.categories.to_numpy()
        if self.predictors.shape[1]:
            coords["predictor"] = list(self.predictors.columns)
        return coords

    def collapse(self):
        """
        Add up rows with equal cluster, menu, predictors and date.

        Unlike dropping columns and summing, this keeps all that a multinomial likelihood looks
        at: the log-likelihood changes by a constant. With over-dispersion it is no longer exact,
        as scatter between the rows is lost.

        Returns
        -------
        CategoryCounts
            Groups in order of first appearance, rows numbered anew.

        Examples
        --------
        >>> import pandas as pd
        >>> from helpers import CategoryCounts
        >>> votes = pd.DataFrame({"a": [1, 2, 3], "b": [1, 1, None], "c": [0, 4, 5]})
        >>> CategoryCounts.from_wide(votes, ["a", "b", "c"]).collapse().counts
        array([[3, 2, 4],
               [3, 0, 5]])
        """
        key = pd.DataFrame({"menu": self.pattern_index})
        if self.cluster is not None:
            key["cluster"] = self.cluster.codes
        if self.date is not None:
            key["date"] = self.date.to_numpy()
        for p, name in enumerate(self.predictors.columns):
            key[f"predictor {p}"] = self.predictors[name].to_numpy()
        group = key.groupby(list(key.columns), sort=False, dropna=False).ngroup().to_numpy()
        first = np.unique(group, return_index=True)[1]
        counts = np.zeros((len(first), len(self.categories)), dtype=np.int64)
        np.add.at(counts, group, self.counts)
        return CategoryCounts(
            counts=counts,
            available=self.available[first],
            categories=self.categories,
            cluster=None if self.cluster is None else self.cluster[first],
            date=None if self.date is None else self.date[first],
            predictors=self.predictors.iloc[first],
            cluster_name=self.cluster_name,
            date_name=self.date_name,
        )

    def to_frame(self):
        """
        Return a wide table that :meth:`from_wide` reads back.

        Returns
        -------
        pandas.DataFrame
            Cluster and date (where there are any), predictors, and the counts as nullable
            integers, missing where a category was not on the menu.
        """
        frame = pd.DataFrame(index=self.rows)
        if self.cluster is not None:
            frame[self.cluster_name] = self.cluster
        if self.date is not None:
            frame[self.date_name] = self.date.to_numpy()
        frame[list(self.predictors.columns)] = self.predictors.to_numpy()
        counts = pd.DataFrame(self.counts, self.rows, list(self.categories)).astype("Int64")
        return frame.join(counts.mask(~self.available))

    def describe(self):
        """
        Summarise each category.

        Returns
        -------
        pandas.DataFrame
            One line per category: rows in which it was on the menu and their share of all rows,
            its total count, its share of all that was chosen where it was on the menu, and the
            number of rows in which it was on the menu and nobody chose it.
        """
        on_menu = self.available.sum(axis=0)
        totals_where = (self.n[:, None] * self.available).sum(axis=0)
        count = self.counts.sum(axis=0)
        with np.errstate(invalid="ignore"):
            share = count / totals_where
        return pd.DataFrame(
            {
                "rows_on_menu": on_menu,
                "share_of_rows": on_menu / len(self.counts),
                "count": count,
                "share_where_on_menu": share,
                "zeros_on_menu": ((self.counts == 0) & self.available).sum(axis=0),
            },
            index=pd.Index(self.categories, name="category"),
        )
