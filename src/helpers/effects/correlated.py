"""Effects that vary by cluster: their covariance and their parametrisation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor import TensorLike, TensorVariable

from helpers.data.messages import require_choice
from helpers.effects._correlations import (
    correlations_by_category,
    correlations_of_all,
    kronecker_sd,
    register_correlations,
)
from helpers.effects.conditioned import Conditioned, Quadratic
from helpers.effects.contrasts import ContrastNormal, CorrelatedContrasts
from helpers.effects.normal import ClusterNormal, CorrelatedNormal, JointNormal
from helpers.effects.spreads import pooled_spreads
from helpers.ops.conditioned import couple
from helpers.ops.contrasts import contrast_covariance
from helpers.ops.triangular import columns, covariance_factor, multiply_lower, side_by_side

__all__ = ["CENTRINGS", "COVARIANCES", "cluster_intercepts", "correlated_effects"]

CENTRINGS = ("auto", "conditioned", "centred", "noncentred")
COVARIANCES = ("category", "full", "kronecker", "independent")


def _parametrisation(centring: str, information: Quadratic | tuple | None) -> str:
    """Check the choice of parametrisation, and make "auto" one of the others."""
    require_choice("centring", centring, CENTRINGS)
    if centring == "auto":
        return "noncentred" if information is None else "conditioned"
    if centring == "conditioned" and information is None:
        raise ValueError(
            'centring="conditioned" needs a pilot (information, score) from the data: give one, '
            'or choose "centred" or "noncentred".'
        )
    return centring


def cluster_intercepts(
    name: str,
    mean: TensorLike,
    sd: TensorLike,
    *,
    dims: Sequence[str],
    centring: str = "auto",
    information: Quadratic | tuple | None = None,
    reference: int | None = None,
    categories: str = "category",
) -> TensorVariable:
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
    information : Quadratic or tuple of numpy.ndarray, optional
        The pilot's expansion, with h and b of the effect's shape and perhaps a coupling of the
        categories, as :meth:`~helpers.effects.Quadratic.of_single_effects` returns it; needed for
        ``"conditioned"``.
    reference : int, optional
        Given, the last dim is that of contrasts with this category, and `sd`, shape (K,), is of
        all categories, the reference included, see :class:`~helpers.effects.ContrastNormal`.
    categories : str
        The dim of all categories; needed for ``"noncentred"`` with a reference.

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
    centring = _parametrisation(centring, information)
    if reference is not None:
        return _intercept_contrasts(
            name, mean, sd, dims, centring, information, reference, categories
        )
    if centring == "noncentred":
        z = pm.Normal(f"{name}_z", dims=dims)
        return pm.Deterministic(name, mean + sd * z, dims=dims)
    if centring == "centred":
        return pm.Normal(name, mean, sd, dims=dims)
    assert information is not None
    transform = Conditioned(*information)
    return ClusterNormal(name, mean, sd, transform.start, dims=dims, transform=transform)


def _intercept_contrasts(name, mean, sd, dims, centring, information, reference, categories):
    """Intercepts as differences from the reference's."""
    if centring == "noncentred":
        effects = sd * pm.Normal(f"{name}_z", dims=(*dims[:-1], categories))
        steps = _differences(effects, pt.as_tensor(sd).type.shape[-1], reference, -1)
        return pm.Deterministic(name, mean + steps, dims=dims)
    options: dict[str, Any] = {}
    if centring == "conditioned":
        transform = Conditioned(*information, reference=reference)
        options = {"transform": transform, "start": transform.start}
    means = mean * np.ones(len(pm.modelcontext(None).coords[dims[-1]]))
    return ContrastNormal(name, means, sd, reference=reference, dims=dims, **options)


def _differences(effects, n_categories, reference, axis):
    """Differences of all categories but the reference from it."""
    free = np.delete(np.arange(n_categories), reference)
    return pt.take(effects, free, axis=axis) - pt.take(effects, [reference], axis=axis)


