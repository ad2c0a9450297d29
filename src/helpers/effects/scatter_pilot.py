"""What the counts say where rows scatter by category, before any sampling."""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from helpers.effects._scattered import ScatteredRows, Term
from helpers.effects.conditioned import Quadratic

__all__ = ["RowExpansion", "ScatteredExpansion", "expand_scattered"]

# Degrees of freedom from which tails count as normal.
_NORMAL = 200.0
# A pilot need only be approximate: it stops when no variance changes by more than this share.
_SETTLED = 5e-3
# Categories from which a cluster's effects are coupled: what all contrasts share, the reference,
# then outweighs what each has of its own.
_MANY = 30


@dataclass(frozen=True)
class RowExpansion:
    r"""
    What the counts of each row say about the row's own logits.

    The coordinates of row i are :math:`\theta_{ij}`, the logits of the K - 1 categories other than
    its base, in order, relative to the logit of the base. A base of its own keeps a row's
    coordinates well determined where the reference is rare there, or off the menu.

    Attributes
    ----------
    base : numpy.ndarray of int, shape (R,)
        Position of the category that was chosen most often.
    information : numpy.ndarray, shape (R, K - 1)
        :math:`h = n p (1 - p)` at the smoothed shares, 0 off the menu.
    score : numpy.ndarray, shape (R, K - 1)
        :math:`b = h \hat\theta + (y - n p)`, so that the log-likelihood is about
        :math:`b\theta - \tfrac12 h\theta^2`, coordinate by coordinate.
    along : numpy.ndarray, shape (R, K - 1), optional
        a of a row whose coordinates move together by what the base scatters: in units of their own
        standard deviations their covariance is about :math:`(I + a a')^2`. Only for 30 categories
        and more, where a is long.
    """

    base: np.ndarray
    information: np.ndarray
    score: np.ndarray
    along: np.ndarray | None = None


@dataclass(frozen=True)
class ScatteredExpansion:
    r"""
    What :func:`expand_scattered` finds.

    Attributes
    ----------
    by_cluster : Quadratic
        Of the effects of each cluster, the scatter of its rows integrated out: `information`,
        shape (C, K - 1, P, P), is :math:`\sum_i w_{ik} x_i x_i'` with
        :math:`w = 1 / (1 / (n p (1 - p)) + \tau_k^2 + \tau_{ref}^2)`; `score`, shape
        (C, K - 1, P), is :math:`\sum_i w_{ik} z_{ik} x_i`, where z is the row's logit, less drift
        and common slopes. There is a coupling for 30 categories and more.
    by_date : Quadratic or None
        Of the shifts at each date: h and b, each of shape (D, K - 1), with the same weights. The
        estimates have mean zero over dates.
    rows : RowExpansion
        Of the logits of each row.
    spread : numpy.ndarray, shape (K,)
        Standard deviation :math:`\tau_k` of the scatter of each category, the reference
        included, between 0.01 and 5. It knows no reference: contrasts have covariance
        :math:`\mathrm{diag}(\tau^2) + \tau_{ref}^2 11'`.
    heavy_tails : float
        Degrees of freedom of the F distribution that fits the rows' squared scatter best, 200
        where the tails are no heavier than the normal's. Rows with few choices hide their tails.
    tail_evidence : float
        By how much its log-likelihood exceeds that of normal tails.
    fitted : numpy.ndarray, shape (R, K)
        Logits of the mean, without scatter, 0 at the reference.
    realised : numpy.ndarray, shape (R, K)
        Logits that hold the row's most likely scatter, 0 at the reference. Off the menu they are
        those expected given the rest of the row.
    uncertainty : numpy.ndarray, shape (R, K)
        Standard deviation of the mean's logit, relative to the categories on the row's menu: what
        is not known of the cluster and the date.
    """

    by_cluster: Quadratic
    by_date: Quadratic | None
    rows: RowExpansion
    spread: np.ndarray
    heavy_tails: float
    tail_evidence: float
    fitted: np.ndarray
    realised: np.ndarray
    known: np.ndarray
    uncertainty: np.ndarray


