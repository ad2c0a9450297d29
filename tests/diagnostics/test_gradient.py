"""The compiled gradient is that of PyMC's own functions."""

import importlib.util

import numpy as np
import pymc as pm
import pytest
from pytensor.compile.mode import Mode

from helpers.diagnostics import compile_gradient


@pytest.fixture(scope="module")
def model():
    with pm.Model() as model:
        sd = pm.Exponential("sd", 1)
        mean = pm.Normal("mean", shape=2)
        data = pm.Data("data", [[0.3, -0.2], [1.1, 0.4]])
        pm.Normal("y", mean, sd, observed=data)
    return model


BACKENDS = [
    "numba",
    Mode(linker="py", optimizer="fast_compile"),
    pytest.param(
        "jax",
        marks=pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs jax"),
    ),
]


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda b: b if isinstance(b, str) else "mode")
@pytest.mark.parametrize("freeze", [True, False])
def test_is_that_of_pymc(model, backend, freeze):
    function, start = compile_gradient(model, backend, freeze=freeze)
    assert start.shape == (3,)
    named = {"sd_log__": 0.3, "mean": np.array([0.2, -0.7])}
    order = [v.name for v in model.value_vars]
    value, gradient = function(np.concatenate([np.ravel(named[name]) for name in order]))
    plain = {"mode": "FAST_COMPILE"}
    np.testing.assert_allclose(value, model.compile_logp(**plain)(named), rtol=1e-12)
    np.testing.assert_allclose(gradient, model.compile_dlogp(**plain)(named), rtol=1e-12)


def test_the_model_stays_as_it_is(model):
    before = set(model.named_vars), [v.name for v in model.data_vars]
    compile_gradient(model, "FAST_COMPILE")
    assert (set(model.named_vars), [v.name for v in model.data_vars]) == before
