"""Predictors of a model: their columns in place of labels and formulas, and a common scale."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pymc as pm

from helpers.data.counts import CategoryCounts
from helpers.data.terms import Terms

__all__ = ["Standardised", "remember_terms", "terms_of", "with_columns"]

# The attribute of a model: PyMC has no place for what is neither variable nor coordinate.
_KEPT_AS = "predictor_terms"


def with_columns(data: CategoryCounts, formula: str | None = None) -> tuple[CategoryCounts, Terms]:
    """
    Put the columns that a regression makes of predictors in place of these.

    Parameters
    ----------
    data : CategoryCounts
        The counts.
    formula : str, optional
        As in :meth:`~helpers.data.Terms.of`.

    Returns
    -------
    CategoryCounts
        With predictors that are numbers; the same data, if they are and there is no formula.
    Terms
        The columns, and what makes those of other rows.

    Raises
    ------
    ValueError
        For a formula that cannot be used.
    """
    terms = Terms.of(data.predictors, formula)
    if terms.spec is None:
        return data, terms
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the table, which were given when it was read
        return replace(data, predictors=terms.columns), terms


def remember_terms(model: pm.Model, terms: Terms) -> None:
    """
    Keep with a model how its predictors became columns, for predictions.

    Parameters
    ----------
    model : pymc.Model
        The model.
    terms : Terms
        Its terms. Predictors that are their own columns need not be kept.
    """
    if terms.spec is not None:
        vars(model)[_KEPT_AS] = terms


def terms_of(model: pm.Model) -> Terms | None:
    """
    How the predictors of a model became columns.

    Parameters
    ----------
    model : pymc.Model
        A model made by :func:`~helpers.masked_regression`.

    Returns
    -------
    Terms or None
        None if predictors are their own columns, and of a copy of a model.
    """
    return vars(model).get(_KEPT_AS)


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
