"""Effects of every category, the reference too, of which only differences are seen."""

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.distribution import Continuous
from pymc.logprob.abstract import _logprob
from pymc.logprob.transforms import Transform
from pytensor.graph.basic import Constant
from pytensor.tensor import TensorLike, TensorVariable

from helpers.effects.normal import EffectsRV
from helpers.ops.contrasts import contrast_distance, variance_of_contrasts
from helpers.ops.triangular import columns, covariance_factor, multiply_lower

__all__ = ["ConditionedLevel", "ContrastNormal", "CorrelatedContrasts"]


class ContrastNormalRV(EffectsRV):
    name = "contrast_normal"
    extended_signature = "[rng],[size],(f),(k),(f),(k)->[rng],(f)"
    _print_name = ("ContrastNormal", r"\operatorname{ContrastNormal}")
    options = ("reference",)
    reference: int

    @staticmethod
    def draw(rng, size, start, lower_sd, mu, sd, *, reference):
        shape = pt.concatenate([size, [sd.shape[-1]]])
        next_rng, u = pt.random.normal(0, sd, size=shape, rng=rng, return_next_rng=True)
        free = np.delete(np.arange(_known(sd.type.shape[-1])), reference)
        return [next_rng, mu + u[..., free] - u[..., [reference]]]


class ContrastNormal(Continuous):
    r"""
    Differences of independent normal effects from that of a reference category.

    Unlike independent normals of the contrasts, it does not depend on which category is the
    reference: each has an effect :math:`u_k \sim N(0, \sigma_k^2)`, the reference too, and

    .. math::

       x_k = \mu_k + u_k - u_{\text{ref}}, \qquad
       x \sim N\big(\mu, \operatorname{diag}(\sigma_k^2) + \sigma_{\text{ref}}^2 1 1'\big).

    Parameters
    ----------
    mu : tensor_like of float, shape (K - 1,)
        Means of the contrasts.
    sd : tensor_like of float, shape (K,)
        Standard deviations of all categories, the reference included (sd > 0). One set for the
        whole batch.
    reference : int
        Position of the reference among the K categories.
    start : tensor_like of float, optional
        Where sampling starts, with the shape of a draw; by default at the mean. It has no part in
        the density.
    lower_sd : tensor_like of float, shape (K,), optional
        Standard deviations of what varies about these contrasts, for :class:`ConditionedLevel`. No
        part of the density either.

    Returns
    -------
    TensorVariable
        The random variable, with the K - 1 contrasts on its last axis.

    References
    ----------
    Aitchison, J. (1982). The statistical analysis of compositional data. Journal of the Royal
    Statistical Society B, 44(2), 139-177.

    Examples
    --------
    >>> import numpy as np
    >>> import pymc as pm
    >>> from helpers.effects import ContrastNormal
    >>> contrasts = ContrastNormal.dist(np.zeros(2), [1.0, 2.0, 3.0], reference=2)
    >>> same = pm.MvNormal.dist(np.zeros(2), np.diag([1.0, 4.0]) + 9.0)
    >>> for distribution in (contrasts, same):
    ...     print(pm.logp(distribution, np.array([0.5, -1.0])).eval().round(6))
    -4.010828
    -4.010828
    """

    rv_type = ContrastNormalRV
    rv_op = ContrastNormalRV.rv_op

    @classmethod
    def dist(
        cls,
        mu: TensorLike,
        sd: TensorLike,
        *,
        reference: int,
        start: TensorLike | None = None,
        lower_sd: TensorLike | None = None,
        **kwargs: Any,
    ) -> TensorVariable:
        mu, sd = pt.as_tensor(mu, dtype="float64"), pt.as_tensor(sd, dtype="float64")
        _check(sd, reference, 1)
        apart = [mu if start is None else start, sd if lower_sd is None else lower_sd]
        return super().dist([*apart, mu, sd], reference=reference, **kwargs)


@_logprob.register(ContrastNormalRV)
def _logp_of_contrasts(op, values, rng, size, start, lower_sd, mu, sd, **kwargs):
    (value,) = values
    entries = pt.zeros((sd.shape[-1], 0))
    return _log_density(value[..., None], mu[..., None], sd[..., None], entries, op.reference)


class CorrelatedContrastsRV(EffectsRV):
    name = "correlated_contrasts"
    extended_signature = "[rng],[size],(f,p),(k,p),(f,p),(k,p),(k,q)->[rng],(f,p)"
    _print_name = ("CorrelatedContrasts", r"\operatorname{CorrelatedContrasts}")
    options = ("reference",)
    reference: int

    @staticmethod
    def draw(rng, size, start, lower_sd, mu, sd, entries, *, reference):
        shape = pt.concatenate([size, sd.shape[-2:]])
        next_rng, z = pt.random.normal(size=shape, rng=rng, return_next_rng=True)
        n_effects = _known(sd.type.shape[-1])
        steps = multiply_lower(covariance_factor(sd, entries, n_effects), columns(z, n_effects))
        u = pt.stack(steps, axis=-1)
        free = np.delete(np.arange(_known(sd.type.shape[-2])), reference)
        return [next_rng, mu + u[..., free, :] - u[..., [reference], :]]


