"""Predictions under another menu."""

import difflib
from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import softmax

from helpers.draws import value_by_draw

__all__ = ["what_if"]


def what_if(idata, model, available, *, rows=None):
    r"""
    Shares that would have been chosen from other menus, with their uncertainty.

    Unlike :func:`pymc.sample_posterior_predictive` after :func:`pymc.set_data`, it leaves the
    model as it is, answers several menus at once, and says where the choices of a removed
    category would go. It takes preferences as they are: under another menu they keep their
    proportions (IIA).

    Parameters
    ----------
    idata : xarray.DataTree
        Draws from `model`, with a group ``posterior`` that holds its free variables.
    model : pymc.Model
        A model with variables ``logits`` and ``available`` over (row, category), such as
        :func:`~helpers.masked_regression` makes.
    available : mapping, pandas.DataFrame or menu
        Scenarios: a mapping name -> menu, or a boolean frame with one line per scenario and one
        column per category, or a single menu. A menu is a list of the names on it, a mapping
        category -> bool that says what changes in each row's own menu, or a boolean array of
        shape (K,) or (rows, K).
    rows : sequence, optional
        Labels of the rows to predict; all if not given. The result takes 8 bytes for each draw,
        scenario, row and category, and as much for each removed category: choose rows when there
        are many.

    Returns
    -------
    xarray.Dataset
        - ``share`` (chain, draw, scenario, row, category): expected shares, 0 off the menu;
        - ``baseline`` (chain, draw, row, category): expected shares under the rows' own menus;
        - ``available`` (scenario, row, category): the menus;
        - ``diversion`` (chain, draw, scenario, removed, row, category): of what would have been
          chosen of a removed category, the part that goes to each other one when it alone is
          taken off the row's own menu. It sums to 1 over categories; it is missing where the
          scenario does not remove the category.

    Raises
    ------
    ValueError
        For unknown categories or rows, menus of the wrong shape, and empty menus.

    References
    ----------
    Train, K. E. (2009). Discrete choice methods with simulation (2nd ed.). Cambridge University
    Press.

    Examples
    --------
    >>> import pymc as pm
    >>> from helpers import masked_regression, simulate_counts, what_if
    >>> data, _ = simulate_counts(n_clusters=2, n_dates=2, random_seed=1)
    >>> model = masked_regression(data, effects="pooled")
    >>> with model:
    ...     prior = pm.sample_prior_predictive(5, random_seed=1)
    >>> prior["posterior"] = prior["prior"]
    >>> answer = what_if(prior, model, {"without 2": {"category 2": False}}, rows=[0])
    >>> dict(answer["diversion"].sizes)
    {'chain': 1, 'draw': 5, 'scenario': 1, 'removed': 1, 'row': 1, 'category': 7}
    """
    for needed in ("logits", "available"):
        if needed not in model.named_vars:
            raise ValueError(
                f"The model has no variable {needed!r}: what_if needs logits and availability "
                "over (row, category), as masked_regression names them."
            )
    categories = [str(c) for c in model.coords["category"]]
    all_rows = pd.Index(model.coords["row"])
    if rows is None:
        position = np.arange(len(all_rows))
    else:
        wanted = pd.Index(np.atleast_1d(rows))
        position = all_rows.get_indexer(wanted)
        if (position < 0).any():
            raise ValueError(
                f"There are no rows {wanted[position < 0][:5].tolist()}: labels run from "
                f"{all_rows[0]} to {all_rows[-1]}."
            )
    own = model["available"].eval()[position].astype(bool)
    scenarios = _scenarios(available, own, categories)
    menus = np.stack(list(scenarios.values()))
    for name, menu in scenarios.items():
        empty = ~menu.any(axis=1)
        if empty.any():
            raise ValueError(
                f"The scenario {name!r} leaves nothing on the menu in row(s) "
                f"{all_rows[position[empty]][:5].tolist()}: keep at least one category."
            )

    logits = _logits(idata["posterior"], model, position)
    baseline = _shares(logits, own)
    removed = np.flatnonzero((own & ~menus).any(axis=(0, 1)))
    shape = (*logits.shape[:2], len(menus), len(removed), *logits.shape[2:])
    diversion = np.full(shape, np.nan)
    for r, k in enumerate(removed):
        without = own.copy()
        without[:, k] = False
        possible = own[:, k] & without.any(axis=1)
        # With p_k spread in proportion, j gains p_j p_k / (1 - p_k): of k's part, the share of j
        # without k. So nothing is divided by a p_k that may be too small to tell from 0.
        part = _shares(logits, without)
        for s, menu in enumerate(menus):
            where = possible & ~menu[:, k]
            diversion[:, :, s, r][..., where, :] = part[..., where, :]

    sample = ("chain", "draw")
    return xr.Dataset(
        {
            "share": (
                (*sample, "scenario", "row", "category"),
                np.stack([_shares(logits, menu) for menu in menus], axis=2),
            ),
            "baseline": ((*sample, "row", "category"), baseline),
            "available": (("scenario", "row", "category"), menus),
            "diversion": ((*sample, "scenario", "removed", "row", "category"), diversion),
        },
        coords={
            "chain": idata["posterior"]["chain"].to_numpy(),
            "draw": idata["posterior"]["draw"].to_numpy(),
            "scenario": list(scenarios),
            "removed": [categories[k] for k in removed],
            "row": all_rows[position].to_numpy(),
            "category": categories,
        },
    )


