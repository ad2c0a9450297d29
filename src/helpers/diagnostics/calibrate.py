"""Simulation-based calibration of a regression: its prior, its likelihood and its sampler."""

import dataclasses
import itertools
import threading
import time
import uuid
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr
from pytensor.compile.mode import Mode

from helpers.data.counts import CategoryCounts
from helpers.diagnostics._spread import mapped, with_progress
from helpers.diagnostics.calibration import FALSE_ALARMS, Calibration, rank_in_draws
from helpers.diagnostics.convergence import check_convergence
from helpers.models.many_tables import AnotherProgramError, ManyTables
from helpers.models.regression import masked_regression
from helpers.predict.draws import value_by_draw

__all__ = ["calibrate"]

JOINT = "log likelihood"
SAMPLING = {"draws": 1_000, "tune": 500, "chains": 4, "cores": 1, "target_accept": 0.9}
# Programs that were compiled in this process, by call of `calibrate`.
_COMPILED: dict[str, list[ManyTables]] = {}
_ONE_AT_A_TIME = threading.Lock()


def calibrate(
    data: CategoryCounts,
    *,
    simulations: int = 200,
    truth: Mapping[str, Any] | None = None,
    ranked: int = 99,
    sampling: Mapping[str, Any] | None = None,
    client: Any = None,
    false_alarms: float = FALSE_ALARMS,
    progressbar: bool = True,
    random_seed: int | None = None,
    **options: Any,
) -> Calibration:
    r"""
    Ask whether the intervals of a regression mean what they say, by simulation.

    Unlike a fit to one simulated table, which recovers its truth or does not, it draws many: the
    parameters from the priors of the model, the counts from its likelihood on the menus and totals
    of `data`. Each truth is ranked among the draws of its own posterior, and so is the joint log
    likelihood, without which a posterior that ignores its data would pass (Modrák et al. 2023).
    The program is compiled once, and counts are exchanged in it.

    Parameters
    ----------
    data : CategoryCounts
        The table whose rows, clusters, menus, totals and predictors are used. Its counts are not.
    simulations : int
        How many tables are drawn and fitted.
    truth : mapping, optional
        Options of :func:`~helpers.masked_regression` in which the model that tables are drawn from
        differs from the model that is fitted: what a wrong model does to the intervals.
        Parameters that only one of them has are not ranked.
    ranked : int
        How many draws each truth is ranked among, evenly spaced over all chains.
    sampling : mapping, optional
        As for :meth:`ManyTables.fit <helpers.models.ManyTables.fit>`.
    client : distributed.Client, str or None
        Where the fits run: None for this process; ``"local"`` for processes on this machine, one
        for each core; the address of a Dask scheduler; or a client of one. The result is the
        same, and a worker that dies is replaced by others.
    false_alarms : float
        Probability, in (0, 1), that any parameter of a right posterior is called off.
    progressbar : bool
        Whether to show progress.
    random_seed : int, optional
        Seed of truths, counts and draws.
    **options
        As for :func:`~helpers.masked_regression`; the `reference` must be named.

    Returns
    -------
    Calibration
        With ``simulations``, one line for each table: seconds, largest R-hat, smallest bulk ESS,
        divergences, and why it was refused, if it was.

    Raises
    ------
    ValueError
        If no reference is named, the priors cannot be drawn from, the two models have no parameter
        in common, or more than a tenth of the tables are refused; if the scheduler cannot be
        reached.
    ImportError
        If `client` is given and Dask is not installed.

    References
    ----------
    Modrák, M., Moon, A. H., Kim, S., Bürkner, P., Huurre, N., Faltejsková, K., Gelman, A., &
    Vehtari, A. (2023). Simulation-based calibration checking for Bayesian computation: The choice
    of test quantities shapes sensitivity. Bayesian Analysis.

    Examples
    --------
    >>> from helpers import calibrate, simulate_counts
    >>> data, _ = simulate_counts(
    ...     5, 2, 3, unavailable=(0, 0, 0.4), n_range=(20, 60), effects="pooled", random_seed=1
    ... )
    >>> found = calibrate(
    ...     data, effects="pooled", reference="category 1", simulations=20, progressbar=False,
    ...     sampling={"draws": 200, "tune": 200, "chains": 2}, random_seed=1,
    ... )
    >>> list(found.table.index)
    ['intercept', 'log likelihood']
    """
    if options.get("reference") is None:
        raise ValueError("Name the reference with `reference`: tables must share it.")
    fitted = masked_regression(data, **options)
    drawn = fitted if truth is None else masked_regression(data, **options | dict(truth))
    seed = np.random.SeedSequence().entropy if random_seed is None else random_seed
    truths, counts = _drawn_from_prior(drawn, simulations, seed)
    call = _Call(
        key=uuid.uuid4().hex,
        data=data,
        options=options,
        elements={n: _elements(truths[n]) for n in _ranked_names(fitted, drawn)},
        joint={v.name for v in fitted.free_RVs} <= set(truths.data_vars),
        ranked=ranked,
        sampling=SAMPLING | dict(sampling or {}),
        seed=seed,
    )
    tasks = [(call, i, counts[i], truths.isel(draw=[i])) for i in range(simulations)]
    with mapped(client) as over:
        done = with_progress(over(_simulation, tasks), simulations, progressbar)
        found = sorted(done, key=lambda one: one["simulation"])
    _COMPILED.pop(call.key, None)
    return _collected(found, call, false_alarms)


