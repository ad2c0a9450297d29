"""What can be chosen of a regression, and what goes with what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from helpers.data.counts import CategoryCounts
from helpers.data.messages import require_choice
from helpers.effects.correlated import CENTRINGS, COVARIANCES

__all__ = ["CHOICES", "RULES", "Options", "Rule"]

CHOICES: dict[str, tuple[str | None, ...]] = {
    "effects": ("slopes", "intercepts", "pooled"),
    "covariance": COVARIANCES,
    "centring": CENTRINGS,
    "likelihood": ("multinomial", "dirichlet-multinomial", "logistic-normal"),
    "scatter": (None, "normal", "t"),
    "spreads": (None, "category", "contrast"),
    "drift": (None, "walk"),
    "availability": ("known", "unknown", "ignored"),
    "menu_of": ("row", "cluster"),
    "psi_by": (None, "cluster"),
}


class Rule(NamedTuple):
    """
    An option that goes with certain values of another, or with certain data, only.

    Attributes
    ----------
    option : str
        The option.
    values : tuple or None
        The values that the rule is about; None: any that is given.
    needs : str
        The other option, or what the data must have ("cluster", "date").
    of : tuple
        What the other must be; empty for data.
    remedy : str
        Why, and what to do.
    """

    option: str
    values: tuple[str, ...] | None
    needs: str
    of: tuple[str | None, ...]
    remedy: str


_ABOUT_UNKNOWN = "it is about unknown menus"

RULES = (
    Rule(
        "effects",
        ("slopes", "intercepts"),
        "cluster",
        (),
        'give `cluster` when reading the counts, or use effects="pooled"',
    ),
    Rule("drift", ("walk",), "date", (), "give `date` when reading the counts, or leave it out"),
    Rule(
        "attribute_effects",
        ("varying",),
        "cluster",
        (),
        "give `cluster` when reading the counts, or leave it out",
    ),
    Rule(
        "attribute_effects",
        ("varying",),
        "attributes",
        (),
        "give `attributes` when reading the counts, or leave it out",
    ),
    Rule(
        "nests",
        None,
        "availability",
        ("known", "ignored"),
        "a nested logit of unknown menus is not among these models",
    ),
    Rule(
        "nests",
        None,
        "likelihood",
        ("multinomial", "dirichlet-multinomial"),
        "rows that scatter already substitute out of proportion, each by its own preferences; "
        "leave one of them out",
    ),
    Rule(
        "formula",
        None,
        "predictors",
        (),
        "give `predictors` when reading the counts, or leave it out",
    ),
    Rule("inflated", None, "availability", ("unknown",), _ABOUT_UNKNOWN),
    Rule("menu_of", ("cluster",), "availability", ("unknown",), _ABOUT_UNKNOWN),
    Rule("psi_by", ("cluster",), "availability", ("unknown",), _ABOUT_UNKNOWN),
    Rule("menu_of", ("cluster",), "cluster", (), "give `cluster` when reading the counts"),
    Rule("psi_by", ("cluster",), "cluster", (), "give `cluster` when reading the counts"),
    Rule(
        "menu_of",
        ("cluster",),
        "psi_by",
        (None,),
        "with one menu for each cluster, a cluster's psi would rest on a single menu; leave one of "
        "them out",
    ),
    Rule(
        "availability",
        ("unknown",),
        "likelihood",
        ("multinomial", "logistic-normal"),
        "a Dirichlet-multinomial of unknown menus is not among these models; the logistic-normal "
        "lets rows scatter, too",
    ),
    Rule(
        "scatter",
        None,
        "likelihood",
        ("logistic-normal",),
        "it is about the scatter of that likelihood",
    ),
)

_DATA = {
    "cluster": "a cluster for each row",
    "date": "the date of each row",
    "attributes": "attributes of the categories",
    "predictors": "predictors of the rows",
}


@dataclass(frozen=True)
class Options:
    """
    The options of :func:`~helpers.masked_regression`, checked one by one and against each other.

    Attributes
    ----------
    effects, covariance, centring, likelihood, scatter, drift : str or None
        One of `CHOICES` each.
    availability, menu_of, psi_by, spreads : str or None
        One of `CHOICES` each.
    attribute_effects : str or mapping
        "common" or "varying", for all attributes or by name.
    nests : mapping of str to sequence of str, optional
        Categories that are close substitutes, by the name of their nest.
    formula : str, optional
        What is made of the predictors.
    inflated : sequence of str or str, optional
        Categories that may be off unknown menus.
    reference : str, optional
        The category whose logit is 0.

    Raises
    ------
    ValueError
        For a value that is not among the choices.
    """

    effects: str = "slopes"
    covariance: str = "category"
    centring: str = "auto"
    likelihood: str = "multinomial"
    scatter: str | None = None
    drift: str | None = None
    availability: str = "known"
    inflated: Sequence[str] | str | None = None
    menu_of: str = "row"
    psi_by: str | None = None
    reference: str | None = None
    spreads: str | None = None
    attribute_effects: str | Mapping[str, str] = "common"
    nests: Mapping[str, Sequence[str]] | None = None
    formula: str | None = None

    def __post_init__(self) -> None:
        for option, allowed in CHOICES.items():
            require_choice(option, getattr(self, option), allowed)
        kinds = self.attribute_effects
        for kind in kinds.values() if isinstance(kinds, Mapping) else [kinds]:
            require_choice("attribute_effects", kind, ("common", "varying"))

    @property
    def needs_spreads(self) -> bool:
        """Whether anything varies by cluster, date or row with a spread for each category."""
        scatters = self.likelihood == "logistic-normal"
        return self.effects != "pooled" or self.drift is not None or scatters

    def check(self, data: CategoryCounts) -> None:
        """
        Refuse combinations that `RULES` exclude, and options that the data cannot bear.

        Parameters
        ----------
        data : CategoryCounts
            The counts.

        Raises
        ------
        ValueError
            For the first rule that is broken: which options, why, and what to do.
        """
        for option, values, needs, of, remedy in RULES:
            value = getattr(self, option)
            if option == "attribute_effects" and isinstance(value, Mapping):
                value = "varying" if "varying" in value.values() else "common"
            if value is None or (values is not None and value not in values):
                continue
            if needs in _DATA:
                given, needed = getattr(data, needs), _DATA[needs]
                met = given is not None and len(given) > 0
                met = met and (needs != "predictors" or given.shape[1] > 0)
            else:
                met = getattr(self, needs) in of
                needed = " or ".join(_spelt(needs, v) for v in of)
            if not met:
                raise ValueError(f"{_spelt(option, value)} needs {needed}: {remedy}.")
        if self.likelihood == "logistic-normal" and data.n.max() <= 1:
            raise ValueError(
                "Each row is a single choice, and the scatter of rows cannot be seen in those. "
                "Add up the choices of a cluster at a date (data.collapse()) to let these scatter, "
                'or use likelihood="multinomial".'
            )


def _spelt(option: str, value: object) -> str:
    return f'{option}="{value}"' if isinstance(value, str) else f"{option}={value!r}"
