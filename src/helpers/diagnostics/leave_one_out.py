"""How well a model predicts rows, clusters and dates that it has not seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from arviz_stats.base import array_stats
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from helpers.diagnostics._pit import pit

__all__ = [
    "GOOD_K",
    "Comparison",
    "LeaveOneOut",
    "leave_groups_out",
    "leave_one_out",
    "leave_one_out_pit",
]

#: Pareto k up to which importance sampling can be relied on.
GOOD_K = 0.7


class Comparison(NamedTuple):
    """How much better one model predicts than another."""

    #: Difference of the two totals.
    difference: float
    #: Its standard error, if rows were independent, and by each grouping.
    errors: dict[str, float]


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """
    Log density of each row in the light of all others.

    Unlike ArviZ's ``ELPDData``, it takes errors by groups of rows: rows of one election, or of one
    province, are not independent, and an error that takes them for it can be three times too small.

    Parameters
    ----------
    elpd : numpy.ndarray, shape (R,)
        Log predictive density of each row.
    pareto_k : numpy.ndarray, shape (R,)
        Shape of the tail of each row's weights: above 0.7 they cannot be relied on. Minus infinity
        for rows with the same likelihood in all draws, infinity where a single draw has all the
        weight.
    log_weights : numpy.ndarray, shape (S, R)
        Logs of the weights with which the draws stand for the posterior without a row; they sum to
        1 over draws.
    refitted : numpy.ndarray of int
        Positions of rows whose `elpd` comes from a refit. Their weights are still those of the
        importance sampling.

    Examples
    --------
    >>> import numpy as np
    >>> from helpers.diagnostics import leave_one_out
    >>> log_likelihood = np.random.default_rng(1).normal(-3, 0.1, size=(1_000, 4))
    >>> loo = leave_one_out(log_likelihood, chains=4)
    >>> print(round(loo.total), (loo.pareto_k < 0.7).all())
    -12 True
    >>> loo.compare(loo, {"cluster": ["a", "a", "b", "b"]})
    Comparison(difference=0.0, errors={'rows': 0.0, 'cluster': 0.0})
    """

    elpd: np.ndarray
    pareto_k: np.ndarray
    log_weights: np.ndarray
    refitted: np.ndarray

    @property
    def total(self) -> float:
        """Sum over rows."""
        return float(self.elpd.sum())

    def standard_error(self, groups: ArrayLike | None = None) -> float:
        """
        Standard error of the total.

        Parameters
        ----------
        groups : array_like, shape (R,), optional
            Label of each row's group. Groups are taken as independent, rows of a group are not; if
            not given, each row is a group.

        Returns
        -------
        float
            The root of the number of groups times the standard deviation of their sums.

        Raises
        ------
        ValueError
            With fewer than two groups.
        """
        return _clustered_error(self.elpd, groups)

    def compare(
        self, other: "LeaveOneOut", groups: Mapping[str, ArrayLike] | None = None
    ) -> Comparison:
        """
        Compare with another model of the same rows.

        Parameters
        ----------
        other : LeaveOneOut
            Of the same counts, in the same order.
        groups : mapping of str to array_like, optional
            Groupings of the rows, such as ``{"cluster": ..., "date": ...}``.

        Returns
        -------
        Comparison
            The difference, positive if this model predicts better, and its standard errors. The
            largest of these is the one to trust.

        Raises
        ------
        ValueError
            If the rows are not as many.
        """
        if self.elpd.shape != other.elpd.shape:
            raise ValueError(
                f"Only models of the same rows can be compared: one has {len(self.elpd)} rows, the "
                f"other {len(other.elpd)}."
            )
        difference = self.elpd - other.elpd
        groupings = {"rows": None, **(groups or {})}
        errors = {name: _clustered_error(difference, by) for name, by in groupings.items()}
        return Comparison(float(difference.sum()), errors)


def leave_one_out(
    log_likelihood: ArrayLike,
    *,
    chains: int = 1,
    refit: Callable[[int], ArrayLike] | None = None,
) -> LeaveOneOut:
    r"""
    Predict each row from all others, without a fit for each.

    Unlike :func:`arviz.loo`, it takes any log likelihood by draw and row, such as that of
    :func:`~helpers.effects.integrated_log_likelihood`: where each row has a scatter of its own, a
    likelihood that takes it as given judges a row by what only the row itself could tell (Merkle,
    Furr & Rabe-Hesketh 2019), and the weights fail.

    .. math::

       \log p(y_i \mid y_{-i}) \approx \log \sum_s w_{is}\, p(y_i \mid \theta_s), \qquad
       w_{is} \propto 1 / p(y_i \mid \theta_s),

    with weights whose tail is smoothed by a generalised Pareto distribution (PSIS; Vehtari,
    Simpson, Gelman, Yao & Gabry 2024).

    Parameters
    ----------
    log_likelihood : array_like, shape (S, R)
        By draw and row, chain after chain.
    chains : int
        Number of chains in the draws: how far draws of a chain resemble each other decides how many
        of them make up the tail.
    refit : callable, optional
        Called with the position of each row whose Pareto k is above 0.7; fits the model without
        that row, and returns the row's log likelihood in each draw of this fit.

    Returns
    -------
    LeaveOneOut

    Raises
    ------
    ValueError
        If the draws are not as many in each chain, or a log likelihood is not a number.

    References
    ----------
    Merkle, E. C., Furr, D., & Rabe-Hesketh, S. (2019). Bayesian comparison of latent variable
    models: Conditional versus marginal likelihoods. Psychometrika, 84(3), 802-829.

    Vehtari, A., Simpson, D., Gelman, A., Yao, Y., & Gabry, J. (2024). Pareto smoothed importance
    sampling. Journal of Machine Learning Research, 25(72), 1-58.

    Examples
    --------
    A normal mean with known standard deviation, its posterior in closed form:

    >>> import numpy as np
    >>> from scipy import stats
    >>> from helpers.diagnostics import leave_one_out
    >>> rng = np.random.default_rng(1)
    >>> y = rng.normal(size=20)
    >>> mean = rng.normal(y.mean(), 1 / np.sqrt(20), size=(4_000, 1))
    >>> loo = leave_one_out(stats.norm.logpdf(y, mean), chains=4)
    >>> others = (y.sum() - y) / 19
    >>> exact = stats.norm.logpdf(y, others, np.sqrt(1 + 1 / 19))
    >>> bool(np.abs(loo.elpd - exact).max() < 0.02)
    True
    """
    ll = np.asarray(log_likelihood, dtype=float)
    if ll.ndim != 2 or len(ll) % chains:
        raise ValueError(
            f"log_likelihood must have the shape (S, R), with as many draws in each of {chains} "
            f"chains; it is {ll.shape}."
        )
    if not np.isfinite(ll).all():
        rows = np.flatnonzero(~np.isfinite(ll).all(axis=0))
        raise ValueError(
            f"The log likelihood is not finite in some draws of rows {rows[:10].tolist()}. Do they "
            "have counts off the menu?"
        )
    varies = np.ptp(ll, axis=0) > 0
    log_weights = np.full(ll.shape, -np.log(len(ll)))
    pareto_k = np.full(ll.shape[1], -np.inf)
    by_chain = np.exp(ll - ll.max(axis=0)).reshape(chains, -1, ll.shape[1])
    for i in np.flatnonzero(varies):
        relative = array_stats.ess(by_chain[:, :, i], method="mean", relative=True)
        # Weights so unlike that the tail's quantiles overflow, or that it cannot be fitted at all:
        # none of them can be relied on.
        with np.errstate(over="ignore"):
            log_weights[:, i], k = array_stats.psislw(ll[:, i], r_eff=min(relative, 1.0))
        pareto_k[i] = np.inf if np.isnan(k) else k
    elpd = logsumexp(log_weights + ll, axis=0)
    if refit is None:
        return LeaveOneOut(elpd, pareto_k, log_weights, np.empty(0, dtype=int))
    poor = np.flatnonzero(pareto_k > GOOD_K)
    for i in poor:
        draws = np.ravel(refit(int(i)))
        elpd[i] = logsumexp(draws) - np.log(len(draws))
    return LeaveOneOut(elpd, pareto_k, log_weights, poor)


def leave_one_out_pit(
    counts: ArrayLike,
    available: ArrayLike,
    predicted: ArrayLike,
    log_weights: ArrayLike,
    *,
    random_seed: int | np.random.Generator | None = None,
) -> np.ndarray:
    """
    Where each count ranks among those predicted from the other rows, from 0 to 1.

    Unlike :func:`arviz.loo_pit`, ties are broken at random, as counts need, by cell, and cells off
    the menu are left out. The ranks of a model that is right are uniform: too many near 0 and 1
    say that counts scatter more than predicted, too many in the middle that they scatter less.

    Parameters
    ----------
    counts : array_like of int, shape (R, K)
        Observed counts.
    available : array_like of bool, shape (R, K)
        Whether a category was on the menu.
    predicted : array_like of int, shape (S, R, K)
        Counts that each draw predicts, with the scatter of rows drawn anew.
    log_weights : array_like, shape (S, R)
        Logs of the weights of the draws, as from :func:`leave_one_out`.
    random_seed : int or numpy.random.Generator, optional
        Seed of the ties.

    Returns
    -------
    numpy.ndarray, shape (R, K)
        Ranks; NaN off the menu.

    Raises
    ------
    ValueError
        If shapes do not agree.

    Notes
    -----
    Where few draws have nearly all of the weight, as in rows with a high Pareto k, one count from
    each is too few to rank among, and the ranks of any model tend to uniform ones. Take draws as
    often as their weights say, predict a count from each, and give all of them the same weight:
    that is how :func:`~helpers.analysis.check_predictions` does it.

    References
    ----------
    Czado, C., Gneiting, T., & Held, L. (2009). Predictive model assessment for count data.
    Biometrics, 65(4), 1254-1261.

    Examples
    --------
    >>> import numpy as np
    >>> from helpers.diagnostics import leave_one_out_pit
    >>> predicted = np.random.default_rng(1).multinomial(100, [0.5, 0.5, 0], size=(4_000, 1))
    >>> even = np.zeros((4_000, 1))
    >>> ranks = leave_one_out_pit(
    ...     [[60, 40, 0]], [[True, True, False]], predicted, even, random_seed=1
    ... )
    >>> print(ranks.round(1))
    [[ 1.  0. nan]]
    """
    y, on, rep = np.asarray(counts), np.asarray(available, dtype=bool), np.asarray(predicted)
    log_w = np.asarray(log_weights, dtype=float)
    if not (on.shape == y.shape == rep.shape[1:] and log_w.shape == rep.shape[:2]):
        raise ValueError(
            "counts and available must be (R, K), predicted (S, R, K) and log_weights (S, R); they "
            f"are {y.shape}, {on.shape}, {rep.shape} and {log_w.shape}."
        )
    rng = np.random.default_rng(random_seed)
    weights = np.exp(log_w - logsumexp(log_w, axis=0))
    ranks = [pit(y[:, k], rep[..., k], rng, weights) for k in range(y.shape[1])]
    return np.where(on, np.stack(ranks, axis=1), np.nan)


def leave_groups_out(
    groups: ArrayLike,
    fit: Callable[[np.ndarray], Any],
    log_density: Callable[[Any, np.ndarray], ArrayLike],
    *,
    folds: int | None = None,
    error: float = 0.1,
    rounds: int = 1,
    random_seed: int | np.random.Generator | None = None,
) -> pd.DataFrame:
    r"""
    Predict whole clusters, or whole dates, from the others.

    Unlike :func:`leave_one_out`, it fits anew, and nothing of a group helps to predict its rows: a
    new cluster or the next date is predicted, not another row of a known one. The groups are
    spread by chance over `folds`, which leave out whole groups. The density of a group is joint
    over its rows,

    .. math::

       \log p(y_g \mid y_{-g}) \approx \log \frac1S \sum_s \prod_{i \in g}
       p(y_i \mid \theta_s, \alpha_{gs}),

    where the group's own effect :math:`\alpha_g` has to be integrated out: it is drawn anew from
    its population in every draw, one for all rows of the group. At its mean, the density would
    claim to know what nobody knows of a new group; drawn for each row by itself, rows of a group
    would be as unlike each other as rows of different groups.

    Parameters
    ----------
    groups : array_like, shape (R,)
        Group of each row, such as ``data.cluster`` or ``data.date``.
    fit : callable
        Called with the positions of the rows to fit; returns whatever `log_density` needs.
    log_density : callable
        Called with what `fit` returned and the positions of the rows of one group that was left
        out. Returns the log density of these rows, by draw and row, shape (S, rows), or that of
        all of them, shape (S,), with the group's effects drawn anew or integrated out
        (:func:`~helpers.effects.group_log_likelihood`).
    folds : int, optional
        Number of fits; as many as groups if not given.
    error : float
        Where the Monte Carlo error of a group is larger, `log_density` is called again.
    rounds : int
        How often it is called at most.
    random_seed : int or numpy.random.Generator, optional
        Seed of the folds.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``group``, one line for each: ``rows``, ``fold``, ``elpd``, ``error``, the Monte
        Carlo standard error of the latter, and ``effective``, how many draws it rests on. With few
        of these, it is too low, and more uncertain than it says: draws from the population
        hardly meet the effects of a group with many counts, and they should be integrated out.

    Raises
    ------
    ValueError
        With fewer than two groups, or if there are not between 2 and as many folds as groups.

    Examples
    --------
    Three clusters around a common mean; each is predicted from the two others:

    >>> import numpy as np
    >>> from scipy import stats
    >>> from helpers.diagnostics import leave_groups_out
    >>> y, cluster = np.array([0.1, 0.3, 1.2, 1.0, -0.4, -0.2]), np.repeat(["a", "b", "c"], 2)
    >>> rng = np.random.default_rng(1)
    >>> def log_density(mean, rows):
    ...     effect = rng.normal(mean, 0.7, size=(4_000, 1))  # one for all rows of the cluster
    ...     return stats.norm.logpdf(y[rows], effect, 0.2)
    >>> fit = lambda rows: y[rows].mean()
    >>> table = leave_groups_out(cluster, fit, log_density, random_seed=1)
    >>> print(table["elpd"].round(1).to_dict())
    {'a': -0.5, 'b': -1.8, 'c': -1.4}
    """
    codes, labels = pd.factorize(np.asarray(groups), sort=True)
    folds = len(labels) if folds is None else folds
    if not 2 <= folds <= len(labels):
        raise ValueError(
            f"There are {len(labels)} groups: with two or more, folds can be 2 to as many, not "
            f"{folds}."
        )
    fold = np.arange(len(labels)) % folds
    np.random.default_rng(random_seed).shuffle(fold)
    lines = []
    for f in range(folds):
        fitted = fit(np.flatnonzero(fold[codes] != f))
        for g in np.flatnonzero(fold == f):
            rows, draws = np.flatnonzero(codes == g), np.empty(0)
            for _ in range(rounds):
                new = np.asarray(log_density(fitted, rows), dtype=float)
                draws = np.append(draws, new if new.ndim == 1 else new.sum(axis=1))
                w = np.exp(draws - draws.max())
                monte_carlo = w.std(ddof=1) / (w.mean() * np.sqrt(len(w)))
                if monte_carlo <= error:
                    break
            elpd = logsumexp(draws) - np.log(len(draws))
            lines.append((labels[g], len(rows), f, elpd, monte_carlo, w.sum() ** 2 / (w**2).sum()))
    columns = ["group", "rows", "fold", "elpd", "error", "effective"]
    return pd.DataFrame(lines, columns=columns).set_index("group").sort_index()


def _clustered_error(values, groups):
    """Standard error of a sum of values that are independent between groups only."""
    sums = np.asarray(values, dtype=float)
    if groups is not None:
        codes, _ = pd.factorize(np.asarray(groups))
        if len(codes) != len(sums):
            raise ValueError(f"There are {len(sums)} rows, and groups for {len(codes)}.")
        sums = np.bincount(codes, sums)
    if len(sums) < 2:
        raise ValueError("A standard error needs two groups of rows or more.")
    return float(np.sqrt(len(sums)) * sums.std(ddof=1))
