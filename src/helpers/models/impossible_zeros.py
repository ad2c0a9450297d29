"""Zeros of categories that cannot have been on the menu."""

import numpy as np
import pandas as pd
from scipy import special, stats

from helpers.data.counts import CategoryCounts
from helpers.data.messages import listing
from helpers.effects.scatter_pilot import ScatteredExpansion
from helpers.models.design import Design
from helpers.models.options import Options

__all__ = ["ask_about_zeros", "impossible_zeros", "sure_reference"]

_COLUMNS = [
    "row",
    "cluster",
    "date",
    "category",
    "expected",
    "p_zero",
    "probability",
    "whole_cluster",
]
# Scatter has tails that are heavy, as in the tables that were tried: see `impossible_zeros`.
_FREEDOM = 4.0
# From this probability a zero is kept out of the pilot.
_SUSPECT = 0.5
# Rows that the psi given is worth, against what a category's own zeros say of it.
_WORTH = 50
# A zero where fewer were expected is no surprise that anybody could look into.
_FEWEST = 10.0
_T = np.linspace(-40.0, 15.0, 441)
_MIDDLE = (_T[1:] + _T[:-1]) / 2


def impossible_zeros(
    data: CategoryCounts,
    *,
    effects: str | None = None,
    drift: str | None = None,
    psi: float = 0.95,
    threshold: float = 0.95,
) -> pd.DataFrame:
    r"""
    Name zeros so unlikely that the category was hardly on the menu.

    Before any sampling: a regression whose rows scatter by category is fitted without the zeros
    (:func:`~helpers.effects.expand_scattered`), those that are no surprise come back, and so on
    until nothing changes. Left in, impossible zeros would widen the scatter until each of them
    looked possible. For each zero that stays out,

    .. math::

       P_0 = E\,(1 + e^{\theta_{ik}} / \textstyle\sum_j e^{\theta_{ij}})^{-n_i}

    is the probability of a zero on the menu, given the realised logits of the row's other
    categories. Scatter is multivariate t with 4 degrees of freedom, so that
    :math:`\theta_{ik}`, given d other contrasts of the row, has a t distribution with 4 + d; its
    scale holds the scatter of the category and of the others, how far out the others lie, and what
    is not known of cluster and date. A category is on a menu with probability :math:`\psi`, so
    that it was off this one with probability :math:`(1 - \psi) / (1 - \psi + \psi P_0)`. What the
    table itself says of a category's :math:`\psi` counts too: with zeros in half of its rows, each
    needs less proof, with a single one in 700 rows more. Unlike
    ``availability="unknown"``, which weighs both explanations of every zero in the model, this
    names the few for which there is only one.

    False alarms are rare: tables with any zero named that was a choice, of 100 simulated tables
    each (40 of 676 rows), with totals of 5 to 100 and of 1,000 to 100,000:

    ================  ===========  ===============  ===============  ====================
    Table             Multinomial  Normal scatter   t scatter, 4     Dirichlet-mult.
    ================  ===========  ===============  ===============  ====================
    24 rows of 4      0.00 / 0.00  0.03 / 0.00      0.01 / 0.00      0.02 / 0.09
    100 rows of 7     0.01 / 0.00  0.04 / 0.00      0.03 / 0.05      0.04 / 0.48
    676 rows of 8     0.00 / 0.00  0.00 / 0.00      0.03 / 0.10      0.00 / 0.78
    ================  ===========  ===============  ===============  ====================

    A Dirichlet-multinomial
    of a small concentration (10 to 300 here) truly has such zeros: some 5 per table of 676 rows.

    Parameters
    ----------
    data : CategoryCounts
        The counts, over menus that are believed known.
    effects, drift : str or None
        As in :func:`~helpers.masked_regression`; if `effects` is not given, slopes or intercepts
        vary by cluster where there are clusters.
    psi : float
        Probability, before the counts are seen, that a category which should be on a menu is on
        it. It is worth 50 rows beside those of the table.
    threshold : float
        Probability of having been off the menu from which a zero is named.

    Returns
    -------
    pandas.DataFrame
        One line for each zero that is named: `row`, `cluster`, `date`, `category`; `expected`,
        the count expected had it been on the menu; `p_zero`, which is :math:`P_0`; `probability`
        that it was off the menu; `whole_cluster`, whether the category is zero in all rows of
        the cluster, two or more, while others choose it: then `p_zero` is that of these zeros
        together. Most surprising first.

    Raises
    ------
    ValueError
        If `psi` or `threshold` is not between 0 and 1, or as :func:`~helpers.masked_regression`.

    Examples
    --------
    Ten markets; in the last one nobody bought honey:

    >>> import pandas as pd
    >>> from helpers import CategoryCounts
    >>> from helpers.models import impossible_zeros
    >>> sales = pd.DataFrame({
    ...     "honey": [210, 190, 250, 180, 240, 205, 220, 215, 195, 0],
    ...     "bread": [520, 480, 610, 470, 555, 505, 540, 520, 490, 500],
    ...     "cheese": [330, 300, 350, 310, 345, 325, 335, 340, 290, 320],
    ... })
    >>> found = impossible_zeros(CategoryCounts.from_wide(sales, ["honey", "bread", "cheese"]))
    >>> found[["row", "category", "expected"]].round()
       row category  expected
    0    9    honey     164.0
    """
    for name, value in (("psi", psi), ("threshold", threshold)):
        if not 0 < value < 1:
            raise ValueError(f"`{name}` is a probability and must lie between 0 and 1: {value}.")
    if effects is None:
        effects = "pooled" if data.cluster is None else "slopes"
    # A quick fit asks for no spread of a single category.
    design = Design.of(data, Options(effects=effects, drift=drift, spreads="contrast"))
    counts = data.counts
    zero = design.menus & (counts == 0) & (data.n > 0)[:, None] & (counts.sum(axis=0) > 0)
    whole = _whole_clusters(design, zero)
    out = zero.copy()
    while out.any():
        menus = design.menus & ~out
        found = _Surprise(design.scattered_pilot(menus, _FREEDOM), data.n, menus)
        p_zero = found.of_cells(out)
        for group in np.unique(whole[out & (whole >= 0)]):
            p_zero[whole == group] = found.of_all(whole == group)
        probability = (1 - psi) / (1 - psi + psi * p_zero)
        back = out & (probability < _SUSPECT)
        if not back.any():
            probability = _with_own_psi(design, out, p_zero, psi)
            named = out & (probability > threshold) & (_by_group(found.expected, whole) >= _FEWEST)
            return _table(data, named, found.expected, p_zero, probability, whole >= 0)
        out &= ~back
    nothing = np.zeros(counts.shape)
    return _table(data, out, nothing, nothing, nothing, out)


