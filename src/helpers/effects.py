"""Effects that vary by cluster: their covariance, and how they are parametrised for sampling."""

from math import prod

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.distribution import Continuous, SymbolicRandomVariable
from pymc.distributions.shape_utils import implicit_size_from_params, rv_size_is_none
from pymc.logprob.transforms import Transform
from pymc.pytensorf import normalize_rng_param
from pytensor.tensor.random.utils import normalize_size_param

from helpers.fused import conditioned_pair, pair_log_density

__all__ = [
    "ClusterNormal",
    "Conditioned",
    "ConditionedNormal",
    "CorrelatedNormal",
    "JointNormal",
    "cluster_intercepts",
    "correlated_effects",
]

CENTRINGS = ("auto", "conditioned", "centred", "noncentred")
COVARIANCES = ("category", "full", "kronecker", "independent")


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


class ClusterNormalRV(SymbolicRandomVariable):
    name = "cluster_normal"
    extended_signature = "[rng],[size],(),(),()->[rng],()"
    _print_name = ("ClusterNormal", "\\operatorname{ClusterNormal}")

    @classmethod
    def rv_op(cls, start, mu, sigma, *, size=None, rng=None):
        start, mu, sigma = map(pt.as_tensor, (start, mu, sigma))
        rng = normalize_rng_param(rng)
        size = normalize_size_param(size)
        if rv_size_is_none(size):
            size = implicit_size_from_params(start, mu, sigma, ndims_params=cls.ndims_params)
        next_rng, draws = pt.random.normal(mu, sigma, size=size, rng=rng, return_next_rng=True)
        inputs = [rng, size, start, mu, sigma]
        return cls(inputs=inputs, outputs=[next_rng, draws])(*inputs)


class ClusterNormal(Continuous):
    """
    Normal that says where sampling starts.

    Unlike :class:`pymc.Normal` with ``initval``, it leaves a model that :func:`pymc.do` and
    :func:`pymc.observe` can take apart.

    Parameters
    ----------
    mu, sigma : tensor_like of float
        Mean and standard deviation (sigma > 0).
    start : tensor_like of float
        Where sampling starts, with the shape of a draw. It has no part in the density.

    Returns
    -------
    TensorVariable

    Examples
    --------
    >>> import pymc as pm
    >>> from helpers.effects import ClusterNormal
    >>> with pm.Model() as model:
    ...     shift = ClusterNormal("shift", 0.0, 1.0, start=[1.5, -0.5])
    >>> model.initial_point()["shift"]
    array([ 1.5, -0.5])
    """

    rv_type = ClusterNormalRV
    rv_op = ClusterNormalRV.rv_op

    @classmethod
    def dist(cls, mu, sigma, start, **kwargs):
        return super().dist([start, mu, sigma], **kwargs)

    def support_point(rv, size, start, mu, sigma):
        return pt.broadcast_to(start, rv.shape)

    def logp(value, start, mu, sigma):
        """
        Log-density.

        Parameters
        ----------
        value : tensor_like of float

        Returns
        -------
        TensorVariable
        """
        return pm.logp(pm.Normal.dist(mu, sigma), value)


class CorrelatedNormalRV(SymbolicRandomVariable):
    name = "correlated_normal"
    extended_signature = "[rng],[size],(p),(p),(p),(q)->[rng],(p)"
    _print_name = ("CorrelatedNormal", "\\operatorname{CorrelatedNormal}")

    @classmethod
    def rv_op(cls, start, mu, sd, below, *, size=None, rng=None):
        start, mu, sd, below = map(pt.as_tensor, (start, mu, sd, below))
        rng = normalize_rng_param(rng)
        size = normalize_size_param(size)
        if rv_size_is_none(size):
            size = implicit_size_from_params(start, mu, sd, below, ndims_params=cls.ndims_params)
        shape = pt.concatenate([size, [mu.shape[-1]]])
        next_rng, z = pt.random.normal(size=shape, rng=rng, return_next_rng=True)
        z = pt.specify_shape(z, (None,) * (z.ndim - 1) + (mu.type.shape[-1],))
        chol = _scaled(_correlation_factor(_columns(below)), _columns(sd))
        steps = [sum(x * z[..., j] for j, x in enumerate(row)) for row in chol]
        draws = mu + pt.stack(steps, axis=-1)
        inputs = [rng, size, start, mu, sd, below]
        return cls(inputs=inputs, outputs=[next_rng, draws])(*inputs)


