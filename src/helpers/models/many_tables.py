"""One compiled program, many tables: for simulation studies and calibration."""

from typing import Any

import numpy as np
import pymc as pm
import pytensor
from pymc.model.transform.optimization import freeze_dims_and_data
from pytensor.graph.basic import Constant, Variable, equal_computations
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import ancestors
from xarray import DataTree

from helpers.data.counts import CategoryCounts
from helpers.models.names import parameter_names
from helpers.models.regression import masked_regression

__all__ = ["AnotherProgramError", "ManyTables"]


class AnotherProgramError(ValueError):
    """Raised when a table needs another program than the one that is compiled."""


class _Opened:
    """A model whose arrays of numbers are shared variables, which nutpie can exchange."""

    def __init__(self, model: pm.Model) -> None:
        self._model = freeze_dims_and_data(model)
        self.graph = [self._model.logp(), *self._model.unobserved_value_vars]
        constants = [
            v for v in ancestors(self.graph) if isinstance(v, Constant) and _is_of_a_table(v.data)
        ]
        self.values = {f"constant_{i}": v.data for i, v in enumerate(constants)}
        self.shared: list[Variable] = [
            pytensor.shared(value, name=name, shape=value.shape)
            for name, value in self.values.items()
        ]
        self.graph = clone_replace(self.graph, list(zip(constants, self.shared, strict=True)))
        self.unobserved_value_vars = self.graph[1:]

    def logp(self) -> Variable:
        return self.graph[0]

    def is_the_same_program_as(self, other: "_Opened") -> bool:
        """Whether the graphs differ in nothing but values that can be exchanged."""
        if len(self.shared) != len(other.shared):
            return False
        mine = [*self.shared, *self._model.value_vars]
        others = [*other.shared, *other._model.value_vars]
        if [v.type for v in mine] != [v.type for v in others]:
            return False
        return equal_computations(self.graph, other.graph, mine, others)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __enter__(self) -> pm.Model:
        return self._model.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._model.__exit__(*error)


def _is_of_a_table(value: Any) -> bool:
    """Whether a constant may come from data: numbers of formulas are scalars, shapes are short."""
    kind = np.asarray(value).dtype.kind
    return (kind == "f" and np.ndim(value) > 0) or (kind == "i" and np.size(value) > 1)


class ManyTables:
    """
    Fits of one regression to many tables, compiled once.

    Unlike :func:`pymc.sample`, which compiles a model for each table, it exchanges the counts and
    the pilot fit in a program that is there already. The tables must have the same menus, clusters
    and dates; counts, totals, predictors and the order of the rows may differ.

    Parameters
    ----------
    rows : bool
        Whether draws of what rows have of their own, their scatter, are kept, too.
    **options
        As for :func:`~helpers.masked_regression`. A `reference` must be named, so that tables
        cannot differ in it.

    Raises
    ------
    ValueError
        If no reference is named.

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> from helpers.models import ManyTables
    >>> many = ManyTables(effects="pooled", reference="category 2")
    >>> for seed in (1, 2):
    ...     data, truth = simulate_counts(
    ...         4, 3, 3, unavailable=(0, 0, 0), effects="pooled", random_seed=seed
    ...     )
    ...     model, draws = many.fit(data, draws=100, tune=200, chains=2, random_seed=seed)
    >>> draws["posterior"]["intercept"].shape
    (2, 100, 2)
    """

    def __init__(self, *, rows: bool = False, **options: Any) -> None:
        if options.get("reference") is None:
            raise ValueError(
                "Tables that share a program must share their reference: name it with `reference`."
            )
        self.options = options
        self.rows = rows
        self._first: _Opened | None = None
        self._compiled: Any = None

    def fit(self, data: CategoryCounts, **sampling: Any) -> tuple[pm.Model, DataTree]:
        """
        Sample the regression on one table.

        Parameters
        ----------
        data : CategoryCounts
            The table.
        **sampling
            As for ``nutpie.sample``, such as ``draws``, ``tune``, ``chains`` and ``cores``; the
            seed may be called `random_seed`, and there is no progress bar unless one is asked for.

        Returns
        -------
        pymc.Model
            The model of this table, for predictions.
        xarray.DataTree
            Its draws, without those of rows unless they were asked for.

        Raises
        ------
        AnotherProgramError
            If the table needs another program than the first; it is a ValueError.
        """
        import nutpie  # takes a second, and only studies need it

        model = masked_regression(data, **self.options)
        opened = _Opened(model)
        if self._first is None:
            # Compiling changes the graph that it is given, so that compared is another.
            self._first = _Opened(model)
            names = parameter_names(model)
            if self.rows:
                names += [v.name for v in model.free_RVs if v.name not in names]
            self._compiled = nutpie.compile_pymc_model(opened, var_names=names)
        elif not opened.is_the_same_program_as(self._first):
            raise AnotherProgramError(
                "This table cannot share the program of the first: its menus, clusters, dates or "
                "categories differ. Compile another `ManyTables` for it."
            )
        exchanged = {variable.name for variable in self._compiled.shared_var_keys}
        values = {name: value for name, value in opened.values.items() if name in exchanged}
        if "random_seed" in sampling:
            sampling["seed"] = sampling.pop("random_seed")
        program = self._compiled.with_data(**values)
        return model, nutpie.sample(program, **({"progress_bar": False} | sampling))
