"""What varies by cluster and date: covariances, parametrisations, the pilot, drift."""

from helpers.effects.conditioned import Conditioned, ConditionedNormal
from helpers.effects.correlated import cluster_intercepts, correlated_effects
from helpers.effects.drift import date_gaps, random_walk, walk_at
from helpers.effects.normal import ClusterNormal, CorrelatedNormal, JointNormal
from helpers.effects.pilot import Expansion, expand_likelihood

__all__ = [
    "ClusterNormal",
    "Conditioned",
    "ConditionedNormal",
    "CorrelatedNormal",
    "Expansion",
    "JointNormal",
    "cluster_intercepts",
    "correlated_effects",
    "date_gaps",
    "expand_likelihood",
    "random_walk",
    "walk_at",
]