class CorrelatedNormal(Continuous):
    r"""
    Multivariate normal of a few effects, given by standard deviations and correlations.

    The same distribution as :class:`pymc.MvNormal`. Unlike it, it is written out entry by entry
    for a handful of effects, so that thousands of clusters are one elementwise pass, and so that
    it compiles in little time.

    .. math::

       x \sim N(\mu, D L L' D), \qquad D = \operatorname{diag}(\sigma)

    Parameters
    ----------
    mu : tensor_like of float
        Means. Shape ``(..., P)``.
    sd : tensor_like of float
        Standard deviations (sd > 0). Shape ``(..., P)``.
    below : tensor_like of float
        Entries of L, the Cholesky factor of the correlation matrix, below its diagonal, row by
        row. Shape ``(..., P (P - 1) / 2)``. For two effects it is their correlation.
    start : tensor_like of float, optional
        Where sampling starts, with the shape of a draw; by default at the mean. It has no part in
        the density.

    Returns
    -------
    TensorVariable
        The random variable, with the P effects on its last axis.

    Examples
    --------
    >>> import numpy as np
    >>> import pymc as pm
    >>> from helpers.effects import CorrelatedNormal
    >>> effect = CorrelatedNormal.dist([0.0, 1.0], [1.0, 2.0], [0.5])
    >>> same = pm.MvNormal.dist([0.0, 1.0], np.array([[1.0, 1.0], [1.0, 4.0]]))
    >>> for distribution in (effect, same):
    ...     print(pm.logp(distribution, np.array([0.3, 0.1])).eval().round(6))
    -2.672183
    -2.672183
    """

    rv_type = CorrelatedNormalRV
    rv_op = CorrelatedNormalRV.rv_op

    @classmethod
    def dist(cls, mu, sd, below, start=None, **kwargs):
        mu, sd = pt.as_tensor(mu), pt.as_tensor(sd)
        below = pt.as_tensor(below, dtype="float64")
        return super().dist([mu if start is None else start, mu, sd, below], **kwargs)

    def support_point(rv, size, start, mu, sd, below):
        return pt.broadcast_to(start, rv.shape)

    def logp(value, start, mu, sd, below):
        """
        Log-density of effects.

        Parameters
        ----------
        value : tensor_like of float
            Effects, on the last axis.

        Returns
        -------
        TensorVariable
        """
        if _is_pair(below) and value.ndim == 3 and mu.ndim == sd.ndim == below.ndim == 2:
            if mu.type.broadcastable == sd.type.broadcastable == value.type.broadcastable[1:]:
                return pair_log_density(value, mu, sd, below[:, 0])
        sds = _columns(sd)
        factor = _correlation_factor(_columns(below))
        distance = [(x - m) / s for x, m, s in zip(_columns(value), _columns(mu), sds, strict=True)]
        z = _solve_lower(factor, distance)
        log_scale = sum(pt.log(s * row[-1]) for s, row in zip(sds, factor, strict=True))
        return -0.5 * (sum(x**2 for x in z) + len(z) * np.log(2 * np.pi)) - log_scale


class JointNormalRV(SymbolicRandomVariable):
    name = "joint_normal"
    extended_signature = "[rng],[size],(k,p),(k,p),(m,m)->[rng],(k,p)"
    _print_name = ("JointNormal", "\\operatorname{JointNormal}")

    @classmethod
    def rv_op(cls, start, mu, chol, *, size=None, rng=None):
        start, mu, chol = map(pt.as_tensor, (start, mu, chol))
        rng = normalize_rng_param(rng)
        size = normalize_size_param(size)
        if rv_size_is_none(size):
            size = implicit_size_from_params(start, mu, chol, ndims_params=cls.ndims_params)
        in_one_row = pt.concatenate([size, [chol.shape[-1]]])
        next_rng, z = pt.random.normal(size=in_one_row, rng=rng, return_next_rng=True)
        step = pt.sum(chol * z[..., None, :], axis=-1)
        shape = pt.concatenate([size, mu.shape[-2:]])
        draws = mu + pt.reshape(step, shape, ndim=step.ndim + 1)
        inputs = [rng, size, start, mu, chol]
        return cls(inputs=inputs, outputs=[next_rng, draws])(*inputs)


