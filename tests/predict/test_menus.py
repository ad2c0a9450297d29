"""What the counts say about unknown menus: against Bayes' rule written out."""

import dataclasses
import itertools

import arviz as az
import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from scipy import stats

from helpers import (
    PatternMixtureMultinomial,
    ZeroInflatedMultinomial,
    masked_regression,
    menu_probabilities,
    simulate_counts,
)

P = np.array([0.1, 0.2, 0.3, 0.4])
Y = np.array([[0, 1, 0, 4], [0, 0, 0, 6], [0, 3, 0, 3], [2, 0, 0, 4], [0, 0, 1, 2]])


def by_bayes(y, psi, known=None):
    """P(on the menu | rows), with one menu for all of them, in the order of categories."""
    chance = np.zeros(4)
    total = 0.0
    for menu in itertools.product([0, 1], repeat=4):
        menu = np.array(menu, bool)
        if known is not None and (menu != (known == 1))[~np.isnan(known)].any():
            continue
        prior = np.where(menu, psi, 1 - psi)
        weight = np.prod(prior if known is None else prior[np.isnan(known)])
        for row in y:
            if not menu.any() or row[~menu].any():
                weight = 0.0
            elif weight:
                p = P[menu] / P[menu].sum()
                weight *= stats.multinomial.pmf(row[menu], row.sum(), p)
        chance += weight * menu
        total += weight
    return chance / total


def fitted(psi):
    """Draws of psi, as if they were a posterior's."""
    return az.from_dict({"posterior": {"psi": np.asarray(psi, float)[None]}})


def model(psi_of, last=1.0, **options):
    with pm.Model() as out:
        psi = pm.Beta("psi", 1, 1, shape=3)
        ZeroInflatedMultinomial(
            "counts",
            Y.sum(axis=1),
            p=P,
            psi=psi_of(psi) if psi_of else pt.concatenate([psi, [last]]),
            observed=Y,
            **options,
        )
    return out


DRAWS = np.array([[0.3, 0.6, 0.2], [0.9, 0.5, 0.01]])


class TestZeroInflated:
    @pytest.mark.parametrize("method", ["enumerate", "quadrature"])
    def test_is_bayes_rule_averaged_over_draws(self, method):
        ours = menu_probabilities(fitted(DRAWS), model(None, method=method))
        expected = [[by_bayes(row[None], np.append(psi, 1.0)) for row in Y] for psi in DRAWS]
        np.testing.assert_allclose(ours, np.mean(expected, axis=0), atol=1e-8)

    def test_of_groups(self):
        group = np.array([3, 1, 3, 1, 1])
        ours = menu_probabilities(fitted(DRAWS[:1]), model(None, group=group))
        for g in (1, 3):
            expected = by_bayes(Y[group == g], np.append(DRAWS[0], 1.0))
            for row in ours.to_numpy()[group == g]:
                np.testing.assert_allclose(row, expected, atol=1e-10)

    def test_known_cells_stay_what_they_are(self):
        known = np.array([0, np.nan, 1, 1])
        with pm.Model() as ours:
            psi = pm.Beta("psi", 1, 1, shape=3)
            ZeroInflatedMultinomial(
                "counts",
                6,
                p=P,
                psi=pt.concatenate([psi, [1.0]]),
                available=known,
                observed=[[0, 0, 0, 6]],
            )
        expected = by_bayes(np.array([[0, 0, 0, 6]]), np.append(DRAWS[0], 1.0), known)
        np.testing.assert_allclose(menu_probabilities(fitted(DRAWS[:1]), ours)[0], expected)

    def test_given_that_the_menu_is_not_empty(self):
        ours = menu_probabilities(fitted(DRAWS[:1]), model(None, last=0.3, nonempty=True))
        expected = [by_bayes(row[None], np.append(DRAWS[0], 0.3)) for row in Y]
        np.testing.assert_allclose(ours, expected, atol=1e-8)

    @pytest.mark.slow
    def test_only_some_draws_are_used(self):
        many = np.repeat(DRAWS[:1], 50, axis=0)
        few = menu_probabilities(fitted(many), model(None), draws=3)
        np.testing.assert_allclose(few, menu_probabilities(fitted(DRAWS[:1]), model(None)))


class TestPatternMixture:
    def test_is_bayes_rule(self):
        patterns = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [1, 0, 0, 1], [0, 1, 0, 1]], bool)
        w = np.array([0.4, 0.3, 0.2, 0.1])
        with pm.Model() as ours:
            weights = pm.Dirichlet("weights", np.ones(4))
            PatternMixtureMultinomial(
                "counts", Y.sum(axis=1), p=P, patterns=patterns, weights=weights, observed=Y
            )
        idata = az.from_dict({"posterior": {"weights": w[None, None]}})
        expected = []
        for row in Y:
            terms = []
            for menu in patterns:
                p = P[menu] / P[menu].sum()
                off = row[~menu].any()
                terms.append(0 if off else stats.multinomial.pmf(row[menu], row.sum(), p))
            posterior = w * terms / np.sum(w * terms)
            expected.append(posterior @ patterns)
        np.testing.assert_allclose(menu_probabilities(idata, ours), expected, atol=1e-10)


class TestMistakes:
    def test_are_named(self):
        data, _ = simulate_counts(n_clusters=3, n_dates=2, n_range=(5, 9), random_seed=1)
        known = masked_regression(data, effects="pooled")
        with pytest.raises(ValueError, match="no observed variable 'votes'"):
            menu_probabilities(fitted(DRAWS), known, name="votes")
        unknown = masked_regression(data, effects="pooled", availability="unknown")
        with pytest.raises(ValueError, match="The posterior lacks intercept, slope"):
            menu_probabilities(fitted(DRAWS), unknown)
        with pytest.raises(ValueError, match="'counts' has no unknown menus"):
            menu_probabilities(fitted(DRAWS), known)
        with pm.Model() as plain:
            pm.Beta("psi", 1, 1, shape=3)
            pm.Normal("counts", observed=[1.0])
        with pytest.raises(ValueError, match="'counts' has no unknown menus"):
            menu_probabilities(fitted(DRAWS), plain)


