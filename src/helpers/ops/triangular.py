"""
Small triangular matrices, entry by entry.

A matrix is a list of rows, each a list of the entries on and below the diagonal, and each entry a
tensor over clusters and categories. Written out like this a handful of effects becomes a few fused
elementwise loops; a stack of P x P matrices would be a call to LAPACK for each of them, and as much
again for its gradient.
"""

from collections.abc import Sequence
from typing import Any

import pytensor.tensor as pt
from pytensor.tensor import TensorVariable

__all__ = [
    "cholesky",
    "columns",
    "correlation_factor",
    "covariance_factor",
    "lower",
    "multiply",
    "multiply_lower",
    "precision",
    "side_by_side",
    "solve_lower",
    "solve_upper",
]

type Triangle = list[list[Any]]


def lower(matrix: Any, size: int | None = None) -> Triangle:
    """Entries on and below the diagonal of the last two axes; for `size` see `columns`."""
    rows = range(matrix.type.shape[-1] if size is None else size)
    return [[matrix[..., i, j] for j in range(i + 1)] for i in rows]


def columns(tensor: Any, size: int | None = None) -> list[Any]:
    """Entries of the last axis; its length must be given where PyTensor does not know it."""
    return [tensor[..., i] for i in range(tensor.type.shape[-1] if size is None else size)]


def side_by_side(entries: Sequence[TensorVariable], like: TensorVariable) -> TensorVariable:
    """
    Put entries side by side on the last axis of a copy of `like`.

    Not with `pt.stack`: its new axis is moved up the graph to the inputs, and everything on the
    way is compiled and worked out a second time with an axis of length 1 at the end.
    """
    for i, entry in enumerate(entries):
        like = like[..., i].set(entry)
    return like


def correlation_factor(entries: Sequence[Any]) -> Triangle:
    """Cholesky factor of a correlation matrix from its entries below the diagonal, row by row."""
    factor: Triangle = [[1.0]]
    rest = iter(entries)
    while (size := len(factor)) * (size + 1) // 2 <= len(entries):
        row = [next(rest) for _ in range(size)]
        factor.append([*row, pt.sqrt(1 - sum(x**2 for x in row))])
    return factor


def covariance_factor(sd: Any, entries: Any, size: int | None = None) -> Triangle:
    """Cholesky factor of a covariance from standard deviations and `correlation_factor`."""
    n_entries = None if size is None else size * (size - 1) // 2
    factor = correlation_factor(columns(entries, n_entries))
    return [[x * s for x in row] for row, s in zip(factor, columns(sd, size), strict=True)]


def cholesky(a: Triangle) -> Triangle:
    """Lower Cholesky factor of a symmetric matrix given by its lower entries."""
    c: Triangle = []
    inverse: list[Any] = []  # of the diagonal; as the loops do, so that both round alike
    for i in range(len(a)):
        row: list[Any] = []
        for j in range(i):
            row.append((a[i][j] - sum(row[k] * c[j][k] for k in range(j))) * inverse[j])
        row.append(pt.sqrt(a[i][i] - sum(x**2 for x in row)))
        inverse.append(1 / row[i])
        c.append(row)
    return c


def solve_lower(c: Triangle, r: Sequence[Any]) -> list[Any]:
    """Solve C u = r."""
    u: list[Any] = []
    for i in range(len(c)):
        u.append((r[i] - sum(c[i][j] * u[j] for j in range(i))) / c[i][i])
    return u


def solve_upper(c: Triangle, r: Sequence[Any]) -> list[Any]:
    """Solve C' u = r."""
    u: dict[int, Any] = {}
    for i in reversed(range(len(c))):
        u[i] = (r[i] - sum(c[j][i] * u[j] for j in range(i + 1, len(c)))) / c[i][i]
    return [u[i] for i in range(len(c))]


def precision(factor: Triangle) -> Triangle:
    """Lower entries of the inverse of L L'."""
    size = len(factor)
    inverse: Triangle = []  # rows of the inverse of L, from which its products follow
    for i, row in enumerate(factor):
        left = [-sum(row[k] * inverse[k][j] for k in range(j, i)) / row[i] for j in range(i)]
        inverse.append([*left, 1 / row[i]])
    return [
        [sum(inverse[k][i] * inverse[k][j] for k in range(i, size)) for j in range(i + 1)]
        for i in range(size)
    ]


def multiply_lower(factor: Triangle, x: Sequence[Any]) -> list[Any]:
    """Product of a lower triangular matrix and a vector."""
    return [sum(entry * y for entry, y in zip(row, x, strict=False)) for row in factor]


def multiply(a: Triangle, x: Sequence[Any]) -> list[Any]:
    """Product of a symmetric matrix, given by its lower entries, and a vector."""
    size = range(len(a))
    return [sum(a[max(i, j)][min(i, j)] * x[j] for j in size) for i in size]
