"""Speed of the model with correlated slopes, as ratios within one run.

Run with `make bench`, in about half an hour. Each group compares ways to do the same thing. Where
the clock of interest is inside what is run, it is in the extra info as `seconds`.
"""

import dataclasses
import importlib.util
import json
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from graphs import GRAPHS, batch, by_hand, conditioned, value_and_gradient
from operations import OPERATIONS
from pytensor.compile.mode import get_mode

from helpers import masked_regression, profile_model, simulate_counts

logging.getLogger("pymc").setLevel("ERROR")
needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="pip install jax")
BACKENDS = ["NUMBA", pytest.param("JAX", marks=needs_jax)]
# Rows, and the clusters and dates that make them.
SIZES = {"80 rows": (20, 4), "3000 rows": (750, 4), "30000 rows": (2000, 15)}


def simulated(size):
    n_clusters, n_dates = SIZES[size]
    return simulate_counts(n_clusters=n_clusters, n_dates=n_dates, random_seed=1)[0]


def run_once(benchmark, model, **options):
    """Sample once, and record what `profile_model` measured."""
    table = benchmark.pedantic(
        profile_model,
        args=({"model": model},),
        kwargs={"random_seed": 1, "progressbar": False} | options,
        rounds=1,
    )
    line = table.iloc[0]
    benchmark.extra_info["seconds"] = line["tuning_s"] + line["sampling_s"]
    benchmark.extra_info["ESS/s"] = line["ess_per_s"]
    benchmark.extra_info["R-hat"] = line["rhat"]
    benchmark.extra_info["divergences"] = int(line["divergences"])
    benchmark.extra_info["gradient steps a draw"] = line["steps_per_draw"]


@pytest.mark.parametrize("graph", GRAPHS)
def test_gradient_of_loop_and_batch(benchmark, graph):
    benchmark.group = "loop or batch, 80 rows: value and gradient"
    benchmark.extra_info["what"] = graph
    benchmark(*value_and_gradient(GRAPHS[graph](simulated("80 rows"))))


def in_a_process(script, argument, folder):
    """What a script prints last, in seconds; its compilers keep their results in the folder."""
    flags = f"numba__fastmath=False,base_compiledir={folder / 'pytensor'}"
    flags = ",".join(filter(None, [os.environ.get("PYTENSOR_FLAGS"), flags]))
    env = os.environ | {
        "PYTENSOR_FLAGS": flags,
        "NUMBA_CACHE_DIR": f"{folder / 'numba'}",
    }
    command = [sys.executable, str(Path(__file__).with_name(script)), argument]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("cache", ["cold", "warm"])
def test_compile(benchmark, tmp_path, graph, cache):
    """Cold is the first run on a machine, warm the second."""
    benchmark.group = f"loop or batch, 80 rows: compile, {cache}"
    benchmark.extra_info["what"] = graph
    warmup = 1 if cache == "warm" else 0
    arguments = "graphs.py", graph, tmp_path
    seconds = benchmark.pedantic(in_a_process, arguments, rounds=1, warmup_rounds=warmup)
    benchmark.extra_info["seconds"] = seconds


@pytest.mark.parametrize("operation", OPERATIONS)
def test_compile_one_operation(benchmark, tmp_path, operation):
    benchmark.group = "one operation: compile, cold"
    benchmark.extra_info["what"] = operation
    seconds = benchmark.pedantic(in_a_process, ("operations.py", operation, tmp_path), rounds=1)
    benchmark.extra_info["seconds"] = seconds


def mixed(seed):
    """Totals of a cluster log-uniform from 3 to 30,000, spread over its four rows."""
    data, truth = simulate_counts(random_seed=seed)
    rng = np.random.default_rng(seed)
    totals = np.exp(rng.uniform(np.log(3), np.log(30_000), 20)).astype(int)
    n = np.concatenate([rng.multinomial(total, np.full(4, 0.25)) for total in totals])
    share = truth["share"].to_numpy()
    counts = np.zeros_like(data.counts)
    for i, (total, p) in enumerate(zip(n, share, strict=True)):
        menu = data.available[i]
        counts[i, menu] = rng.multinomial(total, p[menu] / p[menu].sum())
    with warnings.catch_warnings():
        # A row without counts, or a category nobody chose: as it should be here.
        warnings.simplefilter("ignore", UserWarning)
        return dataclasses.replace(data, counts=counts)


