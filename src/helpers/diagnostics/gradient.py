"""The function that a sampler calls: log-density and gradient, compiled."""

import numpy as np
import pymc as pm
from pymc.blocking import DictToArrayBijection
from pymc.model.transform.optimization import freeze_dims_and_data
from pytensor.compile import Function, Mode

__all__ = ["compile_gradient"]


def compile_gradient(
    model: pm.Model, backend: str | Mode = "numba", *, freeze: bool = True
) -> tuple[Function, np.ndarray]:
    """
    Compile a model's log-density and its gradient.

    Unlike :meth:`pymc.Model.logp_dlogp_function`, which wraps what it compiles in checks and
    conversions, it returns the compiled function alone: what is timed is what a sampler calls.

    Parameters
    ----------
    model : pymc.Model
        The model.
    backend : {"numba", "jax"} or pytensor.compile.Mode
        What the function is compiled with.
    freeze : bool
        Whether data and dims are compiled in as constants.

    Returns
    -------
    function : pytensor.compile.Function
        Takes all free variables, transformed, in one array, and returns the log-density and its
        gradient. It has been called once, as numba and JAX compile at the first call.
    point : numpy.ndarray
        The model's initial point, to call it with.

    Examples
    --------
    >>> import numpy as np
    >>> import pymc as pm
    >>> from helpers.diagnostics import compile_gradient
    >>> with pm.Model() as model:
    ...     x = pm.Normal("x", 1, 1, shape=2)
    >>> function, point = compile_gradient(model)
    >>> logp, gradient = function(point + 1)
    >>> print(logp.round(3), gradient.round(3))
    -2.838 [-1. -1.]
    """
    if freeze:
        model = freeze_dims_and_data(model)
    mode = backend.upper() if isinstance(backend, str) else backend
    function = model.logp_dlogp_function(ravel_inputs=True, mode=mode)
    function.set_extra_values({})
    point = DictToArrayBijection.map(model.initial_point()).data
    function(point)
    return function._pytensor_function, point
