"""
Sample a model with thousands of clusters, and print what it took.

A script, so that a benchmark can start it in a process of its own, whose memory is then its alone:

    python tests/benchmarks/large.py
"""

import json
import resource
import tempfile
import time

import nutpie

from helpers import check_convergence, masked_regression, parameter_names, simulate_counts


def sample(model, folder, **options):
    """Draw with paths of at most 31 steps, and write the draws into a folder as they come."""
    compiled = nutpie.compile_pymc_model(model, freeze_model=True, var_names=parameter_names(model))
    return nutpie.sample(
        compiled,
        target_accept=0.92,
        maxdepth=5,
        zarr_store=nutpie.zarr_store.LocalStore(folder),
        **options,
    )


def main():
    data, _ = simulate_counts(n_clusters=2000, n_dates=15, random_seed=1)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        model = masked_regression(data)
        draws = sample(model, folder, draws=1000, tune=300, chains=4, seed=1, progress_bar=False)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        table = check_convergence(
            draws, rhat=2, ess=1, divergences=99, var_names=parameter_names(model)
        )
        found = {
            "seconds": seconds,
            "ESS/s": table["ess_bulk"].min() / seconds,
            "R-hat": table["rhat"].max(),
            "divergences": int(draws.sample_stats["diverging"].sum()),
            "GB": peak,
            "gradient steps a draw": float(draws.sample_stats["n_steps"].mean()),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