TOTALS = {"rich": (6_000, 119_000), "medium": (200, 2_000), "poor": (5, 60)}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("regime", [*TOTALS, "mixed"])
@pytest.mark.parametrize("centring", ["centred", "noncentred", "auto"])
def test_centring(benchmark, regime, centring, seed):
    """Tune and sample 4 x (1,000 + 1,000); not all need converge, see R-hat and divergences."""
    benchmark.group = f"centring, {regime} {seed}: tune and sample"
    benchmark.extra_info["what"] = centring
    if regime == "mixed":
        data = mixed(seed)
    else:
        data, _ = simulate_counts(n_range=TOTALS[regime], random_seed=seed)
    run_once(benchmark, masked_regression(data, centring=centring))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("graph", ["centred", "conditioned", "conditioned, plain operations"])
def test_gradient_of_the_model(benchmark, size, graph):
    benchmark.group = f"gradient against a loop by hand, {size}"
    benchmark.extra_info["what"] = f"model, {graph}"
    model = batch if graph == "centred" else conditioned
    mode = get_mode("NUMBA")
    if "plain" in graph:
        mode = mode.including("loops_as_plain_graphs")
    benchmark(*value_and_gradient(model(simulated(size)), mode=mode))


@pytest.mark.parametrize("size", SIZES)
def test_gradient_by_hand(benchmark, size):
    """The likelihood only, without prior: less than the model has to do."""
    benchmark.group = f"gradient against a loop by hand, {size}"
    benchmark.extra_info["what"] = "by hand, likelihood only"
    data = simulated(size)
    effects = np.random.default_rng(1).normal(size=(len(data.cluster.categories), 6, 2))
    x = data.predictors["x"].to_numpy()
    cluster = data.cluster.codes.astype(int)
    arguments = (effects, cluster, x, data.counts, data.available, data.n, np.empty_like(effects))
    value = by_hand(*arguments)
    assert np.isclose(value, expected(effects, data), rtol=1e-10)
    benchmark(by_hand, *arguments)


def expected(effects, data):
    """The log-likelihood in numpy, log-factorials left out."""
    by_row = effects[data.cluster.codes]
    eta = by_row[..., 0] + by_row[..., 1] * data.predictors["x"].to_numpy()[:, None]
    eta = np.where(data.available, np.hstack([eta, np.zeros((len(data), 1))]), -np.inf)
    log_p = eta - np.logaddexp.reduce(eta, axis=1, keepdims=True)
    return (data.counts * np.where(data.available, log_p, 0)).sum()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_gradient_of_backends(benchmark, size, backend):
    benchmark.group = f"numba or JAX, {size}: value and gradient"
    benchmark.extra_info["what"] = backend
    compiled, point = value_and_gradient(conditioned(simulated(size)), mode=backend)
    # JAX returns before it has finished: to ask for the numbers is to wait for them.
    benchmark(lambda: [np.asarray(out) for out in compiled(point)])


@pytest.mark.parametrize("backend", BACKENDS)
def test_sampling_of_backends(benchmark, backend):
    benchmark.group = "numba or JAX, 80 rows: tune and sample"
    benchmark.extra_info["what"] = backend
    run_once(benchmark, conditioned(simulated("80 rows")), backends=backend.lower())


@pytest.mark.parametrize("sampler", ["nutpie", "pymc"])
def test_sampler(benchmark, sampler):
    benchmark.group = "nutpie or PyMC's own sampler, 80 rows: tune and sample"
    benchmark.extra_info["what"] = sampler
    run_once(benchmark, conditioned(simulated("80 rows")), samplers=sampler)


GROWTH = {
    "rows": {f"{20 * d} rows": {"n_dates": d} for d in (4, 40, 400)},
    "clusters": {f"{c} clusters": {"n_clusters": c} for c in (20, 200, 2_000)},
    "categories": {
        f"{k} categories": {"n_categories": k, "unavailable": (0.1,) * (k - 1) + (0,)}
        for k in (3, 7, 15)
    },
}


@pytest.mark.parametrize(
    ("axis", "what"), [(axis, what) for axis, grid in GROWTH.items() for what in grid]
)
def test_growth(benchmark, axis, what):
    """More rows in 20 clusters; more clusters of 4 rows; more categories in 80 rows."""
    benchmark.group = f"gradient by number of {axis}"
    benchmark.extra_info["what"] = what
    data, _ = simulate_counts(**GROWTH[axis][what], random_seed=1)
    benchmark(*value_and_gradient(conditioned(data)))


def test_large(benchmark):
    """2,000 clusters of 15 rows, compiling included; short paths, and draws on disk."""
    benchmark.group = "30000 rows, 24,000 effects: compile, tune and sample"
    benchmark.extra_info["what"] = "auto, short paths, draws on disk"

    def run():
        command = [sys.executable, str(Path(__file__).with_name("large.py"))]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    printed = benchmark.pedantic(run, rounds=1)
    benchmark.extra_info.update(json.loads(printed.splitlines()[-1]))
