"""Operations that are one loop each, with gradients of their own."""

from helpers.ops.effects import conditioned_pair, pair_log_density
from helpers.ops.likelihood import masked_log_likelihood
from helpers.ops.logits import cluster_logits
from helpers.ops.shares import masked_shares

__all__ = [
    "cluster_logits",
    "conditioned_pair",
    "masked_log_likelihood",
    "masked_shares",
    "pair_log_density",
]
