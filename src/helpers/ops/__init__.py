"""Operations that are one loop each, with gradients of their own."""

from helpers.ops.conditioned import conditioned_effects
from helpers.ops.likelihood import masked_log_likelihood
from helpers.ops.logits import cluster_logits
from helpers.ops.normal import normal_log_density
from helpers.ops.shares import masked_log_softmax, masked_shares, masked_softmax

__all__ = [
    "cluster_logits",
    "conditioned_effects",
    "masked_log_likelihood",
    "masked_log_softmax",
    "masked_shares",
    "masked_softmax",
    "normal_log_density",
]
