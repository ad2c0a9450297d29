"""Which distribution do the counts ask for?"""

import numpy as np

from helpers.data.counts import CategoryCounts
from helpers.effects.pilot import Expansion
from helpers.models.design import Design
from helpers.models.options import Options

__all__ = ["choose_likelihood", "choose_scatter", "slopes_are_alike"]

# Rows from which tails can be seen, how much of a row must be known, and the gain in
# log-likelihood from which normal tails are given up.
_ROWS, _KNOWN, _GAIN = 60, 0.8, 2.0
# Scatter of logits, and of slopes between clusters, that is worth a model of it.
_LEAST = 0.03


def choose_likelihood(
    data: CategoryCounts,
    *,
    effects: str = "slopes",
    drift: str | None = None,
    availability: str = "known",
    reference: str | None = None,
) -> tuple[str, float]:
    """
    Choose the distribution of the counts by how much rows scatter about a quick fit.

    The logistic-normal, if the squared residuals exceed what a multinomial expects by more than a
    tenth, and by more than three standard errors, and a fit with scatter finds a spread of 0.03 or
    more; never where each row is a single choice, which shows no scatter. The
    Dirichlet-multinomial is not among the choices: its one concentration ties the scatter of a
    category to its size, where the logistic-normal has a spread of its own for each.

    How often scatter was found, of 200 simulated tables each, with totals of 5 to 100 and of
    1,000 to 100,000; spreads between 0.1 and 0.8, concentrations between 10 and 300:

    ==================  =====================  ====================  ====================
    Table               Multinomial            Dirichlet-mult.       Logistic-normal
    ==================  =====================  ====================  ====================
    24 rows of 4        0.000 / 0.010          0.30 / 1.00           0.58 / 1.00
    100 rows of 7       0.000 / 0.000          0.65 / 1.00           0.98 / 1.00
    676 rows of 8       0.000 / 0.000          0.91 / 1.00           1.00 / 1.00
    ==================  =====================  ====================  ====================

    With 400 categories in 24 rows of 5,000 to 20,000 choices, scatter was found in none of 12
    multinomial tables, and in all of 12 that scatter.

    Where menus are unknown, with two categories off a quarter and a seventh of them, none of 190
    multinomial tables seemed to scatter, and of those with spreads between 0.1 and 0.8 scatter was
    found in 0.55 / 1.00, 0.93 / 1.00 and 1.00 / 1.00.

    Parameters
    ----------
    data : CategoryCounts
        The counts.
    effects, drift, availability, reference : str or None
        As in :func:`~helpers.masked_regression`. Where menus are unknown, the quick fit leaves out
        every zero of a category that may be off them.

    Returns
    -------
    likelihood : {"multinomial", "logistic-normal"}
        The choice.
    ratio : float
        The evidence: squared residuals relative to what a multinomial expects, see
        :class:`~helpers.effects.Expansion`.

    Raises
    ------
    ValueError
        As :func:`~helpers.masked_regression`.

    See Also
    --------
    choose_scatter : Normal or heavier tails, once rows scatter.

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> from helpers.models import choose_likelihood
    >>> data, _ = simulate_counts(random_seed=1)
    >>> likelihood, ratio = choose_likelihood(data)
    >>> likelihood, round(ratio, 1)
    ('multinomial', 0.8)
    """
    design = _for_quick_fits(data, effects, drift, availability, reference)
    found = design.pilot()
    assert isinstance(found, Expansion)  # that of the multinomial
    ratio = found.dispersion
    scatters = ratio > 1.1 and ratio > 1 + 3 * np.sqrt(2 / found.freedom) and data.n.max() > 1
    # With large totals and few rows the first fit may be off by more than its residuals allow.
    if scatters and design.scattered_pilot().spread.max() < _LEAST:
        scatters = False
    return ("logistic-normal" if scatters else "multinomial"), ratio