def ask_about_zeros(found: pd.DataFrame) -> str:
    r"""
    Ask whether the categories of impossible zeros were on the menu.

    Parameters
    ----------
    found : pandas.DataFrame
        What :func:`impossible_zeros` returned.

    Returns
    -------
    str
        The question, which zeros it is about, and what to do; empty if there are none.

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers.models import ask_about_zeros
    >>> found = pd.DataFrame({
    ...     "row": [9], "cluster": ["north"], "date": [None], "category": ["honey"],
    ...     "expected": [165.0], "p_zero": [1e-9], "probability": [1.0], "whole_cluster": [False],
    ... })
    >>> print(ask_about_zeros(found).replace(". ", ".\n"))
    Was it on the menu? 1 zero is hardly a choice: honey in row 9 (about 165 expected).
    If a category was not on the menu, leave its cell empty, or make its `available` False.
    If you cannot know, use availability="unknown".
    """
    if found.empty:
        return ""
    parts = []
    for category, cells in found.groupby("category", sort=False):
        whole = cells[cells["whole_cluster"]]
        single = cells[~cells["whole_cluster"]]
        if len(whole):
            parts.append(f"{category} in all rows of {listing(whole['cluster'].unique())}")
        if len(single):
            rows = f"row{'s' * (len(single) > 1)} {listing(single['row'])}"
            parts.append(
                f"{category} in {rows} (about {single['expected'].median():,.0f} expected)"
            )
    many = len(found) > 1
    return (
        f"Was it on the menu? {len(found):,} {'zeros are' if many else 'zero is'} hardly "
        f"{'choices' if many else 'a choice'}: {'; '.join(parts)}. If a category was not on the "
        "menu, leave its cell empty, or make its `available` False. If you cannot "
        'know, use availability="unknown".'
    )


