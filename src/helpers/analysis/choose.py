"""Which regression suits the data, and why."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from helpers.data.counts import CategoryCounts
from helpers.data.messages import listing
from helpers.models.design import choose_reference, even_menus, fixed_within_clusters
from helpers.models.impossible_zeros import ask_about_zeros, impossible_zeros, sure_reference
from helpers.models.likelihood import choose_likelihood, choose_scatter, slopes_are_alike
from helpers.models.predictors import with_columns

__all__ = ["Choice", "choose"]

# Rows from which a table is worth summing for speed.
_MANY = 5_000
# Rows beyond the effects of the clusters, as a share of the clusters, from which the scatter of
# rows can be told from these effects.
_TO_SPARE = 0.2
# Choices in a cluster, for each category, below which the spreads of single categories mix badly.
_FEW = 3


@dataclass(frozen=True, eq=False)
class Choice:
    """
    The regression chosen for a table, in the terms of :func:`~helpers.masked_regression`.

    Attributes
    ----------
    data : CategoryCounts
        The rows to fit: those of the table, or sums of them.
    n_rows : int
        Number of rows of the table.
    effects : {"slopes", "intercepts", "pooled"}
        What varies by cluster.
    drift : {"walk", None}
        Whether preferences drift over dates.
    likelihood : {"multinomial", "logistic-normal", "dirichlet-multinomial"}
        Distribution of the counts.
    scatter : {"normal", "t", None}
        How rows scatter, for the logistic-normal.
    availability : {"known", "unknown", "ignored"}
        How the menus are used.
    reference : str
        Category whose logit is 0.
    evidence : str
        Evidence for the likelihood, in words.
    reasons : tuple of str
        What the data did not allow, what was done instead, and why.
    question : str
        What to ask of whoever knows the table about zeros of categories that were hardly on the
        menu (:func:`~helpers.models.ask_about_zeros`). Empty if there is nothing to ask.
    spreads : {"category", "contrast"}
        What spreads between clusters, dates and rows are of.
    attribute_effects : {"common", "varying"}
        Whether attributes have one slope, or one for each cluster.
    formula : str, optional
        What is made of the predictors; if not given, they are added up.
    nests : dict of str to list of str
        Categories that are closer substitutes for each other than for the rest, by nest.
    """

    data: CategoryCounts
    n_rows: int
    effects: str
    drift: str | None
    likelihood: str
    scatter: str | None
    availability: str
    reference: str
    evidence: str
    reasons: tuple[str, ...] = ()
    question: str = ""
    spreads: str = "category"
    attribute_effects: str = "common"
    formula: str | None = None
    nests: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def description(self) -> str:
        """The model in words."""
        slopes = self.formula or ", ".join(self.data.predictors.columns)
        text = f"Masked {self.likelihood} regression, "
        if self.effects == "pooled":
            text += "the same preferences in all rows"
        else:
            varying = self.effects.replace("slopes", "intercepts and slopes")
            text += f"{varying} varying by {self.data.cluster_name}"
        if self.effects == "slopes":
            text += f", slopes of {slopes} per standard deviation"
        elif slopes:
            text += f", common slopes of {slopes} per standard deviation"
        if self.data.attributes:
            kind = "a slope" if self.attribute_effects == "common" else "own slopes"
            whose = "" if self.attribute_effects == "common" else f" by {self.data.cluster_name}"
            text += f", {kind} of {', '.join(self.data.attributes)}{whose}"
        if self.nests:
            each = (f"{name} ({', '.join(members)})" for name, members in self.nests.items())
            text += f", nests {', '.join(each)}"
        if self.data.exposure is not None:
            text += ", shares in proportion to exposure"
        if self.drift:
            text += f", drifting over {_n_dates(self.data)} dates"
        if self.scatter:
            text += ", rows scattering with a spread for each category"
            text += " and heavy tails (t)" if self.scatter == "t" else ""
        text += f"; logits against {self.reference}."
        if self.availability == "ignored":
            text += " Menus are ignored: zeros of what was not on them count as dislike."
        elif self.availability == "unknown":
            text += (
                f" Menus are unknown: any zero but those of {self.reference} may mean that the "
                "category was not on the menu."
            )
        return " ".join((text, *self.reasons))


def choose(
    data: CategoryCounts,
    *,
    availability: str = "known",
    likelihood: str = "auto",
    scatter: str = "auto",
    drift: str = "auto",
    spreads: str = "auto",
    attribute_effects: str = "common",
    formula: str | None = None,
    nests: Mapping[str, Sequence[str]] | None = None,
) -> Choice:
    """
    Choose a regression for a table of counts.

    Intercepts vary by cluster if there are three clusters or more, and with them the slopes of
    the predictors if all of these vary within clusters, as far as there are enough rows to tell
    them from the scatter of rows, and unless they are alike
    (:func:`~helpers.models.slopes_are_alike`). Preferences drift over dates if there are three or
    more, with two rows each on average; a predictor that is the same in all rows of each date is
    then left out. :func:`~helpers.models.choose_likelihood` chooses the likelihood, and
    :func:`~helpers.models.choose_scatter` the tails of the scatter. Where the likelihood is the
    multinomial, single choices that differ in nothing else are summed, and so are the rows of
    tables of more than 5,000, if that at least halves their number. Nothing is changed because of
    zeros that are hardly choices: they are asked about.

    Parameters
    ----------
    data : CategoryCounts
        The counts.
    availability : {"known", "unknown", "ignored"}
        As in :func:`~helpers.masked_regression`. Where menus are unknown, the reference is a
        category that was on all of them (:func:`~helpers.models.sure_reference`), and the quick
        fits leave out all zeros in doubt.
    likelihood : {"auto", "multinomial", "logistic-normal", "dirichlet-multinomial"}
        Overrules the choice of the likelihood.
    scatter : {"auto", "normal", "t"}
        Overrules the choice of the tails.
    drift : {"auto", "walk", "none"}
        Overrules the choice of a drift.
    spreads : {"auto", "category", "contrast"}
        Overrules what spreads are of: by default single categories, or contrasts where clusters
        have fewer than three choices for each category and nothing else varies, or where menus say
        nothing of these (:func:`~helpers.models.even_menus`).
    attribute_effects : {"common", "varying"}
        Whether attributes have one slope, or one for each cluster.
    formula : str, optional
        What is made of the predictors, as in :func:`~helpers.masked_regression`.
    nests : mapping of str to sequence of str, optional
        Categories that are closer substitutes for each other than for the rest, by the name of
        their nest. Rows that scatter then do so as a Dirichlet-multinomial has it, all categories
        alike, because nests and a scatter by category are not in one model.

    Returns
    -------
    Choice

    Raises
    ------
    ValueError
        If the data do not allow the choice: a predictor is the same in every row, predictors
        repeat each other, a formula cannot be used, or a drift is wanted without dates.

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> from helpers.analysis import choose
    >>> data, _ = simulate_counts(random_seed=1)
    >>> choice = choose(data)
    >>> choice.effects, choice.drift, choice.likelihood
    ('slopes', 'walk', 'multinomial')
    """
    walk = _choose_drift(data) if drift == "auto" else None if drift == "none" else drift
    n_rows = len(data)
    reasons: list[str] = []
    if walk and (same := _fixed_within_dates(data)):
        data, reasons = _without(data, same, formula)
    columns, _ = with_columns(data, formula)
    effects, why = _choose_effects(columns, plain=likelihood == "multinomial")
    reasons += why
    question = _question(columns, effects, walk) if availability == "known" else ""
    about: dict[str, Any] = {"effects": effects, "drift": walk}
    if availability == "unknown":
        reference = sure_reference(columns, **about)
        about["availability"] = availability
    else:
        reference = choose_reference(data, availability)
    about["reference"] = reference
    effects, why = _without_alike(columns, about)
    reasons += why
    suited, ratio = choose_likelihood(columns, **about)
    evidence = (
        f"In a quick fit the squared residuals are {ratio:,.1f} times what a multinomial expects."
    )
    may_sum = likelihood in ("auto", "multinomial") and availability != "unknown"
    # Sums tell less of whether the model is right than rows do, but more than single choices.
    if suited == "multinomial" and may_sum and (data.n.max() <= 1 or n_rows > _MANY):
        with _warned_of():
            collapsed = data.collapse()
        if len(collapsed) <= n_rows / 2:
            # It changes nothing for a multinomial. Single choices cannot scatter, but sums can.
            data = collapsed
            columns, _ = with_columns(data, formula)
            suited, ratio = choose_likelihood(columns, **about)
            evidence += (
                f" Rows with the same menu and predictors were summed, {n_rows:,} to "
                f"{len(data):,}; for the sums, the ratio is {ratio:,.1f}."
            )
            if suited != "multinomial" and not _can_spare(columns, effects):
                suited = "multinomial"
                evidence += _HARDLY_MORE.format(data.cluster_name)
    if nests and likelihood == "auto" and suited == "logistic-normal":
        suited = "dirichlet-multinomial"
        evidence += _NESTED
    likelihood = suited if likelihood == "auto" else likelihood
    tails = None
    if likelihood == "logistic-normal":
        tails, freedom = choose_scatter(columns, **about)
        if scatter == "auto":
            evidence += _of_tails(tails, freedom)
        else:
            tails = scatter
    if spreads == "auto":
        spreads, why = _choose_spreads(data, effects, walk, tails)
        reasons += why
    return Choice(
        data=data,
        n_rows=n_rows,
        effects=effects,
        drift=walk,
        likelihood=likelihood,
        scatter=tails,
        availability=availability,
        reference=reference,
        evidence=evidence,
        reasons=tuple(reasons),
        question=question,
        spreads=spreads,
        attribute_effects=attribute_effects,
        formula=formula,
        nests={name: list(members) for name, members in (nests or {}).items()},
    )


def _question(data: CategoryCounts, effects: str, walk: str | None) -> str:
    """What to ask about zeros that are hardly choices; of ranks, which are no counts, nothing."""
    if "ranks" in {doubt.kind for doubt in data.suspicions}:
        return ""
    return ask_about_zeros(impossible_zeros(data, effects=effects, drift=walk))


def _choose_spreads(
    data: CategoryCounts, effects: str, walk: str | None, tails: str | None
) -> tuple[str, list[str]]:
    """What spreads are of, and why not of single categories."""
    varies = effects != "pooled"
    if even_menus(data):
        return "contrast", [_EVEN] * bool(varies or walk or tails)
    if varies and not walk and not tails:
        choices = np.bincount(data.cluster.codes, data.n)  # type: ignore[union-attr]
        if np.median(choices) < _FEW * len(data.categories):
            reason = (
                f"With {np.median(choices):.0f} choices for each {data.cluster_name}, how much the "
                "reference itself varies can hardly be told from how much all others do: spreads "
                "are of contrasts, and depend on the reference."
            )
            return "contrast", [reason]
    return "category", []


_ALIKE = "Slopes hardly differ by {} (a spread below 0.03, beyond doubt): they are common to all."

_HARDLY_MORE = (
    " There are hardly more sums than effects of {}, which leave nothing from which a scatter of "
    "sums could be told."
)

_NESTED = (
    " Because of the nests rows scatter all categories alike: nests and a scatter by category are "
    "not in one model."
)

_EVEN = (
    "No menu has three categories, and pairs of them form no odd circle, so that the counts show "
    "how much differences between categories vary, but not how much single categories do: spreads "
    "are of contrasts, and depend on the reference."
)


def _of_tails(tails: str, freedom: float) -> str:
    if np.isnan(freedom):
        seen = " Whether their tails are heavy cannot be seen from these counts: "
        if tails == "t":
            return seen + "the scatter is that of a t distribution, which can be nearly normal."
        return seen + "the scatter is taken to be normal."
    if tails == "t":
        return f" Their tails are like those of a t distribution with {freedom:.0f} d.f."
    return " Their tails are no heavier than those of the normal distribution."


def _left_out(names: list[str]) -> str:
    is_ = "is" if len(names) == 1 else "are"
    its = "its effect" if len(names) == 1 else "their effects"
    return (
        f"The same in all rows of each date {is_} {listing(names)}: {its} cannot be told from the "
        f'drift, which holds it, and {is_} left out. With drift="none" there are slopes, but '
        "dates then differ in nothing else, and their intervals may be far too narrow."
    )


def _without(
    data: CategoryCounts, same: list[str], formula: str | None
) -> tuple[CategoryCounts, list[str]]:
    """Leave out predictors that cannot be told from a drift; of a formula they are refused."""
    if formula is not None:
        raise ValueError(
            f"The same in all rows of each date: {listing(same)} of the formula, which cannot be "
            'told from a drift. Take it out of the formula and the predictors, or use drift="none" '
            "(dates then differ in nothing else)."
        )
    with _warned_of():
        data = replace(data, predictors=data.predictors.drop(columns=same))
    return data, [_left_out(same)]


def _choose_effects(data: CategoryCounts, plain: bool) -> tuple[str, list[str]]:
    """What varies by cluster, and why no more does; `plain`: rows do not scatter in any case."""
    n_clusters, name = _n_clusters(data), data.cluster_name
    if n_clusters < 3:
        few = "With fewer than three clusters their spread cannot be estimated, so they are pooled."
        return "pooled", [few] * (n_clusters > 0)
    slopes = len(data.predictors.columns) and not fixed_within_clusters(data)
    if slopes and (plain or _can_spare(data, "slopes")):
        return "slopes", []
    if not plain and not _can_spare(data, "intercepts"):
        reason = (
            f"There is hardly more than one row for each {name}, so that what sets one {name} "
            "apart cannot be told from the scatter of its row: clusters are pooled, and what "
            "differs between them is part of the scatter."
        )
        return "pooled", [reason]
    if slopes:
        reason = (
            f"With so few rows for each {name}, slopes of its own could not be told from the "
            "scatter of its rows: slopes are common to all."
        )
        return "intercepts", [reason]
    return "intercepts", []


def _can_spare(data: CategoryCounts, effects: str) -> bool:
    """Whether there are enough rows to tell their scatter from the effects of clusters."""
    if effects == "pooled":
        return True
    n_clusters = _n_clusters(data)
    each = 1 + (len(data.predictors.columns) if effects == "slopes" else 0)
    return len(data) >= (each + _TO_SPARE) * n_clusters


def _choose_drift(data: CategoryCounts) -> str | None:
    # With a date for each row, a drift could not be told from scatter.
    return "walk" if 3 <= _n_dates(data) <= min(500, len(data) / 2) else None


def _fixed_within_dates(data: CategoryCounts) -> list[str]:
    """Predictors that vary, but not within dates."""
    if data.date is None:
        return []
    fixed = []
    for name, x in data.predictors.items():
        x = x.cat.codes.astype(float) if hasattr(x, "cat") else x
        spread = x.groupby(pd.factorize(data.date)[0]).agg(np.ptp)
        if np.ptp(x) > 0 and (spread <= 1e-12 * x.abs().max()).all():
            fixed.append(str(name))
    return fixed


@contextmanager
def _warned_of() -> Iterator[None]:
    """Silence warnings about a table, which were given when it was read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _without_alike(columns: CategoryCounts, about: dict[str, Any]) -> tuple[str, list[str]]:
    """What varies by cluster (changed in `about`, too), without slopes that hardly do; and why."""
    others = {name: value for name, value in about.items() if name != "effects"}
    if about["effects"] != "slopes" or not slopes_are_alike(columns, **others):
        return about["effects"], []
    about["effects"] = "intercepts"
    return "intercepts", [_ALIKE.format(columns.cluster_name)]


def _n_clusters(data: CategoryCounts) -> int:
    return 0 if data.cluster is None else len(data.cluster.categories)


def _n_dates(data: CategoryCounts) -> int:
    return 0 if data.date is None else data.date.nunique()
