"""Effects sampled relative to what the data say about them."""

import numpy as np
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform

from helpers.effects._triangular import (
    _cholesky,
    _columns,
    _correlation_factor,
    _lower,
    _multiply,
    _precision,
    _scaled,
    _side_by_side,
    _solve_lower,
    _solve_upper,
    _times_effects,
)
from helpers.ops.effects import conditioned_pair

__all__ = ["Conditioned", "ConditionedNormal"]


class _Coupling:
    """
    A constant matrix for each cluster, by which its values are multiplied in one row.

    Parameters
    ----------
    matrix : numpy.ndarray, shape (C, M, M)
    shape : tuple of int
        Shape of the effects: C, and axes of M elements in all.
    """

    def __init__(self, matrix, shape):
        self.matrix, self.shape = np.asarray(matrix, dtype=float), shape
        size = int(np.prod(shape[1:]))
        if self.matrix.shape != (shape[0], size, size):
            raise ValueError(
                f"The pilot's coupling must have shape {(shape[0], size, size)}, not "
                f"{self.matrix.shape}."
            )
        with np.errstate(invalid="ignore"):
            sign, log_det = np.linalg.slogdet(self.matrix)
        if not (np.isfinite(log_det) & (sign != 0)).all():
            raise ValueError("The pilot's coupling must be finite and invertible.")
        # The determinant is the cluster's. Its categories take equal parts of it, so that terms of
        # the density keep one shape: PyMC would sum those of more axes than the determinant has,
        # and to compile such sums, and their gradients, takes seconds.
        self.share = log_det[:, None] / shape[1]

    def backward(self, value):
        return _times_effects(self.matrix, value, self.shape)

    def forward(self, value):
        return _times_effects(np.linalg.inv(self.matrix), value, self.shape)


class ConditionedNormal(Transform):
    r"""
    Sample one normal effect relative to what its own data say about it.

    :class:`~helpers.effects.Conditioned` for a single effect, on a :class:`pymc.Normal`: with
    the expansion :math:`b\theta - h\theta^2/2` and the prior :math:`N(\mu, \sigma^2)`,

    .. math::

       q = h + \sigma^{-2}, \qquad m = (b + \mu\sigma^{-2}) / q, \qquad \theta = m + t / \sqrt{q}.

    Parameters
    ----------
    information : numpy.ndarray
        h, the pilot estimate of minus the second derivative of the log-likelihood, with the
        effect's shape.
    score : numpy.ndarray
        b, that is h times the pilot estimate plus the first derivative there.
    coupling : numpy.ndarray, shape (C, K, K), optional
        As in :class:`~helpers.effects.Conditioned`, for effects of C clusters and K categories.
    """

    name = "conditioned"

    def __init__(self, information, score, coupling=None):
        self.information, self.score = _checked(information, score)
        if (self.information < 0).any():
            raise ValueError("The pilot's information must not be negative.")
        self.start = self.score / (self.information + 1)
        self.coupling = None if coupling is None else _Coupling(coupling, self.score.shape)
        self.ndim_supp = 0 if coupling is None else 1

    def _location_precision(self, inputs):
        mu, sigma = inputs[-2:]
        precision = sigma**-2
        q = self.information + precision
        return (self.score + precision * mu) / q, q

    def backward(self, value, *inputs):
        m, q = self._location_precision(inputs)
        if self.coupling is not None:
            value = self.coupling.backward(value)
        return m + value / pt.sqrt(q)

    def forward(self, value, *inputs):
        m, q = self._location_precision(inputs)
        t = (value - m) * pt.sqrt(q)
        return t if self.coupling is None else self.coupling.forward(t)

    def log_jac_det(self, value, *inputs):
        _, q = self._location_precision(inputs)
        log_det = pt.broadcast_to(-0.5 * pt.log(q), value.shape)
        return log_det if self.coupling is None else log_det + self.coupling.share


