"""
Sample a model with thousands of clusters, and print what it took.

A script, so that a benchmark can start it in a process of its own, whose memory is then its alone:

    python tests/benchmarks/large.py
"""

import json
import resource
import tempfile
import time

from helpers import check_convergence, masked_regression, simulate_counts
from helpers.analysis import sample_on_disk


def main():
    data, _ = simulate_counts(n_clusters=2000, n_dates=15, random_seed=1)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        model = masked_regression(data)
        draws = sample_on_disk(
            model,
            folder,
            draws=1000,
            tune=300,
            target_accept=0.92,
            random_seed=1,
            progressbar=False,
        )
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        table = check_convergence(draws, rhat=2, ess=1, divergences=99)
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
