"""Scenarios, as a caller may give them: menus, and other values of predictors and attributes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from helpers.data.messages import listing, require_known
from helpers.models.predictors import terms_of

RESERVED = ("menu", "attributes", "predictors")


class Scenario(NamedTuple):
    """Menus (R, K), and what is changed: attribute -> category -> values, predictor -> values."""

    menu: np.ndarray
    attributes: Mapping[str, Any]
    predictors: Mapping[str, Any]

    @property
    def changes(self) -> bool:
        """Whether anything but menus is another."""
        return bool(self.attributes or self.predictors)


def scenarios_of(
    available: Any, row_menus: np.ndarray, categories: list[str], labels: pd.Index
) -> dict[str, Scenario]:
    """The scenarios by name; no menu is empty."""
    scenarios = {
        name: _scenario(given, row_menus, categories, name)
        for name, given in _named(available, categories).items()
    }
    for name, scenario in scenarios.items():
        empty = ~scenario.menu.any(axis=1)
        if empty.any():
            raise ValueError(
                f"The scenario {name!r} leaves nothing on the menu in row(s) "
                f"{labels[empty][:5].tolist()}: keep at least one category."
            )
    return scenarios


def _named(available: Any, categories: list[str]) -> dict[str, Any]:
    if isinstance(available, Mapping | pd.DataFrame) and not len(available):
        raise ValueError("No scenario is given: name at least one menu.")
    if isinstance(available, pd.DataFrame):
        require_known("category", available.columns, categories)
        names = available.index.map(str)
        if not names.is_unique:
            repeated = names[names.duplicated()].unique().tolist()
            raise ValueError(
                f"More than one scenario is called {repeated}: give each another name."
            )
        return dict(zip(names, available.to_dict("records"), strict=True))
    is_scenarios = isinstance(available, Mapping) and not all(
        isinstance(v, bool | np.bool_) for v in available.values()
    )
    if not is_scenarios or _has_reserved_keys(available):
        available = {"what if": available}
    return {str(name): given for name, given in available.items()}


def _has_reserved_keys(given: Any) -> bool:
    """Whether a mapping is one of `RESERVED`, and not of categories."""
    return (
        isinstance(given, Mapping)
        and len(given) > 0
        and set(given) <= set(RESERVED)
        and not any(isinstance(value, bool | np.bool_) for value in given.values())
    )


def _scenario(given: Any, row_menus: np.ndarray, categories: list[str], name: str) -> Scenario:
    if not _has_reserved_keys(given):
        return Scenario(_menu(given, row_menus, categories, name), {}, {})
    menu = row_menus.copy()
    if "menu" in given:
        menu = _menu(given["menu"], row_menus, categories, name)
    changes = [given.get(key, {}) for key in ("attributes", "predictors")]
    for key, change in zip(("attributes", "predictors"), changes, strict=True):
        if not isinstance(change, Mapping):
            raise ValueError(
                f"In the scenario {name!r}, {key!r} must be a mapping from names to values, not "
                f"{change!r}."
            )
    return Scenario(menu, *changes)


def _menu(menu, row_menus, categories, name):
    if isinstance(menu, Mapping):
        require_known("category", menu, categories)
        changed = row_menus.copy()
        for category, on in menu.items():
            if on not in (True, False):
                raise ValueError(
                    f"In the scenario {name!r}, {category!r} must be True or False, not {on!r}."
                )
            changed[:, categories.index(category)] = bool(on)
        return changed
    if isinstance(menu, str):
        menu = [menu]
    values = np.asarray(menu)
    if values.dtype.kind in "OUS" and values.ndim == 1:
        require_known("category", values.tolist(), categories)
        return np.broadcast_to(np.isin(categories, values), row_menus.shape).copy()
    if values.shape not in ((len(categories),), row_menus.shape):
        raise ValueError(
            f"The menu of scenario {name!r} has shape {values.shape}: give names, or booleans of "
            f"shape ({len(categories)},) or {row_menus.shape}."
        )
    if not np.isin(values, (0, 1)).all():
        raise ValueError(f"The menu of scenario {name!r} must contain True and False only.")
    return np.broadcast_to(values.astype(bool), row_menus.shape).copy()


def changed_data(
    scenario: Scenario,
    model: Any,
    data: Mapping[str, np.ndarray],
    rows: np.ndarray,
    given: pd.DataFrame | None = None,
) -> dict[str, np.ndarray]:
    """
    The model's data under a scenario, of which the `rows` change.

    `given` are all rows' predictors as they were before they became columns, if they did.
    """
    changed = {}
    if scenario.attributes:
        names, categories = _coords(model, "attribute"), _coords(model, "category")
        values = data["attributes"].copy()
        require_known("attribute", scenario.attributes, names)
        for name, given in scenario.attributes.items():
            q = names.index(name)
            applies = model["attribute_applies"].get_value()[:, q].astype(bool)
            having = [c for c, has in zip(categories, applies, strict=True) if has]
            by_category = given if isinstance(given, Mapping) else dict.fromkeys(having, given)
            require_known("category", by_category, categories, f" (of the attribute {name!r})")
            if without := [c for c in by_category if c not in having]:
                raise ValueError(
                    f"{listing(without)} has no {name} in the data, so that a scenario cannot "
                    f"change it: those that have are {listing(having)}."
                )
            for category, value in by_category.items():
                k = categories.index(category)
                values[rows, k, q] = _new(value, values[rows, k, q], f"{name} of {category}")
        changed["attributes"] = values
    if scenario.predictors:
        names = _coords(model, "predictor")
        columns = data["predictors"].copy()
        changed["predictors"] = _moved(scenario.predictors, model, names, columns, rows, given)
    return changed


def _moved(
    change: Mapping[str, Any],
    model: Any,
    names: list[str],
    columns: np.ndarray,
    rows: np.ndarray,
    given: pd.DataFrame | None,
) -> np.ndarray:
    """Predictors (R, P) of which some rows have other values."""
    terms = terms_of(model)
    if terms is not None:
        names = list(terms.predictors.columns)
    require_known("predictor", change, names)
    if terms is None or given is None:
        for name, value in change.items():
            p = names.index(name)
            columns[rows, p] = _new(value, columns[rows, p], name)
        return columns
    frame = given.iloc[rows].copy()
    for name, value in change.items():
        if is_numeric_dtype(terms.predictors[name]):
            frame[name] = _new(value, frame[name].to_numpy(), name)
        else:
            frame[name] = value(frame[name]) if callable(value) else value
    columns[rows] = terms.columns_of(frame)
    return columns


def _coords(model: Any, dim: str) -> list[str]:
    if dim not in model.coords:
        raise ValueError(f"This model has no {dim}s to change.")
    return [str(name) for name in model.coords[dim]]


def _new(value: Any, now: np.ndarray, what: str) -> np.ndarray:
    """New values of the rows: a number, one for each row, or a function of those they have."""
    try:
        new = np.broadcast_to(
            np.asarray(value(now) if callable(value) else value, float), now.shape
        )
    except (TypeError, ValueError):
        raise ValueError(
            f"A scenario's {what} must be a number, one for each of {len(now)} rows, or a function "
            "of those that they have, such as lambda price: 1.1 * price."
        ) from None
    if not np.isfinite(new).all():
        raise ValueError(f"A scenario's {what} must be finite numbers.")
    return new
