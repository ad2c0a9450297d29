"""ZeroInflatedMultinomial of rows that share a menu."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from oracles import PLAIN, all_menus, density, on_menu
from pymc.distributions.distribution import support_point
from scipy import stats
from scipy.special import logsumexp

from helpers import ZeroInflatedMultinomial


class TestGroups:
    P = np.array([0.1, 0.2, 0.3, 0.4])
    PSI = np.array([0.5, 0.9, 0.02, 1.0])
    GROUP = np.array([7, 2, 7, 2, 7])
    Y = np.array([[0, 1, 0, 4], [0, 0, 0, 6], [0, 3, 0, 3], [2, 0, 0, 4], [0, 0, 0, 0]])

    def by_hand(self, y, p, psi, group, known=None):
        out = []
        for g in np.unique(group):
            terms = []
            for menu in all_menus(len(psi)):
                chance = np.where(menu, psi, 1 - psi)
                if known is not None and ((known == 1) & ~menu)[group == g].any():
                    continue
                if known is not None and ((known == 0) & menu)[group == g].any():
                    continue
                if known is not None:
                    chance = np.where(np.isnan(known[group == g]).all(axis=0), chance, 1.0)
                if chance.all():
                    rows = [on_menu(row, p_i, menu) for row, p_i in zip(y, p, strict=True)]
                    terms.append(np.log(chance).sum() + np.array(rows)[group == g].sum())
            out.append(logsumexp(terms))
        return out

    def test_density_is_the_sum_over_the_groups_menus(self):
        p = np.random.default_rng(1).dirichlet(np.ones(4), size=5)
        ours = ZeroInflatedMultinomial.dist(self.Y.sum(axis=1), p=p, psi=self.PSI, group=self.GROUP)
        expected = self.by_hand(self.Y, p, self.PSI, self.GROUP)
        np.testing.assert_allclose(density(ours, self.Y), expected, rtol=1e-12)
        y = pt.lmatrix("y")
        logp = pytensor.function([y], pm.logp(ours, y), mode=PLAIN)
        np.testing.assert_allclose(logp(self.Y), expected, rtol=1e-12)

    def test_what_one_row_knows_holds_for_its_group(self):
        known = np.full((5, 4), np.nan)
        known[0, 0], known[3, 2] = 0, 1
        ours = ZeroInflatedMultinomial.dist(
            self.Y.sum(axis=1), p=self.P, psi=self.PSI, group=self.GROUP, available=known
        )
        p = np.tile(self.P, (5, 1))
        expected = self.by_hand(self.Y, p, self.PSI, self.GROUP, known)
        np.testing.assert_allclose(density(ours, self.Y), expected, rtol=1e-12)

    def test_groups_of_one_row_are_the_ungrouped(self):
        alone = ZeroInflatedMultinomial.dist(self.Y.sum(axis=1), p=self.P, psi=self.PSI)
        grouped = ZeroInflatedMultinomial.dist(
            self.Y.sum(axis=1), p=self.P, psi=self.PSI, group=np.arange(5)
        )
        ours = density(grouped, self.Y)
        np.testing.assert_allclose(ours, density(alone, self.Y), rtol=1e-12, atol=1e-15)

    def test_draws_share_the_menu(self):
        n = 4_000
        group = np.arange(n) // 2
        ours = ZeroInflatedMultinomial.dist([40] * n, p=[0.5, 0.5], psi=[0.3, 1.0], group=group)
        chosen = pm.draw(ours, random_seed=1)[:, 0] > 0
        # With 40 choices a zero by chance has probability 2^-40.
        assert (chosen[::2] == chosen[1::2]).all()
        assert stats.binomtest(int(chosen[::2].sum()), n // 2, 0.3).pvalue > 1e-4

    @pytest.mark.slow
    def test_model_takes_observed_counts(self):
        with pm.Model() as model:
            psi = pm.Beta("psi", 1, 1, shape=3)
            ZeroInflatedMultinomial(
                "y",
                self.Y.sum(axis=1),
                p=self.P,
                psi=pt.concatenate([psi, [1.0]]),
                group=self.GROUP,
                observed=self.Y,
            )
        at = {"psi_logodds__": np.zeros(3)}
        gradient = model.compile_dlogp(mode=PLAIN)(at)
        assert np.isfinite(gradient).all()
        logp = model.compile_logp(mode=PLAIN, jacobian=False)(at)
        half = np.array([0.5, 0.5, 0.5, 1])
        expected = self.by_hand(self.Y, np.tile(self.P, (5, 1)), half, self.GROUP)
        assert logp == pytest.approx(np.sum(expected), rel=1e-12)

    def test_contradictions_are_refused(self):
        known = np.full((5, 4), np.nan)
        known[0, 1], known[2, 1] = 0, 1
        right = {"p": self.P, "psi": self.PSI, "group": self.GROUP}
        with pytest.raises(ValueError, match=r"on and off it in groups \[1\]"):
            ZeroInflatedMultinomial.dist(5, available=known, **right)
        known[2, 1] = np.nan
        n = self.Y.sum(axis=1)
        with pm.Model(), pytest.raises(ValueError, match=r"\[0, 2\]"):
            ZeroInflatedMultinomial("y", n, available=known, observed=self.Y, **right)
        psi = np.tile(self.PSI, (5, 1))
        psi[4, 0] = 0.2
        with pytest.raises(ValueError, match=r"same in all rows of a group.*\[4\]"):
            ZeroInflatedMultinomial.dist(5, **right | {"psi": psi})

    def test_too_many_categories_in_doubt_are_refused(self):
        y = np.zeros((2, 20), int)
        y[:, -1] = 3
        ours = ZeroInflatedMultinomial.dist(
            3, p=np.full(20, 0.05), psi=np.append(np.full(19, 0.5), 1), group=[0, 0]
        )
        with pytest.raises(ValueError, match="19 categories are in doubt"):
            pm.logp(ours, y)

    def test_support_point_is_possible(self):
        n = self.Y.sum(axis=1)
        ours = ZeroInflatedMultinomial.dist(n, p=self.P, psi=[1, 0, 0.5, 1], group=self.GROUP)
        point = support_point(ours).eval(mode=PLAIN)
        np.testing.assert_array_equal(point.sum(axis=1), n)
        assert (point[:, 1] == 0).all()

    def test_groups_are_told_apart(self):
        psi = [0.5, 0.5, 1.0]
        first, same, other = (
            ZeroInflatedMultinomial.dist([3, 3], np.zeros(3), psi=psi, group=group).owner.op
            for group in ([0, 0], [7, 7], [0, 1])
        )
        assert first == same != other