class CorrelatedContrasts(Continuous):
    r"""
    Differences of correlated normal effects from those of a reference category.

    The :class:`~helpers.effects.ContrastNormal` of several effects, such as intercept and slopes:
    :math:`x_k = \mu_k + u_k - u_{\text{ref}}` with :math:`u_k \sim N(0, D_k L_k L_k' D_k)`
    independent between all K categories, the reference included.

    Parameters
    ----------
    mu : tensor_like of float, shape (K - 1, P)
        Means of the contrasts.
    sd : tensor_like of float, shape (K, P)
        Standard deviations of all categories' effects (sd > 0). One set for the whole batch.
    entries : tensor_like of float, shape (K, P (P - 1) / 2)
        Cholesky factors of the correlations of each category's effects, below their diagonals,
        row by row.
    reference : int
        Position of the reference among the K categories.
    start : tensor_like of float, optional
        Where sampling starts, with the shape of a draw; by default at the mean. It has no part in
        the density.
    lower_sd : tensor_like of float, shape (K, P), optional
        Standard deviations of what varies about these contrasts, for :class:`ConditionedLevel`. No
        part of the density either.

    Returns
    -------
    TensorVariable
        The random variable, with K - 1 contrasts and P effects on its last two axes.

    Examples
    --------
    With one effect it is the :class:`~helpers.effects.ContrastNormal`:

    >>> import numpy as np
    >>> import pymc as pm
    >>> from helpers.effects import CorrelatedContrasts
    >>> sd, entries = np.array([[1.0], [2.0], [3.0]]), np.zeros((3, 0))
    >>> contrasts = CorrelatedContrasts.dist(np.zeros((2, 1)), sd, entries, reference=2)
    >>> print(pm.logp(contrasts, np.array([[0.5], [-1.0]])).eval().round(6))
    -4.010828
    """

    rv_type = CorrelatedContrastsRV
    rv_op = CorrelatedContrastsRV.rv_op

    @classmethod
    def dist(
        cls,
        mu: TensorLike,
        sd: TensorLike,
        entries: TensorLike,
        *,
        reference: int,
        start: TensorLike | None = None,
        lower_sd: TensorLike | None = None,
        **kwargs: Any,
    ) -> TensorVariable:
        mu, sd = pt.as_tensor(mu, dtype="float64"), pt.as_tensor(sd, dtype="float64")
        entries = pt.as_tensor(entries, dtype="float64")
        _check(sd, reference, 2)
        apart = [mu if start is None else start, sd if lower_sd is None else lower_sd]
        return super().dist([*apart, mu, sd, entries], reference=reference, **kwargs)


@_logprob.register(CorrelatedContrastsRV)
def _logp_of_correlated_contrasts(
    op, values, rng, size, start, lower_sd, mu, sd, entries, **kwargs
):
    (value,) = values
    return _log_density(value, mu, sd, entries, op.reference)


def _log_density(value, mu, sd, entries, reference):
    """Normal log-density of contrasts with effects on the last axis, over a batch in front."""
    if value.ndim == 2 and _are_zeros(entries):
        return _log_density_of_one(value, mu, sd, reference)
    core = value.shape[-2:]
    rows = value if value.ndim == 3 else value.reshape((-1, *core))
    means = mu[None] if mu.ndim == 2 else pt.broadcast_to(mu, value.shape).reshape((-1, *core))
    squares, log_scale = contrast_distance(rows, means, sd, entries, reference)
    log_density = -0.5 * (squares + np.log(2 * np.pi) * core[0] * core[1]) - log_scale
    return log_density if value.ndim == 3 else log_density.reshape(value.shape[:-2])


def _are_zeros(entries: TensorVariable) -> bool:
    """Whether effects are known to be uncorrelated."""
    constant = isinstance(entries, Constant) and not np.any(entries.data)
    return constant or entries.type.shape[-1] == 0


def _log_density_of_one(value, mu, sd, reference):
    """The same for one set of uncorrelated effects, which are too few to compile a loop for."""
    weight = sd**-2
    free = np.delete(np.arange(_known(sd.type.shape[0])), reference)
    total = weight.sum(axis=0)
    distance = value - mu
    centre = (weight[free] * distance).sum(axis=0) / total
    squares = (weight[free] * (distance - centre) ** 2).sum() + (
        weight[reference] * centre**2
    ).sum()
    log_scale = pt.log(sd).sum() + 0.5 * pt.log(total).sum()
    n_values = value.shape[0] * value.shape[1]
    return -0.5 * (squares + np.log(2 * np.pi) * n_values) - log_scale


