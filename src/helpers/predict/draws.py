"""The value of an expression of a model, draw by draw."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import xarray as xr
from pymc.pytensorf import compile as compile_pymc
from pytensor.compile.mode import Mode
from pytensor.graph.traversal import ancestors
from pytensor.tensor import TensorVariable

__all__ = ["some_draws", "value_by_draw"]


def value_by_draw(
    posterior: xr.Dataset | xr.DataTree,
    model: pm.Model,
    expression: TensorVariable | Sequence[TensorVariable],
    draws: Iterable[int] | None = None,
    *,
    data: Mapping[str, np.ndarray] | None = None,
    resample: Sequence[str] = (),
    random_seed: int | None = None,
) -> Iterator[Any]:
    """
    Evaluate an expression of a model's variables for draws from its posterior.

    Unlike :func:`pymc.compute_deterministics`, it takes any expression, and does not compile to
    machine code, which for a small model takes longer than evaluating all draws.

    Parameters
    ----------
    posterior : xarray.Dataset or xarray.DataTree
        Draws of all free variables of the model that the expression depends on.
    model : pymc.Model
        The model.
    expression : TensorVariable or list of TensorVariable
        What to evaluate.
    draws : iterable of int, optional
        Positions of the draws, counted through the chains one after another; all if not given.
    data : mapping of str to numpy.ndarray, optional
        Values that replace the model's data of these names; other shapes are allowed.
    resample : sequence of str
        Free variables that are drawn from their prior given the others, such as effects of
        clusters that are not in the data.
    random_seed : int, optional
        Seed of what is drawn from the prior.

    Yields
    ------
    numpy.ndarray or list of numpy.ndarray
        The value in one draw.

    Raises
    ------
    ValueError
        If the posterior lacks a free variable.

    Examples
    --------
    >>> import arviz as az
    >>> import numpy as np
    >>> import pymc as pm
    >>> from helpers.predict import value_by_draw
    >>> with pm.Model() as model:
    ...     x = pm.Normal("x")
    >>> idata = az.from_dict({"posterior": {"x": np.array([[1.0, 2.0, 3.0]])}})
    >>> [float(value) for value in value_by_draw(idata["posterior"], model, 2 * x, [0, 2])]
    [2.0, 6.0]
    """
    expressions: list[Any] = [*expression] if isinstance(expression, list | tuple) else [expression]
    given = [v for v in model.free_RVs if v.name not in resample]
    needed = set(ancestors(expressions, given))  # and not what these depend on in their turn
    free = [v for v in given if v in needed]
    missing = [v.name for v in free if v.name not in posterior.data_vars]
    if missing:
        raise ValueError(
            f"The posterior lacks {', '.join(missing)}: store all free variables when sampling."
        )
    givens = {
        model[name]: pt.as_tensor(values, dtype=model[name].dtype)
        for name, values in (data or {}).items()
    }
    function = compile_pymc(
        free,
        expression,
        mode=Mode(linker="py", optimizer="fast_compile"),
        givens=givens,
        random_seed=random_seed,
        on_unused_input="ignore",
    )
    n_draws = posterior.sizes["draw"]
    if draws is None:
        wanted: Iterable[int] = range(posterior.sizes["chain"] * n_draws)
    else:
        # Draws that are on the disk stay there unless they are wanted.
        chain, draw = np.divmod(np.fromiter(draws, dtype=int), n_draws)
        read, place = np.unique(draw, return_inverse=True)
        posterior, wanted = posterior.isel(draw=read), chain * len(read) + place
    columns = []
    for v in free:
        # In the model's order of dims, whatever order the draws are stored in.
        dims = model.named_vars_to_dims.get(v.name)
        if dims is None:
            dims = [d for d in posterior[v.name].dims if d not in ("chain", "draw")]
        stacked = posterior[v.name].transpose("chain", "draw", *dims).to_numpy()
        columns.append(stacked.reshape(-1, *stacked.shape[2:]))
    for i in wanted:
        yield function(*(column[i] for column in columns))


def some_draws(posterior: xr.Dataset, draws: int | None) -> xr.Dataset:
    """
    Take about as many draws, evenly spaced.

    Parameters
    ----------
    posterior : xarray.Dataset
        Draws, by chain and draw.
    draws : int or None
        How many of all chains together; None for all.

    Returns
    -------
    xarray.Dataset

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from helpers.predict import some_draws
    >>> draws = xr.Dataset({"x": (("chain", "draw"), np.zeros((4, 100)))})
    >>> dict(some_draws(draws, 40).sizes)
    {'chain': 4, 'draw': 10}
    """
    if draws is None:
        return posterior
    size = posterior.sizes["chain"] * posterior.sizes["draw"]
    return posterior.isel(draw=slice(None, None, max(1, size // int(draws))))
