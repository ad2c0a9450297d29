"""Which regression suits the data, and why."""

import warnings
from dataclasses import dataclass

from helpers.data.counts import CategoryCounts
from helpers.models.design import choose_reference, fixed_within_clusters
from helpers.models.likelihood import choose_likelihood

__all__ = ["Choice", "choose"]


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
    likelihood : {"multinomial", "dirichlet-multinomial"}
        Distribution of the counts.
    availability : {"known", "unknown", "ignored"}
        How the menus are used.
    reference : str
        Category whose logit is 0.
    evidence : str
        Evidence for the likelihood, in words.
    """

    data: CategoryCounts
    n_rows: int
    effects: str
    drift: str | None
    likelihood: str
    availability: str
    reference: str
    evidence: str

    @property
    def description(self) -> str:
        """The model in words."""
        slopes = ", ".join(self.data.predictors.columns)
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
        if self.drift:
            text += f", drifting over {_n_dates(self.data)} dates"
        text += f"; logits against {self.reference}."
        if self.availability == "ignored":
            text += " Menus are ignored: zeros of what was not on them count as dislike."
        elif self.availability == "unknown":
            text += (
                f" Menus are unknown: any zero but those of {self.reference} may mean that the "
                "category was not on the menu."
            )
        if _n_clusters(self.data) in (1, 2):
            text += (
                " With fewer than three clusters their spread cannot be estimated, so they are "
                "pooled."
            )
        return text


def choose(
    data: CategoryCounts,
    *,
    availability: str = "known",
    likelihood: str = "auto",
    drift: str = "auto",
) -> Choice:
    """
    Choose a regression for a table of counts.

    Intercepts vary by cluster if there are three clusters or more, and with them the slopes of
    the predictors if all of these vary within clusters. Preferences drift over dates if there are
    three or more, with two rows each on average. :func:`~helpers.models.choose_likelihood` chooses
    the likelihood; where it is the multinomial, rows that differ in their counts only are summed
    if that at least halves their number.

    Parameters
    ----------
    data : CategoryCounts
        The counts.
    availability : {"known", "unknown", "ignored"}
        As in :func:`~helpers.masked_regression`. Unknown menus go with the multinomial.
    likelihood : {"auto", "multinomial", "dirichlet-multinomial"}
        Overrules the choice of the likelihood.
    drift : {"auto", "walk", "none"}
        Overrules the choice of a drift.

    Returns
    -------
    Choice

    Raises
    ------
    ValueError
        If the data do not allow the choice: a predictor is the same in every row, predictors
        repeat each other, or a drift is wanted without dates.

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> from helpers.analysis import choose
    >>> data, _ = simulate_counts(random_seed=1)
    >>> choice = choose(data)
    >>> choice.effects, choice.drift, choice.likelihood
    ('slopes', 'walk', 'multinomial')
    """
    effects = _choose_effects(data)
    walk = _choose_drift(data) if drift == "auto" else None if drift == "none" else drift
    reference = choose_reference(data, availability)
    n_rows = len(data)
    suited, ratio = choose_likelihood(data, effects=effects, drift=walk)
    evidence = (
        f"In a quick fit the squared residuals are {ratio:,.1f} times what a multinomial expects."
    )
    if (
        suited == "multinomial"
        and likelihood != "dirichlet-multinomial"
        and availability != "unknown"
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they were given when the table was read
            collapsed = data.collapse()
        if len(collapsed) <= n_rows / 2:
            # It changes nothing for a multinomial. Single choices cannot scatter, but sums can.
            data = collapsed
            suited, ratio = choose_likelihood(data, effects=effects, drift=walk)
            evidence += (
                f" Rows with the same menu and predictors were summed, {n_rows:,} to "
                f"{len(data):,}; for the sums, the ratio is {ratio:,.1f}."
            )
    if likelihood == "auto":
        likelihood = "multinomial" if availability == "unknown" else suited
    return Choice(data, n_rows, effects, walk, likelihood, availability, reference, evidence)


def _choose_effects(data: CategoryCounts) -> str:
    if _n_clusters(data) < 3:
        return "pooled"
    slopes = len(data.predictors.columns) and not fixed_within_clusters(data)
    return "slopes" if slopes else "intercepts"


def _choose_drift(data: CategoryCounts) -> str | None:
    # With a date for each row, a drift could not be told from scatter.
    return "walk" if 3 <= _n_dates(data) <= min(500, len(data) / 2) else None


def _n_clusters(data: CategoryCounts) -> int:
    return 0 if data.cluster is None else len(data.cluster.categories)


def _n_dates(data: CategoryCounts) -> int:
    return 0 if data.date is None else data.date.nunique()
