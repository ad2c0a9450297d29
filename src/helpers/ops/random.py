"""The base of operations that draw random numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.distribution import SymbolicRandomVariable
from pymc.distributions.shape_utils import implicit_size_from_params, rv_size_is_none
from pymc.pytensorf import normalize_rng_param
from pytensor.tensor import TensorLike, TensorVariable
from pytensor.tensor.random.utils import normalize_size_param

__all__ = ["DrawnRV"]


class DrawnRV(SymbolicRandomVariable):
    """
    A random variable that is drawn by the `draw` of a subclass.

    Unlike :class:`pymc.distributions.distribution.SymbolicRandomVariable`, a subclass writes no
    `rv_op`: its `extended_signature` and `draw` say all. Arguments named in `options` choose a
    formula or a structure. They are properties of the operation, not inputs of the graph, and
    `draw` takes them as keywords.

    Examples
    --------
    >>> import pymc as pm
    >>> import pytensor.tensor as pt
    >>> from helpers.ops import DrawnRV
    >>> class ShiftedRV(DrawnRV):
    ...     extended_signature = "[rng],[size],()->[rng],()"
    ...
    ...     @staticmethod
    ...     def draw(rng, size, shift):
    ...         rng, u = pt.random.uniform(size=size, rng=rng, return_next_rng=True)
    ...         return rng, shift + u
    >>> draws = pm.draw(ShiftedRV.rv_op(7.0, size=(3,)), random_seed=1)
    >>> draws.astype(int)
    array([7, 7, 7])
    """

    options: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        for name in self.options:
            setattr(self, name, kwargs.pop(name))
        super().__init__(*args, **kwargs)

    @staticmethod
    def draw(rng: Any, size: Any, *parameters: Any, **options: Any) -> Sequence[TensorVariable]:
        """The next state of the generator, and the draw."""
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

    def rebuild_rv(self, *args: Any, **kwargs: Any) -> TensorVariable:
        return self.rv_op(*args, **{name: getattr(self, name) for name in self.options}, **kwargs)

    # Operations with equal graphs are merged, and not all options are seen in the graph.
    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in self.options
        )

    __hash__ = SymbolicRandomVariable.__hash__
