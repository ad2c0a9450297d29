"""What the distributions share: parameters coerced and checked."""

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.dist_math import check_parameters, factln
from pymc.distributions.shape_utils import implicit_size_from_params, rv_size_is_none
from pymc.pytensorf import normalize_rng_param
from pytensor.tensor.random.utils import normalize_size_param
from pytensor.tensor.variable import TensorConstant


def as_available(available, name="available"):
    """Coerce menus to a boolean tensor, refusing constants that are not 0 or 1."""
    available = pt.as_tensor(available)
    if isinstance(available, TensorConstant):
        values = np.asarray(available.data)
        if not np.isin(values, (0, 1)).all():
            raise ValueError(
                f"`{name}` must hold only True/False (or 1/0): "
                f"found {values[~np.isin(values, (0, 1))][:3].tolist()}."
            )
        empty = ~values.astype(bool).any(axis=-1)
        if empty.any():
            raise ValueError(
                "Every menu needs at least one available category: "
                f"`{name}` is empty at {np.argwhere(empty)[:5].tolist()}."
            )
    if available.dtype == "bool":
        return available
    return check_parameters(
        pt.neq(available, 0),
        pt.or_(pt.eq(available, 0), pt.eq(available, 1)),
        msg=f"{name} is 0 or 1",
        can_be_replaced_by_ninf=False,
    )


def as_total(n):
    """Coerce totals to integers, refusing constants that are not whole numbers."""
    n = pt.as_tensor(n)
    if isinstance(n, TensorConstant):
        values = np.asarray(n.data)
        if not (np.isfinite(values) & (values == np.floor(values))).all():
            raise ValueError(f"`n` must hold whole numbers: found {values.ravel()[:3].tolist()}.")
    # Not a smaller integer type, of which PyTensor would take log-factorials in single precision.
    return n.astype("int64")


def as_logits(logits, p):
    """Turn whichever of `logits` and `p` was given into logits."""
    if (logits is None) == (p is None):
        raise ValueError("Give exactly one of `logits` and `p`.")
    if p is None:
        return pt.as_tensor(logits)
    p = pt.as_tensor(p)
    if isinstance(p, TensorConstant):
        values = np.asarray(p.data)
        if (values < 0).any() or not np.allclose(values.sum(axis=-1), 1):
            raise ValueError(
                "`p` must be non-negative and sum to 1 over all categories, on the menu or not: "
                f"its sums lie between {values.sum(axis=-1).min():.6g} and "
                f"{values.sum(axis=-1).max():.6g}, its smallest entry is {values.min():.6g}."
            )
    p = check_parameters(
        p,
        pt.ge(p, 0),
        pt.isclose(pt.sum(p, axis=-1), 1),
        msg="p >= 0, sum(p) = 1",
    )
    return pt.log(p)


def as_rv_inputs(op, parameters, size, rng):
    """Coerce what a random variable of a class `op` is made from, as PyMC's own do."""
    parameters = [pt.as_tensor(parameter) for parameter in parameters]
    size = normalize_size_param(size)
    if rv_size_is_none(size):
        size = implicit_size_from_params(*parameters, ndims_params=op.ndims_params)
    return parameters, size, normalize_rng_param(rng)


def log_coefficient(value):
    """Logarithm of the number of orders in which these choices can have been made."""
    value = value.astype("float64")  # of small integers PyTensor takes it in single precision
    return factln(pt.sum(value, axis=-1)) - pt.sum(factln(value), axis=-1)


def on_support(res, value, n):
    """Minus infinity for what are no counts, or do not add up."""
    right = pt.all(pt.ge(value, 0), axis=-1) & pt.eq(pt.sum(value, axis=-1), n)
    return pt.switch(right, res, -np.inf)


def _constant(tensor):
    """The values of a constant, or None."""
    return np.asarray(tensor.data) if isinstance(tensor, TensorConstant) else None


def _as_float(x):
    """Coerce to a float tensor; what is constant stays so."""
    x = pt.as_tensor(x)
    values = _constant(x)
    return x.astype("float64") if values is None else pt.constant(values.astype("float64"))


def _log(x):
    """Logarithm with log(0) = -inf, whose gradient is not NaN."""
    positive = pt.gt(x, 0)
    return pt.switch(positive, pt.log(pt.switch(positive, x, 1.0)), -np.inf)


def _positive(values, name):
    """Coerce to floats, refusing constants that are not positive."""
    tensor = pt.as_tensor(values).astype("float64")
    constant = pt.as_tensor(values)
    if isinstance(constant, TensorConstant):
        wrong = np.asarray(constant.data)
        wrong = wrong[~(np.isfinite(wrong) & (wrong > 0))]
        if wrong.size:
            raise ValueError(f"`{name}` must be positive: found {wrong[:3].tolist()}.")
    return tensor