def _shares(logits, menu):
    """Softmax over what is on the menu, 0 elsewhere."""
    with np.errstate(invalid="ignore"):  # an empty menu: missing, as the caller expects
        return softmax(np.where(menu, logits, -np.inf), axis=-1)


def _logits(posterior, model, position):
    """Linear predictor of the chosen rows, by draw; shape (chain, draw, row, category)."""
    sizes = posterior.sizes["chain"], posterior.sizes["draw"]
    out = np.empty((*sizes, len(position), model.dim_lengths["category"].eval()))
    by_draw = value_by_draw(posterior, model, model["logits"][position])
    for at, value in zip(np.ndindex(sizes), by_draw, strict=True):
        out[at] = value
    return out


def _scenarios(available, own, categories):
    """Name each scenario and spell its menus out, shape (rows, K) each."""
    if isinstance(available, Mapping | pd.DataFrame) and not len(available):
        raise ValueError("No scenario is given: name at least one menu.")
    if isinstance(available, pd.DataFrame):
        _known(available.columns, categories)
        names = available.index.map(str)
        if not names.is_unique:
            twice = names[names.duplicated()].unique().tolist()
            raise ValueError(f"More than one scenario is called {twice}: give each its own name.")
        lines = zip(names, available.to_dict("records"), strict=True)
        return {name: _menu(line, own, categories, name) for name, line in lines}
    is_scenarios = isinstance(available, Mapping) and not all(
        isinstance(v, bool | np.bool_) for v in available.values()
    )
    if not is_scenarios:
        available = {"what if": available}
    return {str(name): _menu(menu, own, categories, name) for name, menu in available.items()}


def _known(names, categories):
    for name in names:
        if name not in categories:
            close = difflib.get_close_matches(str(name), categories, n=3, cutoff=0.5)
            hint = (
                f"did you mean {' or '.join(map(repr, close))}?"
                if close
                else f"the categories are {', '.join(categories)}."
            )
            raise ValueError(f"There is no category {name!r}: {hint}")


def _menu(menu, own, categories, name):
    if isinstance(menu, Mapping):
        _known(menu, categories)
        out = own.copy()
        for category, on in menu.items():
            if on not in (True, False):
                raise ValueError(
                    f"In the scenario {name!r}, {category!r} must be True or False, not {on!r}."
                )
            out[:, categories.index(category)] = bool(on)
        return out
    if isinstance(menu, str):
        menu = [menu]
    values = np.asarray(menu)
    if values.dtype.kind in "OUS" and values.ndim == 1:
        _known(values.tolist(), categories)
        return np.broadcast_to(np.isin(categories, values), own.shape).copy()
    if values.shape not in ((len(categories),), own.shape):
        raise ValueError(
            f"The menu of scenario {name!r} has shape {values.shape}: give names, or booleans of "
            f"shape ({len(categories)},) or {own.shape}."
        )
    if not np.isin(values, (0, 1)).all():
        raise ValueError(f"The menu of scenario {name!r} must hold True and False only.")
    return np.broadcast_to(values.astype(bool), own.shape).copy()
