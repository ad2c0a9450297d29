"""Terms of the linear predictor and the likelihood, inside a model."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.tensor import TensorVariable

from helpers.distributions.dirichlet import MaskedDirichletMultinomial
from helpers.distributions.masked import MaskedMultinomial
from helpers.distributions.zero_inflated import ZeroInflatedMultinomial
from helpers.effects.attribute_pilot import AttributePilot, Whitened
from helpers.effects.conditioned import Quadratic
from helpers.effects.contrasts import ConditionedLevel
from helpers.effects.correlated import cluster_intercepts, correlated_effects
from helpers.effects.drift import date_gaps, random_walk
from helpers.effects.pilot import Expansion
from helpers.effects.scatter import ConditionedRows, RowScatter
from helpers.effects.scatter_pilot import ScatteredExpansion
from helpers.models.design import Design
from helpers.models.priors import Priors
from helpers.ops.logits import cluster_logits
from helpers.ops.shares import nested_logits

type Pilot = Expansion | ScatteredExpansion | None


def data_of_rows(design: Design) -> None:
    """Register what can be exchanged for other rows: menus, totals, clusters and predictors."""
    data = design.data
    pm.Data("available", design.menus, dims=("row", "category"))
    pm.Data("n", _as_data(data.n), dims="row")
    own_slopes = len(design.varying_attributes) > 0
    if not design.pooled or own_slopes or design.options.psi_by is not None:
        pm.Data("cluster_index", design.cluster, dims="row")
    if design.date is not None:
        pm.Data("date_index", design.date, dims="row")
    if design.predictors is not None:
        pm.Data("predictors", data.predictors.to_numpy(), dims=("row", "predictor"))
        pm.Data("predictor_mean", design.predictors.mean, dims="predictor")
        pm.Data("predictor_sd", design.predictors.sd, dims="predictor")
    if design.attributes is not None:
        pm.Data("attributes", design.attributes.values, dims=("row", "category", "attribute"))
        pm.Data("attribute_mean", design.attributes.mean, dims=("category", "attribute"))
        pm.Data("attribute_scale", design.attributes.sd, dims="attribute")
        applies = design.attributes.applies
        pm.Data("attribute_applies", applies, dims=("category", "attribute"))
    if design.log_exposure is not None:
        pm.Data("log_exposure", design.log_exposure, dims=("row", "category"))


def effects_by_row(
    design: Design, prior: Priors, pilot: Pilot, walk: TensorVariable | None
) -> TensorVariable:
    """Logits of intercepts and slopes, (row, category), given the walk over dates, if any."""
    first = None if walk is None else walk[0]
    model, options = pm.modelcontext(None), design.options
    x: Any = None
    if design.predictors is not None:
        x = (model["predictors"] - model["predictor_mean"]) / model["predictor_sd"]
    information = None if pilot is None else pilot.by_cluster
    if options.effects == "slopes":
        sd = None
        if design.symmetric_effects:
            shape = len(design.data.categories), len(model.coords["effect"])
            spread = prior("effects_spread", ("category", "effect"))
            sd = pt.specify_shape(spread, shape)
        elif options.covariance != "kronecker":
            # Of a Kronecker product the standard deviations are products, with their own priors.
            sd = prior("effects_sd", ("contrast", "effect"))
        theta = correlated_effects(
            "effects",
            dims=("cluster", "contrast", "effect"),
            mean=prior.mean(
                "effects_mean", ("contrast", "effect"), first, **_from_clusters(design, pilot, sd)
            ),
            sd=sd,
            covariance=options.covariance,
            centring=options.centring,
            information=information,
            reference=design.reference if design.symmetric_effects else None,
        )
        # Ones before the predictors. Not by `pt.concatenate`, which PyTensor leaves in the graph of
        # constants, to be done in each gradient: this is computed once.
        column = np.arange(len(model.coords["effect"]))
        ones_and_x = pt.switch(column == 0, 1.0, x[:, np.maximum(column - 1, 0)])
        return cluster_logits(theta, model["cluster_index"], ones_and_x, design.reference)
    everywhere = pt.zeros_like(model["n"], dtype="int64")  # the cluster of rows that are in none
    if options.effects == "pooled":
        theta, cluster = prior.mean("intercept", "contrast", first)[None, :, None], everywhere
    else:
        sd = _spread(design, prior, "intercept")
        intercept = cluster_intercepts(
            "intercept",
            prior.mean("intercept_mean", "contrast", first, **_from_clusters(design, pilot, sd)),
            sd,
            dims=("cluster", "contrast"),
            centring=options.centring,
            information=None if information is None else information.of_single_effects(),
            reference=design.reference if design.symmetric else None,
        )
        theta, cluster = intercept[..., None], model["cluster_index"]
    # A loop also where it is simple: look-ups, and gaps for the reference, with their gradients
    # are two dozen operations to compile.
    logits = cluster_logits(theta, cluster, _ones(model["n"]), design.reference)
    if x is not None:
        slope = prior.mean("slope", ("predictor", "contrast"))
        logits = logits + cluster_logits(slope.T[None], everywhere, x, design.reference)
    return logits


def drift_over_dates(design: Design, prior: Priors, pilot: Pilot) -> TensorVariable:
    """The drift, (date, contrast)."""
    assert design.dates is not None
    return random_walk(
        "drift",
        _spread(design, prior, "drift"),
        date_gaps(design.dates),
        dims=("date", "contrast"),
        weights=np.delete(design.dated_menus, design.reference, axis=1),
        centring=design.options.centring,
        information=None if pilot is None else pilot.by_date,
        reference=design.reference if design.symmetric else None,
    )


def drift_by_row(design: Design, walk: TensorVariable) -> TensorVariable:
    """Logits of the drift, (row, category)."""
    model = pm.modelcontext(None)
    ones = _ones(model["n"])
    return cluster_logits(walk[..., None], model["date_index"], ones, design.reference)


def attributes_by_row(design: Design, prior: Priors) -> TensorVariable:
    """Logits of attributes, (row, category)."""
    model, options = pm.modelcontext(None), design.options
    unit = model["attribute_scale"]
    scaled = (model["attributes"] - model["attribute_mean"]) / unit
    found = design.attribute_pilot if options.centring in ("auto", "conditioned") else None
    common = prior(
        "attribute_slope",
        "attribute",
        under="attribute_slope_scaled",
        **({} if found is None else {"transform": Whitened(found.slope, found.covariance)}),
    )
    pm.Deterministic("attribute_slope", common / unit, dims="attribute")
    slopes: list[Any] = [common[q] for q in range(len(design.data.attributes))]
    if len(varying := design.varying_attributes):
        of_row = _own_slopes(design, prior, found, common, unit)[model["cluster_index"]]
        for position, q in enumerate(varying):
            slopes[q] = of_row[:, position, None]
    terms = [scaled[:, :, q] * slope for q, slope in enumerate(slopes)]
    return pt.add(*terms) if len(terms) > 1 else terms[0]


def _own_slopes(
    design: Design,
    prior: Priors,
    found: AttributePilot | None,
    common: TensorVariable,
    unit: TensorVariable,
) -> TensorVariable:
    """Slopes of the attributes that have one for each cluster, (cluster, varying_attribute)."""
    varying = design.varying_attributes
    information = None
    if found is not None:
        h, b, _ = found.by_cluster
        information = Quadratic(h[:, varying], b[:, varying])
    sd = prior("attribute_sd", "varying_attribute", under="attribute_sd_scaled")
    pm.Deterministic("attribute_sd", sd / unit[varying], dims="varying_attribute")
    dims = ("cluster", "varying_attribute")
    slopes = cluster_intercepts(
        "attribute_slopes_scaled",
        common[varying],
        sd,
        dims=dims,
        centring=design.options.centring,
        information=information,
    )
    pm.Deterministic("attribute_slopes", slopes / unit[varying], dims=dims)
    return slopes


def within_nests(
    design: Design, prior: Priors
) -> Callable[[TensorVariable, TensorVariable], TensorVariable]:
    """Return a function of logits and menus (row, category): what the nests make of the logits."""
    if design.nest is None:
        return lambda logits, menus: logits
    nest = design.nest
    pm.Data("nest_index", nest, dims="category")
    scale = prior("nest_scale", "nest")
    return lambda logits, menus: nested_logits(logits, menus, nest, scale)


def scatter_by_row(
    design: Design, prior: Priors, pilot: Pilot, mean: TensorVariable
) -> TensorVariable:
    """Logits of the rows' scatter about their means, (row, category)."""
    model, reference = pm.modelcontext(None), design.reference
    n_categories = len(design.data.categories)
    sd = pt.specify_shape(prior("scatter_sd", "category"), (n_categories,))
    df = prior("scatter_df", None) if design.options.scatter == "t" else None
    options: dict[str, Any] = {}
    if isinstance(pilot, ScatteredExpansion):
        rows = pilot.rows
        away = np.delete(pilot.realised - pilot.fitted, reference, axis=1)
        transform = ConditionedRows(rows.information, rows.score, rows.base, reference, rows.along)
        options = {"transform": transform, "start": away}
    scatter = RowScatter(
        "scatter", mean, sd, df, reference=reference, dims=("row", "contrast"), **options
    )
    n = model["n"]
    return cluster_logits(scatter[..., None], pt.arange(n.shape[0]), _ones(n), reference)


