"""The chosen regression as a model, and draws from it."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import xarray as xr

from helpers.analysis.choose import Choice
from helpers.analysis.draws import fewer
from helpers.analysis.gate import not_converged, smaller_steps
from helpers.analysis.on_disk import (
    MANY,
    is_on_disk,
    note_on_disk,
    plan_sampling,
    sample_on_disk,
    stored_names,
)
from helpers.analysis.options import AnalysisOptions
from helpers.analysis.posterior import label_draws, read_posterior, write_unfinished
from helpers.analysis.progress import shows_bars
from helpers.analysis.stopping import stoppable
from helpers.data.counts import CategoryCounts
from helpers.diagnostics.convergence import (
    Convergence,
    ConvergenceError,
    measure_convergence,
)
from helpers.diagnostics.profiling import expected_seconds
from helpers.models.regression import masked_regression

__all__ = [
    "Fit",
    "announce_sampling",
    "build_model",
    "expected_time",
    "fit_choice",
    "sample",
    "sampling_settings",
    "thin",
]


@dataclass(frozen=True, eq=False)
class Fit:
    """
    Draws that may be used, and the model that they are of.

    Attributes
    ----------
    choice : Choice
        The choice, with its data.
    model : pymc.Model
        Its model.
    idata : xarray.DataTree
        Draws from the posterior.
    convergence : pandas.DataFrame
        The table of :func:`~helpers.check_convergence`.
    """

    choice: Choice
    model: pm.Model
    idata: xr.DataTree
    convergence: pd.DataFrame


def build_model(choice: Choice) -> pm.Model:
    """
    Build the regression that was chosen.

    Parameters
    ----------
    choice : Choice
        The choice, with its data.

    Returns
    -------
    pymc.Model

    Raises
    ------
    ValueError
        If the parts of the choice do not go together, as in
        :func:`~helpers.masked_regression`.

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> from helpers.analysis import build_model, choose
    >>> data, _ = simulate_counts(random_seed=1)
    >>> "drift" in build_model(choose(data, drift="none")).named_vars
    False
    """
    return masked_regression(
        choice.data,
        effects=choice.effects,
        availability=choice.availability,
        reference=choice.reference,
        likelihood=choice.likelihood,
        scatter=choice.scatter,
        drift=choice.drift,
        spreads=choice.spreads,
        attribute_effects=choice.attribute_effects,
        formula=choice.formula,
        nests=choice.nests or None,
    )


def expected_time(choice: Choice, draws: int, tune: int = 1_000) -> str:
    """
    Say roughly how long the sampler will take.

    Parameters
    ----------
    choice : Choice
        The choice, with its data.
    draws, tune : int
        Draws to keep in each chain, and draws of tuning before them.

    Returns
    -------
    str

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> from helpers.analysis import choose, expected_time
    >>> data, _ = simulate_counts(random_seed=1)
    >>> expected_time(choose(data), draws=10)
    'Expect about 10 seconds of sampling, after 10 to 40 seconds of compiling.'
    """
    menus = 1
    if choice.availability == "unknown":
        n_with_zeros = int((choice.data.counts == 0).any(axis=0).sum())
        menus = 2 ** min(max(n_with_zeros - 1, 0), 6)
    seconds = expected_seconds(
        choice.data,
        effects=choice.effects,
        likelihood=choice.likelihood,
        menus=menus,
        draws=draws,
        tune=tune,
    )
    return (
        f"Expect about {10 * np.ceil(seconds / 10):.0f} seconds of sampling, after 10 to 40 "
        "seconds of compiling."
    )


def announce_sampling(choice: Choice, options: AnalysisOptions) -> str:
    """
    Say how long the sampler will take, and where its draws go if memory has no room for them.

    Parameters
    ----------
    choice : Choice
        The choice, with its data.
    options : AnalysisOptions
        ``draws`` and ``tune``.

    Returns
    -------
    str

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> from helpers.analysis import AnalysisOptions, announce_sampling, choose
    >>> data, _ = simulate_counts(random_seed=1)
    >>> announce_sampling(choose(data), AnalysisOptions(draws=10)).partition(" about ")[0]
    'Expect'
    """
    plan = plan_sampling(choice, options)
    expected = expected_time(choice, plan.draws, plan.tune)
    return " ".join(filter(None, [expected, plan.words]))


def fit_choice(
    choice: Choice,
    options: AnalysisOptions | None = None,
    progress: Callable[[str], None] | None = None,
) -> Fit:
    """
    Build the model that was chosen, sample it, and refuse draws that must not be used.

    Parameters
    ----------
    choice : Choice
        The choice, with its data.
    options : AnalysisOptions, optional
        How to sample: ``draws``, ``tune``, ``target_accept``, ``random_seed`` and ``progressbar``;
        or ``posterior``, draws of an earlier run. Draws that must not be used are kept in
        ``output_dir``, for a look at what went wrong, and so are draws that memory has no room for
        (:func:`plan_sampling`).
    progress : callable, optional
        Called with a few words before the convergence of draws on the disk is measured, which
        takes minutes.

    Returns
    -------
    Fit

    Raises
    ------
    NotConverged
        If the draws must not be used.
    ValueError
        If the parts of the choice do not go together, or the draws of an earlier run are of
        another table or model.

    See Also
    --------
    sample : Draws, without a check.
    sample_on_disk : Draws that memory has no room for.
    """
    options = options or AnalysisOptions()
    model, measured = build_model(choice), None
    if options.posterior:
        idata = read_posterior(options.posterior, choice, model)
    else:
        plan = plan_sampling(choice, options)
        settings: dict[str, Any] = {
            "draws": plan.draws,
            "tune": plan.tune,
            "target_accept": options.target_accept,
            "random_seed": options.random_seed,
            "progressbar": options.progressbar and shows_bars(),
        }
        if plan.on_disk:
            idata = sample_on_disk(model, options.output_dir, **settings)
        else:
            idata, measured = _sampled(model, **settings)
        label_draws(idata, choice, options)
        if plan.on_disk:
            about = idata["posterior"].attrs
            note_on_disk(about["kept"], about)
    large = is_on_disk(idata)
    if large and progress:
        progress("Measuring the convergence of every number")
    if measured is None:
        measured = measure_convergence(idata)
    try:
        convergence = measured.check(**(MANY if large else {}))
    except ConvergenceError as error:
        _, where = write_unfinished(idata, options.output_dir)
        raise not_converged(error, choice, idata, options, where) from None
    return Fit(choice, model, idata, convergence)


def sampling_settings(
    draws: int, random_seed: int | None, progressbar: bool = True
) -> dict[str, Any]:
    """
    Return the settings of the sampler that all fits of the book share.

    Parameters
    ----------
    draws : int
        Draws to keep in each chain.
    random_seed : int, optional
        Seed of the sampler.
    progressbar : bool
        Whether to show a bar.

    Returns
    -------
    dict
        Arguments for :func:`pymc.sample`: four chains side by side, with nutpie, and data and
        dims compiled in as constants.

    Examples
    --------
    >>> from helpers.analysis import sampling_settings
    >>> settings = sampling_settings(draws=500, random_seed=1)
    >>> settings["nuts_sampler"], settings["chains"], settings["draws"]
    ('nutpie', 4, 500)
    """
    return {
        "draws": draws,
        "chains": 4,
        "cores": 4,
        "nuts_sampler": "nutpie",
        "random_seed": random_seed,
        "progressbar": progressbar,
        "compile_kwargs": {"freeze_model": True},
    }


def sample(
    model: pm.Model,
    *,
    draws: int,
    tune: int = 1_000,
    target_accept: float = 0.8,
    random_seed: int | None = None,
    progressbar: bool = True,
) -> xr.DataTree:
    """
    Sample the posterior in four chains, and store no variable that grows with the rows.

    If all but converged, that is with no more than ten divergent transitions and no R-hat above
    1.05, it samples once more, with a target acceptance of 0.95 (or nearer to 1 than the one asked
    for), twice the tuning and twice the draws, and says so. Where only effective draws lack, there
    must be at least 200. What then is not in order is for :func:`~helpers.check_convergence` to
    refuse.

    Parameters
    ----------
    model : pymc.Model
        The model.
    draws : int
        Draws to keep in each chain.
    tune : int
        Draws of tuning before them.
    target_accept : float
        Acceptance that the sampler aims at, in (0, 1).
    random_seed : int, optional
        Seed of the sampler.
    progressbar : bool
        Whether to show a bar.

    Returns
    -------
    xarray.DataTree
        The draws. Check them with :func:`~helpers.check_convergence` before use. The attributes of
        ``posterior`` include ``settings``, how they were sampled, in words. Where both menus and
        the scatter of rows are unknown, the scatter is stored, as it cannot be drawn again.

    Raises
    ------
    KeyboardInterrupt
        If it is stopped: the sampler by itself would return what it had.

    Warns
    -----
    UserWarning
        If it samples once more.
    """
    return _sampled(
        model,
        draws=draws,
        tune=tune,
        target_accept=target_accept,
        random_seed=random_seed,
        progressbar=progressbar,
    )[0]


def _sampled(
    model: pm.Model,
    *,
    draws: int,
    tune: int,
    target_accept: float,
    random_seed: int | None,
    progressbar: bool,
) -> tuple[xr.DataTree, Convergence]:
    """What :func:`sample` returns, and what was measured of it, which takes seconds."""
    asked = sampling_settings(draws, random_seed, progressbar)
    asked |= {"tune": tune, "nuts": {"target_accept": target_accept}}
    names = stored_names(model)
    idata, words = _sample(model, names, asked), f"{tune:,} of tuning"
    measured = measure_convergence(idata)
    problem = _nearly_converged(measured)
    if problem:
        with_what = "smaller steps and twice the draws"
        warnings.warn(f"{problem} Sampling once more, with {with_what}.", stacklevel=3)
        # What was slow enough to fail a gate once is slow still with smaller steps.
        again, draws = smaller_steps(tune, target_accept), 2 * draws
        nuts = {"target_accept": again["target_accept"]}
        asked |= {"draws": draws, "tune": again["tune"], "nuts": nuts}
        idata = _sample(model, names, asked)
        measured = measure_convergence(idata)
        words = (
            f"{again['tune']:,} of tuning, in a second run with a target acceptance of "
            f"{again['target_accept']:g}"
        )
    elif target_accept != 0.8:
        words += f" with a target acceptance of {target_accept:g}"
    used = again if problem else {"tune": tune, "target_accept": target_accept}
    settings = f"Four chains of {draws:,} draws after {words}"
    idata["posterior"].attrs.update(settings=settings, **used)
    return idata, measured


def _sample(model: pm.Model, names: list[str], settings: dict[str, Any]) -> xr.DataTree:
    # Fast mathematics adds numbers in an order that depends on what is in the compile cache:
    # without it, a seed gives the same draws with an empty and with a full one.
    with model, pytensor.config.change_flags(numba__fastmath=False), stoppable():
        return pm.sample(**settings, var_names=names)


def _nearly_converged(measured: Convergence) -> str:
    """What is not in order, if a second run may mend it; else an empty string."""
    problem = _complaint(measured)
    if not problem:
        return ""
    least = 0 if _complaint(measured, ess=0) else 200
    return "" if _complaint(measured, rhat=1.05, ess=least, divergences=10) else problem


def _complaint(measured: Convergence, **limits: float) -> str:
    """What is not in order about the draws, in one sentence; "" if nothing is."""
    try:
        measured.check(**limits)
    except ConvergenceError as problem:
        return str(problem).partition(". Try ")[0] + "."
    return ""


def thin(idata: xr.DataTree, data: CategoryCounts) -> xr.DataTree:
    """
    Thin draws to about 400, or fewer for large tables, for what is computed for every row.

    Parameters
    ----------
    idata : xarray.DataTree
        Draws.
    data : CategoryCounts
        The rows.

    Returns
    -------
    xarray.DataTree
        Evenly spaced draws of each chain.

    Examples
    --------
    >>> import arviz as az
    >>> import numpy as np
    >>> from helpers import simulate_counts
    >>> from helpers.analysis import thin
    >>> idata = az.from_dict({"posterior": {"x": np.zeros((4, 1_000))}})
    >>> thin(idata, simulate_counts(random_seed=1)[0])["posterior"].sizes["draw"]
    100
    """
    return fewer(idata, int(np.clip(4e7 / data.counts.size, 50, 400)))