def expand_scattered(
    counts: np.ndarray,
    available: np.ndarray,
    cluster: np.ndarray,
    n_clusters: int,
    reference: int,
    varying: np.ndarray,
    common: np.ndarray | None = None,
    *,
    date: np.ndarray | None = None,
    n_dates: int = 0,
    offset: np.ndarray | None = None,
    freedom: float | None = None,
    rounds: int = 20,
) -> ScatteredExpansion:
    r"""
    Fit a regression whose rows scatter by category, quickly and about.

    Row i has the logits :math:`\mu_{ik} + u_{ik}` with :math:`u_{ik} \sim N(0, \tau_k^2)` for all K
    categories. Three steps take turns: the most likely scatter of each row; weighted least squares
    of the effects of clusters, dates and common predictors, with normal penalties whose variances
    are estimated as well (empirical Bayes, so that everything stays finite); the spreads, by
    restricted maximum likelihood of the linearised rows. With a handful of choices per row the
    spreads come out too small, as they do in all such fits. Unlike
    :func:`~helpers.effects.expand_likelihood`, which lets rows differ by chance alone, it does not
    take large rows for exact.

    Parameters
    ----------
    counts : numpy.ndarray, shape (R, K)
        Counts.
    available : numpy.ndarray of bool, shape (R, K)
        Menus. A zero in doubt is best given as off the menu.
    cluster : numpy.ndarray of int, shape (R,)
        Cluster of each row.
    n_clusters : int
        Number of clusters C; with one, its effects have next to no penalty.
    reference : int
        Position of the category whose logit is 0.
    varying : numpy.ndarray, shape (R, P)
        What the effects that vary by cluster are multiplied with: ones for an intercept, the
        standardised predictors for slopes.
    common : numpy.ndarray, shape (R, Q), optional
        Standardised predictors whose slopes are the same in all clusters.
    date : numpy.ndarray of int, shape (R,), optional
        Date of each row, if logits shift from date to date.
    n_dates : int
        Number of dates D; some may have no rows.
    offset : numpy.ndarray, shape (R, K), optional
        What is added to the logits, and not fitted.
    freedom : float, optional
        Degrees of freedom of a multivariate t scatter: one scale for all categories of a row,
        :math:`u_{ik} / \sqrt{\lambda_i}` with :math:`\lambda_i` of mean 1. Then `spread` is that
        of u, and rows far out weigh less. If not given, scatter is normal.
    rounds : int
        How often the three steps take turns at most (rounds >= 1).

    Returns
    -------
    ScatteredExpansion
        The expansions by cluster, date and row, and how much rows scatter.

    References
    ----------
    Breslow, N. E., & Clayton, D. G. (1993). Approximate inference in generalized linear mixed
    models. Journal of the American Statistical Association, 88(421), 9-25.

    Examples
    --------
    Rows of 10,000 choices whose logits scatter by 0.1 to 1:

    >>> import numpy as np
    >>> from helpers.effects import expand_scattered
    >>> rng = np.random.default_rng(1)
    >>> share = np.exp(rng.normal(0, [0.1, 0.3, 0.5, 1.0], size=(400, 4)))
    >>> counts = rng.multinomial(10_000, share / share.sum(axis=1, keepdims=True))
    >>> on_menu, one_cluster = np.ones((400, 4), dtype=bool), np.zeros(400, dtype=int)
    >>> pilot = expand_scattered(counts, on_menu, one_cluster, 1, 0, np.ones((400, 1)))
    >>> pilot.spread.round(1)
    array([0.2, 0.3, 0.5, 1. ])
    """
    counts, available = np.asarray(counts, float), np.asarray(available, bool)
    varying, cluster = np.asarray(varying, float), np.asarray(cluster)
    rows = ScatteredRows(counts, available, freedom, offset)
    clusters, others = _terms(rows, varying, common, cluster, n_clusters, date, n_dates)
    terms = [*others.values(), clusters]
    for _ in range(rounds):
        rows.find_scatter()
        for term in terms:
            term.fit()
        if rows.settle(sum(term.n_parameters for term in terms)) < _SETTLED:
            break
    rows.find_scatter()
    for term in terms:
        term.fit()
    free = np.arange(counts.shape[1]) != reference
    weight, residual = _weights(rows, reference)
    by_date = None
    if date is not None:
        by_date = _expand(others["date"], weight, residual, reference, free).of_single_effects()
    uncertain = clusters.row_variance()
    if date is not None:
        uncertain = uncertain + others["date"].row_variance()
    freedom, evidence = _tails(rows)
    return ScatteredExpansion(
        by_cluster=_expand(clusters, weight, residual, reference, free),
        by_date=by_date,
        rows=_expand_rows(rows),
        spread=np.clip(np.sqrt(rows.variance), 1e-2, 5.0),
        heavy_tails=freedom,
        tail_evidence=evidence,
        fitted=rows.mean - rows.mean[:, [reference]],
        realised=rows.logits - rows.logits[:, [reference]],
        known=(rows.row_variance * rows.own_weight).sum(axis=1),
        uncertainty=np.sqrt(uncertain),
    )


