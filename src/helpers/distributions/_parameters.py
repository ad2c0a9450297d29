"""Parameters of the distributions: coerced, and refused where constants are out of range."""

from collections.abc import Callable

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.dist_math import check_parameters
from pytensor.tensor import TensorLike, TensorVariable
from pytensor.tensor.variable import TensorConstant


def constant_of(tensor: TensorVariable) -> np.ndarray | None:
    """The values of a constant, or None."""
    return np.asarray(tensor.data) if isinstance(tensor, TensorConstant) else None


def refuse(tensor: TensorVariable, right: Callable[[np.ndarray], np.ndarray], rule: str) -> None:
    """Refuse constants for which `right` is false, and show the first of them."""
    values = constant_of(tensor)
    if values is not None and (wrong := values[~right(values)]).size:
        raise ValueError(f"{rule}: found {wrong[:3].tolist()}.")


def as_float(x: TensorLike) -> TensorVariable:
    """Coerce to a float tensor; what is constant stays so."""
    x = pt.as_tensor(x)
    values = constant_of(x)
    return x.astype("float64") if values is None else pt.constant(values.astype("float64"))


def as_positive(values: TensorLike, name: str) -> TensorVariable:
    """Coerce to floats, refusing constants that are not positive."""
    tensor = as_float(values)
    refuse(tensor, lambda x: np.isfinite(x) & (x > 0), f"`{name}` must be positive")
    return tensor


def as_available(available: TensorLike, name: str = "available") -> TensorVariable:
    """Coerce menus to a boolean tensor, refusing constants that are not 0 or 1."""
    available = pt.as_tensor(available)
    rule = f"`{name}` must hold only True/False (or 1/0)"
    refuse(available, lambda x: np.isin(x, (0, 1)), rule)
    values = constant_of(available)
    if values is not None:
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


def as_total(n: TensorLike) -> TensorVariable:
    """Coerce totals to integers, refusing constants that are not whole numbers."""
    n = pt.as_tensor(n)
    refuse(n, lambda x: np.isfinite(x) & (x == np.floor(x)), "`n` must hold whole numbers")
    # Not a smaller integer type, of which PyTensor would take log-factorials in single precision.
    return n.astype("int64")


def as_logits(logits: TensorLike | None, p: TensorLike | None) -> TensorVariable:
    """Turn whichever of `logits` and `p` was given into logits."""
    if p is None and logits is not None:
        return pt.as_tensor(logits)
    if p is None or logits is not None:
        raise ValueError("Give exactly one of `logits` and `p`.")
    p = pt.as_tensor(p)
    values = constant_of(p)
    if values is not None and ((values < 0).any() or not np.allclose(values.sum(axis=-1), 1)):
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