def choose_scatter(
    data: CategoryCounts,
    *,
    effects: str = "slopes",
    drift: str | None = None,
    availability: str = "known",
    reference: str | None = None,
) -> tuple[str, float]:
    """
    Choose between normal and t scatter by the tails of a quick fit's residuals.

    The t, if its tails fit better by 2 in log-likelihood or more; otherwise the normal. Tails can
    be seen in 60 rows or more whose totals are large beside their scatter. Where they cannot, the
    degrees of freedom of a t would rest on their prior, and mix badly. Unlike
    :func:`choose_likelihood`, which asks whether rows scatter, it takes for granted that they do.

    Of 200 simulated tables each with totals of 1,000 to 100,000, the t was chosen for

    ==================  =====================  =====================
    Table               Normal scatter         t scatter, 4 d.f.
    ==================  =====================  =====================
    24 rows of 4        0.000                  0.180
    100 rows of 7       0.005                  0.985
    676 rows of 8       0.005                  1.000
    ==================  =====================  =====================

    With totals of 5 to 100 the tails could hardly be seen, and the normal was chosen whichever it
    was.

    Parameters
    ----------
    data : CategoryCounts
        The counts.
    effects, drift, availability, reference : str or None
        As in :func:`~helpers.masked_regression`. Where menus are unknown, the quick fit leaves out
        every zero of a category that may be off them.

    Returns
    -------
    scatter : {"normal", "t"}
        The choice.
    freedom : float
        Degrees of freedom that fit the tails best, 200 for normal ones; NaN where they cannot be
        seen.

    Raises
    ------
    ValueError
        As :func:`~helpers.masked_regression`.

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> from helpers.models import choose_scatter
    >>> data, _ = simulate_counts(random_seed=1, n_clusters=5)
    >>> choose_scatter(data)
    ('normal', nan)
    """
    design = _for_quick_fits(data, effects, drift, availability, reference)
    found = design.scattered_pilot()
    if found.tail_evidence > _GAIN:
        return "t", found.heavy_tails
    contrasts = design.sure_menus.sum(axis=1) - 1
    seen = ((contrasts > 0) & (found.known > _KNOWN * contrasts)).sum()
    if seen >= _ROWS:
        return "normal", found.heavy_tails
    return "normal", np.nan


def slopes_are_alike(
    data: CategoryCounts,
    *,
    drift: str | None = None,
    availability: str = "known",
    reference: str | None = None,
) -> bool:
    """
    Whether slopes differ so little between clusters that it is not worth a model.

    They do if, for each slope, the variance between clusters of a quick fit's estimates, less what
    chance alone gives them, is below 0.03 squared, and beyond doubt: by two standard errors. A
    spread that is next to zero cannot be sampled well, and tells nobody anything.

    Parameters
    ----------
    data : CategoryCounts
        The counts, with clusters and predictors.
    drift, availability, reference : str or None
        As in :func:`~helpers.masked_regression`.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        As :func:`~helpers.masked_regression`.

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> from helpers.models import slopes_are_alike
    >>> data, _ = simulate_counts(random_seed=1)
    >>> slopes_are_alike(data)
    False
    """
    design = _for_quick_fits(data, "slopes", drift, availability, reference)
    found = design.pilot()
    assert isinstance(found, Expansion)  # that of the multinomial
    information, score = found.by_cluster[:2]
    scale = np.trace(information, axis1=-2, axis2=-1)[..., None, None]
    eye = np.eye(information.shape[-1])
    covariance = np.linalg.inv(information + (1e-9 * scale + 1e-12) * eye)
    slopes = np.einsum("ckpq,ckq->ckp", covariance, score)[..., 1:]
    chance = np.diagonal(covariance, axis1=-2, axis2=-1)[..., 1:]
    usual = chance.mean(axis=0)
    error = usual * np.sqrt(2 / (len(slopes) - 1))
    return bool((slopes.var(axis=0, ddof=1) - usual + 2 * error < _LEAST**2).all())


def _for_quick_fits(
    data: CategoryCounts,
    effects: str,
    drift: str | None,
    availability: str,
    reference: str | None,
) -> Design:
    options = Options(
        effects=effects,
        drift=drift,
        availability=availability,
        reference=reference,
        spreads="contrast",  # a quick fit asks for no spread of a single category
    )
    return Design.of(data, options)
