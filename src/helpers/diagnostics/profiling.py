"""Where the time goes: compiling, gradients, tuning, sampling, and operation by operation."""

import importlib.util
import logging
import os
import time
import timeit
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
from pytensor.compile.mode import Mode
from scipy.special import gammaln

from helpers.diagnostics.convergence import check_convergence

__all__ = ["expected_seconds", "profile_model", "profile_operations"]


BACKENDS = ("numba", "jax")


SAMPLERS = ("nutpie", "pymc")


# PyMC's names of what both samplers can be told, and nutpie's.
SETTINGS = {"target_accept": "target_accept", "max_treedepth": "maxdepth"}


# What an operation of the graph does, for a reader who meets its name for the first time.
MEANINGS = {
    "Elemwise": "arithmetic, entry by entry",
    "FusedElemwise": "arithmetic, entry by entry",
    "AdvancedSubtensor": "look up rows by index",
    "AdvancedSubtensor1": "look up rows by index",
    "AdvancedIncSubtensor": "add up by index (gradient of the look-up)",
    "AdvancedIncSubtensor1": "add up by index (gradient of the look-up)",
    "Subtensor": "take a slice",
    "IncSubtensor": "write or add into a slice",
    "SpecifyShape": "checks",
    "Sum": "sums",
    "CAReduce": "sums, maxima and the like",
    "Max": "maxima",
    "Any": "checks",
    "All": "checks",
    "Assert": "checks",
    "CheckParameterValue": "checks",
    "Join": "put arrays side by side",
    "Split": "take arrays apart",
    "MakeVector": "put numbers side by side",
    "Alloc": "make an array",
    "Reshape": "change the shape",
    "DimShuffle": "change the order of axes",
    "Dot": "matrix product",
    "Dot22": "matrix product",
    "Gemm": "matrix product",
    "Gemv": "matrix product",
    "Blockwise": "matrix algebra, one small matrix at a time",
    "BatchedDot": "matrix products, one small matrix at a time",
    "Cholesky": "Cholesky factors",
    "SolveTriangular": "triangular systems",
    "Softmax": "softmax",
    "LogSoftmax": "log of the softmax",
    "CumOp": "cumulative sums",
    "ExtractDiag": "take or make a diagonal",
    "AllocDiag": "take or make a diagonal",
    "ClusterLogits": "logits of each row from its cluster's effects",
    "ClusterLogitsBackward": "its gradient: add up each cluster's rows",
    "MaskedLogLikelihood": "masked multinomial of each row, with its gradient",
    "MaskedShares": "probabilities over each row's menu",
    "PairLogDensity": "normal density of intercepts and slopes",
    "PairLogDensityBackward": "its gradient",
    "ConditionedPair": "effects from what is sampled for them",
    "ConditionedPairBackward": "its gradient",
    "ConditionedLogDetBackward": "gradient of the change of variables",
}


