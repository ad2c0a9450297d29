"""
The model with one of its loops replaced by the plain graph that it stands for.

Run as a script it compiles one of them and prints the seconds that took, so that a benchmark can
start it in a process of its own with an empty compile cache:

    python tests/benchmarks/loops.py likelihood
"""

import sys
import time

import numpy as np
import pytensor
import pytensor.tensor as pt
from graphs import conditioned, value_and_gradient
from pytensor.compile.mode import get_mode, optdb
from pytensor.graph.rewriting.basic import dfs_rewriter, node_rewriter

from helpers import simulate_counts
from helpers.ops.conditioned import ConditionedEffects, ConditionedEffectsBackward
from helpers.ops.likelihood import MaskedLogLikelihood
from helpers.ops.logits import ClusterLogits, ClusterLogitsBackward
from helpers.ops.shares import MaskedShares, masked_shares

LOOPS = {
    "none": (),
    "logits": (ClusterLogits, ClusterLogitsBackward),
    "likelihood": (MaskedLogLikelihood,),
    "conditioned": (ConditionedEffects, ConditionedEffectsBackward),
}


def mode_without(loops):
    """Numba, with these loops as plain graphs."""
    mode = get_mode("NUMBA")
    if not loops:
        return mode

    @node_rewriter(list(loops))
    def as_plain(fgraph, node):
        outputs = node.op.plain(*node.inputs)
        return list(outputs) if isinstance(outputs, list | tuple) else [outputs]

    name = "_".join(["without", *(loop.__name__ for loop in loops)])
    if name not in optdb.__db__:
        optdb.register(name, dfs_rewriter(as_plain), position=0.01)
    return mode.including(name)


def shares(n_rows, plain):
    """Probabilities over the menus of so many rows, as one loop or in plain operations."""
    mode = mode_without((MaskedShares,) if plain else ())
    logits, available = pt.matrix("logits"), pt.matrix("available", dtype="bool")
    function = pytensor.function([logits, available], masked_shares(logits, available), mode=mode)
    rng = np.random.default_rng(1)
    point = rng.normal(size=(n_rows, 7)), np.ones((n_rows, 7), dtype=bool)
    function(*point)
    return function, *point


if __name__ == "__main__":
    what = sys.argv[1]
    # What every first function waits for, whatever it does.
    x = pt.vector("x")
    pytensor.function([x], x + 1, mode="NUMBA")(np.ones(3))
    if what.startswith("shares"):
        start = time.perf_counter()
        shares(80, plain="plain" in what)
    else:
        model = conditioned(simulate_counts(random_seed=1)[0])
        start = time.perf_counter()
        value_and_gradient(model, mode=mode_without(LOOPS[what]))
    print(time.perf_counter() - start)
