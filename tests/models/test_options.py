"""What goes with what: the table of options, walked from end to end."""

import itertools

import numpy as np
import pandas as pd
import pytest

from helpers import CategoryCounts, masked_regression
from helpers.models import CHOICES, RULES, Options

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
    asks_of_clusters = "cluster" in (options["menu_of"], options["psi_by"])
    if options["availability"] == "unknown":
        if options["likelihood"] != "multinomial":
            return False
        if asks_of_clusters and data.cluster is None:
            return False
        return not options["menu_of"] == options["psi_by"] == "cluster"
    return not asks_of_clusters and options["inflated"] is None


@pytest.mark.parametrize("cluster", [True, False])
@pytest.mark.parametrize("date", [True, False])
def test_every_combination_is_allowed_or_refused_with_a_remedy(cluster, date):
    data = table(cluster, date)
    names = ["effects", "likelihood", "drift", "availability", "menu_of", "psi_by"]
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
    given = {"effects": "pooled", "availability": "unknown"}
    given[rule.option] = ("stew",) if rule.values is None else rule.values[0]
    if rule.of:
        given[rule.needs] = next(v for v in CHOICES[rule.needs] if v not in rule.of)
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