class JointNormal(Continuous):
    r"""
    Normal over all effects of all categories at once, with one covariance.

    The same distribution as :class:`pymc.MvNormal` of the effects in one row, category by
    category. Unlike it, categories and effects keep an axis each.

    Parameters
    ----------
    mu : tensor_like of float
        Means. Shape ``(K, P)``.
    chol : tensor_like of float
        Lower Cholesky factor of the covariance of the K P effects, those of a category side by
        side. Shape ``(K P, K P)``.
    start : tensor_like of float, optional
        Where sampling starts, with the shape of a draw; by default at the mean. It has no part in
        the density.

    Returns
    -------
    TensorVariable
        The random variable, with K categories and P effects on its last two axes.

    Examples
    --------
    >>> import numpy as np
    >>> import pymc as pm
    >>> from helpers.effects import JointNormal
    >>> effects = JointNormal.dist(np.zeros((3, 2)), np.eye(6), shape=(20, 3, 2))
    >>> pm.draw(effects).shape
    (20, 3, 2)
    """

    rv_type = JointNormalRV
    rv_op = JointNormalRV.rv_op

    @classmethod
    def dist(cls, mu, chol, start=None, **kwargs):
        mu, chol = pt.as_tensor(mu), pt.as_tensor(chol)
        return super().dist([mu if start is None else start, mu, chol], **kwargs)

    def support_point(rv, size, start, mu, chol):
        return pt.broadcast_to(start, rv.shape)

    def logp(value, start, mu, chol):
        """
        Log-density of effects.

        Parameters
        ----------
        value : tensor_like of float
            Effects, on the last two axes.

        Returns
        -------
        TensorVariable
        """
        # Not by `pm.MvNormal`, which would multiply the factor out and take it apart again.
        distance = (value - mu).flatten(value.ndim - 1)
        columns = distance.reshape((-1, chol.shape[-1])).T
        z = pt.linalg.solve_triangular(chol, columns, lower=True)
        log_scale = pt.log(pt.diagonal(chol)).sum()
        by_column = -0.5 * (z**2 + np.log(2 * np.pi)).sum(axis=0) - log_scale
        return by_column.reshape(distance.shape[:-1])


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


def _chosen(centring, pilot):
    """Check the choice of parametrisation, and make "auto" one of the others."""
    if centring not in CENTRINGS:
        raise ValueError(f"`centring` must be one of {', '.join(CENTRINGS)}, not {centring!r}.")
    if centring == "auto":
        return "noncentred" if pilot is None else "conditioned"
    if centring == "conditioned" and pilot is None:
        raise ValueError(
            'centring="conditioned" needs a pilot (information, score) from the data: give one, '
            'or choose "centred" or "noncentred".'
        )
    return centring


