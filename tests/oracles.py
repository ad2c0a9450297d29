"""Counts on unknown menus, written out one menu at a time with scipy."""

import itertools

import numpy as np
import pymc as pm
from pytensor.compile.mode import Mode
from scipy import stats
from scipy.special import logsumexp

# Densities are compared in plain numpy: no compiler, so each costs a fraction of a second.
PLAIN = Mode(linker="py", optimizer="fast_compile")


def on_menu(y, p, menu):
    """Log-probability of counts if this was the menu, from scipy."""
    y, p, menu = np.asarray(y), np.asarray(p), np.asarray(menu, bool)
    if y[~menu].any() or not menu.any():
        return -np.inf
    return stats.multinomial.logpmf(y[menu], y.sum(), p[menu] / p[menu].sum())


def dirichlet_on_menu(y, a, menu):
    """The same of Dirichlet-multinomial counts."""
    y, a, menu = np.asarray(y), np.asarray(a, float), np.asarray(menu, bool)
    if y[~menu].any() or not menu.any():
        return -np.inf
    if menu.sum() == 1:
        return 0.0
    return stats.dirichlet_multinomial.logpmf(y[menu], a[menu], y.sum())


def all_menus(size):
    return np.array(list(itertools.product([False, True], repeat=size)))


def by_menus(y, p, psi):
    """Every menu, one by one."""
    terms = [
        np.log(np.where(menu, psi, 1 - np.asarray(psi))).sum() + on_menu(y, p, menu)
        for menu in all_menus(len(p))
        if np.where(menu, psi, 1 - np.asarray(psi)).all()
    ]
    return logsumexp(terms)


def all_counts(n, size):
    """All ways to share n choices out over the categories."""
    return np.array([y for y in itertools.product(range(n + 1), repeat=size) if sum(y) == n])


def density(distribution, value):
    return pm.logp(distribution, value).eval(mode=PLAIN)


def assert_frequencies(draws, log_p):
    """Counts of each outcome against its probability: chi-squared."""
    outcomes = all_counts(int(draws[0].sum()), draws.shape[1])
    p = np.exp([log_p(y) for y in outcomes])
    seen = np.array([(draws == y).all(axis=1).sum() for y in outcomes])
    assert seen.sum() == len(draws)
    assert not seen[p == 0].any()
    likely = p * len(draws) >= 5
    rest = [seen[~likely].sum()], [p[~likely].sum() * len(draws)]
    if rest[1][0] < 5:
        rest = [], []
    got = np.concatenate([seen[likely], rest[0]])
    expected = np.concatenate([p[likely] * len(draws), rest[1]])
    assert stats.chisquare(got, expected * got.sum() / expected.sum()).pvalue > 1e-4
