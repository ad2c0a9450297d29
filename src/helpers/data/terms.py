"""The columns of numbers that a formula makes of predictors."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from helpers.data.messages import listing, require_known

__all__ = ["Terms"]

# What is told of a formula that the library cannot use: its first line, without colours.
_SHOWN = 200


@dataclass(frozen=True, eq=False)
class Terms:
    """
    The columns of numbers that a regression makes of predictors.

    Without a formula, numbers stay as they are, and labels become one column for each level but
    the first: 1 where a row has it, 0 elsewhere. With one, the library formulaic makes them.

    Attributes
    ----------
    predictors : pandas.DataFrame, shape (R, V)
        The predictors as the data have them.
    columns : pandas.DataFrame, shape (R, P)
        The columns.
    spec : formulaic.ModelSpec or None
        What makes columns of other rows in the same way: same levels, same knots of splines. None
        if predictors are their own columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers.data import Terms
    >>> region = pd.Categorical(["n", "s", "s"])
    >>> table = pd.DataFrame({"age": [20.0, 30.0, 50.0], "region": region})
    >>> Terms.of(table, "age * region").columns
        age  region[s]  age:region[s]
    0  20.0        0.0            0.0
    1  30.0        1.0           30.0
    2  50.0        1.0           50.0
    """

    predictors: pd.DataFrame
    columns: pd.DataFrame
    spec: Any = None

    @classmethod
    def of(cls, predictors: pd.DataFrame, formula: str | None = None) -> "Terms":
        """
        Make the columns of the rows that are fitted.

        Parameters
        ----------
        predictors : pandas.DataFrame, shape (R, V)
            The predictors.
        formula : str, optional
            A right-hand side, such as ``"age * region"`` or ``"bs(age, 4)"``; if not given, all
            predictors are added up.

        Returns
        -------
        Terms

        Raises
        ------
        ValueError
            For a formula that cannot be read or used, that names other columns or leaves
            predictors out, or that takes the intercept out.
        """
        if formula is None:
            if all(is_numeric_dtype(dtype) for dtype in predictors.dtypes):
                return cls(predictors, predictors)
            formula = " + ".join(f"`{name}`" for name in predictors.columns)
        if not isinstance(formula, str):
            raise ValueError(f'A formula is text, such as "age * region", not {formula!r}.')
        from formulaic import Formula  # takes half a second, and few need it

        with _explained(formula):
            parsed = Formula(formula)
        if "1" not in _terms_of(parsed):
            raise ValueError(
                f"The formula {formula!r} must be a right-hand side, with the intercept that every "
                "category has: write neither ~, | nor 0 in it."
            )
        with _explained(formula):
            matrix = parsed.get_model_matrix(predictors, na_action="ignore", output="pandas")
        used = set(map(str, matrix.model_spec.required_variables))
        if unused := [name for name in predictors.columns if name not in used]:
            raise ValueError(
                f"The formula {formula!r} leaves out {listing(unused)}: add it, or read the data "
                "without it."
            )
        found = cls(predictors, predictors, matrix.model_spec)
        return replace(found, columns=found.columns_of(predictors))

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.columns.columns)

    def columns_of(self, predictors: pd.DataFrame) -> pd.DataFrame:
        """
        Make the columns of other rows.

        Parameters
        ----------
        predictors : pandas.DataFrame
            The predictors, under the names of those that were fitted.

        Returns
        -------
        pandas.DataFrame, shape (rows, P)

        Raises
        ------
        ValueError
            For labels that were not in the data, numbers that are no numbers or outside of a
            spline's range, and columns that are not finite.
        """
        given = self.checked(predictors)
        if self.spec is None:
            return given
        with _explained(str(self.spec.formula)):
            matrix = self.spec.get_model_matrix(given, na_action="ignore", output="pandas")
        columns = matrix.drop(columns="Intercept").astype(float)
        # "[T." says that a level stands against the first, which is left out of the columns.
        columns.columns = [str(name).replace("[T.", "[") for name in columns.columns]
        bad = ~np.isfinite(columns.to_numpy())
        if bad.any():
            raise ValueError(
                f"{listing(columns.columns[bad.any(axis=0)])} of the formula cannot be worked out "
                f"in row(s) {listing(predictors.index[bad.any(axis=1)])}, such as the logarithm of "
                "0: change the formula, or correct these rows."
            )
        return columns

    def checked(self, predictors: pd.DataFrame) -> pd.DataFrame:
        """
        Return predictors of other rows as those that were fitted: finite numbers, known labels.

        Parameters
        ----------
        predictors : pandas.DataFrame
            As for :meth:`columns_of`.

        Returns
        -------
        pandas.DataFrame, shape (rows, V)

        Raises
        ------
        ValueError
            For numbers that are not finite, and labels that were not in the data.
        """
        found = pd.DataFrame(index=predictors.index)
        for name, fitted in self.predictors.items():
            values = predictors[name]
            if is_numeric_dtype(fitted):
                number = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float)
                bad = ~np.isfinite(number)
                if bad.any():
                    raise ValueError(
                        f"Predictors ({', '.join(map(str, self.predictors))}) must be finite "
                        f"numbers in new row(s) {predictors.index[bad][:5].tolist()}: {name} is "
                        "not."
                    )
                found[name] = number
            else:
                levels = list(fitted.cat.categories)
                require_known(str(name), pd.unique(np.asarray(values, dtype=object)), levels)
                found[name] = pd.Categorical(values, categories=levels)
        return found


def _terms_of(parsed: Any) -> list[str]:
    """Terms of a formula with one side; none for others."""
    from formulaic.formula import SimpleFormula

    return [str(term) for term in parsed] if isinstance(parsed, SimpleFormula) else []


@contextmanager
def _explained(formula: str) -> Iterator[None]:
    """Turn what the library says of a formula into one clear error."""
    from formulaic.errors import DataMismatchWarning, FormulaicError

    try:
        with warnings.catch_warnings():
            # Logarithms of 0 are found among the columns, and named with their rows.
            warnings.simplefilter("ignore", RuntimeWarning)
            warnings.simplefilter("error", DataMismatchWarning)
            yield
    except (FormulaicError, DataMismatchWarning, SyntaxError, TypeError) as error:
        raise ValueError(f"The formula {formula!r} cannot be used: {_cause(error)}") from None


def _cause(error: Exception) -> str:
    """What was wrong with a formula, and what to do."""
    text = str(error).strip()
    if unknown := re.search(r"NameError: `(.*?)` is not present", text):
        return (
            f"there is no predictor {unknown[1]!r}. Give it with `predictors` when reading the "
            "counts; a name that is not a single word stands between backticks."
        )
    if "extrapolation" in text:
        return (
            "a number lies outside the range of those that its spline was made for. Keep within "
            'it, or let the spline go on as at its ends: bs(x, 4, extrapolation="clip").'
        )
    return f"{text.splitlines()[0][:_SHOWN].rstrip('.') if text else type(error).__name__}."
