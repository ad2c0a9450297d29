"""Where observed counts rank among predicted ones."""

import numpy as np


def pit(
    counts: np.ndarray,
    predicted: np.ndarray,
    rng: np.random.Generator,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Weighted rank, from 0 to 1, of each of N counts among its S predicted ones, (S, N)."""
    n_draws = len(predicted)
    if weights is None:
        weights = np.broadcast_to(1 / n_draws, predicted.shape)
    # The count itself ranks as one more draw: without it, the ranks of few draws are not uniform.
    own = (weights**2).sum(axis=0)
    below = (weights * (predicted < counts)).sum(axis=0)
    equal = (weights * (predicted == counts)).sum(axis=0)
    return (below + rng.uniform(size=len(counts)) * (equal + own)) / (1 + own)


def share_inside(pit: np.ndarray, prob: float) -> float:
    """Share of the ranks that lie in the central interval of a probability."""
    return float((np.abs(pit - 0.5) < prob / 2).mean()) if len(pit) else np.nan
