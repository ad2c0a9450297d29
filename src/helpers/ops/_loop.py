"""
Base classes of operations that are a single loop.

PyTensor compiles a model operation by operation, and pays for each in compile time, in memory
traffic and in a call. The few that do nearly all the work of this book's models are loops, which
numba compiles as they stand. Each also says what it is in plain operations: the definition that
the loop is tested against, and what other backends (JAX) take in its place.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from typing import Any, cast

import numba
import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.compile.mode import optdb
from pytensor.gradient import DisconnectedType, disconnected_type
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.graph.replace import graph_replace
from pytensor.graph.rewriting.basic import dfs_rewriter, node_rewriter
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key
from pytensor.tensor import TensorLike, TensorVariable
from pytensor.tensor.type import TensorType


class Loop(Op):
    """
    An operation with two definitions: `kernel`, a loop for numba, and `plain`, a graph.

    Subclasses give `kernel` and `plain` as functions of the same arguments, `shapes` (of
    the outputs, from the shapes of the inputs) and perhaps `dtypes` of the outputs. A loop with
    one output may name as `backward` the loop of its gradient, which takes the gradient of the
    output, then the inputs, and returns the gradients of the first inputs; the others are data.
    """

    __props__: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ("float64",)

    # Their arguments differ by subclass, so they are not methods to be overridden.
    plain: Callable
    shapes: Callable

    @property
    def kernel(self) -> Callable:
        """The loop."""
        raise NotImplementedError

    @property
    def backward(self) -> "Backward | None":
        """The loop of the gradient."""
        return None

    def outputs(self, *inputs: TensorLike) -> list[TensorVariable]:
        """The outputs as a list, however many there are."""
        return cast(list[TensorVariable], self(*inputs, return_list=True))

    def make_node(self, *inputs: TensorLike) -> Apply:
        tensors = [pt.as_tensor(x) for x in inputs]
        shapes = self.shapes(*[x.type.shape for x in tensors])
        outputs = [
            TensorType(dtype, shape)() for dtype, shape in zip(self.dtypes, shapes, strict=True)
        ]
        return Apply(self, tensors, outputs)

    def infer_shape(self, node: Apply, shapes: Sequence[tuple]) -> Sequence[tuple]:
        return self.shapes(*shapes)

    def perform(self, node: Apply, inputs: Sequence, output_storage: Sequence) -> None:
        results = _compiled(self)(*inputs)
        for storage, result in zip(output_storage, _as_list(results), strict=True):
            storage[0] = np.asarray(result)

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        n_differentiable = 0 if self.backward is None else len(self.backward.dtypes)
        return [[i < n_differentiable] for i in range(len(node.inputs))]

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence
    ) -> list[Variable]:
        assert self.backward is not None
        return no_gradient(inputs, self.backward.outputs(*cotangents, *inputs))


class Backward(Loop):
    """
    The gradient of the loop `forward` in its first inputs, as many as `dtypes`.

    It takes the gradients of `n_cotangents` outputs, then the inputs, then `n_kept` outputs of
    `forward` that spare it work.
    """

    n_cotangents = 1
    n_kept = 0

    @property
    def forward(self) -> Loop:
        """The loop that this is the gradient of."""
        raise NotImplementedError

    def plain(self, *inputs: TensorVariable) -> list[Variable]:
        cotangents = inputs[: self.n_cotangents]
        rest = inputs[self.n_cotangents : len(inputs) - self.n_kept]
        return plain_gradients(
            lambda *fresh: _as_list(self.forward.plain(*fresh)), rest, len(self.dtypes), cotangents
        )

    def shapes(self, *shapes: tuple) -> Sequence[tuple]:
        return shapes[self.n_cotangents :][: len(self.dtypes)]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        # Not to what was kept: in the plain graph that is a function of the inputs.
        n_connected = self.n_cotangents + len(self.dtypes)
        return [[i < n_connected] * len(node.outputs) for i in range(len(node.inputs))]

    def pullback(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], cotangents: Sequence
    ) -> list[Variable]:
        # Second derivatives are rare: they are those of the plain graph.
        n_connected = self.n_cotangents + len(self.dtypes)
        return no_gradient(inputs, plain_gradients(self.plain, inputs, n_connected, cotangents))


@cache
def _compiled(op: Loop) -> Callable:
    """The loop for use from Python, where there is no numba around the whole graph."""
    return numba.njit(op.kernel, error_model="numpy")


@register_funcify_default_op_cache_key(Loop)
def _for_numba(op, **kwargs):
    # The cache on disk must notice when a loop is edited, or a function that it calls.
    version = int(sha256(_sources(op.kernel).encode()).hexdigest()[:12], 16)
    # No fast mathematics: numba compiles a loop by itself, and again within the function that calls
    # it. Were it free to choose an order of sums, a process that compiles and one that finds the
    # function in its cache would get results that differ in the last digits, and other draws.
    return numba_njit(op.kernel, fastmath=False, error_model="numpy"), version


def _sources(function: Callable) -> str:
    """The text of a loop and of the compiled functions that it calls."""
    scope = inspect.getclosurevars(function)
    called = [*scope.globals.values(), *scope.nonlocals.values()]
    texts = [_sources(f.py_func) for f in called if isinstance(f, numba.core.dispatcher.Dispatcher)]
    return "".join([inspect.getsource(function), *texts])


@node_rewriter([Loop])
def _as_plain(fgraph, node):
    return _as_list(node.op.plain(*node.inputs))


optdb.register("loops_as_plain_graphs", dfs_rewriter(_as_plain), "jax", position=0.01)


def plain_gradients(
    function: Callable, inputs: Sequence[Variable], n_wrt: int, cotangents: Sequence
) -> list[Variable]:
    """
    Gradients of a function of tensors in its first `n_wrt` inputs, given those of its outputs.

    The function is built on fresh inputs: those of a node may depend on each other, and then
    derivatives in one of them would include what passes through the others.
    """
    fresh = [x.type() for x in inputs]
    known = {
        output: cotangent
        for output, cotangent in zip(function(*fresh), cotangents, strict=False)
        if is_connected(cotangent)
    }
    gradients: Any = pytensor.grad(
        None, fresh[:n_wrt], known_grads=known, disconnected_inputs="ignore"
    )
    replaced: Any = graph_replace(gradients, dict(zip(fresh, inputs, strict=True)), strict=False)
    return list(replaced)


def is_connected(cotangent: Variable) -> bool:
    """Whether anything depends on the output that this is the gradient of."""
    return not isinstance(cotangent.type, DisconnectedType)


def no_gradient(inputs: Sequence[Variable], gradients: Sequence[Variable]) -> list[Variable]:
    """Gradients of the first inputs, followed by none for the others, which are data."""
    return [*gradients, *[disconnected_type() for _ in inputs[len(gradients) :]]]


def as_doubles(*tensors: TensorLike) -> list[TensorVariable]:
    """Coerce to tensors in double precision."""
    return [pt.as_tensor(x).astype("float64") for x in tensors]


def _as_list(outputs: Any) -> list:
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]
