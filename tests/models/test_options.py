"""What goes with what: the table of options, walked from end to end."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers import CategoryCounts, masked_regression
from helpers.models import CHOICES, RULES, Design, Options

COUNTS = np.array([[5, 0, 3], [2, 4, 0], [1, 1, 1], [0, 2, 2], [3, 3, 1], [2, 0, 5]])


def table(cluster=True, date=True):
    return CategoryCounts(
        counts=COUNTS,
        available=np.ones_like(COUNTS, dtype=bool),
        categories=("soup", "stew", "salad"),
        cluster=pd.Categorical(list("aabbcc")) if cluster else None,
        date=pd.Index([2001, 2002] * 3) if date else None,
        predictors=pd.DataFrame({"rain": [0.1, 0.9, 0.4, 0.3, 0.8, 0.2]}),
    )


def allowed(options, data):
    """The rules once more, as a person would say them."""
    if options["effects"] != "pooled" and data.cluster is None:
        return False
    if options["drift"] == "walk" and data.date is None:
        return False
    if options["scatter"] is not None and options["likelihood"] != "logistic-normal":
        return False
    asks_of_clusters = "cluster" in (options["menu_of"], options["psi_by"])
    if options["availability"] == "unknown":
        if options["likelihood"] == "dirichlet-multinomial":
            return False
        if asks_of_clusters and data.cluster is None:
            return False
        return not options["menu_of"] == options["psi_by"] == "cluster"
    return not asks_of_clusters and options["inflated"] is None


@pytest.mark.parametrize("cluster", [True, False])
@pytest.mark.parametrize("date", [True, False])
def test_every_combination_is_allowed_or_refused_with_a_remedy(cluster, date):
    data = table(cluster, date)
    names = ["effects", "likelihood", "scatter", "drift", "availability", "menu_of", "psi_by"]
    grid = itertools.product(*(CHOICES[name] for name in names), [None, ("stew",)])
    for values in grid:
        given = dict(zip([*names, "inflated"], values, strict=True))
        if allowed(given, data):
            Options(**given).check(data)
            continue
        with pytest.raises(ValueError, match="needs") as caught:
            Options(**given).check(data)
        message = str(caught.value)
        broken = [r for r in RULES if message.startswith(f"{r.option}=") and r.remedy in message]
        assert broken, message


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.option} needs {rule.needs}")
def test_every_rule_can_be_broken_and_names_both_sides(rule):
    # The option as the rule has it, and the other one as the rule forbids it.
    data = table(cluster=rule.needs != "cluster", date=rule.needs != "date")
    availability = "known" if rule.option == "nests" else "unknown"
    given = {"effects": "pooled", "availability": availability}
    first = "normal" if rule.option == "scatter" else ("stew",)
    given[rule.option] = first if rule.values is None else rule.values[0]
    if rule.of:
        given[rule.needs] = next(v for v in CHOICES[rule.needs] if v not in rule.of)
    if rule.needs == "predictors":
        data = replace(data, predictors=None)
        given[rule.option] = "x"
    with pytest.raises(ValueError) as caught:
        masked_regression(data, **given)
    assert f"{rule.option}=" in str(caught.value) and rule.remedy in str(caught.value)
    needed = rule.needs if not rule.of else f"{rule.needs}="
    assert needed in str(caught.value)


@pytest.mark.parametrize("option", CHOICES)
def test_unknown_values_are_refused_with_the_choices(option):
    with pytest.raises(ValueError, match=f"{option} must be one of") as caught:
        Options(**{option: "nonsense"})
    assert all(repr(choice) in str(caught.value) for choice in CHOICES[option])


@pytest.mark.parametrize("option", ["menu_of", "psi_by"])
def test_without_clusters_known_menus_are_named_first(option):
    """Clusters would not help: on known menus the option is refused with them, too."""
    with pytest.raises(ValueError, match="about unknown menus"):
        masked_regression(table(cluster=False), effects="pooled", **{option: "cluster"})


class TestScatter:
    @pytest.mark.parametrize("likelihood", ["multinomial", "dirichlet-multinomial"])
    def test_goes_with_its_own_likelihood_only(self, likelihood):
        with pytest.raises(ValueError, match='scatter="t" needs likelihood="logistic-normal"'):
            masked_regression(table(), likelihood=likelihood, scatter="t")

    def test_of_single_choices_is_refused_and_of_their_sums_is_not(self):
        """As the message advises: the choices of a cluster at a date are a row."""
        single = CategoryCounts(
            np.eye(3, dtype=int)[[0, 0, 1, 2, 1, 0, 2, 0]],
            np.ones((8, 3), bool),
            ("soup", "stew", "salad"),
            cluster=pd.Categorical(list("aaaabbbb")),
            date=pd.Index([2001, 2001, 2002, 2002] * 2),
        )
        options = Options(effects="intercepts", likelihood="logistic-normal", scatter="normal")
        with pytest.raises(ValueError, match=r"single choice.*collapse\(\)"):
            Design.of(single, options)
        Design.of(single.collapse(), options)


class TestSpreads:
    """What menus say of the spreads of single categories, and not only of their differences."""

    NAMES = ("soup", "stew", "salad", "toast")

    def design(self, menus, categories=4, **options):
        available = np.zeros((len(menus), categories), bool)
        for row, menu in enumerate(menus):
            available[row, list(menu)] = True
        cluster = pd.Categorical(np.arange(len(menus)) % 2)
        names = self.NAMES[:categories]
        data = CategoryCounts(3 * available, available, names, cluster=cluster)
        return Design.of(data, Options(**({"effects": "intercepts"} | options)))

    # Two sides, with one category of either on each menu; a star; two pairs without a link.
    EVEN = ([(0, 1), (1, 2), (2, 3), (3, 0)], [(0, 1), (0, 2), (0, 3)])

    @pytest.mark.parametrize("menus", EVEN)
    def test_menus_of_pairs_without_an_odd_circle_are_refused(self, menus):
        with pytest.raises(ValueError, match='no odd circle.*spreads="contrast"'):
            self.design(menus)
        with pytest.raises(ValueError, match="no odd circle"):
            self.design(menus, effects="pooled", likelihood="logistic-normal", scatter="normal")

    @pytest.mark.parametrize("menus", EVEN)
    def test_by_contrast_they_are_not_nor_where_nothing_varies(self, menus):
        self.design(menus, spreads="contrast")
        self.design(menus, effects="pooled")

    @pytest.mark.parametrize(
        "menus",
        [
            [(0, 1), (1, 2), (2, 0), (2, 3)],
            [(3, 2), (1, 2), (0, 1), (3, 1)],
            [(0, 1, 2), (2, 3)],
        ],
    )
    def test_odd_circles_and_menus_of_three_will_do(self, menus):
        self.design(menus)

    def test_two_categories_have_one_spread(self):
        self.design([(0, 1), (0, 1)], categories=2)
