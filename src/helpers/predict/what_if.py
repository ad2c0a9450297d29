"""Predictions under another menu."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr

from helpers.data.shares import shares_on_menu
from helpers.data.simulate import draw_counts
from helpers.effects.rows import draw_new_scatter
from helpers.predict._rows import rows_to_predict
from helpers.predict._scatter import average_diversion, average_shares, draw_points
from helpers.predict._scenarios import scenarios_of
from helpers.predict.draws import some_draws

__all__ = ["what_if"]


# Largest diversion in bytes: if nothing is said, and if it is asked for.
_DIVERSION_LIMIT, _ASKED_LIMIT = 2**30, 2**34


def what_if(
    idata: xr.DataTree,
    model: pm.Model,
    available: Mapping | pd.DataFrame | Sequence[str] | str | np.ndarray,
    *,
    rows: Sequence | np.ndarray | pd.DataFrame | None = None,
    draws: int | None = None,
    counts: bool = False,
    total: bool = False,
    diversion: bool | None = None,
    at: str | None = None,
    random_seed: int | None = None,
) -> xr.Dataset:
    r"""
    Shares that would have been chosen from other menus, with their uncertainty.

    Unlike :func:`pymc.sample_posterior_predictive` after :func:`pymc.set_data`, it leaves the
    model as it is, answers several menus at once, and says where the choices of a removed
    category would go. It assumes that preferences keep their proportions under another menu
    (IIA). Where rows scatter, each row's do, and averages over rows or over the scatter do not:
    see Notes.

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
        category -> bool that says what changes on each row's menu, or a boolean array of shape
        (K,) or (rows, K). A scenario may change predictors and attributes, too: then it is a
        mapping with any of the keys ``menu``, ``attributes`` and ``predictors``, such as
        ``{"attributes": {"price": {"oats": 2.0}}}``. A new value is a number, one for each row, or
        a function of those that the rows have.
    rows : sequence or pandas.DataFrame, optional
        Labels of the rows to predict; all if not given. Or a frame of new rows, with the columns
        that the model uses: ``cluster``, where a missing value is a cluster that is not in the
        data, drawn from the population of clusters; ``date``, which may be one without data; the
        predictors, in their original units; attributes in columns such as ``price_oats``, without
        which a category has its mean; exposure in columns such as ``exposure_oats``, else 1;
        ``n``, the total, 1 if it is not given; and one boolean column for each category that may
        be off the row's menu.
    draws : int, optional
        Use about as many draws, evenly spread; all if not given.
    counts : bool
        Whether to draw counts as well, from the model's likelihood.
    total : bool
        Whether to add rows up, weighted with their totals: the result then has no dim ``row``,
        and takes little memory however many rows there are. Otherwise it takes 8 bytes for each
        draw, scenario, row and category. Either way draws are processed one by one.
    diversion : bool, optional
        Whether to say where the choices of removed categories go, which takes the memory of the
        shares once more for each removed category. If not given, it is computed if it takes at
        most 1 GiB, and left out with a warning if it takes more.
    at : {"realised", "mean", "typical"}, optional
        What is meant, where rows scatter (``likelihood="logistic-normal"``):

        - "realised", the default: a row of the model keeps the scatter that it showed, and what
          was off its menu is drawn given that; a new row draws its own in each draw. This is what
          figures about the rows as they were mean, and what may be added up.
        - "mean": what is expected of a row like this one, averaged over the scatter in each draw.
        - "typical": a row without scatter. It is not an average of anything, and not to be added
          up.

        Without such scatter, all three are the same, and called "mean". (A Dirichlet-multinomial
        does not keep how its rows scattered, and has no "realised".)
    random_seed : int, optional
        Seed of the counts, of new clusters and dates, and of scatter that is drawn.

    Returns
    -------
    xarray.Dataset
        - ``share`` (chain, draw, scenario, row, category): expected shares, 0 off the menu;
        - ``baseline`` (chain, draw, row, category): expected shares under the rows' menus as they
          are;
        - ``available`` (scenario, row, category): the menus;
        - ``diversion`` (chain, draw, scenario, removed, row, category), unless it is left out: the
          part of a removed category's choices that goes to each other category when it alone is
          taken off the row's menu. It sums to 1 over categories; it is missing where the scenario
          does not remove the category;
        - ``counts`` (chain, draw, scenario, row, category), if asked for. At the mean, each row
          draws its scatter; at the typical, counts have none.

        Its ``attrs["at"]`` says what is meant: "realised", "mean" or "typical". Scenarios and
        baseline are of the same scatter.

    Raises
    ------
    ValueError
        For unknown categories, rows, clusters, dates or columns, menus of the wrong shape, empty
        menus, a diversion that is asked for and takes more than 16 GiB, and realised shares of
        rows whose menus are unknown and whose scatter is not in the posterior: store it with
        ``var_names=[*parameter_names(model), "scatter"]``.

    Warns
    -----
    UserWarning
        If the diversion is left out.

    Notes
    -----
    With scatter, a row that likes one category more than usual and another less keeps doing so
    under any menu, and divides the choices of a removed category in proportion to its own
    preferences. So rows with much of that category count more for where its choices go, and the
    sum over rows, like the mean of one row, is not divided in proportion to average shares. Over
    the scatter, diversion at the mean weighs by what is moved.

    The mean over the scatter is that of 256 quasi-random points in each draw. For spreads of 0.3
    and 0.7 the relative error of a draw's share was 0.4 and 1.1 % (root mean square over rows and
    eight categories), and 0.8 and 2.4 % for t scatter with 4 degrees of freedom. It is independent
    between draws, so that their mean has little of it.

    Scatter that is not in the posterior is drawn from the rows' counts, for some draws at a time
    (:func:`~helpers.effects.draw_scatter`). For each draw of 676 rows of eight categories that
    took 0.01 s, and 0.05 s for t scatter: a few hundred `draws` will do.

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
    to_predict = rows_to_predict(model, rows, at)
    row_menus, labels = to_predict.row_menus, to_predict.labels
    scenarios = scenarios_of(available, row_menus, categories, labels)
    menus = np.stack([scenario.menu for scenario in scenarios.values()])
    removed = np.flatnonzero((row_menus & ~menus).any(axis=(0, 1)))
    posterior = some_draws(idata["posterior"].to_dataset(), draws)
    answers = _Answers(posterior, menus, to_predict, counts, total)
    if _can_divert(diversion, 8 * answers.share.size * len(removed), total):
        answers.divert(removed)
    rng = np.random.default_rng(random_seed)
    to_predict.prepare(list(scenarios.values()))
    for i, draw in enumerate(to_predict.by_draw(posterior, rng)):
        answers.add(i, draw, rng)
    return answers.dataset(scenarios, categories, [categories[k] for k in removed])


