"""PyMC distributions of counts over categories that were not always on the menu."""

from helpers.distributions.dirichlet import MaskedDirichletMultinomial
from helpers.distributions.masked import MaskedMultinomial
from helpers.distributions.menu_posterior import menu_posterior
from helpers.distributions.pattern_mixture import PatternMixtureMultinomial
from helpers.distributions.quadrature import log_mean_over_menus
from helpers.distributions.zero_inflated import ZeroInflatedMultinomial
from helpers.distributions.zero_inflated_dirichlet import ZeroInflatedDirichletMultinomial

__all__ = [
    "MaskedDirichletMultinomial",
    "MaskedMultinomial",
    "PatternMixtureMultinomial",
    "ZeroInflatedDirichletMultinomial",
    "ZeroInflatedMultinomial",
    "log_mean_over_menus",
    "menu_posterior",
]
