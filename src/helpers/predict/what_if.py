"""Predictions under another menu."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import softmax

from helpers.data.messages import require_known
from helpers.data.simulate import draw_counts
from helpers.predict.rows import wanted_rows

__all__ = ["what_if"]


def what_if(
    idata,
    model,
    available,
    *,
    rows=None,
    draws=None,
    counts=False,
    total=False,
    random_seed=None,
):
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
    rows : sequence or pandas.DataFrame, optional
        Labels of the rows to predict; all if not given. Or a frame of new rows, with the columns
        that the model has a use for: ``cluster``, where a missing value is a cluster that is not
        in the data, drawn from the population of clusters; ``date``, which may be one without
        data; the predictors, in their own units; ``n``, the total, 1 if it is not given; and one
        boolean column for each category that may be off the row's own menu.
    draws : int, optional
        Use about as many draws, evenly spread; all if not given.
    counts : bool
        Whether to draw counts as well, from the model's likelihood.
    total : bool
        Whether to add rows up, weighted with their totals: the result then has no dim ``row``,
        and takes little memory however many rows there are. Otherwise it takes 8 bytes for each
        draw, scenario, row and category, and as much for each removed category. Either way the
        draws are worked through one by one.
    random_seed : int, optional
        Seed of the counts, and of new clusters and dates.

    Returns
    -------
    xarray.Dataset
        - ``share`` (chain, draw, scenario, row, category): expected shares, 0 off the menu;
        - ``baseline`` (chain, draw, row, category): expected shares under the rows' own menus;
        - ``available`` (scenario, row, category): the menus;
        - ``diversion`` (chain, draw, scenario, removed, row, category): of what would have been
          chosen of a removed category, the part that goes to each other one when it alone is
          taken off the row's own menu. It sums to 1 over categories; it is missing where the
          scenario does not remove the category;
        - ``counts`` (chain, draw, scenario, row, category), if asked for.

    Raises
    ------
    ValueError
        For unknown categories, rows, clusters, dates or columns, menus of the wrong shape, and
        empty menus.

    References
    ----------
    Train, K. E. (2009). Discrete choice methods with simulation (2nd ed.). Cambridge University
    Press.

    Examples
    --------
    >>> import pandas as pd
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

    New rows, with ten choices each:

    >>> new = pd.DataFrame({"x": [-1.0, 1.0], "n": 10})
    >>> answer = what_if(
    ...     prior, model, data.categories[:3], rows=new, counts=True, random_seed=1
    ... )
    >>> answer["counts"].sum("category").squeeze().values[0]
    array([10, 10])
    """
    for needed in ("logits", "available"):
        if needed not in model.named_vars:
            raise ValueError(
                f"The model has no variable {needed!r}: what_if needs logits and availability "
                "over (row, category), as masked_regression names them."
            )
    categories = [str(c) for c in model.coords["category"]]
    wanted = wanted_rows(model, rows)
    own, n, labels = wanted.own, wanted.n, wanted.labels
    scenarios = _scenarios(available, own, categories)
    menus = np.stack(list(scenarios.values()))
    for name, menu in scenarios.items():
        empty = ~menu.any(axis=1)
        if empty.any():
            raise ValueError(
                f"The scenario {name!r} leaves nothing on the menu in row(s) "
                f"{labels[empty][:5].tolist()}: keep at least one category."
            )
    removed = np.flatnonzero((own & ~menus).any(axis=(0, 1)))
    posterior = idata["posterior"]
    if draws is not None:
        size = posterior.sizes["chain"] * posterior.sizes["draw"]
        posterior = posterior.isel(draw=slice(None, None, max(1, size // int(draws))))
    rng = np.random.default_rng(random_seed)
    answers = _Answers(posterior, menus, own, n, removed, counts, total)
    for i, (logits, concentration) in enumerate(wanted.by_draw(posterior, rng)):
        answers.add(i, logits, concentration, rng)
    return answers.dataset(scenarios, categories, labels)


class _Answers:
    """What is said of each draw, put together."""

    def __init__(self, posterior, menus, own, n, removed, counts, total):
        self.menus, self.own, self.n, self.removed = menus, own, n, removed
        self.weight = n / n.sum() if total else None
        self.posterior = posterior
        size = posterior.sizes["chain"] * posterior.sizes["draw"]
        rows = own.shape[1:] if total else own.shape
        self.share = np.empty((size, len(menus), *rows))
        self.baseline = np.empty((size, *rows))
        self.diversion = np.full((size, len(menus), len(removed), *rows), np.nan)
        self.counts = np.empty(self.share.shape, dtype=np.int64) if counts else None

    def add(self, i, logits, concentration, rng):
        baseline = _shares(logits, self.own)
        self.baseline[i] = self._over_rows(baseline)
        for s, menu in enumerate(self.menus):
            share = _shares(logits, menu)
            self.share[i, s] = self._over_rows(share)
            if self.counts is not None:
                drawn = draw_counts(rng, self.n, share, concentration)
                self.counts[i, s] = drawn if self.weight is None else drawn.sum(axis=0)
        for r, k in enumerate(self.removed):
            without = self.own.copy()
            without[:, k] = False
            possible = self.own[:, k] & without.any(axis=1)
            # With p_k spread in proportion, j gains p_j p_k / (1 - p_k): of k's part, the share of
            # j without k. So nothing is divided by a p_k that may be too small to tell from 0.
            part = _shares(logits, without)
            for s, menu in enumerate(self.menus):
                where = possible & ~menu[:, k]
                if self.weight is None:
                    self.diversion[i, s, r, where] = part[where]
                elif where.any():
                    moved = self.weight[where] * baseline[where, k]
                    self.diversion[i, s, r] = moved @ part[where] / moved.sum()

    def _over_rows(self, shares):
        return shares if self.weight is None else self.weight @ shares

    def dataset(self, scenarios, categories, labels):
        sample = ("chain", "draw")
        sizes = tuple(self.posterior.sizes[d] for d in sample)
        cell = ("category",) if self.weight is not None else ("row", "category")
        variables = {
            "share": ("scenario", *cell),
            "baseline": cell,
            "diversion": ("scenario", "removed", *cell),
        }
        if self.counts is not None:
            variables["counts"] = ("scenario", *cell)
        by_draw = {}
        for name, dims in variables.items():
            values = getattr(self, name)
            by_draw[name] = ((*sample, *dims), values.reshape(sizes + values.shape[1:]))
        return xr.Dataset(
            by_draw | {"available": (("scenario", "row", "category"), self.menus)},
            coords={
                "chain": self.posterior["chain"].to_numpy(),
                "draw": self.posterior["draw"].to_numpy(),
                "scenario": list(scenarios),
                "removed": [categories[k] for k in self.removed],
                "row": labels.to_numpy(),
                "category": categories,
            },
        )


def _shares(logits, menu):
    """Softmax over what is on the menu, 0 elsewhere."""
    with np.errstate(invalid="ignore"):  # an empty menu: missing, as the caller expects
        return softmax(np.where(menu, logits, -np.inf), axis=-1)


def _scenarios(available, own, categories):
    """Name each scenario and spell its menus out, shape (rows, K) each."""
    if isinstance(available, Mapping | pd.DataFrame) and not len(available):
        raise ValueError("No scenario is given: name at least one menu.")
    if isinstance(available, pd.DataFrame):
        require_known("category", available.columns, categories)
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


def _menu(menu, own, categories, name):
    if isinstance(menu, Mapping):
        require_known("category", menu, categories)
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
        require_known("category", values.tolist(), categories)
        return np.broadcast_to(np.isin(categories, values), own.shape).copy()
    if values.shape not in ((len(categories),), own.shape):
        raise ValueError(
            f"The menu of scenario {name!r} has shape {values.shape}: give names, or booleans of "
            f"shape ({len(categories)},) or {own.shape}."
        )
    if not np.isin(values, (0, 1)).all():
        raise ValueError(f"The menu of scenario {name!r} must hold True and False only.")
    return np.broadcast_to(values.astype(bool), own.shape).copy()
