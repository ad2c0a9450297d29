"""Everything that a regression takes from the data, computed once."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from helpers.data.counts import CategoryCounts
from helpers.data.messages import require_choice
from helpers.data.terms import Terms
from helpers.effects.attribute_pilot import AttributePilot, fit_attributes
from helpers.effects.pilot import Expansion, expand_likelihood
from helpers.effects.scatter_pilot import ScatteredExpansion, expand_scattered
from helpers.models.attributes import StandardisedAttributes
from helpers.models.nests import nest_of_categories
from helpers.models.options import Options
from helpers.models.predictors import Standardised, with_columns

__all__ = ["Design", "choose_reference", "even_menus", "fixed_within_clusters"]


@dataclass(frozen=True, eq=False)
class Design:
    """
    Everything that the model and its pilot take from data and options.

    Attributes
    ----------
    data : CategoryCounts
        The counts, R rows and K categories, with the columns of `terms` for predictors.
    terms : Terms
        The predictors as they were given, and the columns made of them.
    options : Options
        As given; "slopes" is "intercepts" where there are no predictors.
    reference : int
        Position of the category whose logit is 0.
    menus : numpy.ndarray of bool, shape (R, K)
        What the likelihood takes as available: everything if menus are ignored.
    predictors : Standardised or None
        The predictors, if there are any.
    cluster : numpy.ndarray of int, shape (R,)
        Cluster of each row, 0 for all if there are no clusters.
    n_clusters : int
        Number of clusters.
    dates : pandas.Index or None
        The distinct dates in order, D of them, where there is a drift.
    in_doubt : numpy.ndarray of bool, shape (K,)
        Categories that may be off unknown menus.
    attributes : StandardisedAttributes or None
        What differs by category and row, if anything does.
    nest : numpy.ndarray of int, shape (K,), or None
        The nest of each category, -1 for none, if there are nests.
    """

    data: CategoryCounts
    terms: Terms
    options: Options
    reference: int
    menus: np.ndarray
    predictors: Standardised | None
    cluster: np.ndarray
    n_clusters: int
    dates: pd.Index | None
    in_doubt: np.ndarray
    attributes: StandardisedAttributes | None
    nest: np.ndarray | None

    @classmethod
    def of(cls, data: CategoryCounts, options: Options) -> "Design":
        """
        Check options against the data, and derive what follows from both.

        Parameters
        ----------
        data : CategoryCounts
            The counts.
        options : Options
            The options.

        Returns
        -------
        Design

        Raises
        ------
        ValueError
            For options that do not go together or with the data.
        """
        has_predictors = data.predictors.shape[1] > 0
        if options.effects == "slopes" and not has_predictors:
            options = replace(options, effects="intercepts")
        options.check(data)
        data, terms = with_columns(data, options.formula)
        predictors = Standardised.of(data.predictors, data.row_weights) if has_predictors else None
        if options.effects == "slopes":
            _refuse_fixed(data)
        if options.spreads != "contrast" and options.needs_spreads and even_menus(data):
            raise ValueError(
                "No menu has three categories, and the pairs on menus form no odd circle, so that "
                "only differences between categories have a spread that the counts can say "
                'something about: use spreads="contrast".'
            )
        name = options.reference
        if name is None:
            name = choose_reference(data, options.availability)
        require_choice("reference", name, data.categories)
        reference = data.categories.index(name)
        ignored = options.availability == "ignored"
        clusters = data.cluster
        menus = np.ones_like(data.available) if ignored else data.available
        attributes = None
        if data.attributes:
            own = options.effects != "pooled"
            attributes = StandardisedAttributes.of(data, menus, by_category=own)
        return cls(
            data=data,
            terms=terms,
            options=options,
            reference=reference,
            menus=menus,
            predictors=predictors,
            cluster=np.zeros(len(data), int) if clusters is None else clusters.codes.astype(int),
            n_clusters=1 if clusters is None else len(clusters.categories),
            dates=None if options.drift is None else _distinct_dates(data),
            in_doubt=_in_doubt(data, options, reference),
            attributes=attributes,
            nest=nest_of_categories(data, options.nests),
        )

    @property
    def sure_menus(self) -> np.ndarray:
        """Menus without the zeros in doubt, for quick fits, shape (R, K)."""
        return self.menus & ~(self.in_doubt & (self.data.counts == 0))

    @property
    def pooled(self) -> bool:
        """Whether no effect varies by cluster."""
        return self.options.effects == "pooled"

    @property
    def symmetric(self) -> bool:
        """Whether priors and spreads do not depend on which category is the reference."""
        return self.options.spreads != "contrast"

    @property
    def symmetric_effects(self) -> bool:
        """Whether the spreads of clusters' effects do not."""
        joint = self.options.covariance in ("full", "kronecker")
        return self.symmetric and not (joint and self.options.effects == "slopes")

    @cached_property
    def date(self) -> np.ndarray | None:
        """Date of each row as a position among the dates, shape (R,)."""
        if self.dates is None or self.data.date is None:
            return None
        return self.dates.get_indexer(self.data.date)

    @cached_property
    def dated_menus(self) -> np.ndarray:
        """Whether a category was on some menu at a date, shape (D, K)."""
        assert self.dates is not None and self.date is not None
        on_some_menu = np.zeros((len(self.dates), len(self.data.categories)), dtype=bool)
        np.logical_or.at(on_some_menu, self.date, self.menus)
        return on_some_menu

    @property
    def varying_attributes(self) -> np.ndarray:
        """Positions of the attributes that have a slope for each cluster."""
        kinds, names = self.options.attribute_effects, list(self.data.attributes)
        if isinstance(kinds, str):
            kinds = dict.fromkeys(names, kinds)
        for name in kinds:
            require_choice("an attribute", name, names)
        return np.flatnonzero([kinds.get(name) == "varying" for name in names])

    @property
    def log_exposure(self) -> np.ndarray | None:
        """Logarithm of the exposure, 0 off the menu, shape (R, K)."""
        exposure = self.data.exposure
        return None if exposure is None else np.log(np.where(exposure > 0, exposure, 1.0))

    @cached_property
    def attribute_pilot(self) -> AttributePilot | None:
        """Quick fit of the attributes' slopes."""
        if self.attributes is None:
            return None
        return fit_attributes(
            self.data.counts,
            self.sure_menus,
            self.cluster,
            self.n_clusters,
            self.reference,
            self.attributes.scaled,
            self.log_exposure,
            varying=self.varying_attributes,
            pooled=self.options.effects == "pooled",
        )

    @cached_property
    def offset(self) -> np.ndarray | None:
        """What pilots of other effects take for known in the logits, shape (R, K)."""
        found, exposure = self.attribute_pilot, self.log_exposure
        if found is None:
            return exposure
        return found.fitted if exposure is None else found.fitted + exposure

    @property
    def coords(self) -> dict[str, Any]:
        """Coordinates of the model."""
        data = self.data
        free = np.delete(np.array(data.categories, dtype=object), self.reference)
        coords = data.coords | {"contrast": free.tolist()}
        if self.options.effects == "slopes":
            coords["effect"] = ["intercept", *data.predictors.columns]
        if len(varying := self.varying_attributes):
            coords["varying_attribute"] = [coords["attribute"][q] for q in varying]
        if self.options.nests:
            coords["nest"] = list(self.options.nests)
        if self.dates is not None:
            coords["date"] = self.dates.to_numpy()
        if self.options.availability == "unknown":
            pairs = zip(data.categories, self.in_doubt, strict=True)
            coords["inflated"] = [category for category, doubt in pairs if doubt]
        return coords

    def pilot(self) -> Expansion | ScatteredExpansion:
        """
        Quick fit of the effects that vary, and of a shift at each date if there is a drift.

        Returns
        -------
        Expansion or ScatteredExpansion
            The latter for rows that scatter with a spread for each category.
        """
        if self.options.likelihood == "logistic-normal":
            return self.scattered_pilot(freedom=4.0 if self.options.scatter == "t" else None)
        overdispersed = self.options.likelihood == "dirichlet-multinomial"
        return expand_likelihood(
            *self._for_pilot(self.sure_menus),
            date=self.date,
            n_dates=0 if self.dates is None else len(self.dates),
            offset=self.offset,
            overdispersed=overdispersed,
        )

    def scattered_pilot(
        self, menus: np.ndarray | None = None, freedom: float | None = None
    ) -> ScatteredExpansion:
        """
        Quick fit with scatter of the rows by category, whatever the likelihood.

        Parameters
        ----------
        menus : numpy.ndarray of bool, shape (R, K), optional
            Menus to take in place of :attr:`sure_menus`.
        freedom : float, optional
            Degrees of freedom of the scatter; normal if not given.

        Returns
        -------
        ScatteredExpansion
        """
        return expand_scattered(
            *self._for_pilot(self.sure_menus if menus is None else menus),
            date=self.date,
            n_dates=0 if self.dates is None else len(self.dates),
            offset=self.offset,
            freedom=freedom,
        )

    def _for_pilot(self, menus: np.ndarray) -> tuple[Any, ...]:
        """What both pilots take first."""
        ones = np.ones((len(self.data), 1))
        x = np.empty((len(ones), 0)) if self.predictors is None else self.predictors.values
        slopes = self.options.effects == "slopes"
        return (
            self.data.counts,
            menus,
            np.zeros_like(self.cluster) if self.pooled else self.cluster,
            1 if self.pooled else self.n_clusters,
            self.reference,
            np.hstack([ones, x]) if slopes else ones,
            None if slopes else x,
        )


