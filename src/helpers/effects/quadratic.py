"""The pilot's quadratic expansion of the log-likelihood, as one named type."""

from typing import NamedTuple

import numpy as np

__all__ = ["Quadratic"]


class Quadratic(NamedTuple):
    r"""
    Quadratic expansion of a log-likelihood, :math:`b'\theta - \tfrac12 \theta' H \theta`.

    What :class:`~helpers.effects.Conditioned` is made from, in this order.

    Attributes
    ----------
    information : numpy.ndarray, shape (C, K, P, P) or that of `score`
        H, minus the second derivative of the log-likelihood at the estimate.
    score : numpy.ndarray, shape (C, K, P) or any
        b, that is H times the estimate plus the first derivative there.
    coupling : numpy.ndarray, shape (C, K P, K P), optional
        B, by which the effects of a cluster are correlated given the data.
    """

    information: np.ndarray
    score: np.ndarray
    coupling: np.ndarray | None = None

    def of_single_effects(self) -> "Quadratic":
        """
        Leave out the axes of several effects where there is one.

        Returns
        -------
        Quadratic
            With information and score of shape (C, K).
        """
        return Quadratic(self.information[..., 0, 0], self.score[..., 0], self.coupling)
