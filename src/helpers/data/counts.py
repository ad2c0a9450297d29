"""Tables of counts over categories, with the menu of each row."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from helpers.data._attributes import Attributes, Exposure
from helpers.data._columns import Column
from helpers.data._rows import added_up, distinct_menus, equal_rows, summary
from helpers.data._tables import Menus, long_parts, wide_frame, wide_parts
from helpers.data._validate import checked_table, judge
from helpers.data.dates import dates_in_order
from helpers.data.suspicion import Suspicion, checked_accept, examine

__all__ = ["CategoryCounts"]


@dataclass(frozen=True, eq=False, init=False)
class CategoryCounts:
    """
    Counts over categories, with the menu of each row.

    A row's menu, in the literature its choice set, is the set of categories that could be chosen.
    Unlike a plain :class:`pandas.DataFrame` of counts, this class distinguishes a zero that nobody
    chose from a zero that nobody could choose, and it refuses a table that contradicts itself.
    Build it with :meth:`from_wide`, :meth:`from_long` or :func:`~helpers.read_counts`, or from
    arrays: its arguments are the attributes below.

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
        Predictors: numbers in their own units, or labels as categoricals.
    rows : pandas.Index, length R
        Labels of the rows: the index of the original frame where it is unique, else positions.
    cluster_name, date_name : str or None
        Names of the columns that held the cluster and the date.
    row_weights : numpy.ndarray of int64, shape (R,)
        Number of rows of the original table that each row stands for: 1 unless rows were added up
        by :meth:`collapse`. Means and scales of predictors are over these.
    accept : tuple of str
        Kinds of suspicion that were overruled.
    noted : tuple of Suspicion
        What reading the table brought up, beside what its counts say.
    attributes : dict of str to numpy.ndarray, shape (R, K)
        What differs by category and row, such as a price, in its own unit. It may be missing where
        a category was off the menu, and is missing in all rows of a category that has none.
    exposure : numpy.ndarray, shape (R, K), or None
        How long, how widely or how often a category was on the menu, in any unit that is the same
        for all categories of a row; 0 off the menu. None: always or never.

    Raises
    ------
    ValueError
        For any defect of the input. The message names rows and columns and says what is wrong
        and what to do.

    Warns
    -----
    UserWarning
        For what is valid but carries no information: rows with a total of 0, rows with one
        category on the menu, categories that were on the menu but never chosen, clusters without
        rows.

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
    categories: tuple[str, ...]
    cluster: pd.Categorical | None
    date: pd.Index | None
    predictors: pd.DataFrame
    rows: pd.Index
    cluster_name: str | None
    date_name: str | None
    row_weights: np.ndarray
    accept: tuple[str, ...]
    noted: tuple[Suspicion, ...]
    attributes: dict[str, np.ndarray]
    exposure: np.ndarray | None

    def __init__(
        self,
        counts: ArrayLike,
        available: ArrayLike,
        categories: Iterable[str],
        cluster: Column | None = None,
        date: Column | None = None,
        predictors: pd.DataFrame | None = None,
        rows: Column | None = None,
        cluster_name: str | None = None,
        date_name: str | None = None,
        row_weights: ArrayLike | None = None,
        accept: str | Iterable[str] = (),
        noted: Iterable[Suspicion] = (),
        attributes: Mapping[str, ArrayLike] | None = None,
        exposure: ArrayLike | None = None,
    ):
        given = {name: value for name, value in locals().items() if name != "self"}
        # Frozen dataclasses refuse assignment to attributes.
        vars(self).update(checked_table(**given), accept=checked_accept(accept))

    def __repr__(self) -> str:
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
        if self.attributes:
            parts.append(f"attributes {', '.join(self.attributes)}")
        if self.exposure is not None:
            parts.append("exposure")
        return "CategoryCounts: " + ", ".join(parts)

    def __len__(self) -> int:
        return len(self.counts)

    @classmethod
    def from_wide(
        cls,
        frame: pd.DataFrame,
        categories: Sequence[str],
        *,
        cluster: str | None = None,
        date: str | None = None,
        predictors: Sequence[str] = (),
        available: Menus | None = None,
        attributes: Attributes = (),
        exposure: Exposure | None = None,
        accept: str | Iterable[str] = (),
    ) -> Self:
        """
        Read a table with one row per observation and one column per category.

        Unlike in :meth:`from_long`, a category that was not on the menu is an empty cell.

        Parameters
        ----------
        frame : pandas.DataFrame, shape (R, ...)
            The table. A missing count means *not on the menu*, unless `available` says otherwise.
        categories : list of str, length K >= 2
            Names of the count columns.
        cluster, date : str, optional
            Names of the columns with the cluster and the date of each row. Clusters that are text
            come in natural order (2 before 10); dates are read by
            :func:`~helpers.data.parse_dates`.
        predictors : list of str, optional
            Names of columns with numbers, in their own units, or labels, such as a region.
        available : mapping, pandas.DataFrame or numpy.ndarray, optional
            A mapping category -> boolean column of `frame`, or a boolean frame with one column
            per category and the index of `frame`, or a boolean array of shape (R, K). It overrides
            the rule of missing counts, so that a zero count may be of either kind. The rule still
            holds for categories that a mapping or frame does not name.
        attributes : list of str or mapping, optional
            Attributes: ``["price"]`` where columns are called ``price_<category>``, or a mapping
            ``{"price": {"oats": "price_oats", ...}}``. A cell may be empty where the category was
            off the menu. A category without a column has no such attribute.
        exposure : mapping, optional
            Category -> column of how much of the time, area or stock it was on the menu, in any
            unit; 0 is off the menu. Categories that are not named have 1.
        accept : str or iterable of str, optional
            Kinds of :attr:`suspicions` to overrule, such as ``"subtotal"``.

        Returns
        -------
        CategoryCounts

        Raises
        ------
        ValueError
            For any defect of the table, which the message locates by row and column, and for what
            cannot be counts of choices.

        Warns
        -----
        UserWarning
            Once, for all that may be wrong: see :attr:`suspicions`.

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
        accept = checked_accept(accept)
        roles = cluster, date, predictors, available, attributes, exposure
        parts = wide_parts(frame, categories, *roles, accept)
        return cls._judged(accept=accept, **parts)

    @classmethod
    def from_long(
        cls,
        frame: pd.DataFrame,
        *,
        row: str,
        category: str,
        count: str,
        cluster: str | None = None,
        date: str | None = None,
        predictors: Sequence[str] = (),
        available: str | Menus | None = None,
        attributes: Sequence[str] = (),
        exposure: str | None = None,
        accept: str | Iterable[str] = (),
    ) -> Self:
        """
        Read a table with one line per row and category.

        Unlike in :meth:`from_wide`, a category that was not on the menu has no line.

        Parameters
        ----------
        frame : pandas.DataFrame
            The table.
        row, category, count : str
            Names of the columns with the row's label, the category and the count.
        cluster, date : str, optional
            Names of columns that are constant within each row.
        predictors : list of str, optional
            Names of columns that are constant within each row, with numbers or labels.
        available : str, mapping or pandas.DataFrame, optional
            Name of a boolean column of `frame`; or a mapping category -> boolean column that is
            constant within each row; or a boolean frame, one row per row label and one column
            per category. It overrides the rule of absent pairs: an absent (row, category) pair
            that was on the menu is a count of 0.
        attributes : list of str, optional
            Names of numeric columns with attributes of the line's category, such as its price.
        exposure : str, optional
            Name of a column with the exposure of the line's category.
        accept : str or iterable of str, optional
            Kinds of :attr:`suspicions` to overrule, such as ``"subtotal"``.

        Returns
        -------
        CategoryCounts
            Rows and categories in order of first appearance; categories of a categorical column
            keep its order.

        Raises
        ------
        ValueError
            For any defect of the table, which the message locates by row and column, and for what
            cannot be counts of choices.

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
        accept = checked_accept(accept)
        roles = cluster, date, predictors, available, attributes, exposure
        parts = long_parts(frame, row, category, count, *roles, accept)
        return cls._judged(accept=accept, **parts)

    @classmethod
    def _judged(cls, **parts: Any) -> Self:
        """Build from a table that nobody has looked at: it may be refused, or warned of."""
        data = cls(**parts)
        judge(data.suspicions)
        return data

    @cached_property
    def suspicions(self) -> tuple[Suspicion, ...]:
        """
        What may be wrong with the table, apart from what was accepted by name.

        Unlike a defect, which is refused, this is for whoever knows the table to decide: a column
        or row of totals, per cent or ranks in place of counts, an order of dates that is a guess.
        """
        given = ((self.cluster_name, self.cluster), (self.date_name, self.date))
        labels = {str(name): pd.Index(values) for name, values in given if values is not None}
        found = examine(self.counts, self.available, self.categories, self.rows, labels)
        return tuple(s for s in (*found, *self.noted) if s.kind not in self.accept)

    @cached_property
    def dates(self) -> pd.Index | None:
        """The distinct dates in their order, if there are any."""
        return None if self.date is None else dates_in_order(self.date)

    @cached_property
    def n(self) -> np.ndarray:
        """Total of each row, shape (R,)."""
        return self.counts.sum(axis=1)

    @cached_property
    def pattern_index(self) -> np.ndarray:
        """Position of each row's menu in :attr:`patterns`, shape (R,)."""
        return self._menus[1]

    @cached_property
    def patterns(self) -> pd.DataFrame:
        """Table of the distinct menus and the number of rows with each, most frequent first."""
        menus, index = self._menus
        table = pd.DataFrame(menus, columns=list(self.categories)).rename_axis("pattern")
        return table.assign(rows=np.bincount(index, minlength=len(menus)))

    @cached_property
    def _menus(self) -> tuple[np.ndarray, np.ndarray]:
        return distinct_menus(self.available)

    @property
    def coords(self) -> dict[str, Any]:
        """Coordinates for ``pm.Model``: row, category, cluster, predictor and attribute."""
        coords = {"row": self.rows.to_numpy(), "category": list(self.categories)}
        if self.cluster is not None:
            coords["cluster"] = self.cluster.categories.to_numpy()
        if self.predictors.shape[1]:
            coords["predictor"] = list(self.predictors.columns)
        if self.attributes:
            coords["attribute"] = list(self.attributes)
        return coords

    def collapse(self) -> "CategoryCounts":
        """
        Add up rows with equal cluster, menu, predictors, date, attributes and exposure.

        Unlike dropping columns and summing, this keeps all that a multinomial likelihood uses: the
        log-likelihood changes by a constant. With overdispersion it is not exact, because the
        scatter between rows is lost. ``row_weights`` keeps how many rows were added up, so that
        means and scales of predictors stay those of the rows.

        Returns
        -------
        CategoryCounts
            One row per group, numbered in order of first appearance.

        Examples
        --------
        >>> import pandas as pd
        >>> from helpers import CategoryCounts
        >>> votes = pd.DataFrame({"a": [1, 2, 3], "b": [1, 1, None], "c": [0, 4, 5]})
        >>> CategoryCounts.from_wide(votes, ["a", "b", "c"]).collapse().counts
        array([[3, 2, 4],
               [3, 0, 5]])
        """
        tables = [*self.attributes.values(), *([] if self.exposure is None else [self.exposure])]
        group = equal_rows(self.pattern_index, self.cluster, self.date, self.predictors, tables)
        first = np.unique(group, return_index=True)[1]
        return replace(
            self,
            counts=added_up(self.counts, group),
            available=self.available[first],
            cluster=None if self.cluster is None else self.cluster[first],
            date=None if self.date is None else self.date[first],
            predictors=self.predictors.iloc[first],
            rows=pd.RangeIndex(len(first), name="row"),
            row_weights=added_up(self.row_weights, group),
            attributes={name: values[first] for name, values in self.attributes.items()},
            exposure=None if self.exposure is None else self.exposure[first],
        )

    def to_frame(self) -> pd.DataFrame:
        """
        Return a wide table that :meth:`from_wide` reads back.

        Returns
        -------
        pandas.DataFrame
            Cluster and date (where there are any), predictors, the counts as nullable integers,
            missing where a category was not on the menu, and columns such as ``price_oats`` and
            ``exposure_oats``.
        """
        return wide_frame(self)

    def describe(self) -> pd.DataFrame:
        """
        Summarise each category.

        Returns
        -------
        pandas.DataFrame
            One line per category: the number and share of rows in which it was on the menu, its
            total count, its share of all choices in these rows, and the number of rows in which
            it was on the menu and nobody chose it.
        """
        return summary(self.counts, self.available, self.categories)
