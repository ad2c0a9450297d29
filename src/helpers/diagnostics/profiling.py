"""Where the time goes: compiling, gradients, tuning and sampling."""

import importlib.util
import logging
import os
import time
import timeit
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr
from pymc.model.transform.optimization import freeze_dims_and_data
from scipy.special import gammaln

from helpers.data.counts import CategoryCounts
from helpers.data.messages import require_choice
from helpers.diagnostics.convergence import check_convergence
from helpers.diagnostics.gradient import compile_gradient

__all__ = ["expected_seconds", "profile_model"]


_BACKENDS = ("numba", "jax")
_SAMPLERS = ("nutpie", "pymc")
# Categories from which trajectories are four times as long, as measured with 400.
_MANY_CATEGORIES = 100
# PyMC's names of the settings that both samplers take, and nutpie's.
_SETTINGS = {"target_accept": "target_accept", "max_treedepth": "maxdepth"}


def profile_model(
    model: pm.Model | Mapping[str, pm.Model],
    *,
    backends: str | Sequence[str] = ("numba",),
    samplers: str | Sequence[str] = ("nutpie",),
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    random_seed: int | None = None,
    freeze: bool = True,
    nuts: Mapping[str, Any] | None = None,
    progressbar: bool = True,
) -> pd.DataFrame:
    """
    Measure where a model's time goes.

    Unlike a stop-watch around :func:`pymc.sample`, it separates compiling, gradients, tuning and
    sampling, and relates them to what they bring: effective draws.

    Parameters
    ----------
    model : pymc.Model or mapping of str to pymc.Model
        The model, or several by name.
    backends : sequence of {"numba", "jax"}
        What the log-density is compiled with. "jax" must be installed.
    samplers : sequence of {"nutpie", "pymc"}
        Samplers. "pymc" is PyMC's own and runs with the numba backend only.
    draws, tune, chains : int
        Draws kept and draws for tuning in each chain, and number of chains.
    random_seed : int, optional
        Seed.
    freeze : bool
        Whether data and dims are compiled in as constants.
    nuts : dict, optional
        Settings of NUTS, ``target_accept`` or ``max_treedepth``, as :func:`pymc.sample` takes them.
    progressbar : bool
        Whether to show progress.

    Returns
    -------
    pandas.DataFrame
        One line per model, backend and sampler:

        - ``nodes``: operations in the compiled graph of log-density and gradient;
        - ``compile_s``: seconds before the first draw; fewer if an earlier run left its results in
          the compile cache;
        - ``gradient_us``: microseconds of one log-density and gradient, the fastest of many, before
          and after each sampler; one number for all samplers, which share the graph;
        - ``tuning_s``, ``sampling_s``: seconds of the two phases with all cores in use. For
          nutpie the total is divided in proportion to gradient steps; PyMC's sampler times each
          draw, and the sum over chains is divided by the cores that could run them in parallel;
        - ``steps_per_draw``: gradients per kept draw;
        - ``ess``: smallest bulk effective sample size; ``ess_per_s``: per second of sampling;
        - ``rhat``: largest R-hat; ``divergences``: their number.

    Raises
    ------
    ValueError
        For an unknown backend, sampler or setting, or a backend that is not installed.

    Examples
    --------
    >>> import pymc as pm
    >>> from helpers import profile_model
    >>> with pm.Model() as model:
    ...     x = pm.Normal("x", shape=3)
    >>> table = profile_model(
    ...     {"three normals": model}, draws=200, tune=200, random_seed=1, progressbar=False
    ... )
    >>> table.columns[:6].tolist()
    ['model', 'backend', 'sampler', 'nodes', 'compile_s', 'gradient_us']
    """
    models = model if isinstance(model, Mapping) else {"model": model}
    backends = [backends] if isinstance(backends, str) else list(backends)
    samplers = [samplers] if isinstance(samplers, str) else list(samplers)
    settings = dict(nuts or {})
    _check_options(backends, samplers, settings)
    options = {
        "draws": draws,
        "tune": tune,
        "chains": chains,
        "random_seed": random_seed,
        "progressbar": progressbar,
    }
    lines = []
    for name, one in models.items():
        if freeze:
            one = freeze_dims_and_data(one)
        for backend in backends:
            usable = [s for s in samplers if s == "nutpie" or backend == "numba"]
            for line in _profile(one, backend, usable, settings, options):
                lines.append({"model": name, "backend": backend} | line)
    return pd.DataFrame(lines)


def _check_options(backends, samplers, settings):
    for backend in backends:
        require_choice("`backends`", backend, _BACKENDS)
        if backend == "jax" and importlib.util.find_spec("jax") is None:
            raise ValueError('The backend "jax" is not installed: pip install jax.')
    for sampler in samplers:
        require_choice("`samplers`", sampler, _SAMPLERS)
    if backends == ["jax"] and samplers == ["pymc"]:
        raise ValueError(
            'The sampler "pymc" runs with the backend "numba" only: add the backend "numba" or '
            'the sampler "nutpie".'
        )
    for setting in settings:
        require_choice("Settings in `nuts`", setting, _SETTINGS)


def _profile(model, backend, samplers, settings, options):
    """One line per sampler."""
    if not samplers:
        return []
    function, point = compile_gradient(model, backend, freeze=False)
    # The gradient is timed again after each sampler, seconds later, and the least is taken: a
    # moment in which the machine is slow lasts longer than one timing, and would be taken for the
    # model's.
    timings, runs = [_microseconds(function, point)], []
    for sampler in samplers:
        sample = _sample_with_nutpie if sampler == "nutpie" else _sample_with_pymc
        runs.append(sample(model, backend, settings, **options))
        timings.append(_microseconds(function, point))
    return [
        {
            "sampler": sampler,
            "nodes": len(function.maker.fgraph.apply_nodes),
            "compile_s": run.compiling,
            "gradient_us": min(timings),
            "tuning_s": run.tuning,
            "sampling_s": run.sampling,
            **_efficiency(run),
        }
        for sampler, run in zip(samplers, runs, strict=True)
    ]


