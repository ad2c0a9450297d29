"""What can be asked of an analysis: one table for library, command line and notebook."""

import inspect
import json
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from helpers.data.messages import require_choice
from helpers.data.suspicion import ACCEPTABLE
from helpers.models.options import CHOICES

__all__ = ["PARTS", "AnalysisOptions", "describe_options"]

PARTS = TABLE, MODEL, RUN = "The table", "The model", "The run"


def _option(part: str, default: Any, kind: str, text: str, *choices: str) -> Any:
    about = {"part": part, "kind": kind, "text": text, "choices": choices}
    return field(default=default, metadata=about)


def _given(option: str) -> tuple[str, ...]:
    return tuple(choice for choice in CHOICES[option] if choice)


@dataclass(frozen=True, kw_only=True)
class AnalysisOptions:
    """
    Everything that can be asked of an analysis, with defaults, in one form.

    Unlike :class:`~helpers.models.Options`, which are those of a regression, these begin with the
    table and end with the folder of the results. Names may come as a list or as one text with
    commas between them, mappings as such, as JSON, or as ``name=value``. Whatever is empty is not
    given: "", [], {} and None are the same.
    """

    categories: tuple[str, ...] = _option(
        TABLE,
        (),
        "names",
        "columns of counts; if not given, every column named n_*",
    )
    cluster: str | None = _option(
        TABLE, None, "name", "column that groups the rows, such as a district, a shop or a person"
    )
    date: str | None = _option(TABLE, None, "name", "column of dates")
    predictors: tuple[str, ...] = _option(
        TABLE, (), "names", "columns of numbers, or of labels, that may explain the choices"
    )
    available: Mapping[str, str] | str = _option(
        TABLE,
        None,
        "mapping",
        "CATEGORY=COLUMN: a column of true and false that says whether the category was on the "
        "menu; of categories that are not named, empty cells were off it; for a long table also "
        "the column alone",
    )
    attributes: tuple[str, ...] | Mapping[str, Any] = _option(
        TABLE,
        (),
        "columns",
        "what differs by category and row, such as a price: names, for columns like "
        "price_CATEGORY, or JSON that names the columns; for a long table names of columns",
    )
    exposure: Mapping[str, str] | str = _option(
        TABLE,
        None,
        "mapping",
        "CATEGORY=COLUMN: for how much of the time or area the category was on the menu, 0 if not "
        "at all; for a long table the column alone",
    )
    row: str | None = _option(
        TABLE,
        None,
        "name",
        "for a long table, one line for each row and category: the column that says which row a "
        "line belongs to; `category` and `count` must be given, too",
    )
    category: str | None = _option(
        TABLE, None, "name", "for a long table: the column of categories"
    )
    count: str | None = _option(TABLE, None, "name", "for a long table: the column of counts")
    thousands: str | None = _option(
        TABLE, None, "mark", "mark between thousands in a text file, such as a full stop"
    )
    decimal: str | None = _option(
        TABLE, None, "mark", "decimal mark in a text file; decimal commas are seen without"
    )
    encoding: str | None = _option(
        TABLE, None, "mark", "encoding of a text file, if it is neither UTF-8 nor Latin-1"
    )
    sheet: str | int | None = _option(
        TABLE, None, "sheet", "sheet of a spreadsheet, by name or by number from 0; else the first"
    )
    accept: tuple[str, ...] = _option(
        TABLE,
        (),
        "names",
        "suspicions about the table that you have looked at and overrule, by name: "
        + ", ".join(ACCEPTABLE),
    )
    availability: str = _option(
        MODEL,
        "known",
        "choice",
        "known: menus are as the table has them; unknown: any zero may mean that the category was "
        "not on the menu; ignored: for comparison",
        *_given("availability"),
    )
    likelihood: str = _option(
        MODEL,
        "auto",
        "choice",
        "distribution of the counts; auto: by the residuals of a quick fit",
        "auto",
        *_given("likelihood"),
    )
    scatter: str = _option(
        MODEL,
        "auto",
        "choice",
        "tails of the scatter of rows, for the logistic-normal; auto: by those of a quick fit",
        "auto",
        *_given("scatter"),
    )
    drift: str = _option(
        MODEL,
        "auto",
        "choice",
        "whether preferences drift over dates; auto: walk, with three dates or more",
        "auto",
        *_given("drift"),
        "none",
    )
    spreads: str = _option(
        MODEL,
        "auto",
        "choice",
        "what spreads between clusters, dates and rows are of; auto: each category, or contrasts "
        "where menus show no more",
        "auto",
        *_given("spreads"),
    )
    formula: str | None = _option(
        MODEL,
        None,
        "name",
        'what is made of the predictors, such as "age * region" or "bs(age, 4)"; else they are '
        "added up",
    )
    attribute_effects: str = _option(
        MODEL,
        "common",
        "choice",
        "whether an attribute has one slope, or one for each cluster",
        "common",
        "varying",
    )
    nests: Mapping[str, Any] = _option(
        MODEL,
        None,
        "mapping",
        "NAME=a,b: categories that are closer substitutes for each other than for the rest, on "
        "known menus; rows can then scatter all alike only",
    )
    scenarios: Mapping[str, Any] = _option(
        RUN,
        None,
        "mapping",
        "other menus to predict: NAME=a,b,c has these categories on the menu, and NAME=+a,-b adds "
        "to and takes from each row's own; JSON may change predictors and attributes, too",
    )
    draws: int = _option(RUN, 2_000, "count", "draws to keep in each of four chains")
    tune: int = _option(RUN, 1_000, "count", "draws of tuning before them; more if it diverged")
    target_accept: float = _option(
        RUN,
        0.8,
        "share",
        "acceptance that the sampler aims at; nearer to 1 (0.95, 0.99) takes smaller steps and "
        "more time, and is what to try if it diverged",
    )
    random_seed: int | None = _option(RUN, 1, "seed", "the same seed gives the same result")
    posterior: Path | None = _option(
        RUN,
        None,
        "path",
        "draws of an earlier run of the same analysis, to use in place of sampling",
    )
    output_dir: Path | None = _option(
        RUN,
        None,
        "path",
        "folder for the results; draws are kept there, too, if a later step fails",
    )
    progressbar: bool = _option(
        RUN, True, "flag", "say what is done, with seconds, and show a bar while sampling"
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            alone = each.name in ("available", "exposure")
            if alone and self.row and _is_column(getattr(self, each.name)):
                continue  # of a long table, which has one column for all categories
            clean = _CLEAN[each.metadata["kind"]](each.name, getattr(self, each.name))
            if choices := each.metadata["choices"]:
                require_choice(each.name, clean, choices)
            object.__setattr__(self, each.name, clean)
        long = {name: getattr(self, name) for name in ("row", "category", "count")}
        if None in long.values() and any(long.values()):
            missing = " and ".join(f"`{name}`" for name, given in long.items() if given is None)
            raise ValueError(
                "A long table needs `row`, `category` and `count`, the columns that say which row "
                f"a line belongs to, which category it is of, and how many chose it: give "
                f"{missing}, too, or none of the three."
            )

    def of_table(self) -> dict[str, Any]:
        """
        Return the options that say how to read the table.

        Returns
        -------
        dict
            The keyword arguments of :func:`read_source`.
        """
        return {name: getattr(self, name) for name in _names_of(TABLE)}

    def of_model(self) -> dict[str, Any]:
        """
        Return the options that choose the model.

        Returns
        -------
        dict
            The keyword arguments of :func:`choose`.
        """
        return {name: getattr(self, name) for name in _names_of(MODEL)}

    def given(self) -> dict[str, Any]:
        """
        Return what differs from the defaults.

        Returns
        -------
        dict
            Name -> value, which JSON can hold.

        Examples
        --------
        >>> from helpers.analysis import AnalysisOptions
        >>> AnalysisOptions(cluster="shop", categories="tea, milk", date="").given()
        {'categories': ['tea', 'milk'], 'cluster': 'shop'}
        """
        default = AnalysisOptions()
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: _plain(value) for name, value in found.items() if value != getattr(default, name)
        }


