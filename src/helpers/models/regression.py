"""From counts and a few choices to a PyMC model."""

from collections.abc import Callable, Mapping, Sequence

import pymc as pm
import pytensor.tensor as pt

from helpers.data.counts import CategoryCounts
from helpers.models._terms import (
    attributes_by_row,
    data_of_rows,
    drift_by_row,
    drift_over_dates,
    effects_by_row,
    observe,
    scatter_by_row,
    within_nests,
)
from helpers.models.design import Design
from helpers.models.options import Options
from helpers.models.predictors import remember_terms
from helpers.models.priors import BY_CONTRAST, used_priors
from helpers.ops.shares import masked_shares

__all__ = ["masked_regression"]


def masked_regression(
    data: CategoryCounts,
    *,
    effects: str = "slopes",
    covariance: str = "category",
    centring: str = "auto",
    likelihood: str = "multinomial",
    scatter: str | None = None,
    drift: str | None = None,
    availability: str = "known",
    inflated: Sequence[str] | str | None = None,
    menu_of: str = "row",
    psi_by: str | None = None,
    reference: str | None = None,
    spreads: str | None = None,
    attribute_effects: str | Mapping[str, str] = "common",
    nests: Mapping[str, Sequence[str]] | None = None,
    formula: str | None = None,
    priors: Mapping[str, Callable] | None = None,
) -> pm.Model:
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
    :math:`\eta = 0` for the reference category. Attributes z of the data, such as prices, add
    :math:`\sum_q \gamma_q \tilde z_{ikq}` to all logits, and exposure e adds
    :math:`\log e_{ik}`. Intercepts are at the means of predictors and attributes: where they vary,
    each category at its own usual price; where they are pooled, all at one, which makes them the
    constants of a conditional logit (McFadden, 1974).

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
        across all categories in one matrix, as a product of the two, or not at all. Where only
        intercepts vary, they are independent.
    centring : {"auto", "conditioned", "centred", "noncentred"}
        Parametrisation of the varying effects. It changes how fast the model samples, not what
        it says. "auto" conditions on a pilot fit to the data, which suits clusters with many
        counts and with few.
    likelihood : {"multinomial", "dirichlet-multinomial", "logistic-normal"}
        Distribution of the counts given the shares. The others let rows scatter about them: the
        second all categories alike, see :class:`~helpers.MaskedDirichletMultinomial`, the third
        each category with a spread of its own, see :class:`~helpers.effects.RowScatter`.
    scatter : {"normal", "t"}, optional
        For the logistic-normal: whether rows scatter normally, which is the default, or with heavy
        tails.
    drift : {None, "walk"}
        Whether preferences drift over dates: a random walk of each category's logit, the same in
        all clusters, see :func:`~helpers.effects.random_walk`.
    availability : {"known", "unknown", "ignored"}
        Whether the menus are used. "unknown": a zero of the categories `inflated` may mean that
        they were not on the menu, see :class:`~helpers.ZeroInflatedMultinomial`; cells that are
        missing in the data are still known to be off it. "ignored" is the plain multinomial, for
        comparison: it reads what was not on the menu as not chosen.
    inflated : sequence of str, optional
        For unknown menus: the categories that may be off them. By default all that have a zero in
        some row, except the reference, which must be on every menu.
    menu_of : {"row", "cluster"}
        For unknown menus: whether each row has its own, or all rows of a cluster share one.
    psi_by : {None, "cluster"}
        For unknown menus: whether a category is on the menu with one probability everywhere, or
        with one for each cluster.
    reference : str, optional
        Category whose logit is 0; it need not be on every menu. If not given,
        :func:`~helpers.choose_reference` picks one.
    spreads : {"category", "contrast"}, optional
        What the standard deviations between clusters, dates and rows are of. "category": every
        category has one, the reference too, and the model is the same whichever category is the
        reference. "contrast": every difference from the reference has one, independent of the
        others, which makes a model that depends on the reference. "full" and "kronecker"
        covariances are of contrasts in either case. By default "category", or "contrast" where
        `priors` names a standard deviation of contrasts.
    attribute_effects : {"common", "varying"} or mapping
        Whether an attribute has one slope, or one for each cluster, normal about the common one;
        for all of them, or by name.
    nests : mapping of str to sequence of str, optional
        Categories that are closer substitutes for each other than for the rest, by the name of
        their nest, such as ``{"buses": ["red", "blue"]}``: a nested logit
        (:func:`~helpers.data.nested_logits`), on known menus, without scatter of rows. What is
        seen of it is where menus or attributes vary.
    formula : str, optional
        What is made of the predictors, as the right-hand side of a formula (the library
        formulaic), such as ``"income * region"`` or ``"bs(age, 4) + C(ward)"``. By default all
        predictors are added up, those that are labels with one column for each level but the
        first. Columns are standardised one by one, and ``predictor`` names them.
    priors : mapping of str to callable, optional
        Priors to use in place of the defaults, by parameter: ``intercept`` (pooled),
        ``intercept_mean``, ``intercept_spread``, ``slope``, ``effects_mean``, ``effects_spread``,
        ``drift_spread``, ``scatter_sd``, ``scatter_df``, ``psi``, ``concentration``,
        ``attribute_slope`` and ``attribute_sd`` (per standard deviation of the attribute),
        ``nest_scale``, and for spreads by contrast ``intercept_sd``, ``effects_sd``, ``drift_sd``.
        Each is called as ``prior(name, dims=dims)`` inside the model, as in
        ``{"slope": functools.partial(pm.Normal, mu=0, sigma=0.5)}``.

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
        - for spreads by category, ``intercept_spread`` (category) or ``effects_spread``
          (category, effect) with correlations ``effects_spread_corr``, and ``drift_spread``
          (category), each with its scale, such as ``drift_spread_scale``; standard deviations and
          correlations of contrasts then follow from them;
        - for attributes, ``attribute_slope`` (attribute) per unit, and what is sampled for it,
          ``attribute_slope_scaled``, per standard deviation; varying, also
          ``attribute_sd`` (varying_attribute) and ``attribute_slopes`` (cluster,
          varying_attribute). Data are ``attributes`` (row,
          category, attribute) in their own units, where blank cells have the mean of their
          category, and ``log_exposure`` (row, category);
        - ``nest_scale`` (nest), in (0, 1], for nests: at 1 a nest changes nothing, near 0 its
          categories are as good as one. ``logits`` are then systematic utilities;
        - ``psi`` (inflated), for unknown menus: the probability of being on the menu; with
          `psi_by`, (cluster, inflated);
        - ``concentration``, for the Dirichlet-multinomial; for the logistic-normal ``scatter_sd``
          (category), ``scatter_df`` for heavy tails, and ``scatter`` (row, contrast);
        - ``drift`` (date, contrast), with mean zero over the dates at which the category was on
          some menu, and ``drift_sd`` (contrast), the standard deviation of its steps over the mean
          gap between dates. The model's data then include ``date_index`` (row);
        - ``logits``, the linear predictor; ``preference``, the latent preferences with everything
          on the menu, equally exposed; ``share``, what is expected under each row's menu as the
          data have it (where menus are unknown, with all on it that may be): all (row, category).
          For the logistic-normal, ``logits`` and ``share`` include the row's scatter, and
          ``preference`` and ``mean_logits`` do not;
        - ``counts`` (row, category), the observed counts.

    Raises
    ------
    ValueError
        For an unknown choice, category or prior, for varying effects without a cluster, for
        predictors that do not vary or repeat each other, for varying slopes of a predictor that is
        the same in all rows of each cluster, for the scatter of single choices, and for spreads by
        category where menus say nothing about them.

    Notes
    -----
    For other menus and new rows use :func:`~helpers.what_if`, which takes predictors as they were
    before a formula. By hand, exchange ``available``,
    ``n``, ``cluster_index``, ``date_index`` and ``predictors`` with :func:`pymc.set_data`, the
    coordinate ``row`` with them, and draw with
    ``pm.sample_posterior_predictive(..., predictions=True)``.

    Data and dims can be exchanged, which the compiled model pays for at every step: sample with
    ``pm.sample(..., compile_kwargs={"freeze_model": True})``, which takes them as constants while
    it samples.

    PyTensor compiles with fast mathematics by default, which makes draws depend, in the last
    digits and then altogether, on whether the compile cache was empty. With
    ``pytensor.config.numba__fastmath = False`` one seed gives the same draws either way (chapters
    and ``helpers.analysis`` do so).

    With thousands of choices in each row, ``nuts={"target_accept": 0.6}`` takes half as many steps
    for draws worth nearly as much; with few choices it does not (chapter 6).

    With tens of thousands of effects, add ``nuts={"target_accept": 0.92, "max_treedepth": 5}``:
    the paths that NUTS would take end where R-hat suffers most (chapter 6 shows why, and how
    draws go to a folder where they do not fit into memory).

    The scatter of rows takes as much memory as counts times draws. Leave it out of what is stored
    with ``pm.sample(..., var_names=parameter_names(model))``: predictions draw it again from the
    rows' counts.

    That spreads of contrasts depend on the reference is well known of multinomial probit models
    (Burgette & Nordheim, 2012), and so is the cure of a spread for every category (Aitchison, 1982;
    Ben-Akiva, Bolduc & Walker, 2001). It is used here for every level of the regression.

    References
    ----------
    Aitchison, J. (1982). The statistical analysis of compositional data. Journal of the Royal
    Statistical Society B, 44(2), 139-177.

    Ben-Akiva, M., Bolduc, D., & Walker, J. (2001). Specification, identification and estimation of
    the logit kernel (or continuous mixed logit) model. Working paper.

    Burgette, L. F., & Nordheim, E. V. (2012). The trace restriction: an alternative identification
    strategy for the Bayesian multinomial probit model. Journal of Business & Economic Statistics,
    30(3), 404-410.

    McFadden, D. (1974). Conditional logit analysis of qualitative choice behavior. In Frontiers
    in Econometrics, pages 105-142. Academic Press.

    Examples
    --------
    >>> from helpers import masked_regression, simulate_counts
    >>> data, truth = simulate_counts(n_clusters=5, n_dates=2, random_seed=1)
    >>> model = masked_regression(data, effects="intercepts")
    >>> [rv.name for rv in model.free_RVs]
    ['intercept_spread_scale', 'intercept_spread', 'intercept_mean', 'intercept', 'slope']
    >>> model = masked_regression(data, effects="slopes", spreads="contrast")
    >>> [rv.name for rv in model.free_RVs]
    ['effects_sd', 'effects_mean', 'effects_corr_beta', 'effects']
    """
    if spreads is None and priors is not None and set(priors) & set(BY_CONTRAST):
        spreads = "contrast"
    if likelihood == "logistic-normal" and scatter is None:
        scatter = "normal"
    options = Options(
        effects=effects,
        covariance=covariance,
        centring=centring,
        likelihood=likelihood,
        scatter=scatter,
        drift=drift,
        availability=availability,
        inflated=inflated,
        menu_of=menu_of,
        psi_by=psi_by,
        reference=reference,
        spreads=spreads,
        attribute_effects=attribute_effects,
        nests=nests,
        formula=formula,
    )
    design = Design.of(data, options)
    prior = used_priors(priors, design)
    conditioned = options.needs_spreads and centring in ("auto", "conditioned")
    pilot = design.pilot() if conditioned else None

    with pm.Model(coords=design.coords) as model:
        data_of_rows(design)
        walk = None if drift is None else drift_over_dates(design, prior, pilot)
        mean = effects_by_row(design, prior, pilot, walk)
        if walk is not None:
            mean = mean + drift_by_row(design, walk)
        if design.attributes is not None:
            mean = mean + attributes_by_row(design, prior)
        available = model["available"]
        nested, everything = within_nests(design, prior), pt.ones_like(available)
        preference = masked_shares(nested(mean, everything), everything)
        if data.exposure is not None:
            mean = mean + model["log_exposure"]
        logits = mean
        if likelihood == "logistic-normal":
            mean = pm.Deterministic("mean_logits", mean, dims=("row", "category"))
            logits = mean + scatter_by_row(design, prior, pilot, mean)
        logits = pm.Deterministic("logits", logits, dims=("row", "category"))
        pm.Deterministic("preference", preference, dims=("row", "category"))
        logits = nested(logits, available)
        pm.Deterministic("share", masked_shares(logits, available), dims=("row", "category"))
        observe(design, prior, logits)
    remember_terms(model, design.terms)
    return model
