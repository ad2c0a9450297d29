"""Steps of a log-probability of counts that the distributions share."""

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.dist_math import factln
from pytensor.graph.basic import Variable
from pytensor.tensor import TensorVariable


def as_observed(counts: Any) -> np.ndarray | None:
    """Observed counts as an array, 0 where missing; None if there are none or they are symbolic."""
    if counts is None or isinstance(counts, Variable):
        return None
    return np.ma.filled(np.ma.masked_invalid(np.asarray(counts, float)), 0)


def something_on_menu(logits: TensorVariable, available: TensorVariable) -> TensorVariable:
    """Whether a category of positive probability is on the menu."""
    return pt.any(available & pt.gt(logits, -np.inf), axis=-1)


def log_coefficient(value: TensorVariable) -> TensorVariable:
    """Logarithm of the number of orders in which these choices can have been made."""
    value = value.astype("float64")  # of small integers PyTensor takes it in single precision
    return factln(pt.sum(value, axis=-1)) - pt.sum(factln(value), axis=-1)


def adds_up(value: TensorVariable, n: TensorVariable) -> TensorVariable:
    """Whether these are counts that add up to their total."""
    return pt.all(pt.ge(value, 0), axis=-1) & pt.eq(pt.sum(value, axis=-1), n)


def log_or_ninf(x: TensorVariable) -> TensorVariable:
    """Logarithm with log(0) = -inf, whose gradient is not NaN."""
    positive = pt.gt(x, 0)
    return pt.switch(positive, pt.log(pt.switch(positive, x, 1.0)), -np.inf)
