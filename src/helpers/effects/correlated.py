"""Effects that vary by cluster: their covariance and their parametrisation."""

from math import prod

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from helpers.effects._triangular import (
    _columns,
    _correlation_factor,
    _scaled,
    _side_by_side,
    _times_effects,
)
from helpers.effects.conditioned import Conditioned, ConditionedNormal
from helpers.effects.normal import ClusterNormal, CorrelatedNormal, JointNormal

__all__ = ["cluster_intercepts", "correlated_effects"]


CENTRINGS = ("auto", "conditioned", "centred", "noncentred")


COVARIANCES = ("category", "full", "kronecker", "independent")


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
