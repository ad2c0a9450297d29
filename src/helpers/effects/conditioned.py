"""Effects sampled relative to what the data say about them."""

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pytensor.tensor as pt
from pymc.logprob.transforms import Transform
from pytensor.graph.basic import Variable
from pytensor.tensor import TensorVariable

from helpers.ops.conditioned import conditioned_effects, conditioning, couple
from helpers.ops.contrasts import contrast_covariance
from helpers.ops.triangular import (
    Triangle,
    cholesky,
    columns,
    covariance_factor,
    lower,
    side_by_side,
    solve_upper,
)

__all__ = ["Conditioned", "Quadratic"]


class Quadratic(NamedTuple):
    r"""
    Quadratic expansion of a log-likelihood, :math:`b'\theta - \tfrac12 \theta' H \theta`.

    What :class:`~helpers.effects.Conditioned` is made from, in this order.

    Attributes
    ----------
    information : numpy.ndarray, shape (C, K, P, P) or that of `score`
        H, minus the second derivative of the log-likelihood at the estimate.
    score : numpy.ndarray, shape (C, K, P) or any
        b, that is H times the estimate plus the first derivative there.
    coupling : numpy.ndarray, shape (C, K P, K P), optional
        B, by which the effects of a cluster are correlated given the data.
    """

    information: np.ndarray
    score: np.ndarray
    coupling: np.ndarray | None = None

    def of_single_effects(self) -> "Quadratic":
        """
        Leave out the axes of several effects where there is one.

        Returns
        -------
        Quadratic
            With information and score of shape (C, K).
        """
        return Quadratic(self.information[..., 0, 0], self.score[..., 0], self.coupling)