def choose_reference(data: CategoryCounts, availability: str = "known") -> str:
    """
    Choose the category whose logit is 0.

    All logits are measured against the reference, so all of them share its uncertainty: the
    category that was on the menu in most rows, and of those the most chosen, makes them least
    correlated. Where menus are unknown, it is the category that was chosen in most rows.

    Parameters
    ----------
    data : CategoryCounts
        The counts.
    availability : {"known", "ignored", "unknown"}
        As in :func:`~helpers.masked_regression`.

    Returns
    -------
    str
        The name of the category.

    Examples
    --------
    >>> from helpers import choose_reference, simulate_counts
    >>> data, _ = simulate_counts(random_seed=1)
    >>> choose_reference(data)
    'category 5'
    """
    on_menu = data.counts > 0 if availability == "unknown" else data.available
    best = np.lexsort((data.counts.sum(axis=0), on_menu.sum(axis=0)))[-1]
    return data.categories[best]


def even_menus(data: CategoryCounts) -> bool:
    """
    Whether menus say nothing of the spreads of single categories.

    A spread is seen where the variances of contrasts close an odd circle, such as any menu of
    three. Where categories fall into two sides and each menu has one of either, they do not. Two
    categories have one contrast only, which is not counted here.

    Parameters
    ----------
    data : CategoryCounts
        The counts.

    Returns
    -------
    bool

    Examples
    --------
    Tea is offered with milk, or with water, and never both:

    >>> import pandas as pd
    >>> from helpers import CategoryCounts
    >>> from helpers.models import even_menus
    >>> table = pd.DataFrame({"tea": [3, 5], "milk": [4, None], "water": [None, 2]})
    >>> even_menus(CategoryCounts.from_wide(table, ["tea", "milk", "water"]))
    True
    """
    if len(data.categories) == 2 or (data.available.sum(axis=1) > 2).any():
        return False
    menus = [np.flatnonzero(menu).tolist() for menu in data.available]
    pairs = {(menu[0], menu[1]) for menu in menus if len(menu) == 2}
    side = {0: 0}
    for _ in data.categories:
        for a, b in pairs:
            for one, other in ((a, b), (b, a)):
                if one in side:
                    if side.get(other, 1 - side[one]) == side[one]:
                        return False
                    side[other] = 1 - side[one]
    return True


