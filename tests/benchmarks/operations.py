"""
Compile one operation on a matrix, and print the seconds.

A script, so that a benchmark can start it in a process of its own with empty caches:

    python tests/benchmarks/operations.py "sum(x, axis=1)"
"""

import sys
import time

import numpy as np
import pytensor
import pytensor.tensor as pt

OPERATIONS = {
    "tanh(x)": pt.tanh,
    "x[index]": lambda x: x[np.array([0, 0, 1])],
    "concatenate": lambda x: pt.concatenate([x, pt.zeros_like(x)], axis=1),
    "sum(x)": pt.sum,
    "sum(x, axis=1)": lambda x: pt.sum(x, axis=1),
    "softmax(x, axis=1)": lambda x: pt.special.softmax(x, axis=1),
    "x @ x": lambda x: x @ x,
}


def seconds_to_compile(expression):
    """Seconds until the first result."""
    x = pt.matrix("x")
    start = time.perf_counter()
    pytensor.function([x], expression(x), mode="NUMBA")(np.ones((3, 3)))
    return time.perf_counter() - start


if __name__ == "__main__":
    # What every first function waits for, whatever it does.
    seconds_to_compile(lambda x: x + 1)
    print(seconds_to_compile(OPERATIONS[sys.argv[1]]))
