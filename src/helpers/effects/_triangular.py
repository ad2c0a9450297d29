"""Small triangular matrices, entry by entry."""

import pytensor.tensor as pt

# Small triangular matrices are lists of lists of tensors, one tensor per entry, batched over
# clusters and categories. Written out entry by entry they become a few fused elementwise loops;
# as a stack of P x P matrices each would be a call to LAPACK, with as much again for the gradient.


def _lower(matrix):
    """Entries on and below the diagonal of the last two axes."""
    return [[matrix[..., i, j] for j in range(i + 1)] for i in range(matrix.type.shape[-1])]


def _cholesky(a):
    """Lower Cholesky factor of a symmetric matrix given by its lower entries."""
    c = []
    for i in range(len(a)):
        row = []
        for j in range(i):
            row.append((a[i][j] - sum(row[k] * c[j][k] for k in range(j))) / c[j][j])
        row.append(pt.sqrt(a[i][i] - sum(x**2 for x in row)))
        c.append(row)
    return c


def _solve_lower(c, r):
    """Solve C u = r."""
    u = []
    for i in range(len(c)):
        u.append((r[i] - sum(c[i][j] * u[j] for j in range(i))) / c[i][i])
    return u


def _solve_upper(c, r):
    """Solve C' u = r."""
    size = len(c)
    u = [None] * size
    for i in reversed(range(size)):
        u[i] = (r[i] - sum(c[j][i] * u[j] for j in range(i + 1, size))) / c[i][i]
    return u


def _precision(chol):
    """Lower entries of the inverse of L L'."""
    size = len(chol)
    inverse = []  # rows of the inverse of L, from which its products follow
    for i in range(size):
        row = [-sum(chol[i][k] * inverse[k][j] for k in range(j, i)) / chol[i][i] for j in range(i)]
        inverse.append([*row, 1 / chol[i][i]])
    return [
        [sum(inverse[k][i] * inverse[k][j] for k in range(i, size)) for j in range(i + 1)]
        for i in range(size)
    ]


def _multiply(a, x):
    """Product of a symmetric matrix, given by its lower entries, and a vector."""
    size = range(len(a))
    return [sum(a[max(i, j)][min(i, j)] * x[j] for j in size) for i in size]


def _columns(tensor, size=None):
    """Entries of the last axis; its length must be given where PyTensor does not know it."""
    return [tensor[..., i] for i in range(size or tensor.type.shape[-1])]


def _side_by_side(columns, like):
    """
    Put entries side by side on the last axis of a copy of `like`.

    Not with `pt.stack`: its new axis is moved up the graph to the inputs, and everything on the
    way is compiled and worked out a second time with an axis of length 1 at the end.
    """
    for i, column in enumerate(columns):
        like = like[..., i].set(column)
    return like


def _correlation_factor(below):
    """Cholesky factor of a correlation matrix from its entries below the diagonal."""
    factor, entry = [[1.0]], iter(below)
    size = 1
    while (size * (size + 1)) // 2 <= len(below):
        row = [next(entry) for _ in range(size)]
        factor.append([*row, pt.sqrt(1 - sum(x**2 for x in row))])
        size += 1
    return factor


def _is_pair(below):
    """Whether there are two effects, which have one correlation."""
    return below.type.shape[-1] == 1


def _scaled(factor, sd):
    return [[x * s for x in row] for row, s in zip(factor, sd, strict=True)]


def _times_effects(matrix, effects, shape):
    """
    Multiply the effects of each cluster, in one row, by a matrix: one for all, or one for each.

    As a sum, for a product of matrices takes three times as long to compile.
    """
    in_one_row = effects.reshape((shape[0], 1, -1))
    return pt.sum(matrix * in_one_row, axis=-1).reshape(shape)
