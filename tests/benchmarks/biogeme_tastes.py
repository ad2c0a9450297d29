"""
Estimate own slopes of time with biogeme, and print what it took.

A script for a Python of its own: biogeme and this book need different versions of pandas.

    python biogeme_tastes.py data/swissmetro.csv '{"draws": 1000, "tune": 1000, "chains": 4}'
"""

import json
import os
import sys
import tempfile

# One device for each core, so that chains run side by side as they do in the other fits.
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={os.cpu_count()}"

import arviz as az  # noqa: E402
import pandas as pd  # noqa: E402
from biogeme.biogeme import BIOGEME  # noqa: E402
from biogeme.database import Database  # noqa: E402
from biogeme.expressions import Beta, DistributedParameter, Draws, Variable  # noqa: E402
from biogeme.models import loglogit  # noqa: E402

MODES = ["train", "swissmetro", "car"]
POPULATION = ["c_train", "c_car", "b_cost", "b_time_mean", "b_time_sd"]


def utilities():
    """One slope of cost, and one of time for each person, as in chapter 15."""
    b_cost = Beta("b_cost", 0, None, None, 0, sigma_prior=5)
    mean = Beta("b_time_mean", 0, None, None, 0, sigma_prior=5)
    sd = Beta("b_time_sd", 1, 0, None, 0, sigma_prior=5)
    b_time = DistributedParameter("b_time", mean + sd * Draws("taste", "NORMAL"))
    constants = {
        "train": Beta("c_train", 0, None, None, 0, sigma_prior=5),
        "swissmetro": 0,
        "car": Beta("c_car", 0, None, None, 0, sigma_prior=5),
    }
    return {
        i: constants[m] + b_time * Variable(f"time_{m}") + b_cost * Variable(f"cost_{m}")
        for i, m in enumerate(MODES)
    }


def main():
    trips = pd.read_csv(sys.argv[1])
    settings = json.loads(sys.argv[2])
    table = pd.DataFrame({"person": trips["person"], "choice": trips["choice"].map(MODES.index)})
    for m in MODES:
        table[f"available_{m}"] = trips[f"available_{m}"]
        for what in ("time", "cost"):
            table[f"{what}_{m}"] = trips[f"{what}_{m}"] / 100
    database = Database("swissmetro", table)
    database.panel("person")
    menu = {i: Variable(f"available_{m}") for i, m in enumerate(MODES)}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        biogeme = BIOGEME(
            database,
            loglogit(utilities(), menu, Variable("choice")),
            bayesian_draws=settings["draws"],
            warmup=settings["tune"],
            chains=settings["chains"],
            target_accept=0.8,
            mcmc_sampling_strategy="numpyro-parallel",
            calculate_likelihood=False,
            calculate_waic=False,
            calculate_loo=False,
            sample_from_prior=False,
            generate_html=False,
            generate_netcdf=False,
            seed=1,
        )
        biogeme.model_name = "own_slopes"
        idata = biogeme.bayesian_estimation().idata
    summary = az.summary(idata, var_names=POPULATION, round_to="none")
    seconds = float(idata.posterior.attrs["sampling_time"])
    found = {
        "what": "biogeme (numpyro)",
        "seconds": seconds,
        "ESS/s": summary["ess_bulk"].min() / seconds,
        "R-hat": summary["r_hat"].max(),
        "divergences": int(idata.sample_stats["diverging"].sum()),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