class Conditioned(Transform):
    r"""
    Sample a cluster's effects relative to what its own data say about them.

    Unlike the centred form (sample the effects) and the non-centred form (sample their distance
    from the mean in standard deviations), it weighs prior and data by their precision: with a
    quadratic expansion of the log-likelihood, :math:`b'\theta - \tfrac12\theta'H\theta`, and the
    prior :math:`N(\mu, \Sigma)`, the effects are about :math:`N(m, Q^{-1})` with

    .. math::

       Q = H + \Sigma^{-1} = C C', \qquad m = Q^{-1} (b + \Sigma^{-1}\mu),

    and what is sampled is t in :math:`\theta = m + C^{-\mathsf T} t`, which subtracts
    :math:`\log\det C` from the log-density. It is a change of variables and nothing else: *any*
    constants H and b give the same posterior, good ones make t nearly standard normal, however
    informative the data are. H = 0 is the non-centred form.

    Parameters
    ----------
    information : numpy.ndarray, shape (..., P, P) or (...)
        H, the pilot estimate of minus the second derivative of the log-likelihood: symmetric,
        without negative eigenvalues. Where its shape equals that of `score`, whatever that is,
        effects are taken as single ones, of a :class:`~helpers.effects.ClusterNormal` or
        :class:`pymc.Normal`.
    score : numpy.ndarray, shape (..., P) or (...)
        b, that is H times the pilot estimate plus the first derivative there.
    coupling : numpy.ndarray, shape (C, K P, K P), optional
        B, one for each cluster. Categories share each row's total, so that their effects stay
        correlated given the data, the more so the rarer the reference category. With it, t is
        :math:`B s` over all K P effects of a cluster and s is sampled. It is constant too, and
        any invertible B gives the same posterior.
    joint : bool
        Whether the variable is a :class:`~helpers.effects.JointNormal`, whose categories are
        correlated; then the prior's block of each category stands for :math:`\Sigma`.
    reference : int, optional
        Given, the variable is a :class:`~helpers.effects.ContrastNormal` or
        :class:`~helpers.effects.CorrelatedContrasts` with this reference; then the covariance of
        each contrast by itself stands for :math:`\Sigma`.

    Raises
    ------
    ValueError
        If the pilot is not finite, its shapes do not match, `information` is not symmetric and
        positive semi-definite, or `coupling` is singular.

    References
    ----------
    Papaspiliopoulos, O., Roberts, G. O., & Sköld, M. (2007). A general framework for the
    parametrization of hierarchical models. Statistical Science, 22(1), 59-73.
    """

    name = "conditioned"

    def __init__(
        self,
        information: np.ndarray,
        score: np.ndarray,
        coupling: np.ndarray | None = None,
        *,
        joint: bool = False,
        reference: int | None = None,
    ) -> None:
        information, score = np.asarray(information, dtype=float), np.asarray(score, dtype=float)
        #: Whether effects are single numbers, without an axis of their own.
        self.single = information.shape == score.shape
        matrices = information[..., None, None] if self.single else information
        vectors = score[..., None] if self.single else score
        _check_expansion(matrices, vectors)
        self.information, self.score = matrices, vectors
        self.joint, self.reference = joint, reference
        # The centre under a standard normal prior: the default start of the sampler, the prior's
        # mean, would be hundreds of standard deviations away where counts are many.
        unit = matrices + np.eye(vectors.shape[-1])
        self.start = np.linalg.solve(unit, vectors[..., None])[..., 0].reshape(score.shape)
        self.coupling = None if coupling is None else _checked_coupling(coupling, score.shape)
        together = joint or reference is not None or coupling is not None
        self.ndim_supp = int(not self.single) + int(together)

    def _loop(
        self, value: TensorVariable, inputs: tuple
    ) -> tuple[TensorVariable, TensorVariable] | None:
        """Effects and log-determinant by one loop, where clusters share the prior."""
        expansion = self.information, self.score, self.coupling
        if self.reference is not None:
            by_effect = value[..., None] if self.single else value
            mean, sd, entries = self._of_contrasts(inputs)
            theta, log_det = conditioned_effects(
                by_effect, mean, sd, entries, *expansion, joint=True
            )
            return (theta[..., 0] if self.single else theta), log_det
        if self.joint or self.single or self.score.ndim != 3:
            return None
        mean, sd, entries = parameters = [pt.as_tensor(x) for x in inputs[-3:]]
        # The loop does not broadcast one prior over categories.
        fitting = None, self.score.shape[1]
        if any(x.ndim != 2 or x.type.shape[0] not in fitting for x in parameters):
            return None
        return conditioned_effects(value, mean, sd, entries, *expansion)

    def _of_contrasts(self, inputs: tuple) -> tuple[Any, Any, Any]:
        """Mean, standard deviations and correlations of each contrast, with an axis of effects."""
        if self.single:
            mean, sd = inputs[-2:]
            parameters = mean[:, None], sd[:, None], pt.zeros((sd.type.shape[0], 0))
        else:
            parameters = inputs[-3:]
        mean, sd, entries = parameters
        assert self.reference is not None
        return mean, *contrast_covariance(sd, entries, self.reference)

    def _conditioning(self, inputs: tuple) -> tuple[Triangle, list]:
        """C and u, which what is sampled is relative to."""
        factor: Triangle
        if self.reference is not None:
            mean, sd, entries = self._of_contrasts(inputs)
            size = self.score.shape[-1]
            means, factor = columns(mean, size), covariance_factor(sd, entries, size)
        elif self.single:
            mean, sd = inputs[-2:]
            means, factor = [mean], [[sd]]
        elif self.joint:
            mean, chol = inputs[-2:]
            rows = pt.reshape(chol, (*mean.type.shape[-2:], -1))
            covariance = pt.sum(rows[:, :, None] * rows[:, None], axis=-1)
            means, factor = columns(mean), cholesky(lower(covariance))
        else:
            mean, sd, entries = inputs[-3:]
            means, factor = columns(mean), covariance_factor(sd, entries)
        size = self.score.shape[-1]
        information, score = lower(self.information, size), columns(self.score, size)
        return conditioning(means, factor, information, score)

    def _entries(self, value: TensorVariable) -> list[TensorVariable]:
        return [value] if self.single else columns(value, self.score.shape[-1])

    def _together(self, entries: list, like: TensorVariable) -> TensorVariable:
        return entries[0] if self.single else side_by_side(entries, like)

    def backward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        if (loop := self._loop(value, inputs)) is not None:
            return loop[0]
        c, u = self._conditioning(inputs)
        if self.coupling is not None:
            value = couple(self.coupling, value)
        shifted = [t + x for t, x in zip(self._entries(value), u, strict=True)]
        return self._together(solve_upper(c, shifted), value)

    def forward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        # Not by the loop: it runs once, at the start, and would be compiled for that.
        c, u = self._conditioning(inputs)
        theta, size = self._entries(value), range(len(c))
        t = [sum(c[j][i] * theta[j] for j in size if j >= i) - u[i] for i in size]
        together = self._together(t, value)
        return together if self.coupling is None else couple(self._uncoupling, together)

    def log_jac_det(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        if (loop := self._loop(value, inputs)) is not None:
            log_det = loop[1]
        else:
            c, _ = self._conditioning(inputs)
            log_det = -sum(pt.log(row[-1]) for row in c)
            log_det = pt.broadcast_to(log_det, value.shape if self.single else value.shape[:-1])
        if self.coupling is not None:
            log_det = log_det + self._coupling_log_det
        return pt.sum(log_det, axis=-1) if self.joint else log_det

    @cached_property
    def _uncoupling(self) -> np.ndarray:
        assert self.coupling is not None
        return np.linalg.inv(self.coupling)

    @cached_property
    def _coupling_log_det(self) -> np.ndarray:
        # The determinant is the cluster's. Categories with densities of their own take equal parts
        # of it, so that terms of the density keep one shape: PyMC would sum those of more axes than
        # the determinant has, and to compile such sums, and their gradients, takes seconds.
        assert self.coupling is not None
        log_det = np.linalg.slogdet(self.coupling)[1]
        return log_det if self.reference is not None else log_det[:, None] / self.score.shape[1]


def _check_expansion(information: np.ndarray, score: np.ndarray) -> None:
    if information.shape != (*score.shape, score.shape[-1]):
        raise ValueError(
            f"The pilot's information must have shape (..., P, P) and its score (..., P): "
            f"they have {information.shape} and {score.shape}."
        )
    if not (np.isfinite(information).all() and np.isfinite(score).all()):
        raise ValueError("The pilot's information and score must be finite everywhere.")
    scale = np.abs(information).max(axis=(-1, -2), keepdims=True)
    if not (np.abs(information - information.mT) <= 1e-8 * scale).all():
        raise ValueError("The pilot's information must be symmetric in its last two axes.")
    if (np.linalg.eigvalsh(information) < -1e-8 * scale[..., 0]).any():
        raise ValueError("The pilot's information must have no negative eigenvalue.")


def _checked_coupling(coupling: np.ndarray, shape: tuple) -> np.ndarray:
    """The coupling of effects of C clusters, whose shape is that of the effects, as floats."""
    coupling = np.asarray(coupling, dtype=float)
    size = int(np.prod(shape[1:]))
    if coupling.shape != (shape[0], size, size):
        raise ValueError(
            f"The pilot's coupling must have shape {(shape[0], size, size)}, not {coupling.shape}."
        )
    with np.errstate(invalid="ignore"):
        sign, log_det = np.linalg.slogdet(coupling)
    if not (np.isfinite(log_det) & (sign != 0)).all():
        raise ValueError("The pilot's coupling must be finite and invertible.")
    return coupling
