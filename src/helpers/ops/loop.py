"""
Operations that are one loop each, with gradients of their own.

PyTensor compiles a model operation by operation, and pays for each in compile time, in memory
traffic and in a call. The few that do nearly all the work of this book's models are loops written
out here, which numba compiles as they stand. Each also says what it is in plain operations: the
definition that the loop is tested against, and what other backends (JAX) take in its place.
"""

import inspect
from functools import cache
from hashlib import sha256

import numba
import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.compile.mode import optdb
from pytensor.gradient import DisconnectedType, disconnected_type
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.graph.replace import graph_replace
from pytensor.graph.rewriting.basic import dfs_rewriter, node_rewriter
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key
from pytensor.tensor.type import TensorType

# Sums may be taken in any order, which lets a processor add several terms at once. What is not
# finite keeps its meaning.
_REORDER = {"reassoc", "contract", "nsz"}


class Loop(Op):
    """
    An operation with two definitions: `kernel`, a loop for numba, and `plain`, a graph.

    Subclasses give `kernel` and `plain` as static methods of the same arguments, `shapes` (of
    the outputs, from the shapes of the inputs) and perhaps `dtypes` of the outputs.
    """

    __props__ = ()
    dtypes = ("float64",)

    @staticmethod
    def kernel(*inputs):
        raise NotImplementedError

    @staticmethod
    def plain(*inputs):
        raise NotImplementedError

    @staticmethod
    def shapes(*shapes):
        raise NotImplementedError

    def make_node(self, *inputs):
        inputs = [pt.as_tensor(x) for x in inputs]
        shapes = self.shapes(*[x.type.shape for x in inputs])
        outputs = [
            TensorType(dtype, shape)() for dtype, shape in zip(self.dtypes, shapes, strict=True)
        ]
        return Apply(self, inputs, outputs)

    def infer_shape(self, node, shapes):
        return self.shapes(*shapes)

    def perform(self, node, inputs, outputs):
        results = _compiled(type(self))(*inputs)
        for storage, result in zip(outputs, _as_list(results), strict=True):
            storage[0] = np.asarray(result)


@cache
def _compiled(op_type):
    """The loop for use from Python, where there is no numba around the whole graph."""
    return numba.njit(op_type.kernel, fastmath=_REORDER, error_model="numpy")


@register_funcify_default_op_cache_key(Loop)
def _for_numba(op, **kwargs):
    # The cache on disk must notice when a loop is edited.
    source = inspect.getsource(inspect.getmodule(op.kernel))
    version = int(sha256(source.encode()).hexdigest()[:12], 16)
    return numba_njit(op.kernel, fastmath=_REORDER, error_model="numpy"), version


@node_rewriter([Loop])
def _as_plain(fgraph, node):
    return _as_list(node.op.plain(*node.inputs))


optdb.register("fused_loops_as_plain_graphs", dfs_rewriter(_as_plain), "jax", position=0.01)


def _plain_gradients(function, inputs, n_wrt, cotangents):
    """
    Gradients of a function of tensors in its first inputs, given those of its outputs.

    The function is built on inputs of its own: those of a node may depend on each other, and then
    derivatives in one of them would hold what goes through the others.
    """
    own = [x.type() for x in inputs]
    known = {
        output: cotangent
        for output, cotangent in zip(function(*own), cotangents, strict=False)
        if not isinstance(cotangent.type, DisconnectedType)
    }
    gradients = pytensor.grad(None, own[:n_wrt], known_grads=known, disconnected_inputs="ignore")
    return graph_replace(gradients, dict(zip(own, inputs, strict=True)), strict=False)


def _as_doubles(*tensors):
    return [pt.as_tensor(x).astype("float64") for x in tensors]


def _as_list(outputs):
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def _no_gradient(inputs, gradients):
    """Gradients of the first inputs; the others are data."""
    return [*gradients, *[disconnected_type() for _ in inputs[len(gradients) :]]]


class _Differentiable(Loop):
    """
    A loop with one output whose gradient is another loop, `backward`.

    `backward` takes the gradient of the output, then the inputs, and returns the gradients of the
    first inputs; the others are data.
    """

    backward = None

    def connection_pattern(self, node):
        return [[i < len(self.backward.dtypes)] for i in range(len(node.inputs))]

    def pullback(self, inputs, outputs, cotangents):
        gradients = self.backward(*cotangents, *inputs, return_list=True)
        return _no_gradient(inputs, gradients)


class _Backward(Loop):
    """
    The gradient of the loop `forward` in its first inputs, as many as `dtypes`.

    Its last inputs may be outputs of `forward`, `n_kept` of them, which spare it work.
    """

    forward = None
    n_kept = 0

    def plain(self, cotangent, *inputs):
        inputs = inputs[: len(inputs) - self.n_kept]
        return _plain_gradients(
            lambda *own: _as_list(self.forward.plain(*own)), inputs, len(self.dtypes), [cotangent]
        )

    def shapes(self, cotangent, *shapes):
        return shapes[: len(self.dtypes)]

    def connection_pattern(self, node):
        # Not to what was kept: in the plain graph that is a function of the inputs.
        return [[i <= len(self.dtypes)] * len(node.outputs) for i in range(len(node.inputs))]

    def pullback(self, inputs, outputs, cotangents):
        # Second derivatives are rare: they are those of the plain graph.
        gradients = _plain_gradients(self.plain, inputs, 1 + len(self.dtypes), cotangents)
        return _no_gradient(inputs, gradients)