def _names_of(part: str) -> list[str]:
    return [each.name for each in fields(AnalysisOptions) if each.metadata["part"] == part]


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    return json.loads(
        json.dumps(value, default=lambda v: v.tolist() if hasattr(v, "tolist") else str(v))
    )


def _is_column(given: Any) -> bool:
    return isinstance(given, str) and "=" not in given and not given.lstrip().startswith("{")


def _names(option: str, given: Any) -> tuple[Any, ...]:
    return tuple(_parts(option, given)) if isinstance(given, str) else tuple(given or ())


def _columns(option: str, given: Any) -> Any:
    """Names, or a mapping from names to columns."""
    if isinstance(given, str) and given.lstrip().startswith("{"):
        return dict(_json(option, given))
    return dict(given) if isinstance(given, Mapping) else _names(option, given)


def _parts(option: str, text: str) -> list[Any]:
    """Names in a text: a JSON list, or with commas between them."""
    if text.lstrip().startswith("["):
        return list(_json(option, text))
    return [part.strip() for part in text.split(",") if part.strip()]


def _json(option: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{option} looks like JSON, but cannot be read: {error}.") from None


def _mapping(option: str, given: Any) -> dict[str, Any]:
    """A mapping as such, as JSON, or as one text or several with name=value."""
    if not given:
        return {}
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, str):
        if given.lstrip().startswith("{"):
            return dict(_json(option, given))
        given = [given]
    found: dict[str, Any] = {}
    for text in given:
        pairs = [text] if option in _OF_LISTS else _parts(option, text)
        for pair in pairs:
            if isinstance(pair, str) and pair.lstrip().startswith("{"):
                found |= _json(option, pair)
                continue
            name, equals, value = str(pair).partition("=")
            if not (name.strip() and equals and value.strip()):
                shown = next(each for each in fields(AnalysisOptions) if each.name == option)
                raise ValueError(
                    f"{option} cannot be read from {pair!r}. It takes {shown.metadata['text']}."
                )
            found[name.strip()] = _OF_LISTS.get(option, _plain_text)(option, value.strip())
    return found


