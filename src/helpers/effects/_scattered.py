"""Rows with normal scatter by category, linearised, and weighted least squares of their means."""

import numpy as np

from helpers.data.shares import shares_on_menu

# No estimate of an effect moves by more than this at once.
_LONGEST_STEP = 5.0


class ScatteredRows:
    """
    The logits of rows: a mean, and a scatter that is independent between all K categories.

    The common level of a row's logits means nothing, so each row has a level that is free. Given
    it, counts are as good as independent Poisson ones: a category has the weight
    1 / (1 / (n p) + spread^2), and nothing depends on a reference.
    """

    def __init__(self, counts, available, freedom=None, offset=None):
        # An empty menu tells as much as a row without choices.
        available = available | ~available.any(axis=1, keepdims=True)
        self.available = available
        self.counts = np.where(available, counts, 0.0)
        self.n = self.counts.sum(axis=1, keepdims=True)
        smoothed = self.counts + 0.5
        logits = np.log(np.where(available, smoothed, 1.0))
        level = (logits * available).sum(axis=1, keepdims=True)
        level /= np.maximum(available.sum(axis=1, keepdims=True), 1)
        self.mean = np.zeros(counts.shape) if offset is None else offset
        self.scatter = np.where(available, logits - level - self.mean, 0.0)
        self.variance = np.ones(counts.shape[1])
        self.freedom, self.heaviness = freedom, np.ones((len(counts), 1))

    @property
    def row_variance(self):
        """Variance of each row's scatter, (R, K): under a t distribution rows differ in it."""
        return self.heaviness * self.variance

    @property
    def logits(self):
        return self.mean + self.scatter

    def find_scatter(self, steps=25):
        """Newton's steps to the most likely scatter given means and spreads; linear in K."""
        precision = 1 / self.row_variance
        for _ in range(steps):
            share = shares_on_menu(self.logits, self.available)
            expected = self.n * share
            curvature = expected + precision
            gradient = self.counts - expected - precision * self.scatter
            step = gradient / curvature
            # The second derivatives are diagonal less n p p': Sherman and Morrison's formula.
            rest = (share * precision / curvature).sum(axis=1, keepdims=True)
            step += expected / curvature * (share * step).sum(axis=1, keepdims=True) / rest
            step = np.where(self.available, np.clip(step, -2.0, 2.0), 0.0)
            self.scatter = self.scatter + step
            if np.abs(step).max() < 1e-5:
                break
        self._linearise(precision)

    def _linearise(self, precision):
        self.share = shares_on_menu(self.logits, self.available)
        self.expected = self.n * self.share
        curvature = self.expected + precision
        self.weight = self.expected * precision / curvature
        self.total = np.maximum(self.weight.sum(axis=1, keepdims=True), 1e-300)
        # Weight times the distance of the working logit from the mean.
        self.gradient = self.expected * self.scatter + self.counts - self.expected
        self.gradient *= precision / curvature
        self.gradient -= self.weight * self.gradient.sum(axis=1, keepdims=True) / self.total

    def weighted(self, move):
        """The rows' information times a move of their means."""
        level = (self.weight * move).sum(axis=1, keepdims=True) / self.total
        return self.weight * (move - level)

    @property
    def own_weight(self):
        """The diagonal of the rows' information."""
        return self.weight * (1 - self.weight / self.total)

    def move(self, move):
        """Move the means; the scatter gives way by as much as it is known."""
        self.mean = self.mean + move
        self.gradient = self.gradient - self.weighted(move)

    def settle(self, n_parameters):
        """
        Scatter at the new means, and spreads that agree with it, less what means explain.

        Returns the largest change of the logarithm of a variance.
        """
        own, variance = self.own_weight, self.row_variance
        self.scatter = self.gradient * variance
        share = own / np.maximum(own.sum(axis=0), 1e-300)
        known = (variance * own).sum(axis=0)
        known = np.maximum(known - (variance * own * share).sum(axis=0) * n_parameters, known / 5)
        squares = self.scatter**2 / self.heaviness
        if self.freedom is not None:
            # What is expected of the scale of a row of a t distribution, given the row.
            size = self.available.sum(axis=1, keepdims=True)
            unknown = size - (variance * own).sum(axis=1, keepdims=True)
            row = (self.scatter**2 / self.variance).sum(axis=1, keepdims=True)
            row = row + unknown * self.heaviness
            self.heaviness = (self.freedom + row) / (self.freedom + size)
        squares = squares.sum(axis=0)
        # Two cells' worth of the average keep a category with few of them in reach.
        usual = squares.sum() / max(known.sum(), 1e-300)
        before = self.variance
        self.variance = np.clip((squares + 2 * usual) / (known + 2), 1e-4, 25.0)
        return float(np.abs(np.log(self.variance / before)).max())


