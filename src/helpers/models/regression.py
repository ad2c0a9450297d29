"""From counts and a few choices to a PyMC model."""

from functools import partial

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from helpers.distributions.dirichlet import MaskedDirichletMultinomial
from helpers.distributions.masked import MaskedMultinomial
from helpers.distributions.zero_inflated import ZeroInflatedMultinomial
from helpers.effects.correlated import (
    CENTRINGS,
    COVARIANCES,
    cluster_intercepts,
    correlated_effects,
)
from helpers.effects.drift import date_gaps, random_walk
from helpers.models.choices import (
    _check_clusters,
    _check_unknown,
    _distinct_dates,
    _inflated,
    _pilot,
    _require,
    _standardise,
    choose_reference,
)
from helpers.models.priors import DEFAULT_PRIORS, _check_priors
from helpers.ops.logits import cluster_logits
from helpers.ops.shares import masked_shares

__all__ = ["masked_regression"]


def masked_regression(
    data,
    *,
    effects="slopes",
    covariance="category",
    centring="auto",
    likelihood="multinomial",
    drift=None,
    availability="known",
    inflated=None,
    menu_of="row",
    psi_by=None,
    reference=None,
    priors=None,
):
    r"""
    Regression of counts on clusters and predictors, for categories not always on the menu.

    Unlike a multinomial regression on all categories, its shares are normalised over what each
    row's menu held, so that the latent preferences are not pulled down by what could not be
    chosen:

    .. math::

       y_i \sim \operatorname{MaskedMultinomial}(n_i, \eta_i, a_i), \qquad
       \eta_{ik} = \alpha_{c(i)k} + \sum_p \tilde x_{ip} \beta_{c(i)kp} + w_{d(i)k}, \qquad
       (\alpha_{ck}, \beta_{ck}) \sim N(\mu_k, \Sigma_k),

    with standardised predictors :math:`\tilde x`, perhaps a drift w over dates, and
    :math:`\eta = 0` for the reference category.

    Parameters
    ----------
    data : CategoryCounts
        R rows, K categories.
    effects : {"slopes", "intercepts", "pooled"}
        Which effects vary by cluster: intercepts and slopes, intercepts only (with common
        slopes), or none. Without predictors, "slopes" is "intercepts".
    covariance : {"category", "full", "kronecker", "independent"}
        Structure of the covariance of varying slopes, as in
        :func:`~helpers.correlated_effects`: intercepts and slopes correlated within each category,
        across all categories in one matrix, as a product of the two, or not at all. Intercepts on
        their own are independent.
    centring : {"auto", "conditioned", "centred", "noncentred"}
        Parametrisation of the varying effects. It changes how fast the model samples, not what
        it says. "auto" conditions on a pilot fit to the data, which suits clusters with many
        counts and with few.
    likelihood : {"multinomial", "dirichlet-multinomial"}
        Distribution of the counts given the shares. The second lets rows scatter about them, see
        :class:`~helpers.MaskedDirichletMultinomial`.
    drift : {None, "walk"}
        Whether preferences drift over dates: a random walk of each category's logit, the same in
        all clusters, see :func:`~helpers.drift.random_walk`.
    availability : {"known", "unknown", "ignored"}
        Whether the menus are used. "unknown": a zero of the categories `inflated` may mean that
        they were not on the menu, see :class:`~helpers.ZeroInflatedMultinomial`; cells that are
        missing in the data are still known to be off it. "ignored" is the plain multinomial, for
        comparison: it reads what was not on the menu as not chosen.
    inflated : sequence of str, optional
        For unknown menus: the categories that may be off them. If not given, all that have a zero
        in some row, but for the reference, which must be on every menu.
    menu_of : {"row", "cluster"}
        For unknown menus: whether each row has its own, or all rows of a cluster share one.
    psi_by : {None, "cluster"}
        For unknown menus: whether a category is on the menu with the same probability
        everywhere, or with one of each cluster's own.
    reference : str, optional
        Category whose logit is 0; it need not be on every menu. If not given,
        :func:`~helpers.models.choose_reference` picks one.
    priors : mapping of str to callable, optional
        Priors to use in place of the defaults, by parameter: ``intercept`` (pooled),
        ``intercept_mean``, ``intercept_sd``, ``slope``, ``effects_mean``, ``effects_sd``, ``psi``,
        ``concentration``, ``drift_sd``. Each is called as ``prior(name, dims=dims)`` inside the
        model, as in ``{"slope": functools.partial(pm.Normal, mu=0, sigma=0.5)}``.

    Returns
    -------
    pymc.Model
        With coords ``row``, ``category``, ``contrast`` (all categories but the reference),
        ``cluster`` and ``predictor``, and these named variables:

        - data: ``available`` (row, category), ``n`` (row), ``cluster_index`` (row),
          ``predictors`` (row, predictor) in their own units, and ``predictor_mean`` and
          ``predictor_sd``, by which they are standardised inside;
        - parameters, slopes being per standard deviation of the predictor. Pooled:
          ``intercept`` (contrast) and ``slope`` (predictor, contrast). Intercepts:
          ``intercept_mean``, ``intercept_sd`` (contrast), ``intercept`` (cluster, contrast) and
          ``slope``. Slopes: ``effects_mean``, ``effects_sd`` (contrast, effect), ``effects_corr``
          and ``effects`` (cluster, contrast, effect), where the dim ``effect`` is "intercept" and
          the predictors;
        - ``psi`` (inflated), for unknown menus: the probability of being on the menu; with
          `psi_by`, (cluster, inflated);
        - ``concentration``, for the Dirichlet-multinomial;
        - ``drift`` (date, contrast), with mean zero over the dates at which the category was on
          some menu, and ``drift_sd`` (contrast), the
          standard deviation of its steps over the mean gap between dates. The data of the model
          has ``date_index`` (row) then;
        - ``logits``, the linear predictor; ``preference``, the latent preferences with everything
          on the menu; ``share``, what is expected under each row's menu as the data have it (where
          menus are unknown, with all on it that may be): all (row, category);
        - ``counts`` (row, category), the observed counts.

    Raises
    ------
    ValueError
        For an unknown choice, category or prior, for varying effects without a cluster, for
        predictors that do not vary or repeat each other, and for varying slopes of a predictor
        that is the same in all rows of each cluster.

    Notes
    -----
    For other menus, and for new rows, there is :func:`~helpers.what_if`. By hand, exchange
    ``available``, ``n``, ``cluster_index``, ``date_index`` and ``predictors`` with
    :func:`pymc.set_data`, the coordinate ``row`` with them, and draw with
    ``pm.sample_posterior_predictive(..., predictions=True)``.

    Data and dims can be exchanged, which the compiled model pays for at every step: sample with
    ``pm.sample(..., compile_kwargs={"freeze_model": True})``, which takes them as constants while
    it samples.

    With thousands of choices in each row, ``nuts={"target_accept": 0.6}`` takes half as
    many steps for draws worth nearly as much; with few choices it does not (chapter 6).

    With tens of thousands of effects, add ``nuts={"target_accept": 0.92, "max_treedepth": 5}``:
    the paths that NUTS would take end where R-hat suffers most (chapter 6 shows why, and how
    draws go to a folder where they do not fit into memory).

    References
    ----------
    McFadden, D. (1974). Conditional logit analysis of qualitative choice behavior. In Frontiers
    in Econometrics, pages 105-142. Academic Press.

    Examples
    --------
    >>> from helpers import masked_regression, simulate_counts
    >>> data, truth = simulate_counts(n_clusters=5, n_dates=2, random_seed=1)
    >>> model = masked_regression(data, effects="intercepts")
    >>> [rv.name for rv in model.free_RVs]
    ['intercept_mean', 'intercept_sd', 'intercept', 'slope']
    >>> model = masked_regression(data, effects="slopes")
    >>> [rv.name for rv in model.free_RVs]
    ['effects_mean', 'effects_sd', 'effects_corr_beta', 'effects']
    """
    _require("effects", effects, ("slopes", "intercepts", "pooled"))
    _require("covariance", covariance, COVARIANCES)
    _require("centring", centring, CENTRINGS)
    _require("likelihood", likelihood, ("multinomial", "dirichlet-multinomial"))
    _require("drift", drift, (None, "walk"))
    _require("availability", availability, ("known", "unknown", "ignored"))
    n_predictors = data.predictors.shape[1]
    if effects == "slopes" and not n_predictors:
        effects = "intercepts"
    scaled = _standardise(data.predictors) if n_predictors else None
    unknown, overdispersed = availability == "unknown", likelihood == "dirichlet-multinomial"
    _check_clusters(data, effects)
    _check_unknown(data, unknown, overdispersed, inflated, menu_of, psi_by)
    if reference is None:
        reference = choose_reference(data, availability)
    _require("reference", reference, data.categories)
    place = data.categories.index(reference)
    priors = dict(priors or {})
    _check_priors(priors, effects, n_predictors, covariance, unknown, overdispersed, drift)

    def prior(name, dims):
        return priors.get(name, DEFAULT_PRIORS[name])(name, dims=dims)

    coords = data.coords | {"contrast": [c for c in data.categories if c != reference]}
    if effects == "slopes":
        coords["effect"] = ["intercept", *data.predictors.columns]
    dates = None if drift is None else _distinct_dates(data)
    if drift is not None:
        coords["date"] = dates.to_numpy()
    menus = np.ones_like(data.available) if availability == "ignored" else data.available
    pilot_menus = menus
    if unknown:
        coords["inflated"] = _inflated(data, inflated, reference)
        doubt = np.isin(data.categories, coords["inflated"])
        # The pilot takes every zero in doubt for a missing category: it only has to be near.
        pilot_menus = menus & ~(doubt & (data.counts == 0))
    information = by_date = None
    if centring in ("auto", "conditioned") and (effects != "pooled" or drift is not None):
        pilot = _pilot(data, pilot_menus, effects, place, dates, overdispersed)
        information, by_date = pilot.by_cluster, pilot.by_date

    with pm.Model(coords=coords) as model:
        available = pm.Data("available", menus, dims=("row", "category"))
        n = pm.Data("n", data.n, dims="row")
        if effects != "pooled" or psi_by is not None:
            pm.Data("cluster_index", data.cluster.codes.astype(int), dims="row")
        x = _scaled_predictors(data, scaled) if n_predictors else None
        logits = _effects_by_row(prior, effects, covariance, centring, information, place, x)
        if drift is not None:
            date_codes = dates.get_indexer(data.date)
            date_index = pm.Data("date_index", date_codes, dims="row")
            on_some_menu = np.zeros((len(dates), len(data.categories)), dtype=bool)
            np.logical_or.at(on_some_menu, date_codes, menus)
            walk = random_walk(
                "drift",
                prior("drift_sd", "contrast"),
                date_gaps(dates),
                dims=("date", "contrast"),
                weights=np.delete(on_some_menu, place, axis=1),
                centring=centring,
                information=by_date,
            )
            logits = logits + cluster_logits(walk[..., None], date_index, _ones(n), place)
        logits = pm.Deterministic("logits", logits, dims=("row", "category"))
        preference = masked_shares(logits, pt.ones_like(available))
        share = masked_shares(logits, available)
        pm.Deterministic("preference", preference, dims=("row", "category"))
        pm.Deterministic("share", share, dims=("row", "category"))

        if unknown:
            psi = _psi_by_row(prior, doubt, psi_by)
            known = np.where(doubt & data.available, np.nan, data.available)
            group = data.cluster.codes.astype(int) if menu_of == "cluster" else None
            counts = partial(ZeroInflatedMultinomial, psi=psi, available=known, group=group)
        elif overdispersed:
            phi = prior("concentration", None)
            counts = partial(MaskedDirichletMultinomial, concentration=phi, available=available)
        else:
            counts = partial(MaskedMultinomial, available=available)
        counts("counts", n, logits, observed=data.counts, dims=("row", "category"))
    return model