@pytest.fixture(scope="module")
def data():
    return simulate_counts(
        n_clusters=4, n_dates=3, n_range=(5, 30), effects="intercepts", random_seed=2
    )[0]


class TestRegression:
    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::UserWarning")
    @pytest.mark.parametrize("menu_of", ["row", "cluster"])
    def test_density_is_the_one_written_by_hand(self, data, menu_of):
        if menu_of == "cluster":  # whose menus vary from row to row otherwise
            data = dataclasses.replace(data, available=np.ones_like(data.available))
        ours = masked_regression(
            data,
            effects="pooled",
            spreads="contrast",
            availability="unknown",
            inflated=["category 4", "category 1"],
            menu_of=menu_of,
            reference="category 7",
        )
        assert ours.coords["inflated"] == ("category 1", "category 4")
        psi, logits = np.array([0.7, 0.4]), np.linspace(-1, 1, 6)
        total = stats.norm.logpdf(logits, 0, 2).sum()
        groups = data.cluster.codes if menu_of == "cluster" else np.arange(len(data))
        w = np.exp(np.append(logits, 0.0))
        for g in np.unique(groups):
            rows = groups == g
            terms = []
            for on in itertools.product([0, 1], repeat=2):
                menu = data.available[rows].copy()
                for k, a in zip((0, 3), on, strict=True):
                    # What the table says is off is off, whatever the others of the group say.
                    menu[:, k] = a if data.available[rows][:, k].all() else 0
                chance = 1.0
                for k, a, p in zip((0, 3), on, psi, strict=True):
                    if data.available[rows][:, k].all():
                        chance *= p if a else 1 - p
                    elif a:
                        chance = 0.0
                for row, m in zip(data.counts[rows], menu, strict=True):
                    if row[~m].any():
                        chance = 0.0
                    elif chance:
                        p = w[m] / w[m].sum()
                        chance *= stats.multinomial.pmf(row[m], row.sum(), p)
                terms.append(chance)
            total += np.log(sum(terms))
        logp = ours.compile_logp(jacobian=False)
        point = {"intercept": logits, "psi_logodds__": np.log(psi / (1 - psi))}
        assert logp(point) == pytest.approx(total, rel=1e-10)

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::UserWarning")
    def test_psi_by_cluster(self, data):
        """Each cluster's rows have the density of a table of their own, with its psi."""
        common = {"availability": "unknown", "inflated": "category 4", "reference": "category 7"}
        common["spreads"] = "contrast"
        ours = masked_regression(data, effects="pooled", psi_by="cluster", **common)
        assert ours.named_vars_to_dims["psi"] == ("cluster", "inflated")
        psi = np.linspace(0.2, 0.8, 4)
        point = {"intercept": np.linspace(-1, 1, 6)}
        total = stats.norm.logpdf(point["intercept"], 0, 2).sum()
        for c, p in enumerate(psi):
            rows = data.cluster.codes == c
            part = dataclasses.replace(
                data,
                counts=data.counts[rows],
                available=data.available[rows],
                cluster=None,
                date=None,
                predictors=None,
                rows=data.rows[rows],
            )
            alone = masked_regression(part, effects="pooled", **common)
            at = point | {"psi_logodds__": np.log([p / (1 - p)])}
            total += alone.compile_logp(vars=[alone["counts"]])(at)
        at = point | {"psi_logodds__": np.log(psi / (1 - psi))[:, None]}
        assert ours.compile_logp(jacobian=False)(at) == pytest.approx(total, rel=1e-10)

    def test_defaults_name_what_is_in_doubt(self, data):
        model = masked_regression(data, effects="intercepts", availability="unknown")
        zero = ((data.counts == 0) & data.available).any(axis=0)
        (reference,) = set(data.categories) - set(model.coords["contrast"])
        expected = [c for c, z in zip(data.categories, zero, strict=True) if z and c != reference]
        assert list(model.coords["inflated"]) == expected
        assert model.named_vars_to_dims["psi"] == ("inflated",)

    def test_mistakes_are_named(self, data):
        ask = {"effects": "pooled", "availability": "unknown"}
        with pytest.raises(ValueError, match="reference 'category 7' must be on every menu"):
            masked_regression(data, **ask, reference="category 7", inflated="category 7")
        with pytest.raises(ValueError, match="an inflated category must be one of"):
            masked_regression(data, **ask, inflated=["category 9"])
        with pytest.raises(ValueError, match="about unknown menus"):
            masked_regression(data, effects="pooled", inflated=["category 1"])
        with pytest.raises(ValueError, match="cluster's psi would rest on a single menu"):
            masked_regression(data, **ask, menu_of="cluster", psi_by="cluster")
        full, _ = simulate_counts(n_clusters=3, n_dates=2, unavailable=[0] * 7, random_seed=1)
        with pytest.raises(ValueError, match="nothing unknown"):
            masked_regression(full, **ask)


@pytest.mark.slow
def test_totals_of_unknown_menus_can_be_exchanged(data):
    model = masked_regression(data, effects="intercepts", availability="unknown")
    with model:
        pm.set_data({"n": 3 * data.n + 1})
    drawn = pm.draw(model["counts"], random_seed=1)
    np.testing.assert_array_equal(drawn.sum(axis=-1), 3 * data.n + 1)
