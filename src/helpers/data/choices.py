"""From a log of single choices to counts, out of memory."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from natsort import natsorted

from helpers.data._columns import as_list
from helpers.data.counts import CategoryCounts
from helpers.data.messages import listing, require_choice, require_known

if TYPE_CHECKING:
    import ibis

__all__ = ["BAD_CHOICES", "count_choices"]

# Between the categories of a menu that is written as text: no name holds it.
BETWEEN = "\x1f"
BAD_CHOICES = {
    "no_choice": "the choice is missing",
    "no_key": "a column of `by` is missing",
    "no_menu": "there is no menu: an empty list, or no offer for these keys",
    "unknown_choice": "the choice is none of the categories",
    "unknown_offer": "the menu holds something that is none of the categories",
    "off_menu": "the choice was not on its menu",
}


def count_choices(
    source: Any,
    *,
    choice: str,
    menu: str | Mapping[str, str],
    by: str | Sequence[str],
    offers: Any = None,
    on: Sequence[str] = (),
    categories: Sequence[str] | None = None,
    backend: Any = None,
    accept: str | Iterable[str] = (),
) -> CategoryCounts:
    """
    Count single choices by cluster, date and menu, without reading them into memory.

    Unlike :meth:`CategoryCounts.from_wide`, it starts from a log with one line for each choice. One
    Ibis expression counts lines that are alike, wherever the log is: by default DuckDB reads
    Parquet files as a stream; on another backend, such as Spark, the same expression runs there.
    What is counted is exact for every likelihood whose choices are independent given their row.

    Parameters
    ----------
    source : str, pathlib.Path, list of these, or ibis.Table
        Parquet files, also as a pattern (``sales/*.parquet``), or a table of any Ibis backend.
    choice : str
        Column with the category that was chosen.
    menu : str or mapping
        Where the choice set is: a column that holds a list of categories; or a mapping category ->
        column of true and false; or, with `offers`, the column of categories there.
    by : str or list of str
        Columns that keep rows apart: the cluster first, then the date, then predictors. Choices
        that agree in all of them, and in the menu, become one row.
    offers : str, pathlib.Path, list of these, or ibis.Table, optional
        A table with one line for each category that was on offer.
    on : list of str
        Columns that `source` and `offers` share, such as the shop and the day.
    categories : list of str, optional
        All categories, in order; by default those of the mapping, or what is on any menu, in
        natural order.
    backend : ibis backend, optional
        Reads the files; by default DuckDB in this process.
    accept : str or iterable of str
        Kinds of bad lines to leave out, with a warning that counts them: ``"no_choice"``,
        ``"no_key"``, ``"no_menu"``, ``"unknown_choice"``, ``"unknown_offer"``, ``"off_menu"``.

    Returns
    -------
    CategoryCounts
        One row for each combination of `by` and menu that occurs.

    Raises
    ------
    ValueError
        If a column is missing, or if there are bad lines: how many of each kind, with examples.
    FileNotFoundError
        If no file is found.

    Warns
    -----
    UserWarning
        If bad lines of kinds in `accept` were left out: how many of each.

    Examples
    --------
    >>> import ibis
    >>> import pyarrow as pa
    >>> from helpers import count_choices
    >>> log = pa.table({
    ...     "shop": ["a", "a", "a", "b"],
    ...     "bought": ["tea", "tea", "ale", "milk"],
    ...     "shelf": [["tea", "milk"], ["milk", "tea"], ["milk", "ale"], ["tea", "milk"]],
    ... })
    >>> counted = count_choices(ibis.memtable(log), choice="bought", menu="shelf", by="shop")
    >>> print(counted.to_frame().to_string(index=False))
    shop  ale  milk  tea
       a    1     0 <NA>
       a <NA>     0    2
       b <NA>     1    0
    """
    by = [by] if isinstance(by, str) else as_list(by, "by")
    kinds = [accept] if isinstance(accept, str) else list(accept)
    for kind in kinds:
        require_choice("accept", kind, tuple(BAD_CHOICES))
    if not by:
        raise ValueError("by must name at least one column, the cluster.")
    if (offers is None) != (not on):
        raise ValueError("Give `offers` and `on` together: what is on offer, and for which keys.")
    with warnings.catch_warnings():
        # Ibis calls DuckDB and pandas by names that these are about to give up.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Tables can be joined on one connection only.
        backend = backend or _backend_of(source, offers)
        table = _as_table(source, backend)
        shelves = None if offers is None else _as_table(offers, backend)
        lines = _alike(table, choice, menu, by, shelves, list(on)).to_pyarrow()
    # Whole numbers stay whole where others of their column are missing.
    lines = lines.to_pandas(integer_object_nulls=True)
    if isinstance(menu, str):
        menus, on_menu = _menus_of_text(lines["menu"])
        on_menu = on_menu[natsorted(on_menu.columns)]
    else:
        flags = lines[[f"menu_{k}" for k in range(len(menu))]]
        menus, on_menu = _menus_of_flags(flags, [str(name) for name in menu])
    names = [str(name) for name in categories or on_menu.columns]
    bad = _bad(lines, menus, on_menu, names, len(by))
    _refuse_or_say(lines, bad, kinds, by, menus, on_menu)
    good = bad == ""
    if not good.any():
        raise ValueError("No choice is left to count.")
    available = on_menu.reindex(columns=names, fill_value=False).to_numpy()
    return _counted(lines[good].infer_objects(), menus[good], available, names, by)


def _backend_of(*sources: Any) -> Any:
    """The backend of the first table, or a new DuckDB where all are files."""
    import ibis

    tables = (source for source in sources if isinstance(source, ibis.Table))
    return next(map(ibis.get_backend, tables), None) or ibis.duckdb.connect()


def _as_table(source: Any, backend: Any) -> "ibis.Table":
    """A table of a backend; files are not read yet."""
    import ibis  # takes half a second, and only this needs it

    if isinstance(source, ibis.Table):
        return source
    files = [source] if isinstance(source, str | Path) else [*source]
    for file in files:
        path = Path(file)
        # What lies elsewhere, as s3://..., is for the backend to find.
        if "://" not in str(file) and not (path.exists() or any(path.parent.glob(path.name))):
            raise FileNotFoundError(f"There is no file {str(file)!r}: check the path.")
    paths = [str(file) for file in files]
    return backend.read_parquet(paths[0] if len(paths) == 1 else paths)


def _alike(
    table: "ibis.Table",
    choice: str,
    menu: str | Mapping[str, str],
    by: list[str],
    offers: "ibis.Table | None",
    on: list[str],
) -> "ibis.Table":
    """How many lines agree in the keys, the menu and the choice: what the backend works out."""
    flags = [] if isinstance(menu, str) else list(menu.values())
    lists = [menu] if isinstance(menu, str) and offers is None else []
    require_known("column", [choice, *by, *on, *flags, *lists], table.columns)
    keys: dict[str, Any] = {f"by_{i}": table[name] for i, name in enumerate(by)}
    keys["choice"] = table[choice].cast("string")
    joined = [f"on_{i}" for i in range(len(on))]
    keys |= {key: table[name] for key, name in zip(joined, on, strict=True)}
    keys |= {f"menu_{k}": table[name].cast("boolean") for k, name in enumerate(flags)}
    if lists:
        keys["menu"] = table[menu]
    chosen = table.select(**keys)
    lines = chosen.group_by(list(keys)).agg(n=chosen.count())
    if flags:
        return lines
    # Lines that are alike are few, so that text is made, and offers are joined, of them alone.
    if offers is None:
        lines = lines.mutate(menu=_as_text(lines.menu))
    else:
        require_known("column", [menu, *on], offers.columns, " (of the offers)")
        names = {key: offers[name] for key, name in zip(joined, on, strict=True)}
        shelf = offers.select(**names, offer=offers[menu].cast("string"))
        shelf = shelf.group_by(joined).agg(menu=_as_text(shelf.offer.collect()))
        lines = lines.left_join(shelf, joined)
    keep = [*(f"by_{i}" for i in range(len(by))), "choice", "menu"]
    return lines.group_by(keep).agg(n=lines.n.sum())


def _as_text(menu: Any) -> Any:
    return menu.cast("array<string>").unique().sort().join(BETWEEN)


def _menus_of_text(text: pd.Series) -> tuple[np.ndarray, pd.DataFrame]:
    """Number of each line's menu, -1 for none, and the categories of each menu."""
    # Sorted: the backend returns lines in any order, and rows must not depend on it.
    codes, different = pd.factorize(text.replace("", None), sort=True)
    return codes, pd.Series(different).str.get_dummies(BETWEEN).astype(bool)


def _menus_of_flags(flags: pd.DataFrame, names: list[str]) -> tuple[np.ndarray, pd.DataFrame]:
    known = flags.notna().all(axis=1).to_numpy()
    table = flags.fillna(False).to_numpy(dtype=bool)
    different, codes = np.unique(table, axis=0, return_inverse=True)
    codes = np.where(known & table.any(axis=1), codes.ravel(), -1)
    return codes, pd.DataFrame(different, columns=names)


def _bad(
    lines: pd.DataFrame, menus: np.ndarray, on_menu: pd.DataFrame, names: list[str], n_keys: int
) -> np.ndarray:
    """Kind of defect of each line, empty if it has none."""
    chosen = pd.Index(names).get_indexer(pd.Index(lines["choice"]))
    known = on_menu.reindex(columns=names, fill_value=False).to_numpy()
    strangers = on_menu.drop(columns=names, errors="ignore").any(axis=1).to_numpy()
    no_menu = menus < 0
    # Lines without a menu or with a stranger are named for that; what they read here is no matter.
    at = np.where(no_menu, 0, menus)
    off = ~known[at, chosen] if len(known) else np.ones(len(lines), dtype=bool)
    strange = strangers[at] if len(known) else np.zeros(len(lines), dtype=bool)
    keys = lines[[f"by_{i}" for i in range(n_keys)]]
    return np.select(
        [
            lines["choice"].isna(),
            keys.isna().any(axis=1),
            no_menu,
            chosen < 0,
            strange,
            off,
        ],
        list(BAD_CHOICES),
        default="",
    )


def _refuse_or_say(
    lines: pd.DataFrame,
    bad: np.ndarray,
    kinds: list[str],
    by: list[str],
    menus: np.ndarray,
    on_menu: pd.DataFrame,
) -> None:
    """Count the bad lines by kind, with an example of each."""
    total, said, refused = int(lines["n"].sum()), [], []
    for kind, words in BAD_CHOICES.items():
        of_kind = np.flatnonzero(bad == kind)
        if not len(of_kind):
            continue
        # The backend returns lines in any order, and the example must not depend on it.
        text = lines.drop(columns="n").iloc[of_kind].map(str).reset_index(drop=True)
        at = of_kind[text.sort_values(list(text.columns)).index[0]]
        first = lines.iloc[at]
        keys = ", ".join(f"{name} {first[f'by_{i}']}" for i, name in enumerate(by))
        on = on_menu.columns[on_menu.iloc[menus[at]]] if menus[at] >= 0 else []
        said.append(
            f"{int(lines['n'].iloc[of_kind].sum()):,}: {words} ({kind!r}), such as choice "
            f"{first['choice']} at {keys}, menu {listing(on) if len(on) else 'missing'}"
        )
        if kind not in kinds:
            refused.append(kind)
    counted = "\n".join(said)
    if refused:
        raise ValueError(
            f"Some of {total:,} choices cannot be counted.\n{counted}\nCorrect them, or leave "
            f"them out by name: accept={tuple(refused + kinds)}."
        )
    if said:
        warnings.warn(f"Left out of {total:,} choices:\n{counted}", UserWarning, stacklevel=3)


def _counted(
    lines: pd.DataFrame, menus: np.ndarray, available: np.ndarray, names: list[str], by: list[str]
) -> CategoryCounts:
    """One row for each combination of keys and menu."""
    keys = (
        lines[[f"by_{i}" for i in range(len(by))]].set_axis(by, axis=1).assign(**{BETWEEN: menus})
    )
    row = keys.groupby([*by, BETWEEN], sort=True, observed=True).ngroup().to_numpy()
    _, first = np.unique(row, return_index=True)
    counts = np.zeros((len(first), len(names)), dtype=np.int64)
    chosen = pd.Index(names).get_indexer(pd.Index(lines["choice"]))
    np.add.at(counts, (row, chosen), lines["n"].to_numpy())
    frame = keys.iloc[first].drop(columns=BETWEEN).reset_index(drop=True)
    frame = pd.concat([frame, pd.DataFrame(counts, columns=names)], axis=1)
    return CategoryCounts.from_wide(
        frame,
        names,
        cluster=by[0],
        date=by[1] if len(by) > 1 else None,
        predictors=by[2:],
        available=available[menus[first]],
    )
