"""What the rows of a model would choose on average, in all and by group, draw by draw."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr
from scipy.sparse import csr_array

from helpers.models.predictors import terms_of
from helpers.predict._rows import log_exposure, rows_to_predict
from helpers.predict._scatter import average_diversion, average_shares
from helpers.predict._scenarios import Scenario, scenarios_of

__all__ = ["row_averages"]


def row_averages(
    idata: xr.DataTree,
    model: pm.Model,
    menus: Mapping[str, Any] | None = None,
    *,
    predictors: Mapping[str, pd.DataFrame] | None = None,
    by: Mapping[str, pd.Categorical] | None = None,
    random_seed: int | None = None,
) -> xr.Dataset:
    r"""
    Average over the rows what they would choose, in one pass through the draws.

    Rows count by their totals, keep their own predictors, and, where they scatter, the scatter that
    they showed. Unlike :func:`~helpers.what_if`, which answers for single rows and new ones as
    well, it keeps averages alone, so that memory does not grow with the rows, and it knows where
    the choices of every category would go at the cost of one product of matrices: if category k
    is taken off, row i moves

    .. math::

       m_{kj} = \sum_i n_i \, p_{ik} \frac{p_{ij}}{1 - p_{ik}} \Big/ \sum_i n_i

    to category j.

    Parameters
    ----------
    idata : xarray.DataTree
        Draws from `model`. Thin them: it takes a few milliseconds for each, and where rows scatter
        up to 0.05 s.
    model : pymc.Model
        A model made by :func:`~helpers.masked_regression`.
    menus : mapping of str to menu, optional
        Scenarios, as in :func:`~helpers.what_if`.
    predictors : mapping of str to pandas.DataFrame, optional
        Other values of the predictors for all rows, as the data have them, by name.
    by : mapping of str to pandas.Categorical, optional
        Groups of rows (R,) by name, such as ``{"cluster": data.cluster}``.
    random_seed : int, optional
        Seed of scatter that is drawn.

    Returns
    -------
    xarray.Dataset
        Over (chain, draw, ...):

        - ``latent`` (category): shares with everything on the menu;
        - ``expected`` (category): shares under the rows' own menus;
        - ``moved`` (removed, category): the part of all choices that goes to a category when
          another is taken off all menus, :math:`m_{kj}`; rows that offered nothing else are left
          out. Divided by its sum over categories it is the diversion;
        - ``share`` (scenario, category), if there are `menus`;
        - ``latent_if`` (table, category), the latent shares for other `predictors`;
        - ``latent_by_x``, ``expected_by_x`` and ``latent_if_by_x`` (..., x, category) for each
          group x; missing for groups without choices.

        Its ``attrs["at"]`` is "realised" if rows scatter, otherwise "mean".

    Raises
    ------
    ValueError
        For unknown categories and empty menus, for tables of predictors of another shape, and where
        menus are unknown and the scatter of rows is not in the posterior.

    Examples
    --------
    >>> import pymc as pm
    >>> from helpers import masked_regression, simulate_counts
    >>> from helpers.predict import row_averages
    >>> data, _ = simulate_counts(n_clusters=3, n_dates=2, random_seed=1)
    >>> model = masked_regression(data, effects="intercepts")
    >>> with model:
    ...     prior = pm.sample_prior_predictive(5, random_seed=1)
    >>> prior["posterior"] = prior["prior"]
    >>> averages = row_averages(prior, model, by={"cluster": data.cluster})
    >>> dict(averages["latent_by_cluster"].sizes)
    {'chain': 1, 'draw': 5, 'cluster': 3, 'category': 7}
    """
    rows = rows_to_predict(model, None)
    categories = [str(c) for c in model.coords["category"]]
    given = {} if menus is None else scenarios_of(menus, rows.row_menus, categories, rows.labels)
    tables = dict(predictors or {})
    posterior = idata["posterior"].to_dataset()
    rng = np.random.default_rng(random_seed)
    groups = {name: _weights(rows.n, group) for name, group in (by or {}).items()}
    rows.prepare([*given.values(), *_as_scenarios(model, tables, rows.row_menus)])
    menus_of = [scenario.menu for scenario in given.values()]
    same = rows.row_menus, menus_of, rows.n / rows.n.sum(), groups, log_exposure(model)
    found = [_of_draw(draw, *same) for draw in rows.by_draw(posterior, rng)]
    sample = ("chain", "draw")
    sizes = [posterior.sizes[d] for d in sample]
    dims: dict[str, tuple[str, ...]] = {
        "share": ("scenario",),
        "latent_if": ("table",),
        "moved": ("removed",),
    }
    coords = {d: posterior[d].to_numpy() for d in sample} | {
        "category": categories,
        "removed": categories,
        "scenario": list(given),
        "table": list(tables),
    }
    empty = {}
    for name, group in (by or {}).items():
        coords[name] = group.categories.to_numpy()
        of_group = {"latent": (name,), "expected": (name,), "latent_if": ("table", name)}
        dims.update({f"{kind}_by_{name}": d for kind, d in of_group.items()})
        empty[name] = np.bincount(group.codes, minlength=len(group.categories)) == 0
    variables = {}
    for name in list(found[0]):
        values = np.stack([of.pop(name) for of in found])
        if (group_name := name.partition("_by_")[2]) in empty:
            values[..., empty[group_name], :] = np.nan
        values = values.reshape(*sizes, *values.shape[1:])
        variables[name] = ((*sample, *dims.get(name, ()), "category"), values)
    used = {d for of, _ in variables.values() for d in of}
    coords = {name: labels for name, labels in coords.items() if name in used}
    return xr.Dataset(variables, coords, {"at": rows.at})


def _of_draw(draw, row_menus, menus, weight, groups, exposure):
    """Averages of one draw by name; after the scenarios come the other predictors."""
    logits, equally_exposed = draw.logits, draw.logits - exposure
    everything = np.ones(row_menus.shape, dtype=bool)

    def shares(logits, menus):
        return average_shares(logits, menus, None, draw.nests)

    latent, expected = shares(equally_exposed, everything), shares(logits, row_menus)
    moved = _moved(expected, weight)
    if draw.nests is not None:
        moved = _moved_in_nests(draw, expected, row_menus, weight)
    out = {"latent": weight @ latent, "expected": weight @ expected, "moved": moved}
    if menus:
        under = [shares(logits + draw.shifts.get(s, 0.0), menu) for s, menu in enumerate(menus)]
        out["share"] = np.stack([weight @ share for share in under])
    for name, of_group in groups.items():
        out[f"latent_by_{name}"] = of_group @ latent
        out[f"expected_by_{name}"] = of_group @ expected
    others = [
        shares(equally_exposed + shift, everything)
        for s, shift in draw.shifts.items()
        if s >= len(menus)
    ]
    if others:
        out["latent_if"] = np.stack([weight @ other for other in others])
        for name, of_group in groups.items():
            out[f"latent_if_by_{name}"] = np.stack([of_group @ other for other in others])
    return out


def _moved_in_nests(draw, share, row_menus, weight):
    """What moves from each category to the others, one removal at a time."""
    moved = np.zeros((share.shape[1],) * 2)
    others = row_menus.sum(axis=1) > 1
    for k in range(len(moved)):
        rows = np.flatnonzero(row_menus[:, k] & others)
        if len(rows):
            logits, menus = draw.logits[rows], row_menus[rows]
            part = average_diversion(logits, menus, k, None, draw.nests)
            moved[k] = (weight[rows] * share[rows, k]) @ part
    return moved


def _moved(share: np.ndarray, weight: np.ndarray) -> np.ndarray:
    rest = 1 - share
    # 1 - p loses its digits where p is nearly 1: there it is the sum of the others.
    line, top = np.arange(len(share)), share.argmax(axis=1)
    others = share.copy()
    others[line, top] = 0
    rest[line, top] = others.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = np.where(rest > 0, share / rest, 0)
    moved = (weight[:, None] * odds).T @ share
    np.fill_diagonal(moved, 0)
    return moved


def _weights(n: np.ndarray, group: pd.Categorical) -> csr_array:
    """What averages over the rows of each group, (G, R)."""
    shape = len(group.categories), len(group)
    total = np.bincount(group.codes, weights=n, minlength=shape[0])
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = n / total[group.codes]
    return csr_array((weight, (group.codes, np.arange(len(group)))), shape=shape)


def _as_scenarios(
    model: pm.Model, tables: Mapping[str, pd.DataFrame], row_menus: np.ndarray
) -> list[Scenario]:
    """Tables of predictors as scenarios that change all of them."""
    if not tables:
        return []
    terms, names = terms_of(model), list(map(str, model.coords["predictor"]))
    if terms is not None:
        names = list(terms.predictors.columns)
    shape = len(row_menus), len(names)
    scenarios = []
    for table in tables.values():
        if np.shape(table) != shape:
            raise ValueError(
                f"A table of predictors has shape {np.shape(table)}, and the model's {shape}: "
                "give a line for each row and a column for each predictor."
            )
        columns = (column.array for _, column in pd.DataFrame(table).items())
        scenarios.append(Scenario(row_menus, {}, dict(zip(names, columns, strict=True))))
    return scenarios
