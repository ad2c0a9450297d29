"""Columns and rows that are sums of others."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from helpers.data._rows import added_up

# Rows that a candidate is looked for in; it is then verified in all.
_SCREENED = 256
# Rows with counts that a sum must hold in.
_ROWS = 5
# Columns up to which all subsets are tried, and up to which sums of four are.
_ALL_SUBSETS, _FOURS = 30, 40
# Columns up to which, given more rows, a sum is solved for.
_SOLVED = 150
# Bits of evidence against coincidence, beyond those that pay for the number of sums tried.
_MARGIN = 7.0
# Rows up to which each may be a sum of any others; they are sums in few columns, so that more
# evidence is wanted.
_SUMMED, _MARGIN_OF_ROWS = 200, 8.5


def subtotals(
    counts: np.ndarray, available: np.ndarray, rows: int = _ROWS, margin: float = _MARGIN
) -> dict[int, tuple[int, ...]]:
    """
    Find columns that are the sum of two or more others in every row.

    It tries runs of neighbours, all others but a few, sums of up to three or four, and all sums of
    up to 30 columns, and solves for others where there are more rows than columns. Each must hold
    in rows whose counts rule out a coincidence.

    Parameters
    ----------
    counts : numpy.ndarray of int, shape (R, K)
        Counts, 0 off the menu.
    available : numpy.ndarray of bool, shape (R, K)
        Menus; rows in which the total is not on the menu do not count.
    rows : int
        Rows with counts of the total that there must be.
    margin : float
        Bits of evidence beyond those that pay for the number of sums tried.

    Returns
    -------
    dict of int to tuple of int
        Positions of the totals and of their parts.
    """
    found: dict[int, tuple[int, ...]] = {}
    active = np.flatnonzero(counts.any(axis=0))
    # Totals of totals are sums of what is left when the first ones are taken out.
    for _ in range(3):
        new = dict(_search(counts, available, active, rows, margin))
        if not new:
            break
        found |= new
        active = np.array([k for k in active if k not in found])
    return dict(sorted(found.items()))


def total_rows(
    counts: np.ndarray, available: np.ndarray, labels: Mapping[str, pd.Index]
) -> dict[int, str]:
    """
    Find rows that are the sum of others in every column.

    Parameters
    ----------
    counts : numpy.ndarray of int, shape (R, K)
        Counts, 0 off the menu.
    available : numpy.ndarray of bool, shape (R, K)
        Menus.
    labels : mapping of str to pandas.Index
        Cluster and date of each row, by name.

    Returns
    -------
    dict of int to str
        Positions of such rows, and of what they are the sum.
    """
    if len(counts) <= _SUMMED:
        found = subtotals(counts.T, available.T, rows=2, margin=_MARGIN_OF_ROWS)
        if found:
            every = len(counts) - len(found)
            return {
                row: "all other rows" if len(parts) >= every else "other rows"
                for row, parts in found.items()
            }
    counts = counts // max(1, int(np.gcd.reduce(counts, axis=None)))
    needed = np.log2(len(counts)) + _MARGIN
    total = counts.sum(axis=0)
    sums = np.flatnonzero((2 * counts == total).all(axis=1) & counts.any(axis=1))
    if len(sums) and len(counts) >= 3 and _evidence(counts[sums[0]]) > needed:
        return {int(sums[0]): "all other rows"}
    for name, values in labels.items():
        others = [key for key in labels if key != name]
        if not others:
            continue
        group, _ = pd.factorize(values)
        large = (np.bincount(group) >= 3)[group]
        halves = 2 * counts == added_up(counts, group)[group]
        sums = halves.all(axis=1) & large & counts.any(axis=1)
        # Sums within groups are totals if they go by one name, which they do in each group.
        called = labels[others[0]]
        for label in called[sums].unique():
            here = np.asarray(called == label) & large
            if sums[here].all() and _evidence(counts[here]) > needed:
                return {int(i): f"the other rows of their {name}" for i in np.flatnonzero(here)}
    return {}


def _evidence(sums: np.ndarray) -> float:
    """Bits against a coincidence, if a count is met as often as Poisson scatter allows."""
    return float(np.log2(1 + np.sqrt(2 * np.pi * sums[sums > 0])).sum())


def _search(
    counts: np.ndarray,
    available: np.ndarray,
    active: np.ndarray,
    needed: int,
    margin: float,
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Totals among active columns, with their parts: the fewest first."""
    if len(active) < 3:
        return
    rows = np.argsort(-counts.sum(axis=1), kind="stable")[:_SCREENED]
    y, on = counts[np.ix_(rows, active)].astype(np.uint64), available[np.ix_(rows, active)]
    # Sums are compared by random projections, in arithmetic that wraps round.
    projection = np.random.default_rng(0).integers(1, 2**63, len(rows), dtype=np.uint64)
    unit = max(1, int(np.gcd.reduce(counts, axis=None)))
    patterns, pattern = np.unique(on, axis=1, return_inverse=True)
    pattern = pattern.ravel()
    for p in range(patterns.shape[1]):
        values = (projection * patterns[:, p]) @ y
        sums = _Sums(values)
        plain = y[patterns[:, p]].astype(float)
        dependent = _dependent(plain)
        for t in np.flatnonzero(pattern == p):
            where = available[:, active[t]]
            total = counts[where, active[t]]
            if (total > 0).sum() < needed:
                continue
            solved = _solved(plain, int(t), dependent)
            for parts, price in (*sums.making(int(t)), *solved):
                members = np.sort(active[list(parts)])
                of = counts[where][:, members]
                if (of.sum(axis=1) != total).any() or of.any(axis=0).sum() < 2:
                    continue
                # The same row again is no further evidence.
                distinct = np.unique(np.column_stack([total, of]) // unit, axis=0)[:, 0]
                if _evidence(distinct) > margin + np.log2(len(active)) + price:
                    yield int(active[t]), tuple(int(k) for k in members)
                    break


def _dependent(y: np.ndarray) -> np.ndarray:
    """Columns that are combinations of others, where there are more rows than columns."""
    n_rows, n = y.shape
    if not _ALL_SUBSETS < n <= min(n_rows, _SOLVED):
        return np.array([], dtype=int)
    _, sizes, vectors = np.linalg.svd(y, full_matrices=False)
    null = vectors[sizes <= 1e-10 * sizes[0]]
    return np.flatnonzero((np.abs(null) > 1e-8).any(axis=0))


def _solved(y: np.ndarray, t: int, dependent: np.ndarray) -> list[tuple[tuple[int, ...], float]]:
    """Return the set that least squares finds for column t, where its weights are 0 and 1."""
    if t not in dependent:
        return []
    others = dependent[dependent != t]
    weights, residual = nnls(y[:, others], y[:, t])
    if (
        residual > 1e-6 * np.linalg.norm(y[:, t])
        or np.abs(weights - np.round(weights)).max() > 0.01
    ):
        return []
    return [(tuple(others[np.round(weights) == 1].tolist()), float(y.shape[1]))]


class _Sums:
    """Sums of projected columns, looked up by their value."""

    def __init__(self, values: np.ndarray):
        self.values = values
        self.n = len(values)
        i, j = np.triu_indices(self.n, 1)
        pairs = values[i] + values[j]
        order = np.argsort(pairs)
        self.pairs, self.i, self.j = pairs[order], i[order], j[order]

    def making(self, t: int) -> Iterator[tuple[tuple[int, ...], float]]:
        """Sets of columns whose sum is that of column t, and the bits that each kind costs."""
        others = [k for k in range(self.n) if k != t]
        bits = np.log2(self.n)
        yield from ((parts, bits * size) for parts, size in self._few(t, self.values[t]))
        with np.errstate(over="ignore"):
            target = self.values[others].sum() - self.values[t]
        for left_out, size in [((), 0), *self._few(t, target, least=1)]:
            if target == self.values[list(left_out)].sum():
                yield tuple(k for k in others if k not in left_out), bits * size
        yield from ((run, bits * size) for run, size in self._runs(t, others))
        if 3 < len(others) < _ALL_SUBSETS:
            yield from ((parts, float(self.n)) for parts in self._any(t, others))

    def _few(
        self, t: int, target: np.uint64, least: int = 2
    ) -> Iterator[tuple[tuple[int, ...], int]]:
        """Sums of one to four columns but t."""
        if least == 1:
            yield from (((int(k),), 1) for k in np.flatnonzero(self.values == target) if k != t)
        seen = set()
        singles = np.append(np.uint64(0), self.values)
        queries: list[tuple[np.ndarray, list[tuple[int, ...]]]]
        queries = [(target - singles, [(), *((k,) for k in range(self.n))])]
        if self.n <= _FOURS:
            pairs = zip(self.i.tolist(), self.j.tolist(), strict=True)
            queries.append((target - self.pairs, list(pairs)))
        for rest, already in queries:
            at = np.searchsorted(self.pairs, rest)
            hit = self.pairs[np.minimum(at, len(self.pairs) - 1)] == rest
            for q in np.flatnonzero(hit)[:200]:
                for m in range(at[q], min(at[q] + 20, len(self.pairs))):
                    if self.pairs[m] != rest[q]:
                        break
                    parts = frozenset((*already[q], int(self.i[m]), int(self.j[m])))
                    size = len(already[q]) + 2
                    if t not in parts and len(parts) == size and parts not in seen:
                        seen.add(parts)
                        yield tuple(sorted(parts)), size

    def _runs(self, t: int, others: Sequence[int]) -> Iterator[tuple[tuple[int, ...], int]]:
        """Runs of neighbours, which t may interrupt; 1 for those next to t, 2 for others."""
        ends = np.append(np.uint64(0), np.cumsum(self.values[others]))
        position = {int(end): e for e, end in enumerate(ends)}
        for start, end in enumerate(ends + self.values[t]):
            stop = position.get(int(end), 0)
            if stop - start >= 2:
                yield tuple(others[start:stop]), 1 if t in (start, stop) else 2

    def _any(self, t: int, others: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """All sets: sums of one half are looked up among those of the other."""
        halves = [others[::2], others[1::2]]
        left, right = (_subset_sums(self.values[half]) for half in halves)
        order = np.argsort(left)
        rest = self.values[t] - right
        at = np.minimum(np.searchsorted(left[order], rest), len(left) - 1)
        for q in np.flatnonzero(left[order][at] == rest)[:50]:
            masks = (int(order[at[q]]), int(q))
            parts = [
                column
                for half, mask in zip(halves, masks, strict=True)
                for b, column in enumerate(half)
                if mask >> b & 1
            ]
            if len(parts) >= 2:
                yield tuple(parts)


def _subset_sums(values: np.ndarray) -> np.ndarray:
    sums = np.zeros(1, dtype=np.uint64)
    for value in values:
        sums = np.concatenate([sums, sums + value])
    return sums