def _check(sd: TensorVariable, reference: int, ndim: int) -> None:
    if sd.ndim != ndim or None in sd.type.shape:
        raise ValueError(
            "Contrasts need one set of standard deviations for the whole batch, of a known shape: "
            f"{'(K,)' if ndim == 1 else '(K, P)'}."
        )
    if not 0 <= reference < _known(sd.type.shape[0]):
        raise ValueError(f"The reference {reference} is none of {sd.type.shape[0]} categories.")


class ConditionedLevel(Transform):
    r"""
    Sample a population's level relative to what its clusters say about it.

    The :class:`~helpers.effects.Conditioned` of levels. With C clusters, each with information
    :math:`h` about its own effect, that vary with variance v about the level, these say as much as
    :math:`C / (1/h + v)` about the level. How much depends on v, and with few clusters v is hardly
    known: sampled by itself, a level would have another scale at each v, which makes a funnel. With
    the prior :math:`N(m, s^2)` of a contrast and the clusters' average :math:`\bar\theta`,

    .. math::

       \mu = \frac{\bar\theta C / (1/h + v) + m / s^2}{C / (1/h + v) + 1 / s^2} + A t, \qquad
       A A' = \operatorname{diag}(q_k^{-1}) + q_{\text{ref}}^{-1} 1 1', \qquad
       q_k = \frac{C}{1/h_k + \sigma_k^2} + \frac{1}{s_k^2}.

    What is not known of the reference's own level is in every contrast, which A holds by the
    symmetric root of a diagonal and a constant.

    A change of variables: *any* constants give the same posterior.

    Parameters
    ----------
    information, score : numpy.ndarray, shape (C, K - 1, P, P) and (C, K - 1, P)
        Expansion of the clusters' log-likelihood, as for :class:`~helpers.effects.Conditioned`.
    reference : int
        Position of the reference.
    single : bool
        Whether the level is that of single effects, without an axis of its own.
    """

    name = "conditioned"

    def __init__(
        self, information: np.ndarray, score: np.ndarray, reference: int, *, single: bool
    ) -> None:
        self.reference = reference
        self.ndim_supp = 1 if single else 2
        self.n_clusters, _, n_effects = score.shape
        unit = np.eye(n_effects)
        estimate = np.linalg.solve(information + 1e-3 * unit, score[..., None])[..., 0]
        h = np.diagonal(information, axis1=-2, axis2=-1)
        weight = h / (1 + h) + 1e-9
        average = (weight * estimate).sum(axis=0) / weight.sum(axis=0)
        spread = 1 / np.maximum(h.mean(axis=0), 1e-6)
        of_single = slice(None), 0
        self.average = average[of_single] if single else average
        self.spread = spread[of_single] if single else spread
        # What counts say is of contrasts: at best the reference is known as well as one of them.
        self.own_spread = np.insert(self.spread, reference, self.spread.min(axis=0), axis=0)
        self.is_reference = np.zeros_like(self.own_spread)
        self.is_reference[reference] = 1.0
        self.is_free = 1.0 - self.is_reference

    def _centre(self, inputs: tuple[Any, ...]) -> TensorVariable:
        lower_sd, mu, sd = inputs[3:6]
        of_clusters = variance_of_contrasts(lower_sd**2, self.reference)
        from_clusters = self.n_clusters / (self.spread + of_clusters)
        from_prior = 1 / variance_of_contrasts(sd**2, self.reference)
        return (self.average * from_clusters + mu * from_prior) / (from_clusters + from_prior)

    def _root(self, inputs: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        """Diagonal of A before its constant, that constant per unit of its sum, and the stretch."""
        lower_sd, _, sd = inputs[3:6]
        q = self.n_clusters / (self.own_spread + lower_sd**2) + 1 / sd**2
        precision = pt.sum(self.is_free * q, axis=0)
        stretch = pt.sqrt(1 + precision / pt.sum(self.is_reference * q, axis=0))
        free = variance_of_contrasts(self.is_free / q, self.reference)
        return pt.sqrt(free), (stretch - 1) / precision, stretch

    def backward(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        root, shift, _ = self._root(inputs)
        return self._centre(inputs) + root * value + shift * pt.sum(value / root, axis=0)

    def forward(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        root, shift, stretch = self._root(inputs)
        away = value - self._centre(inputs)
        return (away - shift * pt.sum(away / root**2, axis=0) / stretch) / root

    def log_jac_det(self, value: TensorVariable, *inputs: Any) -> TensorVariable:
        root, _, stretch = self._root(inputs)
        return pt.sum(pt.log(root)) + pt.sum(pt.log(stretch))


def _known(length: int | None) -> int:
    assert length is not None
    return length