def _plain_text(option: str, text: str) -> Any:
    return text


def _menu(option: str, text: str) -> Any:
    """A menu in a text: the names on it, or what changes with a sign before each."""
    if text.startswith("{"):
        return _json(option, text)
    names = _parts(option, text)
    signed = [str(name)[:1] in ("+", "-") for name in names]
    if not any(signed) or text.startswith("["):
        return names
    if not all(signed):
        raise ValueError(
            f"The menu {text!r} has names with a sign and names without: write a,b,c for what is "
            "on it, or +a,-b for what changes on each row's own."
        )
    return {name[1:].strip(): name[0] == "+" for name in names}


# Mappings from a name to several, and how a text is read as these.
_OF_LISTS: dict[str, Callable[[str, str], Any]] = {"scenarios": _menu, "nests": _parts}


def _name(option: str, given: Any) -> Any:
    if given is None or (isinstance(given, str) and not given):
        return None
    return given


def _sheet(option: str, given: Any) -> Any:
    return int(given) if isinstance(given, str) and given.isdecimal() else _name(option, given)


def _path(option: str, given: Any) -> Path | None:
    return Path(given) if given and str(given) else None


def _count(option: str, given: Any) -> int:
    if isinstance(given, bool) or int(given) != given or given < 1:
        raise ValueError(f"{option} must be a whole number from 1, not {given!r}.")
    return int(given)


def _share(option: str, given: Any) -> float:
    if not 0 < float(given) < 1:
        raise ValueError(f"{option} must lie between 0 and 1, not be {given!r}.")
    return float(given)


_CLEAN: dict[str, Any] = {
    "names": _names,
    "columns": _columns,
    "name": _name,
    "mark": _name,
    "mapping": _mapping,
    "choice": lambda option, given: given,
    "count": _count,
    "share": _share,
    "seed": _name,
    "path": _path,
    "sheet": _sheet,
    "flag": lambda option, given: bool(given),
}


_KINDS = {
    "names": "tuple of str",
    "columns": "tuple of str or mapping",
    "name": "str, optional",
    "mark": "str, optional",
    "sheet": "str or int, optional",
    "mapping": "mapping",
    "count": "int",
    "share": "float",
    "seed": "int, optional",
    "path": "pathlib.Path, optional",
    "flag": "bool",
}


def describe_options() -> str:
    """
    Describe each option as numpydoc describes a parameter.

    Returns
    -------
    str
        Lines without a heading, for docstrings.

    Examples
    --------
    >>> from helpers.analysis import describe_options
    >>> print("\\n".join(describe_options().splitlines()[:2]))
    categories : tuple of str, default ()
        Columns of counts; if not given, every column named ``n_*``.
    """
    lines = []
    for each in fields(AnalysisOptions):
        about = each.metadata
        kind = _KINDS.get(about["kind"], "")
        if about["choices"]:
            kind = "{" + ", ".join(f'"{choice}"' for choice in about["choices"]) + "}"
        lines.append(f"{each.name} : {kind}, default {each.default!r}")
        text = f"{about['text'][0].upper()}{about['text'][1:]}.".replace("n_*", "``n_*``")
        lines += textwrap.wrap(text, 96, initial_indent=" " * 4, subsequent_indent=" " * 4)
    return "\n".join(lines)


AnalysisOptions.__doc__ = (
    f"\n{inspect.cleandoc(AnalysisOptions.__doc__ or '')}\n\nAttributes\n----------\n"
    f"{describe_options()}\n"
)