@dataclasses.dataclass(frozen=True)
class _Call:
    """What all simulations of one call share."""

    key: str
    data: CategoryCounts
    options: Mapping[str, Any]
    elements: Mapping[str, Mapping[int, str]]
    joint: bool
    ranked: int
    sampling: Mapping[str, Any]
    seed: Any


def _drawn_from_prior(model: pm.Model, n: int, seed: Any) -> tuple[xr.Dataset, np.ndarray]:
    """Parameters (scatter of rows with them) and counts, drawn from the prior."""
    names = [v.name for v in model.free_RVs]
    # Machine code would take longer to compile than this takes to run.
    slow = {"mode": Mode(linker="py", optimizer="fast_compile")}
    try:
        prior = pm.sample_prior_predictive(
            draws=n,
            model=model,
            var_names=[*names, "counts"],
            random_seed=np.random.default_rng(seed),
            compile_kwargs=slow,
        )
    except (NotImplementedError, ValueError) as error:
        raise ValueError(
            f"The model cannot be drawn from ({error}). Do its priors have values that can be "
            "drawn? A pm.Flat has none: give a proper one in `priors`."
        ) from error
    counts = prior["prior_predictive"]["counts"].isel(chain=0).to_numpy()
    return prior["prior"].to_dataset(), counts


def _ranked_names(fitted: pm.Model, drawn: pm.Model) -> list[str]:
    """Parameters that both models have, in the same shape, and that do not grow with the rows."""
    dims, others = fitted.named_vars_to_dims, drawn.named_vars_to_dims
    names = [
        v.name
        for v in fitted.free_RVs
        if v.name in drawn.named_vars
        and dims.get(v.name) == others.get(v.name)
        and "row" not in (dims.get(v.name) or ())
    ]
    if not names:
        raise ValueError(
            "The model that tables are drawn from and the one that is fitted have no parameter in "
            "common, so that there is nothing to rank."
        )
    return names


def _elements(values: xr.DataArray) -> dict[int, str]:
    """Labels of the elements that vary, by place: a triangular matrix has others."""
    by_draw = values.isel(chain=0).transpose("draw", ...)
    flat = by_draw.to_numpy().reshape(by_draw.sizes["draw"], -1)
    labels = itertools.product(*(by_draw[d].to_numpy() for d in by_draw.dims[1:]))
    return {i: ", ".join(map(str, one)) for i, one in enumerate(labels) if np.ptp(flat[:, i]) > 0}


