"""What varies by cluster and date: covariances, parametrisations, the pilot, drift."""

from helpers.effects.attribute_pilot import AttributePilot, Whitened, fit_attributes
from helpers.effects.conditioned import Conditioned, Quadratic
from helpers.effects.contrasts import (
    ConditionedLevel,
    ContrastNormal,
    CorrelatedContrasts,
)
from helpers.effects.correlated import (
    CENTRINGS,
    COVARIANCES,
    cluster_intercepts,
    correlated_effects,
)
from helpers.effects.drift import ConditionedSteps, date_gaps, random_walk, walk_at
from helpers.effects.groups import GroupLikelihood, group_log_likelihood
from helpers.effects.normal import ClusterNormal, CorrelatedNormal, JointNormal
from helpers.effects.pilot import Expansion, expand_likelihood
from helpers.effects.rows import (
    IntegratedLikelihood,
    draw_new_scatter,
    draw_scatter,
    integrated_log_likelihood,
)
from helpers.effects.scatter import ConditionedRows, RowScatter
from helpers.effects.scatter_pilot import RowExpansion, ScatteredExpansion, expand_scattered
from helpers.effects.spreads import pooled_spreads

__all__ = [
    "CENTRINGS",
    "COVARIANCES",
    "AttributePilot",
    "ClusterNormal",
    "Conditioned",
    "ConditionedLevel",
    "ConditionedRows",
    "ConditionedSteps",
    "ContrastNormal",
    "CorrelatedContrasts",
    "CorrelatedNormal",
    "Expansion",
    "GroupLikelihood",
    "IntegratedLikelihood",
    "JointNormal",
    "Quadratic",
    "RowExpansion",
    "RowScatter",
    "ScatteredExpansion",
    "Whitened",
    "cluster_intercepts",
    "correlated_effects",
    "date_gaps",
    "draw_new_scatter",
    "draw_scatter",
    "expand_likelihood",
    "expand_scattered",
    "fit_attributes",
    "group_log_likelihood",
    "integrated_log_likelihood",
    "pooled_spreads",
    "random_walk",
    "walk_at",
]