def cluster_intercepts(name, mean, sd, *, dims, centring="auto", information=None):
    """
    Normal intercepts that vary by cluster, in the parametrisation asked for.

    Unlike writing :class:`pymc.Normal` out, the choice of parametrisation is an argument and
    leaves names, dims and prior draws as they are. For more than one effect see
    :func:`~helpers.correlated_effects`.

    Parameters
    ----------
    name : str
        Name of the effect.
    mean, sd : tensor_like, broadcastable to ``dims``
        Population mean and standard deviation.
    dims : tuple of str
        Dims of the effect, such as ``("cluster", "contrast")``.
    centring : {"auto", "conditioned", "centred", "noncentred"}
        ``"auto"`` is ``"conditioned"`` where `information` is given, else ``"noncentred"``.
    information : tuple of numpy.ndarray, optional
        h and b of :class:`~helpers.effects.ConditionedNormal`, each with the effect's shape, and
        perhaps its coupling of the categories; needed for ``"conditioned"``. Those of
        :func:`~helpers.pilot.expand_likelihood` have axes for several effects, of length 1 here.

    Returns
    -------
    TensorVariable
        The effect, with the given dims.

    Raises
    ------
    ValueError
        For an unknown `centring`, or ``"conditioned"`` without `information`.

    Examples
    --------
    >>> import pymc as pm
    >>> from helpers.effects import cluster_intercepts
    >>> with pm.Model(coords={"cluster": range(5)}) as model:
    ...     sd = pm.Exponential("sd", 1)
    ...     shift = cluster_intercepts("shift", 0.0, sd, dims=("cluster",), centring="centred")
    >>> [rv.name for rv in model.free_RVs]
    ['sd', 'shift']
    """
    centring = _chosen(centring, information)
    if centring == "noncentred":
        z = pm.Normal(f"{name}_z", dims=dims)
        return pm.Deterministic(name, mean + sd * z, dims=dims)
    if centring == "centred":
        return pm.Normal(name, mean, sd, dims=dims)
    transform = ConditionedNormal(*information)
    return ClusterNormal(name, mean, sd, transform.start, dims=dims, transform=transform)