def profile_model(
    model,
    *,
    backends=("numba",),
    samplers=("nutpie",),
    draws=1000,
    tune=1000,
    chains=4,
    random_seed=None,
    freeze=True,
    nuts=None,
    progressbar=True,
):
    """
    Measure where a model's time goes.

    Unlike a stop-watch around :func:`pymc.sample`, it tells compiling, gradients, tuning and
    sampling apart, and sets them against what they buy: effective draws.

    Parameters
    ----------
    model : pymc.Model or mapping of str to pymc.Model
        The model, or several by name.
    backends : sequence of {"numba", "jax"}
        What the log-density is compiled with. "jax" must be installed.
    samplers : sequence of {"nutpie", "pymc"}
        Who draws. "pymc" is PyMC's own sampler and runs with the numba backend only.
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
        - ``compile_s``: seconds before the first draw; less if an earlier run left its results in
          the compile cache;
        - ``gradient_us``: microseconds of one log-density and gradient, the fastest of many, before
          and after each sampler; one number for all samplers, which share the graph;
        - ``tuning_s``, ``sampling_s``: seconds of the two phases with all cores in use. For
          nutpie the seconds of both are shared out by gradient steps; PyMC's sampler clocks each
          draw, and the sum over chains is divided by the cores that could run them side by side;
        - ``steps_per_draw``: gradients a kept draw took;
        - ``ess``: smallest bulk effective sample size; ``ess_per_s``: by second of sampling;
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
    for backend in backends:
        if backend not in BACKENDS:
            raise ValueError(f"`backends` must be among {BACKENDS}, not {backend!r}.")
        if backend == "jax" and importlib.util.find_spec("jax") is None:
            raise ValueError('The backend "jax" is not installed: pip install jax.')
    for sampler in samplers:
        if sampler not in SAMPLERS:
            raise ValueError(f"`samplers` must be among {SAMPLERS}, not {sampler!r}.")
    if backends == ["jax"] and samplers == ["pymc"]:
        raise ValueError('The sampler "pymc" runs with the backend "numba" only: add one of them.')
    nuts = dict(nuts or {})
    if unknown := [name for name in nuts if name not in SETTINGS]:
        raise ValueError(f"`nuts` may hold {' and '.join(SETTINGS)}, not {unknown[0]!r}.")
    size = {"draws": draws, "tune": tune, "chains": chains, "progressbar": progressbar}
    lines = []
    for name, one in models.items():
        if freeze:
            one = pm.model.transform.optimization.freeze_dims_and_data(one)
        for backend in backends:
            gradient = _gradient(one, backend)
            nodes = len(gradient[0].maker.fgraph.apply_nodes)
            # Clocked again after each sampler, seconds later, and the least taken: a moment in
            # which the machine is slow lasts longer than the clocking, and would be taken for the
            # model's.
            clocked, measured = [_microseconds(*gradient)], []
            for sampler in samplers:
                if sampler == "pymc" and backend != "numba":
                    continue
                run = _with_nutpie if sampler == "nutpie" else _with_pymc
                measured.append((sampler, *run(one, backend, random_seed, nuts, **size)))
                clocked.append(_microseconds(*gradient))
            for sampler, seconds, idata in measured:
                lines.append(
                    {
                        "model": name,
                        "backend": backend,
                        "sampler": sampler,
                        "nodes": nodes,
                        "compile_s": seconds[0],
                        "gradient_us": min(clocked),
                        "tuning_s": seconds[1],
                        "sampling_s": seconds[2],
                        **_what_it_bought(idata, seconds[2]),
                    }
                )
    return pd.DataFrame(lines)


def _gradient(model, backend):
    """Log-density and gradient, compiled, and a point to evaluate them at."""
    mode = "NUMBA" if backend == "numba" else "JAX"
    function = model.logp_dlogp_function(ravel_inputs=True, mode=mode)
    function.set_extra_values({})
    point = pm.blocking.DictToArrayBijection.map(model.initial_point()).data
    function(point)
    return function._pytensor_function, point


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


def _with_nutpie(model, backend, random_seed, nuts, *, draws, tune, chains, progressbar):
    import nutpie

    names = [v.name for v in model.free_RVs]
    start = time.perf_counter()
    options = {"backend": backend}
    if backend == "jax":
        options["gradient_backend"] = "jax"
    compiled = nutpie.compile_pymc_model(model, var_names=names, **options)
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
        **{SETTINGS[name]: value for name, value in nuts.items()},
    )
    both = time.perf_counter() - start
    steps = float(idata["sample_stats"]["n_steps"].sum())
    in_tuning = float(idata["warmup_sample_stats"]["n_steps"].sum())
    tuning = both * in_tuning / (in_tuning + steps)
    return (compiling, tuning, both - tuning), idata


def _with_pymc(model, backend, random_seed, nuts, *, draws, tune, chains, progressbar):
    start = time.perf_counter()
    # Chains one after another: in parallel each would compile on its own, beside the clock.
    logger = logging.getLogger("pymc")
    level = logger.level
    logger.setLevel("ERROR")
    try:
        with model:
            idata = pm.sample(
                draws,
                tune=tune,
                chains=chains,
                cores=1,
                nuts_sampler="pymc",
                nuts=nuts,
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
    side_by_side = min(chains, os.cpu_count() or 1)
    return (total - tuning - sampling, tuning / side_by_side, sampling / side_by_side), idata


def _what_it_bought(idata, seconds):
    table = check_convergence(idata, rhat=np.inf, ess=0, divergences=np.inf)
    ess, stats = table["ess_bulk"].min(), idata["sample_stats"]
    return {
        "steps_per_draw": float(stats["n_steps"].mean()),
        "ess": ess,
        "ess_per_s": ess / seconds,
        "rhat": table["rhat"].max(),
        "divergences": int(stats["diverging"].sum()),
    }


def expected_seconds(data, *, effects="slopes", likelihood="multinomial", menus=1, draws=1_000):
    """
    Guess how long :func:`~helpers.masked_regression` will sample, before anything is compiled.

    From the size of the data, what a gradient was seen to cost per cell and per effect, and this
    machine's speed at a special function. Four chains after 1,000 draws of tuning are assumed.

    Parameters
    ----------
    data : CategoryCounts
        The counts.
    effects, likelihood : str
        As in :func:`~helpers.masked_regression`.
    menus : int
        Number of menus that are summed over in each row, where they are unknown.
    draws : int
        Kept draws of each chain.

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
    per_cell = {"multinomial": 1.3, "dirichlet-multinomial": 9.0}[likelihood] * menus
    n_effects = 0
    if effects != "pooled":
        n_effects = len(data.cluster.categories) * (data.counts.shape[1] - 1)
        n_effects *= 1 + (data.predictors.shape[1] if effects == "slopes" else 0)
    gradient = 1e-5 + unit * (per_cell * data.counts.size + 4.0 * n_effects)
    steps = 15 if n_effects < 5_000 else 31
    at_once = min(4, os.cpu_count() or 1)
    return (draws + 1_000) * 4 / at_once * steps * gradient