def _can_divert(asked: bool | None, size: int, total: bool) -> bool:
    """Whether the diversion, of so many bytes, is to be computed."""
    if asked is False:
        return False
    if size <= (_ASKED_LIMIT if asked else _DIVERSION_LIMIT):
        return True
    message = f"The diversion from all removed categories would take {size / 2**30:,.1f} GiB"
    remedy = (
        f"{'' if total else 'add rows up (total=True), '}use fewer draws (draws=), or ask for a "
        "few scenarios at a time"
    )
    if asked:
        raise ValueError(f"{message}: {remedy}.")
    warnings.warn(
        f"{message} and is left out. If you need it, {remedy}; if not, pass diversion=False.",
        stacklevel=3,
    )
    return False


class _Answers:
    """What is predicted for each draw, put together."""

    def __init__(self, posterior, menus, rows, counts, total):
        self.posterior, self.menus, self.rows = posterior, menus, rows
        self.weight = rows.n / rows.n.sum() if total else None
        size = posterior.sizes["chain"] * posterior.sizes["draw"]
        cells = menus.shape[2:] if total else menus.shape[1:]
        self.baseline = np.empty((size, *cells))
        self.share = np.empty((size, len(menus), *cells))
        self.counts = np.empty(self.share.shape, dtype=np.int64) if counts else None
        self.diversion: np.ndarray | None = None

    def divert(self, removed):
        """Make room for the diversion, and find the scenarios that remove each category."""
        shape = self.share.shape
        self.diversion = np.full((*shape[:2], len(removed), *shape[2:]), np.nan)
        gone = self.rows.row_menus & ~self.menus
        self.removed_in = {int(k): np.flatnonzero(gone[:, :, k].any(axis=1)) for k in removed}

    def add(self, i, draw, rng):
        logits, own, points = draw.logits, draw.logits, None
        if draw.spread is not None:
            points = draw_points(draw.spread, draw.df, rng=rng)
            if self.counts is not None:
                df = None if draw.df is None else [draw.df]
                own = own + draw_new_scatter([draw.spread], df, n_rows=len(own), rng=rng)[0]
        baseline = average_shares(logits, self.rows.row_menus, points, draw.nests)
        self.baseline[i] = self._over_rows(baseline)
        for s, menu in enumerate(self.menus):
            shift = draw.shifts.get(s, 0.0)
            share = average_shares(logits + shift, menu, points, draw.nests)
            self.share[i, s] = self._over_rows(share)
            if self.counts is not None:
                chance = share if points is None else shares_on_menu(own + shift, menu)
                drawn = draw_counts(rng, self.rows.n, chance, draw.concentration)
                self.counts[i, s] = drawn if self.weight is None else drawn.sum(axis=0)
        if self.diversion is not None:
            self._add_diversion(self.diversion[i], draw, baseline, points)

    def _add_diversion(self, diversion, draw, baseline, points):
        row_menus = self.rows.row_menus
        for r, (k, scenarios) in enumerate(self.removed_in.items()):
            possible = row_menus[:, k] & (row_menus.sum(axis=1) > 1)
            part = average_diversion(draw.logits, row_menus, k, points, draw.nests)
            for s in scenarios:
                where = possible & ~self.menus[s, :, k]
                if self.weight is None:
                    diversion[s, r, where] = part[where]
                elif where.any():
                    moved = self.weight[where] * baseline[where, k]
                    diversion[s, r] = moved @ part[where] / moved.sum()

    def _over_rows(self, shares):
        return shares if self.weight is None else self.weight @ shares

    def dataset(self, scenarios, categories, removed):
        sample = ("chain", "draw")
        sizes = tuple(self.posterior.sizes[d] for d in sample)
        cell = ("category",) if self.weight is not None else ("row", "category")
        variables = {
            "share": (self.share, ("scenario", *cell)),
            "baseline": (self.baseline, cell),
            "diversion": (self.diversion, ("scenario", "removed", *cell)),
            "counts": (self.counts, ("scenario", *cell)),
        }
        by_draw = {
            name: ((*sample, *dims), values.reshape(sizes + values.shape[1:]))
            for name, (values, dims) in variables.items()
            if values is not None
        }
        return xr.Dataset(
            by_draw | {"available": (("scenario", "row", "category"), self.menus)},
            coords={
                "chain": self.posterior["chain"].to_numpy(),
                "draw": self.posterior["draw"].to_numpy(),
                "scenario": list(scenarios),
                "removed": removed,
                "row": self.rows.labels.to_numpy(),
                "category": categories,
            },
            attrs={"at": self.rows.at},
        )