class Conditioned(Transform):
    r"""
    Sample a cluster's effects relative to what its own data say about them.

    Unlike the centred form (sample the effects) and the non-centred form (sample their distance
    from the mean in standard deviations), it weighs prior and data as they stand: with a
    quadratic expansion of the log-likelihood, :math:`b'\theta - \tfrac12\theta'H\theta`, and the
    prior :math:`N(\mu, \Sigma)`, the effects are about :math:`N(m, Q^{-1})` with

    .. math::

       Q = H + \Sigma^{-1} = C C', \qquad m = Q^{-1} (b + \Sigma^{-1}\mu),

    and what is sampled is t in :math:`\theta = m + C^{-\mathsf T} t`, which takes
    :math:`\log\det C` off the log-density. It is a change of variables and nothing else: *any*
    constants H and b give the same posterior, good ones make t nearly standard normal whatever
    the data weigh. H = 0 is the non-centred form.

    Parameters
    ----------
    information : numpy.ndarray, shape (..., P, P)
        H, the pilot estimate of minus the second derivative of the log-likelihood: symmetric,
        without negative eigenvalues.
    score : numpy.ndarray, shape (..., P)
        b, that is H times the pilot estimate plus the first derivative there.
    coupling : numpy.ndarray, shape (C, K P, K P), optional
        B, one for each cluster. Categories share each row's total, so that their effects stay
        correlated given the data, the more so the rarer the reference category. With it, t is
        :math:`B s` over all K P effects of a cluster and s is sampled. It is constant too, and
        any invertible B gives the same posterior.
    joint : bool
        Whether the variable is a :class:`~helpers.effects.JointNormal`, whose categories are
        correlated; then the prior's block of each category stands for :math:`\Sigma`.

    References
    ----------
    Papaspiliopoulos, O., Roberts, G. O., & Sköld, M. (2007). A general framework for the
    parametrization of hierarchical models. Statistical Science, 22(1), 59-73.
    """

    name = "conditioned"

    def __init__(self, information, score, coupling=None, *, joint=False):
        information, score = _checked(information, score)
        if information.shape != (*score.shape, score.shape[-1]):
            raise ValueError(
                f"The pilot's information must have shape (..., P, P) and its score (..., P): "
                f"they have {information.shape} and {score.shape}."
            )
        transposed = np.swapaxes(information, -1, -2)
        scale = np.abs(information).max(axis=(-1, -2), keepdims=True)
        if not (np.abs(information - transposed) <= 1e-8 * scale).all():
            raise ValueError("The pilot's information must be symmetric in its last two axes.")
        if (np.linalg.eigvalsh(information) < -1e-8 * scale[..., 0]).any():
            raise ValueError("The pilot's information must have no negative eigenvalue.")
        self.information = [
            [information[..., i, j] for j in range(i + 1)] for i in range(score.shape[-1])
        ]
        self.score = [score[..., i] for i in range(score.shape[-1])]
        # The centre under a standard normal prior: the default start of the sampler, the prior's
        # mean, would be hundreds of standard deviations away where counts are many.
        unit = information + np.eye(score.shape[-1])
        self.start = np.linalg.solve(unit, score[..., None])[..., 0]
        self.joint = joint
        # An intercept and a slope, by far the most common, have loops of their own.
        pairs = score.ndim == 3 and score.shape[-1] == 2 and not joint
        self.pair = (information, score) if pairs else None
        self.coupling = None if coupling is None else _Coupling(coupling, score.shape)
        self.ndim_supp = 2 if joint or coupling is not None else 1

    def _as_pair(self, value, inputs):
        mu, sd, below = inputs[-3:]
        coupling = None if self.coupling is None else self.coupling.matrix
        return conditioned_pair(value, mu, sd, below[:, 0], *self.pair, coupling)

    def _parts(self, inputs):
        """Entries of C, and of u = C'm."""
        if self.joint:
            mu, chol = inputs[-2:]
            rows = pt.reshape(chol, (*mu.type.shape[-2:], -1))
            covariance = pt.sum(rows[:, :, None] * rows[:, None], axis=-1)
            chol = _cholesky(_lower(covariance))
        else:
            mu, sd, below = inputs[-3:]
            chol = _scaled(_correlation_factor(_columns(below)), _columns(sd))
        precision = _precision(chol)
        c = _cholesky(
            [
                [h + x for h, x in zip(*rows, strict=True)]
                for rows in zip(self.information, precision, strict=True)
            ]
        )
        push = _multiply(precision, _columns(mu))
        return c, _solve_lower(c, [b + x for b, x in zip(self.score, push, strict=True)])

    def backward(self, value, *inputs):
        if self.pair is not None:
            return self._as_pair(value, inputs)[0]
        c, u = self._parts(inputs)
        if self.coupling is not None:
            value = self.coupling.backward(value)
        shifted = [t + x for t, x in zip(_columns(value, len(u)), u, strict=True)]
        return _side_by_side(_solve_upper(c, shifted), value)

    def forward(self, value, *inputs):
        c, u = self._parts(inputs)
        theta, size = _columns(value, len(c)), range(len(c))
        t = [sum(c[j][i] * theta[j] for j in size if j >= i) - u[i] for i in size]
        t = _side_by_side(t, value)
        return t if self.coupling is None else self.coupling.forward(t)

    def log_jac_det(self, value, *inputs):
        if self.pair is not None:
            log_det = self._as_pair(value, inputs)[1]
        else:
            c, _ = self._parts(inputs)
            log_det = -sum(pt.log(row[-1]) for row in c)
            log_det = pt.broadcast_to(log_det, value.shape[:-1])
        if self.coupling is not None:
            log_det = log_det + self.coupling.share
        return pt.sum(log_det, axis=-1) if self.joint else log_det


def _checked(information, score):
    information, score = np.asarray(information, dtype=float), np.asarray(score, dtype=float)
    if not (np.isfinite(information).all() and np.isfinite(score).all()):
        raise ValueError("The pilot's information and score must be finite everywhere.")
    return information, score