def _terms(rows, varying, common, cluster, n_clusters, date, n_dates):
    """Effects by cluster, started at one fit to all rows; those of dates and common predictors."""
    everywhere = np.zeros(len(varying), dtype=int)
    design = varying if common is None else np.hstack([varying, common])
    together = Term(rows, design, everywhere, 1, fixed=True)
    for _ in range(5):
        rows.find_scatter()
        together.fit()
        rows.settle(together.n_parameters)
    clusters = Term(rows, varying, cluster, n_clusters, fixed=n_clusters == 1)
    clusters.start_at(together.estimate[0, : varying.shape[1]])
    others = {}
    if date is not None:
        ones = np.ones((len(varying), 1))
        others["date"] = Term(rows, ones, np.asarray(date), n_dates, fixed=False, centred=True)
    if design.shape[1] > varying.shape[1]:
        slopes = Term(rows, design[:, varying.shape[1] :], everywhere, 1, fixed=True)
        slopes.estimate = together.estimate[:, varying.shape[1] :]
        others["common"] = slopes
    return clusters, others


def _weights(rows, reference):
    """Precision of each row's contrasts given the rest of the row, and times the residuals."""
    information = rows.expected * (1 - rows.share)
    variance = rows.row_variance + rows.row_variance[:, [reference]]
    weight = information / (1 + information * variance)
    own = rows.own_weight
    # The distance of a category from its mean, relative to the others on the menu, is the
    # gradient over `own`: rows whose reference is off the menu need no other treatment.
    ratio = np.divide(weight, own, out=np.zeros_like(weight), where=own > 0)
    return weight, np.clip(ratio, 0.0, 1.0) * rows.gradient


def _expand(term, weight, residual, reference, free):
    """H and b of one term's contrasts."""
    x, n_groups = term.design, term.n_groups
    n_effects, n_free = x.shape[1], int(free.sum())
    information = np.zeros((n_groups, n_free, n_effects, n_effects))
    gradient = np.zeros((n_groups, n_free, n_effects))
    weight, residual = weight[:, free], residual[:, free]
    for groups, members in term.batches:
        one = x[members]
        information[groups] = np.einsum("grk,grp,grq->gkpq", weight[members], one, one)
        gradient[groups] = residual[members].mT @ one
    information = (information + information.mT) / 2
    contrasts = (term.estimate - term.estimate[:, :, [reference]])[:, :, free].transpose(0, 2, 1)
    score = np.einsum("ckpq,ckq->ckp", information, contrasts) + gradient
    coupling = None
    if len(free) >= _MANY and not term.centred:
        coupling = _coupling(term, information, reference, free)
    return Quadratic(information, score, coupling)


def _coupling(term, information, reference, free):
    """Root of the covariance of a cluster's contrasts, in terms of each contrast's own t."""
    n_groups, n_effects, n_categories = term.estimate.shape
    shape = (n_groups, n_effects, n_categories, n_effects, n_categories)
    cov = term.covariance.reshape(shape).transpose(0, 2, 1, 4, 3)
    cov = (
        cov
        - cov[:, [reference]]
        - cov[:, :, :, [reference]]
        + cov[:, [reference]][:, :, :, [reference]]
    )
    cov = cov[:, free][:, :, :, free]
    variance = term.variance[0] + term.variance[0][:, [reference]]
    blocks = information + (1 / variance[:, free].T)[:, :, None] * np.eye(n_effects)
    # C' for each contrast, with C C' its penalised information.
    root = np.linalg.cholesky(blocks).mT
    cov = np.einsum("ckpq,ckqlr->ckplr", root, cov, optimize=True)
    cov = np.einsum("ckplr,clsr->ckpls", cov, root, optimize=True)
    size = int(free.sum()) * n_effects
    values, vectors = np.linalg.eigh(cov.reshape(n_groups, size, size))
    return (vectors * np.sqrt(np.clip(values, 1e-3, None))[:, None]) @ vectors.mT