def observe(design: Design, prior: Priors, logits: TensorVariable) -> None:
    """The likelihood of the counts."""
    model, data, options = pm.modelcontext(None), design.data, design.options
    if options.availability == "unknown":
        group = design.cluster if options.menu_of == "cluster" else None
        known = np.where(design.in_doubt & data.available, np.nan, data.available)
        psi = _psi(design, prior)
        counts = partial(ZeroInflatedMultinomial, psi=psi, available=known, group=group)
    elif options.likelihood == "dirichlet-multinomial":
        counts = partial(
            MaskedDirichletMultinomial,
            concentration=prior("concentration", None),
            available=model["available"],
        )
    else:
        counts = partial(MaskedMultinomial, available=model["available"])
    observed = _as_data(data.counts)
    counts("counts", model["n"], logits, observed=observed, dims=("row", "category"))


def _as_data(counts: np.ndarray) -> np.ndarray:
    """Doubles where PyMC's 32-bit integers would overflow: exact up to 2**53."""
    return counts if counts.max() <= np.iinfo(np.int32).max else counts.astype(float)


def _ones(n: TensorVariable) -> TensorVariable:
    """The design of a single effect: a column of ones, as long as the totals `n`."""
    return pt.ones((n.shape[0], 1))


def _from_clusters(design: Design, pilot: Pilot, sd: TensorVariable | None) -> dict[str, Any]:
    """What the level of clusters' effects is sampled relative to."""
    if pilot is None or sd is None or not design.symmetric_effects:
        return {}
    expansion = pilot.by_cluster
    transform = ConditionedLevel(
        expansion.information,
        expansion.score,
        design.reference,
        single=design.options.effects == "intercepts",
    )
    return {"lower_sd": sd, "transform": transform, "start": transform.average}


def _spread(design: Design, prior: Priors, name: str) -> TensorVariable:
    """Standard deviations of all categories, or of contrasts, of an effect with its own level."""
    if not design.symmetric:
        return prior(f"{name}_sd", "contrast")
    n_categories = len(design.data.categories)
    spread = pt.specify_shape(prior(f"{name}_spread", "category"), (n_categories,))
    variance = spread**2
    free = np.delete(np.arange(n_categories), design.reference)
    of_contrasts = pt.sqrt(variance[free] + variance[design.reference])
    pm.Deterministic(f"{name}_sd", of_contrasts, dims="contrast")
    return spread


def _psi(design: Design, prior: Priors) -> TensorVariable:
    """Probabilities of being on the menu, of all categories: 1 for those not in doubt."""
    psi_by = design.options.psi_by
    of_inflated = prior("psi", "inflated" if psi_by is None else (psi_by, "inflated"))
    psi = pt.ones((*of_inflated.shape[:-1], len(design.in_doubt)))
    psi = psi[..., np.flatnonzero(design.in_doubt)].set(of_inflated)
    return psi if psi_by is None else psi[pm.modelcontext(None)["cluster_index"]]
