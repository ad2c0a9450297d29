"""Where the time of a gradient goes, operation by operation."""

import pandas as pd
import pymc as pm
from pytensor.compile.mode import Mode
from pytensor.configdefaults import config
from pytensor.graph.op import Op

__all__ = ["profile_operations"]


# What an operation of the graph does, for readers who meet its name for the first time.
MEANINGS = {
    "Elemwise": "arithmetic, entry by entry",
    "FusedElemwise": "arithmetic, entry by entry",
    "AdvancedSubtensor": "look up rows by index",
    "AdvancedSubtensor1": "look up rows by index",
    "AdvancedIncSubtensor": "add up by index (gradient of the look-up)",
    "AdvancedIncSubtensor1": "add up by index (gradient of the look-up)",
    "Subtensor": "take a slice",
    "IncSubtensor": "write or add into a slice",
    "SpecifyShape": "checks",
    "Sum": "sums",
    "CAReduce": "sums, maxima and the like",
    "Max": "maxima",
    "Any": "checks",
    "All": "checks",
    "Assert": "checks",
    "CheckParameterValue": "checks",
    "Join": "put arrays side by side",
    "Split": "take arrays apart",
    "MakeVector": "put numbers side by side",
    "Alloc": "make an array",
    "Reshape": "change the shape",
    "DimShuffle": "change the order of axes",
    "Dot": "matrix product",
    "Dot22": "matrix product",
    "Gemm": "matrix product",
    "Gemv": "matrix product",
    "Blockwise": "matrix algebra, one small matrix at a time",
    "BatchedDot": "matrix products, one small matrix at a time",
    "Cholesky": "Cholesky factors",
    "SolveTriangular": "triangular systems",
    "Softmax": "softmax",
    "LogSoftmax": "log of the softmax",
    "CumOp": "cumulative sums",
    "ExtractDiag": "take or make a diagonal",
    "AllocDiag": "take or make a diagonal",
    "ClusterLogits": "logits of each row from its cluster's effects",
    "ClusterLogitsBackward": "its gradient: sums over each cluster's rows",
    "MaskedLogLikelihood": "masked multinomial of each row, with its gradient",
    "MaskedShares": "probabilities over each row's menu",
    "ConditionedEffects": "effects from what is sampled for them, with their log-density",
    "ConditionedEffectsBackward": "its gradient",
    "ContrastDistance": "normal density of differences from the reference",
    "ContrastDistanceBackward": "its gradient",
    "RowScatter": "scatter of each row from what is sampled for it",
    "RowScatterBackward": "its gradient",
}


def profile_operations(model: pm.Model, *, calls: int = 100) -> pd.DataFrame:
    """
    Measure each kind of operation in the graph of the log-density and its gradient.

    Unlike :meth:`pymc.Model.profile`, which prints a summary, it returns the figures as a table
    that says what each operation does. The graph is not compiled by numba, which makes it one
    function without parts to time, but operation by operation in C (in Python where there is no C
    compiler). So read the shares, not the totals.

    Parameters
    ----------
    model : pymc.Model
        The model.
    calls : int
        Number of evaluations.

    Returns
    -------
    pandas.DataFrame
        One line per kind of operation, the slowest first: ``operation``, ``what``, ``nodes`` in
        the graph, ``us_per_call`` of the log-density and gradient, and ``share``.

    Examples
    --------
    >>> import pymc as pm
    >>> from helpers.diagnostics import profile_operations
    >>> with pm.Model() as model:
    ...     x = pm.Normal("x", shape=3)
    >>> profile_operations(model, calls=5).columns.tolist()
    ['operation', 'what', 'nodes', 'us_per_call', 'share']
    """
    linker = "cvm" if config.cxx else "vm"
    mode = Mode(linker, "fast_run")
    profile = model.profile([model.logp(), model.dlogp()], n=calls, mode=mode)
    lines = [
        (_name(node.op), seconds / calls * 1e6) for (_, node), seconds in profile.apply_time.items()
    ]
    table = pd.DataFrame(lines, columns=["operation", "us_per_call"])
    table = table.groupby("operation")["us_per_call"].agg(["size", "sum"]).reset_index()
    table.columns = ["operation", "nodes", "us_per_call"]
    table["what"] = [_meaning(name) for name in table["operation"]]
    table["share"] = table["us_per_call"] / table["us_per_call"].sum()
    table = table.sort_values("us_per_call", ascending=False, ignore_index=True)
    return table[["operation", "what", "nodes", "us_per_call", "share"]]


def _name(op: Op) -> str:
    name = type(op).__name__
    # Blockwise is named with what it does to each matrix.
    core = getattr(op, "core_op", None)
    return name if core is None else f"{name}({type(core).__name__})"


def _meaning(name: str) -> str:
    outer, _, core = name.rstrip(")").partition("(")
    if core:
        return f"{MEANINGS.get(core, core)}, one small matrix at a time"
    return MEANINGS.get(outer, "")
