"""Operations that are one loop each, with gradients of their own."""

from helpers.ops.conditioned import conditioned_effects, conditioning, couple
from helpers.ops.contrasts import contrast_covariance, contrast_distance, variance_of_contrasts
from helpers.ops.likelihood import masked_log_likelihood
from helpers.ops.logits import cluster_logits
from helpers.ops.random import DrawnRV
from helpers.ops.rows import row_scatter
from helpers.ops.shares import (
    masked_log_softmax,
    masked_shares,
    masked_softmax,
    nested_logits,
    sum_of_chosen,
)
from helpers.ops.triangular import (
    cholesky,
    columns,
    correlation_factor,
    covariance_factor,
    lower,
    multiply,
    multiply_lower,
    precision,
    side_by_side,
    solve_lower,
    solve_upper,
)

__all__ = [
    "DrawnRV",
    "cholesky",
    "cluster_logits",
    "columns",
    "conditioned_effects",
    "conditioning",
    "contrast_covariance",
    "contrast_distance",
    "correlation_factor",
    "couple",
    "covariance_factor",
    "lower",
    "masked_log_likelihood",
    "masked_log_softmax",
    "masked_shares",
    "masked_softmax",
    "multiply",
    "multiply_lower",
    "nested_logits",
    "precision",
    "row_scatter",
    "side_by_side",
    "solve_lower",
    "solve_upper",
    "sum_of_chosen",
    "variance_of_contrasts",
]
