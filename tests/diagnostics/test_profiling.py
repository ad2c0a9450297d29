"""The profile's columns are what they are said to be; wrong choices are refused."""

import importlib.util
import time

import numpy as np
import pymc as pm
import pytest

from helpers import profile_model

COLUMNS = [
    "model",
    "backend",
    "sampler",
    "nodes",
    "compile_s",
    "gradient_us",
    "tuning_s",
    "sampling_s",
    "steps_per_draw",
    "ess",
    "ess_per_s",
    "rhat",
    "divergences",
]


@pytest.fixture(scope="module")
def models():
    with pm.Model() as one:
        pm.Normal("x", shape=3)
    with pm.Model() as other:
        sd = pm.Exponential("sd", 1)
        data = pm.Data("data", np.array([0.3, -0.2, 1.1]))
        pm.Normal("y", 0, sd, observed=data)
        pm.Deterministic("twice", 2 * sd)
    return {"three normals": one, "a scale": other}


SIZE = {"draws": 300, "tune": 200, "chains": 2, "random_seed": 1, "progressbar": False}


@pytest.fixture(scope="module")
def table(models):
    """Both models with both samplers, and the seconds all of it took."""
    start = time.perf_counter()
    table = profile_model(models, samplers=("nutpie", "pymc"), **SIZE)
    return table, time.perf_counter() - start


@pytest.mark.slow
class TestModel:
    def test_has_one_line_per_model_and_sampler(self, table):
        table, _ = table
        assert table.columns.tolist() == COLUMNS
        expected = [
            (name, "numba", sampler)
            for name in ("three normals", "a scale")
            for sampler in ("nutpie", "pymc")
        ]
        lines = table[["model", "backend", "sampler"]]
        assert list(lines.itertuples(index=False, name=None)) == expected

    def test_times_are_positive_and_add_up_to_less_than_the_clock(self, table):
        table, seconds = table
        times = table[["compile_s", "tuning_s", "sampling_s"]]
        assert np.isfinite(times).all(axis=None)
        assert (times > 0).all(axis=None)
        assert times.sum().sum() < seconds
        assert (table["gradient_us"] > 0).all()
        # A gradient of a few numbers takes far less than a millisecond.
        assert (table["gradient_us"] < 1_000).all()
        assert (table["nodes"] >= 1).all()
        assert table["nodes"].dtype.kind == "i"
        # Both lines of a model are about the same graph.
        for column in ("nodes", "gradient_us"):
            assert (table.groupby("model")[column].nunique() == 1).all()

    def test_figures_of_independent_normals_are_near_what_is_known(self, table):
        """600 draws, 300 in each of 2 chains; NUTS takes 1, 3 or 7 steps for a normal."""
        line = table[0].set_index(["model", "sampler"]).loc["three normals"]
        assert line["ess"].between(100, 4_000).all()
        assert line["rhat"].between(0.99, 1.05).all()
        assert line["steps_per_draw"].between(1, 7).all()
        assert (line["divergences"] == 0).all()
        np.testing.assert_allclose(line["ess_per_s"], line["ess"] / line["sampling_s"], rtol=1e-12)

    def test_tuning_and_sampling_are_told_apart(self, models):
        """Nine times the draws for tuning take longer than the draws kept."""
        line = profile_model(
            models["three normals"],
            **(SIZE | {"draws": 100, "tune": 900}),
        ).iloc[0]
        assert line["tuning_s"] > 2 * line["sampling_s"]
        assert line["model"] == "model"

    @pytest.mark.parametrize("sampler", ["nutpie", "pymc"])
    def test_settings_of_nuts_reach_the_sampler(self, models, sampler):
        """A tree of depth 1 is a single step; what is accepted more often are shorter steps."""

        def steps(**nuts):
            line = profile_model(models["three normals"], samplers=sampler, nuts=nuts, **SIZE)
            return line["steps_per_draw"].item()

        assert steps(max_treedepth=1) == 1
        assert steps(target_accept=0.99) > 1.5 * steps(target_accept=0.6)

    def test_names_may_be_given_as_a_string_and_models_stay_as_they_are(self, models):
        model = models["a scale"]
        before = [set(model.named_vars), [v.name for v in model.data_vars]]
        line = profile_model(model, samplers="nutpie", backends="numba", freeze=False, **SIZE)
        assert len(line) == 1
        assert [set(model.named_vars), [v.name for v in model.data_vars]] == before

    @pytest.mark.parametrize(
        ("choice", "named"),
        [
            ({"backends": ("numba", "torch")}, ["backends", "numba", "jax", "'torch'"]),
            ({"backends": "c"}, ["backends", "'c'"]),
            ({"samplers": ("nutpie", "stan")}, ["samplers", "nutpie", "pymc", "'stan'"]),
            ({"samplers": "numpyro"}, ["samplers", "'numpyro'"]),
            ({"nuts": {"maxdepth": 5}}, ["nuts", "target_accept", "max_treedepth", "'maxdepth'"]),
        ],
    )
    def test_unknown_choices_are_refused_before_anything_runs(self, models, choice, named):
        start = time.perf_counter()
        with pytest.raises(ValueError) as caught:
            profile_model(models, **choice, **SIZE)
        assert time.perf_counter() - start < 1.0
        for words in named:
            assert words in str(caught.value)

    def test_jax_must_be_installed(self, models, monkeypatch):
        find = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *a: None if name == "jax" else find(name, *a)
        )
        with pytest.raises(ValueError, match="jax.*not installed: pip install jax"):
            profile_model(models, backends=("numba", "jax"), **SIZE)

    def test_pymc_with_jax_alone_is_refused(self, models, monkeypatch):
        """PyMC's sampler runs with numba only: that leaves nothing to measure, so say it."""
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: object())
        monkeypatch.setattr("helpers.diagnostics.profiling.compile_gradient", None)
        with pytest.raises(ValueError, match="pymc"):
            profile_model(models, backends="jax", samplers="pymc", **SIZE)