def profile_operations(model, *, calls=100):
    """
    Measure each kind of operation in the graph of the log-density and its gradient.

    The same figures as :meth:`pymc.Model.profile` and its printed summary, as a table, with a
    word on what each operation is. Unlike there, the graph is not compiled by numba, which makes
    it one function without parts to be timed, but operation by operation in C (in Python where
    there is no C compiler). So shares are to be read, not totals.

    Parameters
    ----------
    model : pymc.Model
        The model.
    calls : int
        Number of evaluations.

    Returns
    -------
    pandas.DataFrame
        One line per kind of operation, the slowest first: ``operation``, ``what``, ``nodes`` in
        the graph, ``us_per_call`` of the log-density and gradient, and ``share``.

    Examples
    --------
    >>> import pymc as pm
    >>> from helpers.diagnostics import profile_operations
    >>> with pm.Model() as model:
    ...     x = pm.Normal("x", shape=3)
    >>> profile_operations(model, calls=5).columns.tolist()
    ['operation', 'what', 'nodes', 'us_per_call', 'share']
    """
    linker = "cvm" if pytensor.config.cxx else "vm"
    mode = Mode(linker, "fast_run")
    profile = model.profile([model.logp(), model.dlogp()], n=calls, mode=mode)
    lines = []
    for (_, node), seconds in profile.apply_time.items():
        operation = _name(node.op)
        lines.append((operation, seconds / calls * 1e6))
    table = pd.DataFrame(lines, columns=["operation", "us_per_call"])
    table = table.groupby("operation")["us_per_call"].agg(["size", "sum"]).reset_index()
    table.columns = ["operation", "nodes", "us_per_call"]
    table["what"] = [_meaning(name) for name in table["operation"]]
    table["share"] = table["us_per_call"] / table["us_per_call"].sum()
    table = table.sort_values("us_per_call", ascending=False, ignore_index=True)
    return table[["operation", "what", "nodes", "us_per_call", "share"]]


def _name(op):
    name = type(op).__name__
    # Batched matrix algebra is told apart by what it does to each matrix.
    core = getattr(op, "core_op", None)
    return name if core is None else f"{name}({type(core).__name__})"


def _meaning(name):
    outer, _, core = name.partition("(")
    if core:
        one = MEANINGS.get(core.rstrip(")"), core.rstrip(")"))
        return f"{one}, one small matrix at a time"
    return MEANINGS.get(outer, "")
