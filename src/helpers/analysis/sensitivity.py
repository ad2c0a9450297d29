"""How much an answer hangs on the priors, by power-scaling."""

import warnings
from collections.abc import Mapping
from typing import Any

import arviz_base as azb
import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr
from arviz_stats import psense

from helpers.analysis.choose import Choice
from helpers.analysis.draws import Draws
from helpers.data.messages import listing
from helpers.predict.draws import value_by_draw

__all__ = ["prior_sensitivity", "sensitivity_words"]

# Sensitivity from which a change counts (Kallioinen et al. 2024).
_THRESHOLD = 0.05
# Dims whose effects are part of the model, not of the priors.
_GROWING = {"row", "cluster", "date"}
# Shuffles that show what chance alone makes of so many draws.
_SHUFFLES = 20
# Categories that are looked at: each takes its time.
_MOST = 100


def prior_sensitivity(
    choice: Choice,
    model: pm.Model,
    idata: xr.DataTree,
    draws: Draws,
    log_likelihood: xr.DataArray | None = None,
) -> pd.DataFrame:
    """
    Say how much the preferences over all rows hang on the priors.

    The priors are raised to a power a little above and a little below 1, and the draws weighted
    accordingly; so is the likelihood (power-scaling, ``arviz_stats.psense``). Unlike a second
    fit with other priors, this takes no sampling, and tells of small changes only. The priors are
    those of what does not grow with the table: population means, slopes and spreads, but not the
    effects of single clusters, dates and rows, which are part of the model.

    Parameters
    ----------
    choice : Choice
        The choice, with its data.
    model : pymc.Model
        The model of `choice`.
    idata : xarray.DataTree
        Draws from `model`.
    draws : Draws
        The preferences by draw.
    log_likelihood : xarray.DataArray, optional
        Log-likelihood of the whole table over (chain, draw), the scatter of rows integrated out.
        If not given, it is computed where rows do not scatter; where they do, the likelihood is
        not looked at.

    Returns
    -------
    pandas.DataFrame
        Columns ``category``; ``prior`` and ``likelihood``, by how much the preference changes with
        either (missing if not looked at, as with all but the 100 most preferred categories);
        ``prior_by_chance`` and ``likelihood_by_chance``, the largest change that shuffled weights
        led to, which with few draws is large; and ``reading``: "rests on the counts", "rests on the
        prior", "prior and counts disagree", "changes with the prior" (if nobody can tell whether
        it changes with the likelihood), "no more than chance" or "not looked at". A change counts
        from 0.05, and if it exceeds what chance leads to.

    References
    ----------
    Kallioinen, N., Paananen, T., Bürkner, P.-C., & Vehtari, A. (2024). Detecting and diagnosing
    prior and likelihood sensitivity with power-scaling. Statistics and Computing, 34, 57.
    """
    latent = draws.rows["latent"]
    posterior = idata["posterior"].to_dataset().sel(draw=latent["draw"])
    if log_likelihood is None and not choice.scatter:
        counts = model["counts"]
        log_likelihood = _by_draw(
            posterior, model, pm.logp(counts, model.rvs_to_values[counts]).sum()
        )
    table = pd.DataFrame({"category": latent["category"].to_numpy()})
    densities = {"prior": _log_prior(posterior, model), "likelihood": log_likelihood}
    for group, density in densities.items():
        table[group], table[f"{group}_by_chance"] = _scaled(latent, group, density)
    return table.assign(reading=[_reading(line) for line in table.to_dict("records")])


def _log_prior(posterior: xr.Dataset, model: pm.Model) -> xr.DataArray | None:
    dims = model.named_vars_to_dims
    top = [v for v in model.free_RVs if not _GROWING & set(dims.get(v.name) or ())]
    try:
        return _by_draw(posterior, model, sum(pm.logp(v, v).sum() for v in top))
    except NotImplementedError:  # a prior of the caller's own without a density
        return None


def _by_draw(posterior, model, expression):
    values = np.array([float(v) for v in value_by_draw(posterior, model, expression)])
    sizes = posterior.sizes["chain"], posterior.sizes["draw"]
    coords = {d: posterior[d] for d in ("chain", "draw")}
    return xr.DataArray(values.reshape(sizes), coords, ("chain", "draw"))


