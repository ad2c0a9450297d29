"""What random counts share: the operation, and the steps of a log-probability."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.dist_math import factln
from pymc.distributions.distribution import SymbolicRandomVariable
from pymc.distributions.shape_utils import implicit_size_from_params, rv_size_is_none
from pymc.pytensorf import normalize_rng_param
from pytensor.graph.basic import Variable
from pytensor.tensor import TensorLike, TensorVariable
from pytensor.tensor.random.utils import normalize_size_param


class CountsRV(SymbolicRandomVariable):
    """
    Random counts, drawn by the `draw` of a subclass.

    Arguments named in `options` choose a formula or a structure. They are properties of the
    operation, not inputs of the graph, and `draw` takes them as keywords.
    """

    options: tuple[str, ...] = ()

    def __init__(self, *args, **kwargs):
        for name in self.options:
            setattr(self, name, kwargs.pop(name))
        super().__init__(*args, **kwargs)

    @staticmethod
    def draw(rng: Any, size: Any, *parameters: Any, **options: Any) -> Sequence[TensorVariable]:
        """The next state of the generator, and counts."""
        raise NotImplementedError

    @classmethod
    def rv_op(
        cls, *parameters: TensorLike, size: Any = None, rng: Any = None, **options: Any
    ) -> TensorVariable:
        inputs: list[Any] = [pt.as_tensor(parameter) for parameter in parameters]
        size = normalize_size_param(size)
        if rv_size_is_none(size):
            size = implicit_size_from_params(*inputs, ndims_params=cls.ndims_params)
        inputs = [normalize_rng_param(rng), size, *inputs]
        outputs = list(cls.draw(*inputs, **options))
        return cls(inputs=inputs, outputs=outputs, **options)(*inputs)

    def rebuild_rv(self, *args, **kwargs):
        return self.rv_op(*args, **{name: getattr(self, name) for name in self.options}, **kwargs)

    # Operations with equal graphs are merged, and not all options are seen in the graph.
    def __eq__(self, other):
        return super().__eq__(other) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in self.options
        )

    __hash__ = SymbolicRandomVariable.__hash__


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


def sum_of_chosen(value: TensorVariable, log_p: TensorVariable) -> TensorVariable:
    """Sum of value times log_p, in which 0 times minus infinity is 0."""
    return pt.sum(pt.switch(pt.gt(value, 0), value * log_p, 0.0), axis=-1)


def log_or_ninf(x: TensorVariable) -> TensorVariable:
    """Logarithm with log(0) = -inf, whose gradient is not NaN."""
    positive = pt.gt(x, 0)
    return pt.switch(positive, pt.log(pt.switch(positive, x, 1.0)), -np.inf)
