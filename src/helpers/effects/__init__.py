"""What varies by cluster and date: covariances, parametrisations, the pilot, drift."""

from helpers.effects.conditioned import Conditioned, Quadratic
from helpers.effects.correlated import (
    CENTRINGS,
    COVARIANCES,
    cluster_intercepts,
    correlated_effects,
)
from helpers.effects.drift import date_gaps, random_walk, walk_at
from helpers.effects.normal import ClusterNormal, CorrelatedNormal, JointNormal
from helpers.effects.pilot import Expansion, expand_likelihood

__all__ = [
    "CENTRINGS",
    "COVARIANCES",
    "ClusterNormal",
    "Conditioned",
    "CorrelatedNormal",
    "Expansion",
    "JointNormal",
    "Quadratic",
    "cluster_intercepts",
    "correlated_effects",
    "date_gaps",
    "expand_likelihood",
    "random_walk",
    "walk_at",
]