def _expand_rows(rows):
    """The expansion of each row in coordinates of its own."""
    counts, available = rows.counts, rows.available
    n_rows, n_categories = counts.shape
    base = np.where(available, counts, -1.0).argmax(axis=1)
    smoothed = np.where(available, counts + 0.5, 0.0)
    total = np.maximum(smoothed.sum(axis=1, keepdims=True), 0.5)
    share = smoothed / total
    logits = np.log(np.where(available, smoothed, 1.0))
    logits = logits - np.take_along_axis(logits, base[:, None], axis=1)
    n = counts.sum(axis=1, keepdims=True)
    # Without a choice between two, 1 - p is 0.
    information = n * share * (total - smoothed) / total * available
    score = information * np.where(available, logits, 0.0) + (counts - n * share) * available
    others = np.arange(n_categories) != base[:, None]
    shape = (n_rows, n_categories - 1)
    information, score, share = (x[others].reshape(shape) for x in (information, score, share))
    along = None
    if n_categories >= _MANY:
        of_base = np.take_along_axis(rows.row_variance, base[:, None], axis=1)
        variance = rows.row_variance[others].reshape(shape)
        along = _along(information, n, share, variance, of_base)
    return RowExpansion(base, information, score, along)


def _along(information, n, share, variance, of_base, rounds=30):
    """
    The direction in which a row's coordinates are the widest, by power iteration.

    Their precision is a diagonal less n p p', of the counts, and less t t' / T, of the scatter:
    t has the precisions of the categories, and T is their sum with that of the base.
    """
    own = np.sqrt(information + 1 / (variance + of_base))
    precision = 1 / variance
    diagonal = n * share + precision
    together = precision.sum(axis=1, keepdims=True) + 1 / of_base
    taken = np.stack([np.sqrt(n) * share, precision / np.sqrt(together)], axis=2)
    spread = taken / diagonal[:, :, None]
    # Woodbury's formula for the inverse.
    inner = np.linalg.inv(np.eye(2) - np.einsum("rka,rkb->rab", taken, spread))
    vector = own / np.linalg.norm(own, axis=1, keepdims=True)
    for _ in range(rounds):
        scaled = own * vector
        back = np.einsum("rab,rb->ra", inner, np.einsum("rka,rk->ra", spread, scaled))
        vector = own * (scaled / diagonal + np.einsum("rka,ra->rk", spread, back))
        size = np.linalg.norm(vector, axis=1, keepdims=True)
        vector = vector / size
    return vector * np.sqrt(np.maximum(np.sqrt(size) - 1, 0))


def _tails(rows):
    """Degrees of freedom of the rows' squared scatter, and the evidence against normal tails."""
    freedom = (rows.row_variance * rows.own_weight).sum(axis=1)
    squares = (rows.scatter**2 / rows.variance).sum(axis=1)
    # A row that is hardly known shows the penalty, not its scatter.
    clear = freedom > 0.5 * np.maximum(rows.available.sum(axis=1) - 1, 1)
    if clear.sum() < 10:
        return _NORMAL, 0.0
    freedom, squares = freedom[clear], np.maximum(squares[clear], 1e-12)

    def loss(heaviness, log_scale):
        scaled = squares * np.exp(-log_scale)
        if heaviness <= 1 / _NORMAL:
            terms = stats.chi2.logpdf(scaled, freedom)
        else:
            ratio = scaled / freedom
            terms = stats.f.logpdf(ratio, freedom, 1 / heaviness) - np.log(freedom)
        return log_scale * len(terms) - terms.sum()

    def best(heaviness):
        found = optimize.minimize_scalar(
            lambda log_scale: loss(heaviness, log_scale),
            bounds=(-6, 6),
            method="bounded",
            options={"xatol": 1e-2},
        )
        return found.fun

    normal = best(1 / _NORMAL)
    found = optimize.minimize_scalar(
        best, bounds=(1 / _NORMAL, 1.0), method="bounded", options={"xatol": 1e-2}
    )
    if found.fun >= normal:
        return _NORMAL, 0.0
    return float(1 / found.x), float(normal - found.fun)