def correlated_effects(
    name,
    *,
    dims=("cluster", "category", "effect"),
    eta=4.0,
    mean=None,
    sd=None,
    covariance="category",
    centring="auto",
    information=None,
):
    r"""
    Effects that vary by cluster and are correlated, for all categories at once.

    Unlike a loop of :class:`pymc.LKJCholeskyCov` and :class:`pymc.MvNormal` over categories, it
    is one batched variable of the same density, keeps the model's dims, and can be sampled
    centred, non-centred or conditioned on the data.

    .. math::

       \theta_{ck} \sim N(\mu_k, \Sigma_k), \qquad \Sigma_k = D_k \Omega_k D_k, \qquad
       \Omega_k \sim \operatorname{LKJ}(\eta)

    Parameters
    ----------
    name : str
        Name of the effects; the other variables are named after it.
    dims : tuple of three str
        Dims of clusters, categories and effects (intercept, slopes), all with coordinates in the
        model.
    eta : float
        Concentration of the LKJ prior on correlations (eta > 0); 1 is uniform over correlation
        matrices, larger is closer to no correlation.
    mean : tensor_like, shape (category, effect), optional
        Population means; if not given, ``{name}_mean`` with prior N(0, 2).
    sd : tensor_like, shape (category, effect), optional
        Standard deviations between clusters (sd > 0); if not given, ``{name}_sd`` with prior
        Exponential(1).
    covariance : {"category", "full", "kronecker", "independent"}
        ``"category"``: one covariance of the effects for each category, categories independent.
        ``"full"``: one covariance over all effects of all categories. ``"kronecker"``: the
        product of a covariance between categories and one between effects. ``"independent"``: no
        correlations.
    centring : {"auto", "conditioned", "centred", "noncentred"}
        Parametrisation. It changes how fast the model samples, not what it says. ``"auto"`` is
        ``"conditioned"`` where `information` is given, else ``"noncentred"``.
    information : tuple of numpy.ndarray, optional
        H, shape (cluster, category, effect, effect), and b, shape (cluster, category, effect), of
        :class:`~helpers.effects.Conditioned`, as from :func:`~helpers.pilot.expand_likelihood`;
        a third array may hold its coupling of the categories.

    Returns
    -------
    TensorVariable
        The effects, with the given dims. Registered as well, with P effects and K categories:

        - ``{name}_mean`` and ``{name}_sd`` (category, effect), unless given. For ``"kronecker"``
          without `sd`, ``{name}_sd`` is the product of ``{name}_category_sd``, whose prior is
          Exponential(1), and ``{name}_effect_scale``, which sums to P and whose prior is that of
          P times a Dirichlet(2);
        - correlations: ``{name}_corr`` (category, effect, effect_bis) for ``"category"``;
          (category, effect, category_bis, effect_bis) for ``"full"``; ``{name}_category_corr``
          (category, category_bis) and ``{name}_effect_corr`` (effect, effect_bis) for
          ``"kronecker"``.

        What is sampled for them is ``{name}_corr_chol``, their Cholesky factor, or for
        ``"category"`` ``{name}_corr_beta``, (1 + r) / 2 with r the correlation of two effects
        given those before them; shape (category,) for two effects, (category, pair) for more.

    Raises
    ------
    ValueError
        For an unknown choice, dims without coordinates, or a pilot of the wrong shape.

    Notes
    -----
    With a single effect there is nothing to correlate: the variable of correlations is left out.

    References
    ----------
    Lewandowski, D., Kurowicka, D., & Joe, H. (2009). Generating random correlation matrices based
    on vines and extended onion method. Journal of Multivariate Analysis, 100(9), 1989-2001.

    Examples
    --------
    >>> import pymc as pm
    >>> from helpers import correlated_effects
    >>> coords = {"cluster": range(20), "category": list("abc"), "effect": ["intercept", "x"]}
    >>> with pm.Model(coords=coords) as model:
    ...     theta = correlated_effects("theta")
    >>> [v.name for v in model.free_RVs]
    ['theta_mean', 'theta_sd', 'theta_corr_beta', 'theta_z']
    >>> theta.eval().shape
    (20, 3, 2)
    """
    model = pm.modelcontext(None)
    if covariance not in COVARIANCES:
        raise ValueError(
            f"`covariance` must be one of {', '.join(COVARIANCES)}, not {covariance!r}."
        )
    centring = _chosen(centring, information)
    dims = tuple(dims)
    if len(dims) != 3:
        raise ValueError(f"`dims` must name clusters, categories and effects, not {dims}.")
    for dim in dims:
        if model.coords.get(dim) is None:
            raise ValueError(
                f"The model has no coordinate {dim!r}: give it, as in "
                f"pm.Model(coords={{{dim!r}: [...]}})."
            )
    _, category, effect = dims
    shape = n_clusters, n_categories, n_effects = [len(model.coords[dim]) for dim in dims]
    if information is not None:
        got = tuple(np.shape(x) for x in information)
        need = ((*shape, n_effects), tuple(shape))
        if got[:2] != need or len(got) > 3:
            raise ValueError(f"`information` must have the shapes {need}, not {got}.")

    if mean is None:
        mean = pm.Normal(f"{name}_mean", 0, 2, dims=(category, effect))
    joint = covariance in ("full", "kronecker") and n_categories > 1
    if sd is None and joint and covariance == "kronecker":
        sd = _kronecker_sd(name, category, effect, n_effects)
    elif sd is None:
        sd = pm.Exponential(f"{name}_sd", 1, dims=(category, effect))
    # Shapes must be known, for the entries of small matrices are written out one by one.
    mean, sd = (pt.specify_shape(x * np.ones(shape[1:]), shape[1:]) for x in (mean, sd))

    if joint:
        chol = _joint_factor(name, covariance, eta, dims, n_categories, n_effects)
        parameters = mean, sd.flatten()[:, None] * chol
        distribution = JointNormal
    else:
        correlated = covariance != "independent"
        below = _below(name, eta, category, effect, n_categories, n_effects, correlated)
        parameters = mean, sd, below
        distribution = CorrelatedNormal

    if centring == "noncentred":
        z = pm.Normal(f"{name}_z", dims=dims)
        if joint:
            step = _times_effects(parameters[1], z, shape)
        else:
            chol = _scaled(_correlation_factor(_columns(below)), _columns(sd))
            steps = [
                sum(x * y for x, y in zip(row, _columns(z, n_effects), strict=False))
                for row in chol
            ]
            step = _side_by_side(steps, z)
        return pm.Deterministic(name, mean + step, dims=dims)
    own = {}
    if centring == "conditioned":
        transform = Conditioned(*information, joint=joint)
        own = {"transform": transform, "start": transform.start}
    return distribution(name, *parameters, dims=dims, shape=tuple(shape), **own)


