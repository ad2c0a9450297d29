"""The scatter of rows in predictions: what of it is meant, and averages over it."""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pymc as pm
import xarray as xr
from scipy.special import gammaincinv, ndtri
from scipy.stats import qmc

from helpers.data.messages import require_choice
from helpers.data.shares import nested_logits, shares_on_menu
from helpers.predict.draws import value_by_draw

AT = ("realised", "mean", "typical")

# Points for each draw. Shares of one draw then have relative errors (root mean square, eight
# categories, spreads of 0.3 and 0.7, against 2 million draws) of 0.4 and 1.1 % if the scatter is
# normal and of 0.8 and 2.4 % if it is t with 4 degrees of freedom. Errors of draws are independent.
POINTS = 256
# Doubles in a block of rows by points.
BLOCK = 2**20


class Points(NamedTuple):
    """Points of the scatter, as factors of the categories' weights (M, K), and weights (M,)."""

    factors: np.ndarray
    weight: np.ndarray


def scatters(model: pm.Model) -> bool:
    """Whether a model's rows scatter, each with logits of its own."""
    return "mean_logits" in model.named_vars and "scatter_sd" in model.named_vars


def chosen(model: pm.Model, at: str | None, default: str) -> str:
    """Check `at`, or choose it: without scatter of rows, what is expected is the mean."""
    if at is None:
        return default if scatters(model) else "mean"
    require_choice("at", at, AT)
    if at == "realised" and "concentration" in model.named_vars:
        raise ValueError(
            "A Dirichlet-multinomial does not keep how its rows scattered, so that there are no "
            'realised preferences: use at="mean", or likelihood="logistic-normal".'
        )
    return at


def require_stored_scatter(model: pm.Model, posterior: xr.Dataset | xr.DataTree) -> None:
    """Refuse what needs the scatter of rows with unknown menus, if it is not in the posterior."""
    if scatters(model) and "psi" in model.named_vars and "scatter" not in posterior.data_vars:
        raise ValueError(
            "Where menus are unknown, the scatter that rows showed cannot be drawn again from "
            "their counts, and the posterior lacks it. Sample with "
            'var_names=[*parameter_names(model), "scatter"].'
        )


def scatter_terms(model: pm.Model) -> dict[str, Any]:
    """The variables that say how rows scatter."""
    names = {"spread": "scatter_sd", "df": "scatter_df"}
    return {key: model[name] for key, name in names.items() if name in model.named_vars}


def points_by_draw(
    posterior: xr.Dataset | xr.DataTree, model: pm.Model, rng: np.random.Generator
) -> Iterator[Points]:
    """Points of the scatter in each draw."""
    for values in value_by_draw(posterior, model, list(scatter_terms(model).values())):
        yield draw_points(*values, rng=rng)


def draw_points(spread: np.ndarray, df: float | None = None, *, rng: np.random.Generator) -> Points:
    """Quasi-random points of the scatter, shifted by chance."""
    size = len(spread)
    uniform = (_lattice(size + 1) + rng.random(size + 1)) % 1
    u = ndtri(uniform[:, :size]) * spread
    weight = np.full(POINTS, 1 / POINTS)
    if df is not None:
        # More points where the scale of t scatter is small: a rare category owes its mean to them.
        last = uniform[:, size]
        u /= np.sqrt(gammaincinv(df / 2, last**2) / (df / 2))[:, None]
        weight = last / last.sum()
    # A common factor of all categories does not matter. Factors of 0 might leave an empty menu, and
    # what is divided by is a product of two.
    factors = np.exp(np.clip(u - u.max(axis=1, keepdims=True), -300, None))
    return Points(factors, weight)


class Nests(NamedTuple):
    """The nest of each category (K,), -1 for none, and the scale of each nest (M,)."""

    nest: np.ndarray
    scale: np.ndarray


def nests_of(model: pm.Model) -> np.ndarray:
    """The nest of each category of a model that has nests."""
    return model["nest_index"].get_value()


def average_shares(
    logits: np.ndarray, menus: np.ndarray, points: Points | None, nests: Nests | None = None
) -> np.ndarray:
    """
    Shares (R, K) on menus that leave nothing empty, averaged over the points of the scatter.

    Rows of models with nests do not scatter.
    """
    if nests is not None:
        return shares_on_menu(nested_logits(logits, menus, *nests), menus)
    if points is None:
        return shares_on_menu(logits, menus)
    out = shares_on_menu(logits, menus)
    for rows in _blocks(out):
        # With w_k of the row and f_mk of point m: the mean of w_k f_mk / sum_j w_j f_mj.
        out[rows] *= (points.weight / (out[rows] @ points.factors.T)) @ points.factors
    return out


def average_diversion(
    logits: np.ndarray,
    menus: np.ndarray,
    removed: int,
    points: Points | None,
    nests: Nests | None = None,
) -> np.ndarray:
    """Parts (R, K) of the choices of `removed` that go to the others, if it alone is removed."""
    without = menus.copy()
    without[:, removed] = False
    if nests is not None:
        share = average_shares(logits, menus, None, nests)
        gained = average_shares(logits, without, None, nests) - share
        gained[:, removed] = 0.0
        gained = np.maximum(gained, 0.0)  # a share that hardly moves may lose by rounding
        with np.errstate(invalid="ignore"):
            return gained / gained.sum(axis=1, keepdims=True)
    # With p_k divided in proportion, j gains p_j p_k / (1 - p_k): of k's part, the share of j
    # without k. So nothing is divided by a p_k that may be too small to tell from 0.
    part = shares_on_menu(logits, without)
    if points is None:
        return part
    share = shares_on_menu(logits, menus)
    for rows in _blocks(part):
        # Where more of k is moved, its choices go elsewhere: points weigh by what they move.
        total = (share[rows] @ points.factors.T) * (part[rows] @ points.factors.T)
        moved = points.weight * points.factors[:, removed] / total
        part[rows] *= moved @ points.factors
    return part / part.sum(axis=1, keepdims=True)


@cache
def _lattice(size: int) -> np.ndarray:
    return qmc.Sobol(size, rng=0).random(POINTS)


def _blocks(rows):
    size = max(1, BLOCK // POINTS)
    return (slice(i, i + size) for i in range(0, len(rows), size))
