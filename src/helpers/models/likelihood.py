"""Which distribution do the counts ask for?"""

import numpy as np

from helpers.data.counts import CategoryCounts
from helpers.models.design import Design
from helpers.models.options import Options

__all__ = ["choose_likelihood"]


def choose_likelihood(
    data: CategoryCounts, *, effects: str = "slopes", drift: str | None = None
) -> tuple[str, float]:
    """
    Choose the distribution of the counts by how much rows scatter about a quick fit.

    The Dirichlet-multinomial, if the squared residuals exceed what a multinomial expects by more
    than a tenth, and by more than three standard errors.

    Parameters
    ----------
    data : CategoryCounts
        The counts.
    effects, drift : str or None
        As in :func:`~helpers.masked_regression`.

    Returns
    -------
    likelihood : {"multinomial", "dirichlet-multinomial"}
        The choice.
    ratio : float
        The evidence: squared residuals relative to what a multinomial expects, see
        :class:`~helpers.effects.Expansion`.

    Raises
    ------
    ValueError
        As :func:`~helpers.masked_regression`.

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> from helpers.models import choose_likelihood
    >>> data, _ = simulate_counts(random_seed=1)
    >>> likelihood, ratio = choose_likelihood(data)
    >>> likelihood, round(ratio, 1)
    ('multinomial', 0.8)
    """
    found = Design.of(data, Options(effects=effects, drift=drift)).pilot()
    ratio = found.dispersion
    scatters = ratio > 1.1 and ratio > 1 + 3 * np.sqrt(2 / found.freedom)
    return ("dirichlet-multinomial" if scatters else "multinomial"), ratio
