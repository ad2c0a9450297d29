"""Predictors on a common scale."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["Standardised"]


@dataclass(frozen=True, eq=False)
class Standardised:
    """
    Predictors on a common scale.

    Attributes
    ----------
    mean, sd : numpy.ndarray, shape (P,)
        Means and standard deviations over the rows of the table as it was read, in the
        predictors' units.
    values : numpy.ndarray, shape (R, P)
        Standardised predictors.
    """

    mean: np.ndarray
    sd: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, predictors: pd.DataFrame, weights: np.ndarray | None = None) -> "Standardised":
        """
        Standardise predictors, which must vary and not repeat each other.

        Parameters
        ----------
        predictors : pandas.DataFrame, shape (R, P)
            Predictors in their own units.
        weights : numpy.ndarray, shape (R,), optional
            Number of rows that each row stands for: 1 if not given.

        Returns
        -------
        Standardised

        Raises
        ------
        ValueError
            For a predictor that is the same in every row, or a combination of the others.
        """
        x = predictors.to_numpy()
        mean = np.average(x, axis=0, weights=weights)
        sd = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weights))
        constant = sd <= 1e-12 * np.maximum(1.0, np.abs(mean))
        if constant.any():
            raise ValueError(
                f"The predictor {', '.join(predictors.columns[constant])} is the same in every "
                "row: leave it out, its effect is part of the intercept."
            )
        values = (x - mean) / sd
        if np.linalg.matrix_rank(values) < values.shape[1]:
            raise ValueError(
                f"The predictors {', '.join(predictors.columns)} repeat each other: one of them is "
                "a combination of the others (or there are more of them than rows). Leave it out."
            )
        return cls(mean, sd, values)