class Term:
    """Effects by group, of all K categories, with normal penalties of estimated variances."""

    def __init__(self, rows, design, group, n_groups, *, fixed, centred=False):
        self.rows, self.design, self.group, self.n_groups = rows, design, group, n_groups
        self.fixed, self.centred = fixed, centred
        shape = (n_groups, design.shape[1], rows.mean.shape[1])
        self.estimate = np.zeros(shape)
        self.centre = np.zeros((1, *shape[1:]))
        self.variance = np.full((1, *shape[1:]), 100.0 if fixed else 1.0)
        self.batches = _batches(group)
        self.n_parameters = np.zeros(shape[2])

    @property
    def by_row(self):
        return np.einsum("rp,rpk->rk", self.design, self.estimate[self.group])

    def start_at(self, centre):
        self.centre = centre[None]
        self.estimate = np.repeat(self.centre, self.n_groups, axis=0)

    def fit(self):
        """One step of weighted least squares; then the variances that agree with it."""
        n_groups, size = self.n_groups, self.estimate[0].size
        penalty = 1 / self.variance
        gradient = np.zeros_like(self.estimate)
        # Without rows nothing but the penalty is known.
        self.covariance = np.repeat(np.diag(self.variance.ravel())[None], n_groups, axis=0)
        for groups, members in self.batches:
            self.covariance[groups], gradient[groups] = self._sums(members, penalty)
        gradient -= penalty * (self.estimate - self.centre)
        step = (self.covariance @ gradient.reshape(n_groups, size, 1)).reshape(gradient.shape)
        before = self.estimate
        self.estimate = before + np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
        if self.centred:
            self.estimate = self.estimate - self.estimate.mean(axis=0)
        change = self.estimate - before
        self.rows.move(np.einsum("rp,rpk->rk", self.design, change[self.group]))
        uncertain = np.diagonal(self.covariance, axis1=1, axis2=2).reshape(gradient.shape)
        self.n_parameters = np.maximum(1 - penalty * uncertain, 0).sum(axis=(0, 1))
        if not self.fixed:
            if not self.centred:
                self.centre = self.estimate.mean(axis=0, keepdims=True)
            variance = ((self.estimate - self.centre) ** 2 + uncertain).mean(axis=0, keepdims=True)
            self.variance = np.clip(variance, 1e-4, 4.0)

    def _sums(self, members, penalty):
        """Covariance and gradient of groups, from diagonal weights less what the levels take."""
        x, rows = self.design[members], self.rows
        weight, total = rows.weight[members], rows.total[members]
        n_groups, n_rows, n_effects = x.shape
        n_categories = weight.shape[2]
        spread_out = x[..., None] * (weight / np.sqrt(total))[:, :, None]
        spread_out = spread_out.reshape(n_groups, n_rows, -1)
        squares = (x[..., None] * x[:, :, None]).reshape(n_groups, n_rows, -1).mT @ weight
        blocks = squares.reshape(n_groups, n_effects, n_effects, n_categories)
        blocks = blocks.transpose(0, 3, 1, 2)
        # Large weights can make the penalty vanish in rounding beside them.
        floor = 1e-12 * blocks.max(axis=(1, 2, 3), keepdims=True)
        blocks = blocks + (penalty[0].T[:, :, None] + floor) * np.eye(n_effects)
        return _inverse(blocks, spread_out), x.mT @ rows.gradient[members]

    def row_variance(self):
        """Variance of each row's sum of effects, relative to the row's level."""
        out = np.empty(self.rows.mean.shape)
        n_effects, n_categories = self.estimate.shape[1:]
        for groups, members in self.batches:
            x = self.design[members]
            shape = (len(groups), n_effects, n_categories, n_effects, n_categories)
            blocks = self.covariance[groups].reshape(shape)
            joint = np.einsum("grp,grq,gpkql->grkl", x, x, blocks, optimize=True)
            level = self.rows.weight[members] / self.rows.total[members]
            with_level = np.einsum("grkl,grl->grk", joint, level)
            of_level = np.einsum("grk,grk->gr", with_level, level)[..., None]
            out[members] = np.einsum("grkk->grk", joint) - 2 * with_level + of_level
        return np.maximum(out, 0.0)


def _inverse(blocks, vectors):
    """
    Inverse of a block of effects for each category, less the squares of a vector for each row.

    Effects are outside and categories inside; the blocks have shape (groups, K, P, P).
    """
    n_groups, n_categories, n_effects = blocks.shape[:3]
    size = n_categories * n_effects
    in_place = np.arange(n_categories)
    few = vectors.shape[1] < size / 4
    out = np.zeros((n_groups, size, size)) if few else -(vectors.mT @ vectors)
    parts = out.reshape(n_groups, n_effects, n_categories, n_effects, n_categories)
    if few:  # by the identity of Woodbury, with a matrix of rows to invert
        inverse = np.linalg.inv(blocks)
        split = vectors.reshape(n_groups, -1, n_effects, n_categories)
        reach = np.einsum("gkpq,grqk->grpk", inverse, split).reshape(vectors.shape)
        left = np.eye(vectors.shape[1]) - vectors @ reach.mT
        out += reach.mT @ np.linalg.solve(left, reach)
        parts[:, :, in_place, :, in_place] += inverse.transpose(1, 0, 2, 3)
    else:
        parts[:, :, in_place, :, in_place] += blocks.transpose(1, 0, 2, 3)
        out = np.linalg.inv(out)
    return (out + out.mT) / 2


def _batches(group):
    """Groups of equal size together: their numbers, and their rows, shape (groups, rows of one)."""
    order = np.argsort(group, kind="stable")
    present, starts, sizes = np.unique(group[order], return_index=True, return_counts=True)
    out = []
    for size in np.unique(sizes):
        same = sizes == size
        out.append((present[same], order[starts[same][:, None] + np.arange(size)]))
    return out