def fixed_within_clusters(data: CategoryCounts) -> list[str]:
    """
    Name the predictors that are the same in all rows of each cluster.

    Their slopes cannot vary by cluster.

    Parameters
    ----------
    data : CategoryCounts
        The counts, with clusters.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> from helpers.models import fixed_within_clusters
    >>> fixed_within_clusters(simulate_counts(random_seed=1)[0])
    []
    """
    assert data.cluster is not None
    spread = data.predictors.groupby(np.asarray(data.cluster.codes)).agg(np.ptp)
    fixed = (spread <= 1e-12 * data.predictors.abs().max()).all()
    return list(fixed.index[fixed])


def _refuse_fixed(data: CategoryCounts) -> None:
    if fixed := fixed_within_clusters(data):
        raise ValueError(
            f"The predictor {', '.join(fixed)} is the same in all rows of each cluster, so its "
            "slope cannot be told apart from the clusters' intercepts: use "
            'effects="intercepts", which gives it a common slope.'
        )


def _distinct_dates(data: CategoryCounts) -> pd.Index:
    """Dates in order; there must be at least two."""
    dates = data.dates
    assert dates is not None
    if len(dates) < 2:
        raise ValueError(
            f"All rows are of one date, {dates[0]}: there is no drift to see. Leave out `drift`."
        )
    return dates


def _in_doubt(data: CategoryCounts, options: Options, reference: int) -> np.ndarray:
    """Categories that may be off unknown menus, shape (K,)."""
    if options.availability != "unknown":
        return np.zeros(len(data.categories), dtype=bool)
    if options.inflated is None:
        in_doubt = ((data.counts == 0) & data.available).any(axis=0)
        in_doubt[reference] = False
        if not in_doubt.any():
            raise ValueError(
                "No category but the reference has a zero that the data do not explain, so there "
                'is nothing unknown about the menus: use availability="known".'
            )
        return in_doubt
    inflated = [options.inflated] if isinstance(options.inflated, str) else list(options.inflated)
    for category in inflated:
        require_choice("an inflated category", category, data.categories)
    if data.categories[reference] in inflated:
        raise ValueError(
            f"The reference {data.categories[reference]!r} must be on every menu: choose another "
            "one, or leave it out of `inflated`."
        )
    return np.isin(data.categories, inflated)