def _scaled_predictors(data, scaled):
    """Predictors as data in their own units, and their standardised values."""
    mean, sd, _ = scaled
    x = pm.Data("predictors", data.predictors.to_numpy(), dims=("row", "predictor"))
    mean = pm.Data("predictor_mean", mean, dims="predictor")
    sd = pm.Data("predictor_sd", sd, dims="predictor")
    return (x - mean) / sd


def _effects_by_row(prior, effects, covariance, centring, information, place, x):
    """Logits of intercepts and slopes, (row, category)."""
    model = pm.modelcontext(None)
    if effects == "slopes":
        theta = correlated_effects(
            "effects",
            dims=("cluster", "contrast", "effect"),
            mean=prior("effects_mean", ("contrast", "effect")),
            # Of a Kronecker product the standard deviations are products, with their own priors.
            sd=None if covariance == "kronecker" else prior("effects_sd", ("contrast", "effect")),
            covariance=covariance,
            centring=centring,
            information=information,
        )
        # Ones before the predictors. Not by `pt.concatenate`, which PyTensor leaves in the graph of
        # constants, to be done in each gradient: this is worked out once.
        column = np.arange(len(model.coords["effect"]))
        design = pt.switch(column == 0, 1.0, x[:, np.maximum(column - 1, 0)])
        return cluster_logits(theta, model["cluster_index"], design, place)
    everywhere = pt.zeros_like(model["n"])  # the cluster of rows that are in none
    if effects == "pooled":
        theta, cluster = prior("intercept", "contrast")[None, :, None], everywhere
    else:
        if information is not None:
            h, b, coupling = information
            information = h[..., 0, 0], b[..., 0], coupling
        intercept = cluster_intercepts(
            "intercept",
            prior("intercept_mean", "contrast"),
            prior("intercept_sd", "contrast"),
            dims=("cluster", "contrast"),
            centring=centring,
            information=information,
        )
        theta, cluster = intercept[..., None], model["cluster_index"]
    # A loop also where it is simple: look-ups, and gaps for the reference, with their gradients
    # are two dozen operations to compile.
    logits = cluster_logits(theta, cluster, _ones(model["n"]), place)
    if x is not None:
        slope = prior("slope", ("predictor", "contrast"))
        logits = logits + cluster_logits(slope.T[None], everywhere, x, place)
    return logits


def _ones(n):
    """The design of a single effect: a column of ones, as long as the totals `n`."""
    return pt.ones((n.shape[0], 1))


def _psi_by_row(prior, doubt, psi_by):
    """Probabilities of being on the menu, of all categories: 1 for those not in doubt."""
    of_inflated = prior("psi", "inflated" if psi_by is None else (psi_by, "inflated"))
    psi = pt.ones((*of_inflated.shape[:-1], len(doubt)))
    psi = psi[..., np.flatnonzero(doubt)].set(of_inflated)
    return psi if psi_by is None else psi[pm.modelcontext(None)["cluster_index"]]
