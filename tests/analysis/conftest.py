"""Draws that take no sampler."""

import pymc as pm
import pytest
from pytensor.compile.mode import Mode

from helpers.analysis import all_tables, build_model


@pytest.fixture(scope="session")
def prior_of():
    """Build the model of a choice, with draws from its prior in place of the posterior."""

    def prior(choice):
        model = build_model(choice)
        plain = Mode(linker="py", optimizer="fast_compile")  # compiles in no time
        with model:
            idata = pm.sample_prior_predictive(40, random_seed=1, compile_kwargs={"mode": plain})
        idata["posterior"] = idata["prior"]
        return model, idata

    return prior


@pytest.fixture(scope="session")
def tables_of():
    """All tables, with a short look at the priors' weight, which takes its time."""

    def tables(*args, **options):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("helpers.analysis.sensitivity._SHUFFLES", 2)
            patch.setattr("helpers.analysis.sensitivity._MOST", 2)
            return all_tables(*args, **options)

    return tables
