"""Rows and draws by menu, in blocks."""

import numpy as np

from helpers.effects._laplace import Pairs

# Doubles in one block of points: what stays in a processor's cache.
BLOCK = 250_000


class Table:
    """Counts, menus and parameters, checked."""

    def __init__(self, counts, available, logits, spread, df, all_finite=False):
        self.counts = np.asarray(counts, dtype=float)
        self.available = np.asarray(available, dtype=bool)
        self.logits, self.spread = np.asarray(logits, dtype=float), np.asarray(spread, dtype=float)
        shape, n_draws = self.counts.shape, len(self.logits)
        expected = (shape, (n_draws, *shape), (n_draws, *shape[1:]))
        found = (self.available.shape, self.logits.shape, self.spread.shape)
        if self.counts.ndim != 2 or found != expected:
            raise ValueError(
                f"counts are (R, K) = {shape}, so that available must be {expected[0]}, logits "
                f"(S, R, K) and spread (S, K); they are {', '.join(map(str, found))}."
            )
        self.df = None if df is None else np.broadcast_to(np.asarray(df, dtype=float), n_draws)
        self.n_draws = n_draws
        for name, scale in (("spread", self.spread), ("df", self.df)):
            if scale is not None and not ((scale > 0) & np.isfinite(scale)).all():
                raise ValueError(f"{name} must be positive and finite in all draws.")
        needed = self.available | all_finite
        if not np.isfinite(self.logits[:, needed]).all():
            where = "" if all_finite else " on the menu"
            raise ValueError(f"logits must be finite{where} in all draws.")
        off = (self.counts != 0) & ~self.available
        wrong = np.flatnonzero(off.any(axis=1) | (self.counts < 0).any(axis=1))
        if len(wrong):
            raise ValueError(
                f"Counts must not be negative, and 0 off the menu: see rows {wrong[:10].tolist()}. "
                "Was the category on the menu after all?"
            )

    def menus(self):
        """The menus, and the rows with each whose counts say something."""
        informative = (self.counts.sum(axis=1) > 0) & (self.available.sum(axis=1) > 1)
        rows = np.flatnonzero(informative)
        patterns, which = np.unique(self.available[rows], axis=0, return_inverse=True)
        for m, pattern in enumerate(patterns):
            yield np.flatnonzero(pattern), rows[which.ravel() == m]

    def blocks(self, rows, each):
        """Pairs of a draw and a row, a block at a time."""
        for pairs in split(np.arange(len(rows) * self.n_draws), each):
            yield pairs % self.n_draws, rows[pairs // self.n_draws]

    def pairs(self, draw, row, menu):
        """What the likelihood of these pairs needs."""
        at = row[:, None], menu
        counts = self.counts[at].T
        logits = self.logits[draw[:, None], *at].T
        precision = self.spread[draw[:, None], menu].T ** -2
        counts, logits, precision = map(np.ascontiguousarray, (counts, logits, precision))
        return Pairs(counts, logits, precision, None if self.df is None else self.df[draw])


def split(positions, each):
    """Positions in blocks, so that the points of a block, `each` for a position, are few."""
    size = max(1, BLOCK // each)
    return (positions[i : i + size] for i in range(0, len(positions), size))
