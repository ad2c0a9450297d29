"""Do the intervals mean what they say? Ranks of truths among draws, and what they show."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

__all__ = ["Calibration", "rank_in_draws"]

# Where empirical distributions are compared with the uniform one.
POINTS = np.linspace(0.02, 0.98, 49)
# Exchanges that the null distribution is worked out from.
EXCHANGES = 1_999
FALSE_ALARMS = 0.05


def rank_in_draws(
    truth: ArrayLike, draws: ArrayLike, *, random_seed: int | np.random.Generator | None = None
) -> np.ndarray:
    """
    Rank a truth and the draws of its posterior among each other.

    Parameters
    ----------
    truth : array_like, shape (Q,)
        True values of Q quantities.
    draws : array_like, shape (L, Q)
        Draws from the posterior of the same quantities, thinned until they hardly depend on each
        other.
    random_seed : int or numpy.random.Generator, optional
        Decides the order of equal values.

    Returns
    -------
    numpy.ndarray, shape (L + 1, Q)
        Ranks from 0 to L: first of the truth, then of each draw.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a value is not a number.

    Examples
    --------
    >>> from helpers.diagnostics import rank_in_draws
    >>> rank_in_draws([0.5], [[0.1], [0.9], [0.3]]).ravel()
    array([2, 0, 3, 1], dtype=int16)
    """
    truth, draws = np.asarray(truth, dtype=float), np.asarray(draws, dtype=float)
    if truth.ndim != 1 or draws.ndim != 2 or draws.shape[1:] != truth.shape:
        raise ValueError(
            f"A truth of shape (Q,) and draws of shape (L, Q) are wanted; these have the shapes "
            f"{truth.shape} and {draws.shape}."
        )
    together = np.vstack([truth, draws])
    if np.isnan(together).any():
        where = np.flatnonzero(np.isnan(together).any(axis=0))
        raise ValueError(f"Quantities {where[:10].tolist()} hold values that are not numbers.")
    ties = np.random.default_rng(random_seed).random(together.shape)
    return np.lexsort((ties, together), axis=0).argsort(axis=0).astype(np.int16)


@dataclass(frozen=True, eq=False)
class Calibration:
    r"""
    Ranks of truths among the draws of their posteriors, over many simulated tables.

    Where truths come from the prior, tables from the likelihood and draws from the right
    posterior, each truth is one more draw: its rank among them is uniform (Cook, Gelman & Rubin
    2006; Talts et al. 2018). Unlike bands that are drawn for independent ranks (Säilynoja, Bürkner
    & Vehtari 2022), those of this class hold for all elements of a parameter together: truth and
    draws may be exchanged in each simulation, so that the distribution of every statistic, with
    all dependence between elements and parameters in it, is known without a formula.

    Parameters
    ----------
    positions : numpy.ndarray, shape (S, L + 1, Q)
        By simulation, as from :func:`rank_in_draws`.
    names : sequence of str, length Q
        The parameter that each quantity is an element of.
    elements : sequence of str, length Q, optional
        Which element it is.
    simulations : pandas.DataFrame, optional
        How each simulation went.
    false_alarms : float
        Probability, in (0, 1), that any parameter of a right posterior is called off.

    Raises
    ------
    ValueError
        If the shapes do not fit, or there are fewer than 20 simulations.

    References
    ----------
    Cook, S. R., Gelman, A., & Rubin, D. B. (2006). Validation of software for Bayesian models using
    posterior quantiles. Journal of Computational and Graphical Statistics, 15(3), 675-692.

    Talts, S., Betancourt, M., Simpson, D., Vehtari, A., & Gelman, A. (2018). Validating Bayesian
    inference algorithms with simulation-based calibration. arXiv:1804.06788.

    Säilynoja, T., Bürkner, P.-C., & Vehtari, A. (2022). Graphical test for discrete uniformity and
    its applications in goodness-of-fit evaluation and multiple sample comparison. Statistics and
    Computing, 32, 32.

    Westfall, P. H., & Young, S. S. (1993). Resampling-based multiple testing: Examples and methods
    for p-value adjustment. Wiley.

    Examples
    --------
    Posteriors that are half as wide as they should be:

    >>> import numpy as np
    >>> from helpers.diagnostics import Calibration, rank_in_draws
    >>> rng = np.random.default_rng(1)
    >>> positions = [
    ...     rank_in_draws(rng.normal(size=1), 0.5 * rng.normal(size=(99, 1)), random_seed=rng)
    ...     for _ in range(200)
    ... ]
    >>> Calibration(np.stack(positions), ["mean"]).table["verdict"].to_dict()
    {'mean': 'too narrow'}
    """

    positions: np.ndarray
    names: Sequence[str]
    elements: Sequence[str] | None = None
    simulations: pd.DataFrame | None = None
    false_alarms: float = FALSE_ALARMS

    def __post_init__(self) -> None:
        if self.positions.ndim != 3 or self.positions.shape[2] != len(self.names):
            raise ValueError(
                f"positions must have the shape (simulations, draws + 1, {len(self.names)}), one "
                f"name for each quantity; it is {self.positions.shape}."
            )
        if len(self.positions) < 20:
            raise ValueError(
                f"{len(self.positions)} simulations cannot show anything: make 100 or more."
            )

    @property
    def n_draws(self) -> int:
        """Draws that each truth is ranked among, L."""
        return self.positions.shape[1] - 1

    @cached_property
    def ranks(self) -> pd.DataFrame:
        """Ranks of the truths, 0 to L, by simulation and quantity."""
        elements = [""] * len(self.names) if self.elements is None else self.elements
        columns = pd.MultiIndex.from_arrays(
            [[*self.names], [*elements]], names=["parameter", "element"]
        )
        return pd.DataFrame(self.positions[:, 0], columns=columns)

    @cached_property
    def _exchanged(self) -> dict[str, np.ndarray]:
        """By parameter: distribution (B + 1, J) at the points, first as it is, then exchanged."""
        rng = np.random.default_rng(len(self.positions))  # the verdict is the same every time
        n, size, _ = self.positions.shape
        chosen = rng.integers(size, size=(EXCHANGES, n))
        chosen = np.vstack([np.zeros(n, dtype=int), chosen])
        # A rank of r holds the probabilities from r / (L + 1) to (r + 1) / (L + 1), evenly.
        beneath = np.clip(POINTS * size - np.arange(size)[:, None], 0, 1)
        out = {}
        for name in dict.fromkeys(self.names):
            elements = self._elements_of(name)
            held = sum(beneath[self.positions[:, :, i]] for i in elements) / len(elements)
            out[name] = held[np.arange(n), chosen].mean(axis=1)
        return out

    def _elements_of(self, name: str) -> np.ndarray:
        return np.flatnonzero([other == name for other in self.names])

    @cached_property
    def _statistics(self) -> pd.DataFrame:
        """Largest distance of each distribution, in standard deviations, by exchange."""
        out = {}
        for name, at in self._exchanged.items():
            spread = at[1:].std(axis=0)
            spread = np.where(spread > 0, spread, np.inf)
            out[name] = np.abs((at - POINTS) / spread).max(axis=1)
        return pd.DataFrame(out)

    @cached_property
    def table(self) -> pd.DataFrame:
        """
        One line for each parameter.

        Columns: ``elements``; ``mean_rank``, from 0 to 1, and 0.5 if right; ``inside_50`` and
        ``inside_89``, the shares of central intervals that hold the truth; ``p``, of this
        parameter alone; ``p_family``, corrected for having looked at all of them (Westfall & Young
        1993, single step); ``verdict``: ``right``, ``too narrow``, ``too wide``, ``too low``,
        ``too high``, or ``off`` in another way. Of intervals, not of truths: ``too low`` ones lie
        beneath the truths.
        """
        statistics = self._statistics.to_numpy()
        # Rank of each statistic among its own exchanges: the share that is as large, or larger.
        order = np.sort(statistics, axis=0)
        at_least = [
            len(order) - np.searchsorted(order[:, i], statistics[:, i], side="left")
            for i in range(order.shape[1])
        ]
        p = np.stack(at_least, axis=1) / len(order)
        family = (p.min(axis=1)[:, None] <= p[0]).mean(axis=0)
        lines = []
        for i, name in enumerate(map(str, self._statistics)):
            of_name = self._elements_of(name)
            middle = (self.positions[:, 0, of_name] + 0.5) / (self.n_draws + 1)
            away = np.abs(middle - 0.5)
            line = {
                "elements": len(of_name),
                "mean_rank": middle.mean(),
                "inside_50": (away <= 0.25).mean(),
                "inside_89": (away <= 0.445).mean(),
                "p": p[0, i],
                "p_family": family[i],
            }
            lines.append(line | {"verdict": self._words(name) if self._off(family[i]) else "right"})
        return pd.DataFrame(lines, index=pd.Index(self._statistics.columns, name="parameter"))

    def _off(self, p: float) -> bool:
        return p < self.false_alarms

    def _words(self, name: str) -> str:
        """In which way a distribution is not uniform: where it is furthest from it."""
        at = self._exchanged[name]
        away = (at[0] - POINTS) / at[1:].std(axis=0)
        low, high = away[POINTS < 0.5].mean(), away[POINTS > 0.5].mean()
        if low * high < 0 and min(abs(low), abs(high)) > 0.25 * max(abs(low), abs(high)):
            return "too narrow" if low > 0 else "too wide"
        if low * high > 0:
            return "too high" if low > 0 else "too low"
        return "off"

    @property
    def right(self) -> bool:
        """Whether no parameter is called off."""
        return bool((self.table["verdict"] == "right").all())

    def band(self, name: str) -> pd.DataFrame:
        """
        Distribution of a parameter's ranks less the uniform one, with its simultaneous band.

        Parameters
        ----------
        name : str
            The parameter.

        Returns
        -------
        pandas.DataFrame
            By point in (0, 1): ``difference``, ``low``, ``high``. A right posterior leaves the band
            at any point with probability `false_alarms`.

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        if name not in self._exchanged:
            raise ValueError(f"No parameter is called {name!r}: {', '.join(self._exchanged)}.")
        at = self._exchanged[name]
        spread = at[1:].std(axis=0)
        reach = np.quantile(self._statistics[name][1:], 1 - self.false_alarms) * spread
        columns = {"difference": at[0] - POINTS, "low": -reach, "high": reach}
        return pd.DataFrame(columns, index=pd.Index(POINTS, name="point"))

    def words(self) -> str:
        """One sentence that says what was found."""
        n = len(self.positions)
        off = self.table.query("verdict != 'right'")
        if not len(off):
            return (
                f"In {n} simulations nothing was off: the intervals of all {len(self.table)} "
                "quantities hold what they say, as far as that many can show."
            )
        named = "; ".join(f"{name}: {verdict}" for name, verdict in off["verdict"].items())
        return f"In {n} simulations intervals were off ({named})."