def _microseconds(function, point):
    """Least microseconds of a call within half a second."""
    best, calls, until = np.inf, 1, time.perf_counter() + 0.5
    while time.perf_counter() < until:
        start = time.perf_counter()
        for _ in range(calls):
            function(point)
        took = time.perf_counter() - start
        best = min(best, took / calls)
        if took < 0.01:
            calls *= 2
    return 1e6 * best


class _Run(NamedTuple):
    """Seconds of each phase, and the draws."""

    compiling: float
    tuning: float
    sampling: float
    idata: xr.DataTree


def _sample_with_nutpie(model, backend, settings, *, draws, tune, chains, random_seed, progressbar):
    import nutpie

    start = time.perf_counter()
    compiled = nutpie.compile_pymc_model(
        model,
        var_names=[v.name for v in model.free_RVs],
        backend=backend,
        **({"gradient_backend": "jax"} if backend == "jax" else {}),
    )
    compiling = time.perf_counter() - start
    start = time.perf_counter()
    idata = nutpie.sample(
        compiled,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=chains,
        seed=random_seed,
        save_warmup=True,
        progress_bar=progressbar,
        **{_SETTINGS[name]: value for name, value in settings.items()},
    )
    both = time.perf_counter() - start
    steps = float(idata["sample_stats"]["n_steps"].sum())
    tuning_steps = float(idata["warmup_sample_stats"]["n_steps"].sum())
    tuning = both * tuning_steps / (tuning_steps + steps)
    return _Run(compiling, tuning, both - tuning, idata)


def _sample_with_pymc(model, backend, settings, *, draws, tune, chains, random_seed, progressbar):
    start = time.perf_counter()
    logger = logging.getLogger("pymc")
    level = logger.level
    logger.setLevel("ERROR")
    try:
        with model:
            # Chains one after another: in parallel each would compile for itself, and its seconds
            # would not be seen.
            idata = pm.sample(
                draws,
                tune=tune,
                chains=chains,
                cores=1,
                nuts_sampler="pymc",
                nuts=settings,
                random_seed=random_seed,
                discard_tuned_samples=False,
                compute_convergence_checks=False,
                progressbar=progressbar,
            )
    finally:
        logger.setLevel(level)
    total = time.perf_counter() - start
    tuning = float(idata["warmup_sample_stats"]["perf_counter_diff"].sum())
    sampling = float(idata["sample_stats"]["perf_counter_diff"].sum())
    parallel = min(chains, os.cpu_count() or 1)
    return _Run(total - tuning - sampling, tuning / parallel, sampling / parallel, idata)


def _efficiency(run):
    """Effective draws, and what they took."""
    table = check_convergence(run.idata, rhat=np.inf, ess=0, divergences=np.inf)
    ess, stats = table["ess_bulk"].min(), run.idata["sample_stats"]
    return {
        "steps_per_draw": float(stats["n_steps"].mean()),
        "ess": ess,
        "ess_per_s": ess / run.sampling,
        "rhat": table["rhat"].max(),
        "divergences": int(stats["diverging"].sum()),
    }


def expected_seconds(
    data: CategoryCounts,
    *,
    effects: str = "slopes",
    likelihood: str = "multinomial",
    menus: int = 1,
    draws: int = 1_000,
    tune: int = 1_000,
) -> float:
    """
    Estimate how long :func:`~helpers.masked_regression` will sample, before anything is compiled.

    The estimate comes from the size of the data, the measured cost of a gradient per cell and per
    effect, and the speed of this machine at a special function. It assumes four chains.

    Parameters
    ----------
    data : CategoryCounts
        The counts.
    effects, likelihood : str
        As in :func:`~helpers.masked_regression`.
    menus : int
        Number of menus that each row sums over, where they are unknown.
    draws, tune : int
        Draws kept in each chain, and draws of tuning before them.

    Returns
    -------
    float
        Seconds, without compiling. It may be off by a factor of two.

    Examples
    --------
    >>> from helpers import simulate_counts
    >>> from helpers.diagnostics import expected_seconds
    >>> data, _ = simulate_counts(random_seed=1)
    >>> bool(0 < expected_seconds(data) < expected_seconds(data, draws=4_000))
    True
    """
    x = np.linspace(1.0, 2.0, 20_000)
    unit = min(timeit.repeat(lambda: gammaln(x), number=1, repeat=20)) / x.size
    costs = {"multinomial": 1.3, "logistic-normal": 5.0, "dirichlet-multinomial": 9.0}
    per_cell = costs[likelihood] * menus
    n_effects = 0
    if effects != "pooled" and data.cluster is not None:
        n_effects = len(data.cluster.categories) * (data.counts.shape[1] - 1)
        n_effects *= 1 + (data.predictors.shape[1] if effects == "slopes" else 0)
    gradient = 1e-5 + unit * (per_cell * data.counts.size + 4.0 * n_effects)
    if data.cluster is not None and likelihood != "logistic-normal":
        # All effects of a cluster are conditioned together, by a matrix.
        gradient += 0.15 * unit * n_effects**2 / len(data.cluster.categories)
    steps = 31 if likelihood == "logistic-normal" or n_effects >= 5_000 else 15
    if data.counts.shape[1] > _MANY_CATEGORIES:
        steps = 4 * steps + 3
    parallel = min(4, os.cpu_count() or 1)
    return (draws + tune) * 4 / parallel * steps * gradient