def sure_reference(
    data: CategoryCounts, *, effects: str | None = None, drift: str | None = None
) -> str:
    """
    Choose a reference for menus that are unknown: a category that was on all of them.

    Unlike :func:`~helpers.choose_reference`, which counts the rows in which a category was chosen,
    it also looks at the zeros: a category with an impossible one was off some menu itself.

    Parameters
    ----------
    data : CategoryCounts
        The counts.
    effects, drift : str or None
        As in :func:`impossible_zeros`.

    Returns
    -------
    str
        The category.

    Raises
    ------
    ValueError
        If every category has impossible zeros.

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> from helpers.models import sure_reference
    >>> data, _ = simulate_counts(random_seed=1)
    >>> sure_reference(data)
    'category 5'
    """
    found = impossible_zeros(data, effects=effects, drift=drift)
    chosen = (data.counts > 0).sum(axis=0)
    order = np.lexsort((data.counts.sum(axis=0), chosen))[::-1]
    for name in (data.categories[k] for k in order):
        if name not in set(found["category"]):
            return name
    raise ValueError(
        "Every category has zeros that cannot be choices, so that none was on all menus: "
        f"{ask_about_zeros(found)} Unknown menus need a category that was always on them."
    )


class _Surprise:
    """How unlikely zeros are, given what the other categories of their rows show."""

    def __init__(self, pilot: ScatteredExpansion, n: np.ndarray, menus: np.ndarray):
        self.n = n
        spread = pilot.spread**2
        scatter = np.where(menus, pilot.realised - pilot.fitted, 0.0)
        precision = menus / spread
        level = (scatter * precision).sum(axis=1, keepdims=True)
        level /= np.maximum(precision.sum(axis=1, keepdims=True), 1e-300)
        squares = (precision * (scatter - level) ** 2).sum(axis=1)
        # Under t scatter, a row that lies far out in other categories may do so in this one, and
        # one that does not is better known. No row is taken to be calmer than usual.
        self.freedom = np.floor(_FREEDOM + pilot.known).astype(int)
        stretch = np.maximum((_FREEDOM + squares) / (_FREEDOM + pilot.known), 1.0)
        logits = np.where(menus, pilot.realised, -np.inf)
        others = special.logsumexp(logits, axis=1, keepdims=True)
        expected = n[:, None] * np.exp(logits - others)
        weight = np.divide(1, 1 / np.maximum(expected, 1e-300) + spread) * menus
        of_level = 1 / np.maximum(weight.sum(axis=1, keepdims=True), 1e-300)
        # Without choices among the others nothing is known of the level.
        self.variance = stretch[:, None] * spread + np.minimum(of_level, 25.0)
        self.uncertainty = pilot.uncertainty
        self.distance = pilot.realised - others
        self.expected = n[:, None] * special.expit(self.distance)

    def of_cells(self, cells: np.ndarray) -> np.ndarray:
        """P_0 of each cell, shape (R, K); 1 elsewhere."""
        out = np.ones(cells.shape)
        scale = np.sqrt(self.variance + self.uncertainty**2)[cells]
        out[cells] = self._zero(cells, np.zeros(1), scale)[:, 0]
        return out

    def of_all(self, cells: np.ndarray) -> float:
        """The probability that all cells are zero, which share what is not known of their mean."""
        # Clusters may lie as far out as rows may.
        nodes = np.linspace(-20.0, 20.0, 82)
        each = self._zero(cells, (nodes[1:] + nodes[:-1]) / 2, np.sqrt(self.variance[cells]))
        return float(np.prod(each, axis=0) @ np.diff(stats.t.cdf(nodes, _FREEDOM)))

    def _zero(self, cells: np.ndarray, nodes: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """By cell and node, where the mean is off by the node times its uncertainty."""
        rows = np.nonzero(cells)[0]
        out = np.empty((len(rows), len(nodes)))
        block = max(1, 2_000_000 // (len(nodes) * len(_MIDDLE)))
        for first in range(0, len(rows), block):
            s = slice(first, first + block)
            mean = self.distance[cells][s, None] + self.uncertainty[cells][s, None] * nodes
            logit = mean[..., None] + scale[s, None, None] * _MIDDLE
            n = self.n[rows[s]][:, None, None]
            freedom, which = np.unique(self.freedom[rows[s]], return_inverse=True)
            mass = np.diff(stats.t.cdf(_T, freedom[:, None]), axis=1)[which]
            out[s] = np.einsum("ijt,it->ij", np.exp(-n * np.logaddexp(0, logit)), mass)
        return out


def _with_own_psi(design: Design, out: np.ndarray, p_zero: np.ndarray, psi: float) -> np.ndarray:
    """Probability of having been off the menu, with a psi of its own for each category."""
    n_rows = design.menus.sum(axis=0)
    own = np.full(len(n_rows), psi)
    for _ in range(50):
        probability = np.where(out, (1 - own) / (1 - own + own * p_zero), 0.0)
        own = 1 - (probability.sum(axis=0) + _WORTH * (1 - psi)) / (n_rows + _WORTH)
    return probability


def _by_group(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Sums over the cells of each group, at each of its cells; other cells as they are."""
    grouped = group >= 0
    out = values.copy()
    out[grouped] = np.bincount(group[grouped], values[grouped], group.max() + 1)[group[grouped]]
    return out


def _whole_clusters(design: Design, zero: np.ndarray) -> np.ndarray:
    """Number the clusters and categories that are zero throughout, shape (R, K); -1 elsewhere."""
    n_categories = zero.shape[1]
    out = np.full(zero.shape, -1)
    if design.n_clusters == 1:
        return out
    chosen, zeros = np.zeros((2, design.n_clusters, n_categories), dtype=int)
    np.add.at(chosen, design.cluster, design.data.counts > 0)
    np.add.at(zeros, design.cluster, zero)
    throughout = ((chosen == 0) & (zeros > 1))[design.cluster] & zero
    number = design.cluster[:, None] * n_categories + np.arange(n_categories)
    out[throughout] = number[throughout]
    return out


def _table(
    data: CategoryCounts,
    named: np.ndarray,
    expected: np.ndarray,
    p_zero: np.ndarray,
    probability: np.ndarray,
    whole: np.ndarray,
) -> pd.DataFrame:
    row, category = np.nonzero(named)
    missing = np.full(len(row), None, dtype=object)
    frame = pd.DataFrame(
        {
            "row": data.rows[row],
            "cluster": missing if data.cluster is None else np.asarray(data.cluster)[row],
            "date": missing if data.date is None else data.date[row],
            "category": np.array(data.categories, dtype=object)[category],
            "expected": expected[named],
            "p_zero": p_zero[named],
            "probability": probability[named],
            "whole_cluster": whole[named],
        },
        columns=_COLUMNS,
    )
    return frame.sort_values("p_zero", kind="stable", ignore_index=True)