def correlated_effects(
    name: str,
    *,
    dims: Sequence[str] = ("cluster", "category", "effect"),
    eta: float = 4.0,
    mean: TensorLike | None = None,
    sd: TensorLike | None = None,
    covariance: str = "category",
    centring: str = "auto",
    information: Quadratic | tuple | None = None,
    reference: int | None = None,
    categories: str = "category",
) -> TensorVariable:
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
    information : Quadratic or tuple of numpy.ndarray, optional
        The pilot's expansion, as from :func:`~helpers.effects.expand_likelihood`: H, shape
        (cluster, category, effect, effect), b, shape (cluster, category, effect), and perhaps a
        coupling of the categories, see :class:`~helpers.effects.Conditioned`.
    reference : int, optional
        Given, the second dim is that of contrasts with this category, and every category, the
        reference too, has standard deviations and correlations of its own: the same model whichever
        is the reference, see :class:`~helpers.effects.CorrelatedContrasts`. For "category" and
        "independent" only.
    categories : str
        The dim of all categories, the reference included, for `sd` and correlations of such
        effects. What is sampled for them is called ``{name}_spread``, with the prior of
        :func:`~helpers.effects.pooled_spreads`, and ``{name}_spread_corr_beta``; ``{name}_sd`` and
        ``{name}_corr`` are those of the contrasts.

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
    require_choice("covariance", covariance, COVARIANCES)
    centring = _parametrisation(centring, information)
    shape = _known_shape(dims)
    _, category, effect = dims
    if information is not None:
        got = tuple(np.shape(x) for x in information)
        need = ((*shape, shape[-1]), shape)
        if got[:2] != need or len(got) > 3:
            raise ValueError(f"`information` must have the shapes {need}, not {got}.")

    if mean is None:
        mean = pm.Normal(f"{name}_mean", 0, 2, dims=(category, effect))
    if reference is not None:
        if covariance not in ("category", "independent"):
            raise ValueError(
                f'Covariance "{covariance}" is of contrasts, and depends on which category is the '
                "reference: leave `reference` out."
            )
        return _correlated_contrasts(
            name, dims, eta, mean, sd, covariance, centring, information, reference, categories
        )
    joint = covariance in ("full", "kronecker") and shape[1] > 1
    if sd is None and joint and covariance == "kronecker":
        sd = kronecker_sd(name, category, effect)
    elif sd is None:
        sd = pm.Exponential(f"{name}_sd", 1, dims=(category, effect))
    # Shapes must be known, because the entries of small matrices are written out one by one.
    means, sds = (
        pt.specify_shape(pt.as_tensor(x) * np.ones(shape[1:]), shape[1:]) for x in (mean, sd)
    )

    distribution: type
    parameters: tuple
    if joint:
        chol = correlations_of_all(name, covariance, eta, category, effect)
        distribution, parameters = JointNormal, (means, sds.flatten()[:, None] * chol)
    else:
        correlated = covariance != "independent"
        entries = correlations_by_category(name, eta, category, effect, correlated)
        distribution, parameters = CorrelatedNormal, (means, sds, entries)

    if centring == "noncentred":
        z = pm.Normal(f"{name}_z", dims=dims)
        step = couple(parameters[1], z) if joint else _spread(z, sds, entries)
        return pm.Deterministic(name, means + step, dims=dims)
    options: dict[str, Any] = {}
    if centring == "conditioned":
        assert information is not None
        transform = Conditioned(*information, joint=joint)
        options = {"transform": transform, "start": transform.start}
    return distribution(name, *parameters, dims=dims, shape=shape, **options)


def _correlated_contrasts(
    name, dims, eta, mean, sd, covariance, centring, information, reference, categories
):
    """Effects as differences from the reference's."""
    _, contrast, effect = dims
    shape = _known_shape(dims)
    n_categories = shape[1] + 1
    if sd is None:
        sd = pooled_spreads(f"{name}_spread", (categories, effect))
    sds = pt.specify_shape(
        pt.as_tensor(sd) * np.ones((n_categories, shape[2])), (n_categories, shape[2])
    )
    correlated = covariance != "independent"
    entries = correlations_by_category(f"{name}_spread", eta, categories, effect, correlated)
    sd_of_contrasts, entries_of_contrasts = contrast_covariance(sds, entries, reference)
    pm.Deterministic(f"{name}_sd", sd_of_contrasts, dims=(contrast, effect))
    if correlated and shape[2] > 1:
        register_correlations(f"{name}_corr", entries_of_contrasts, contrast, effect)
    means = pt.specify_shape(pt.as_tensor(mean) * np.ones(shape[1:]), shape[1:])
    if centring == "noncentred":
        z = pm.Normal(f"{name}_z", dims=(dims[0], categories, effect))
        step = _differences(_spread(z, sds, entries), n_categories, reference, 1)
        return pm.Deterministic(name, means + step, dims=dims)
    options: dict[str, Any] = {}
    if centring == "conditioned":
        transform = Conditioned(*information, reference=reference)
        options = {"transform": transform, "start": transform.start}
    parameters = means, sds, entries
    return CorrelatedContrasts(
        name, *parameters, reference=reference, dims=dims, shape=shape, **options
    )


def _known_shape(dims: Sequence[str]) -> tuple[int, ...]:
    """Lengths of the dims, which must be three and have coordinates."""
    if len(tuple(dims)) != 3:
        raise ValueError(f"`dims` must name clusters, categories and effects, not {tuple(dims)}.")
    coords = pm.modelcontext(None).coords
    for dim in dims:
        if coords.get(dim) is None:
            raise ValueError(
                f"The model has no coordinate {dim!r}: give it, as in "
                f"pm.Model(coords={{{dim!r}: [...]}})."
            )
    return tuple(len(coords[dim]) for dim in dims)


def _spread(z, sd, entries):
    """Each category's L z."""
    steps = multiply_lower(covariance_factor(sd, entries), columns(z, sd.type.shape[-1]))
    return side_by_side(steps, z)
