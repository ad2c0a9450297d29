"""Menus of scenarios, as a caller may give them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from helpers.data.messages import require_known


def menus_of_scenarios(
    available: Any, row_menus: np.ndarray, categories: list[str], labels: pd.Index
) -> dict[str, np.ndarray]:
    """The menus of each scenario by its name, shape (R, K) each; none of them is empty."""
    scenarios = _named(available, row_menus, categories)
    for name, menu in scenarios.items():
        empty = ~menu.any(axis=1)
        if empty.any():
            raise ValueError(
                f"The scenario {name!r} leaves nothing on the menu in row(s) "
                f"{labels[empty][:5].tolist()}: keep at least one category."
            )
    return scenarios


def _named(available, row_menus, categories):
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
        lines = zip(names, available.to_dict("records"), strict=True)
        return {name: _menu(line, row_menus, categories, name) for name, line in lines}
    is_scenarios = isinstance(available, Mapping) and not all(
        isinstance(v, bool | np.bool_) for v in available.values()
    )
    if not is_scenarios:
        available = {"what if": available}
    return {str(name): _menu(menu, row_menus, categories, name) for name, menu in available.items()}


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