def _simulation(task: tuple[_Call, int, np.ndarray, xr.Dataset]) -> dict[str, Any]:
    """One table: fit it, and rank its truth. This is what runs elsewhere."""
    call, i, counts, truth = task
    start = time.perf_counter()
    out: dict[str, Any] = {"simulation": i, "positions": None, "refused": ""}
    draw_seed, tie_seed = np.random.SeedSequence([call.seed, i]).generate_state(2)
    # PyTensor compiles in one thread at a time.
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        # A category that nobody chose is said of tables that somebody has, not of simulated ones.
        warnings.simplefilter("ignore", UserWarning)
        table = dataclasses.replace(call.data, counts=counts)
        try:
            model, draws = _fit(call, table, int(draw_seed))
        except ValueError as error:
            return out | {"refused": str(error)}
        posterior = draws["posterior"].to_dataset()[[v.name for v in model.free_RVs]]
        size = posterior.sizes["chain"] * posterior.sizes["draw"]
        some = np.linspace(0, size - 1, call.ranked).round().astype(int)
        columns = [
            _columns(truth, posterior, name, some)[:, list(of_name)]
            for name, of_name in call.elements.items()
        ]
        if call.joint:
            columns.append(_joint(truth, posterior, model, some))
    together = np.concatenate(columns, axis=1)
    gate = check_convergence(draws, rhat=np.inf, ess=0, divergences=size)
    return out | {
        "positions": rank_in_draws(together[0], together[1:], random_seed=tie_seed),
        "seconds": time.perf_counter() - start,
        "rhat": gate["rhat"].max(),
        "ess": gate["ess_bulk"].min(),
        "divergences": int(draws["sample_stats"]["diverging"].sum()),
    }


def _fit(call: _Call, table: CategoryCounts, seed: int) -> tuple[pm.Model, xr.DataTree]:
    """Fit one table with a program that is there already, or with a new one if none will do."""
    if call.key not in _COMPILED:
        _COMPILED.clear()
        _COMPILED[call.key] = []
    programs = _COMPILED[call.key]
    for program in programs:
        try:
            return program.fit(table, **call.sampling, random_seed=seed)
        except AnotherProgramError:
            # Where menus are unknown, the zeros of a table decide about its program.
            continue
    programs.append(ManyTables(rows=True, **call.options))
    return programs[-1].fit(table, **call.sampling, random_seed=seed)


def _columns(truth: xr.Dataset, posterior: xr.Dataset, name: str, some: np.ndarray) -> np.ndarray:
    """Truth and some draws of the elements of a parameter, of shape (L + 1, E)."""
    draws = posterior[name].stack(s=("chain", "draw")).isel(s=some)
    true = truth[name].isel(chain=0, draw=0).transpose(*[d for d in draws.dims if d != "s"])
    return np.vstack(
        [true.to_numpy().ravel(), draws.transpose("s", ...).to_numpy().reshape(len(some), -1)]
    )


def _joint(
    truth: xr.Dataset, posterior: xr.Dataset, model: pm.Model, some: np.ndarray
) -> np.ndarray:
    """Joint log likelihood of the truth and of some draws, of shape (L + 1, 1)."""
    counts = model["counts"]
    expression = pm.logp(counts, model.rvs_to_values[counts]).sum()
    at_truth = value_by_draw(truth, model, expression)
    at_draws = value_by_draw(posterior, model, expression, some)
    return np.array([[*at_truth, *at_draws]], dtype=float).T


def _collected(found: list[dict[str, Any]], call: _Call, false_alarms: float) -> Calibration:
    """What the simulations found, together."""
    simulations = pd.DataFrame(found).drop(columns="positions").set_index("simulation")
    refused = simulations["refused"] != ""
    if refused.mean() > 0.1:
        raise ValueError(
            f"{refused.sum()} of {len(found)} tables were refused, the first because: "
            f"{simulations['refused'][refused].iloc[0]} Priors that are narrower, or larger "
            "totals, make such tables rarer."
        )
    names = [name for name, of_name in call.elements.items() for _ in of_name]
    elements = [label for of_name in call.elements.values() for label in of_name.values()]
    if call.joint:
        names, elements = [*names, JOINT], [*elements, ""]
    positions = np.stack([one["positions"] for one in found if one["positions"] is not None])
    return Calibration(positions, names, elements, simulations, false_alarms)