def _scaled(
    latent: xr.DataArray, group: str, log_density: xr.DataArray | None
) -> tuple[np.ndarray, float]:
    """Sensitivity of each category's preference, and the largest with shuffled weights."""
    out = np.full(latent.sizes["category"], np.nan)
    if log_density is None:
        return out, np.nan
    latent, log_density = xr.align(latent, log_density, join="inner")
    if latent.sizes["draw"] < 2 or not np.isfinite(log_density).all():
        return out, np.nan
    rng = np.random.default_rng(0)  # of the shuffles alone
    density = log_density.to_numpy()
    shuffled = [_shuffled(density, rng) for _ in range(_SHUFFLES)]
    values = latent.transpose("chain", "draw", "category").to_numpy()
    largest = np.argsort(-values.mean(axis=(0, 1)))[:_MOST]
    out[largest] = _sensitivity(values[..., largest], group, density)
    # What chance does depends on the weights, and hardly on what they are given to.
    by_chance = max(_sensitivity(values[..., :1], group, d)[0] for d in shuffled)
    return out, by_chance


def _shuffled(density: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Chains in another order, each turned by part of its length: draws stay as alike as before."""
    size = density.shape[1]
    shifts = rng.integers(max(1, size // 10), max(2, size - size // 10), len(density))
    turned = [np.roll(chain, shift) for chain, shift in zip(density, shifts, strict=True)]
    return rng.permutation(np.array(turned))


def _sensitivity(values: np.ndarray, group: str, log_density: np.ndarray) -> np.ndarray:
    data = azb.from_dict({"posterior": {"latent": values}, f"log_{group}": {"all": log_density}})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(psense(data, var_names="latent", group=group)["latent"])


def _reading(line: Mapping[Any, Any]) -> str:
    changes = {
        group: bool(line[group] >= max(_THRESHOLD, line[f"{group}_by_chance"]))
        for group in ("prior", "likelihood")
    }
    if np.isnan(line["prior"]):
        return "not looked at"
    if not changes["prior"]:
        return "rests on the counts" if line["prior"] < _THRESHOLD else "no more than chance"
    if changes["likelihood"]:
        return "prior and counts disagree"
    return "rests on the prior" if line["likelihood"] < _THRESHOLD else "changes with the prior"


def sensitivity_words(table: pd.DataFrame) -> str:
    """
    Say in words how much the preferences hang on the priors.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`prior_sensitivity` returned.

    Returns
    -------
    str

    Examples
    --------
    >>> import pandas as pd
    >>> from helpers.analysis import sensitivity_words
    >>> table = pd.DataFrame({
    ...     "category": ["tea", "milk"], "prior": [0.01, 0.2], "likelihood": [0.1, 0.02],
    ...     "reading": ["rests on the counts", "rests on the prior"],
    ... })
    >>> for sentence in sensitivity_words(table).split(". "):
    ...     print(sentence)
    Slightly stronger or weaker priors would hardly change the preference for tea
    The preference for milk rests on the prior: the counts say little about it.
    """
    sentences = []
    for reading, words in _WORDS.items():
        names = table["category"][table["reading"] == reading]
        if len(names) == len(table):
            sentences.append(words.format("every category"))
        elif len(names):
            sentences.append(words.format(listing(names)))
    if table["likelihood"].isna().all():
        sentences.append(
            "How it would change with the likelihood was not looked at: the scatter of the rows "
            "is not integrated out of it here."
        )
    return " ".join(sentences)


_WORDS = {
    "rests on the counts": (
        "Slightly stronger or weaker priors would hardly change the preference for {}."
    ),
    "rests on the prior": (
        "The preference for {} rests on the prior: the counts say little about it."
    ),
    "prior and counts disagree": (
        "The preference for {} changes with the prior and with the likelihood: the two pull in "
        "different directions, so look at both."
    ),
    "changes with the prior": (
        "The preference for {} changes with the prior; whether it changes with the counts cannot "
        "be told."
    ),
    "no more than chance": (
        "For the preference for {} it cannot be told: with as few draws as were looked at, chance "
        "alone makes changes as large."
    ),
    "not looked at": "How much the preference for {} hangs on the priors could not be looked at.",
}
