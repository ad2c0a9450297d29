"""Own slopes of 752 travellers: by hand, by `masked_regression`, and by biogeme, in one run.

Biogeme lives in an environment of its own, because it needs older libraries. `make bench` makes
it; `BIOGEME_PYTHON` names its Python. Where there is none, biogeme is skipped.

The clock runs while it tunes and samples. Biogeme's sampler compiles inside it, which takes some
seconds of minutes.
"""

import json
import logging
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pandas as pd
import pymc as pm
import pytensor.tensor as pt
import pytest

from helpers import CategoryCounts, MaskedMultinomial, check_convergence, masked_regression

logging.getLogger("pymc").setLevel("ERROR")
MODES = ["train", "swissmetro", "car"]
SURVEY = Path(__file__).parents[2] / "data" / "swissmetro.csv"
SETTINGS = {"draws": 1000, "tune": 1000, "chains": 4}


def by_hand(trips):
    """The model of chapter 15: time has a slope for each person, cost one for all."""
    wide = {what: [f"{what}_{m}" for m in MODES] for what in ("available", "time", "cost")}
    menu, time, cost = (trips[columns].to_numpy(float) for columns in wide.values())
    chosen = (trips["choice"].to_numpy()[:, None] == MODES).astype(int)
    person = pd.factorize(trips["person"])[0]
    with pm.Model() as model:
        c_train, c_car = pm.Normal("c_train", 0, 5), pm.Normal("c_car", 0, 5)
        b_cost = pm.Normal("b_cost", 0, 5)
        b_time_mean = pm.Normal("b_time_mean", 0, 5)
        b_time_sd = pm.HalfNormal("b_time_sd", 5)
        b_time = pm.Normal("b_time", b_time_mean, b_time_sd, shape=int(person.max()) + 1)
        eta = pt.stack([c_train, 0.0, c_car])
        eta = eta + b_time[person][:, None] * time / 100 + b_cost * cost / 100
        MaskedMultinomial("choice", 1, eta, available=menu == 1, observed=chosen)
    return model, ["c_train", "c_car", "b_cost", "b_time_mean", "b_time_sd"]


def by_helpers(trips):
    """The same from a table; priors by standard deviation of time and cost."""
    table = trips[["person"]].copy()
    for m in MODES:
        on_menu = trips[f"available_{m}"] == 1
        table[m] = (trips["choice"] == m).astype(int).where(on_menu)
        for what in ("time", "cost"):
            table[f"{what}_{m}"] = (trips[f"{what}_{m}"] / 100).where(on_menu)
    data = CategoryCounts.from_wide(table, MODES, cluster="person", attributes=["time", "cost"])
    model = masked_regression(
        data,
        effects="pooled",
        attribute_effects={"time": "varying"},
        reference="swissmetro",
        priors={
            "intercept": partial(pm.Normal, mu=0, sigma=5),
            "attribute_slope": partial(pm.Normal, mu=0, sigma=5),
            "attribute_sd": partial(pm.HalfNormal, sigma=5),
        },
    )
    return model, ["intercept", "attribute_slope", "attribute_sd"]


GROUP = "own slopes of 752 people, 6768 choices: tune and sample"


@pytest.mark.parametrize(
    ("way", "build"), {"by hand": by_hand, "masked_regression": by_helpers}.items()
)
def test_own_slopes(benchmark, way, build):
    benchmark.group = GROUP
    model, names = build(pd.read_csv(SURVEY))

    def sample():
        with model:
            return pm.sample(
                **SETTINGS,
                cores=4,
                nuts_sampler="nutpie",
                compile_kwargs={"freeze_model": True},
                var_names=names,
                random_seed=1,
                progressbar=False,
            )

    idata = benchmark.pedantic(sample, rounds=1)
    seconds = idata.posterior.sampling_time
    table = check_convergence(idata, var_names=names, rhat=2, ess=1, divergences=10**6)
    benchmark.extra_info |= {
        "what": way,
        "seconds": seconds,
        "ESS/s": table["ess_bulk"].min() / seconds,
        "R-hat": table["rhat"].max(),
        "divergences": int(idata.sample_stats["diverging"].sum()),
        "gradient steps a draw": float(idata.sample_stats["n_steps"].mean()),
    }


def test_own_slopes_by_biogeme(benchmark):
    python = os.environ.get("BIOGEME_PYTHON")
    if python is None:
        pytest.skip("BIOGEME_PYTHON names no Python with biogeme")
    benchmark.group = GROUP
    script = Path(__file__).with_name("biogeme_tastes.py")
    command = [python, script, SURVEY, json.dumps(SETTINGS)]

    def run():
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=sys.stderr, check=True)
        return json.loads(done.stdout.decode().splitlines()[-1])

    benchmark.extra_info |= benchmark.pedantic(run, rounds=1)