def _bis(dim):
    """Name of a dim's second copy, on the other side of a correlation matrix."""
    model = pm.modelcontext(None)
    copy = f"{dim}_bis"
    if copy not in model.coords:
        model.add_coord(copy, model.coords[dim])
    return copy


def _kronecker_sd(name, category, effect, n_effects):
    by_category = pm.Exponential(f"{name}_category_sd", 1, dims=category)
    if n_effects == 1:
        return pm.Deterministic(f"{name}_sd", by_category[:, None], dims=(category, effect))
    # Only products of the two are seen, so one of them is relative.
    shares = pm.Dirichlet(f"{name}_effect_share", 2 * np.ones(n_effects))
    scale = pm.Deterministic(f"{name}_effect_scale", n_effects * shares, dims=effect)
    return pm.Deterministic(f"{name}_sd", by_category[:, None] * scale, dims=(category, effect))


def _below(name, eta, category, effect, n_categories, n_effects, correlated):
    """Entries below the diagonal of each category's Cholesky factor; shape (K, P (P - 1) / 2)."""
    pairs = [(i, j) for i in range(n_effects) for j in range(i)]
    if not correlated or not pairs:
        return pt.zeros((n_categories, len(pairs)))
    # LKJ by partial correlations, that of effects i and j given those before j: independent, and
    # entry by entry, which compiles in a fraction of the time of a matrix's log-density.
    if n_effects == 2:
        half = pm.Beta(f"{name}_corr_beta", eta, eta, dims=category)
    else:
        eta = eta + np.array([(n_effects - 2 - j) / 2 for _, j in pairs])
        half = pm.Beta(f"{name}_corr_beta", eta, eta, shape=(n_categories, len(pairs)))
    partial = _columns(half.reshape((n_categories, len(pairs))), len(pairs))
    partial = {pair: 2 * x - 1 for pair, x in zip(pairs, partial, strict=True)}
    below = []
    for i, j in pairs:
        left = prod(pt.sqrt(1 - partial[i, k] ** 2) for k in range(j))
        below.append(partial[i, j] * left)
    factor, corr = _correlation_factor(below), np.eye(n_effects)
    for i, j in pairs:
        r = sum(x * y for x, y in zip(factor[i], factor[j], strict=False))
        corr = corr + r[:, None, None] * _both_ways(i, j, n_effects)
    pm.Deterministic(f"{name}_corr", corr, dims=(category, effect, _bis(effect)))
    return pt.specify_shape(pt.stack(below, axis=-1), (n_categories, len(pairs)))


def _both_ways(i, j, size):
    """Where the correlation of effects i and j stands in their matrix."""
    place = np.zeros((size, size))
    place[i, j] = place[j, i] = 1
    return place


def _lkj(name, eta, size):
    """Cholesky factor of one correlation matrix."""
    if size == 1:
        return pt.ones((1, 1))
    return pm.LKJCorr(f"{name}_chol", n=size, eta=eta)


def _times_transpose(matrix):
    """L L'; a sum, as in `_times_effects`."""
    return pt.sum(matrix[:, None, :] * matrix, axis=-1)


def _joint_factor(name, covariance, eta, dims, n_categories, n_effects):
    """Cholesky factor of the correlations of all effects, those of a category side by side."""
    _, category, effect = dims
    size = n_categories * n_effects
    if covariance == "full":
        chol = _lkj(f"{name}_corr", eta, size)
        corr = _times_transpose(chol).reshape((n_categories, n_effects) * 2)
        corr_dims = (category, effect, _bis(category), _bis(effect))
        pm.Deterministic(f"{name}_corr", corr, dims=corr_dims)
        return chol
    between = _lkj(f"{name}_category_corr", eta, n_categories)
    within = _lkj(f"{name}_effect_corr", eta, n_effects)
    corr = _times_transpose(between)
    pm.Deterministic(f"{name}_category_corr", corr, dims=(category, _bis(category)))
    pm.Deterministic(f"{name}_effect_corr", _times_transpose(within), dims=(effect, _bis(effect)))
    return (between[:, None, :, None] * within[None, :, None, :]).reshape((size, size))
