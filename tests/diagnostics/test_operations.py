"""Shares of operations sum to one, and what each operation does is said in words."""

import numpy as np
import pymc as pm
import pytest

import helpers.ops
from helpers.diagnostics import profile_operations
from helpers.diagnostics.operations import MEANINGS
from helpers.ops._loop import Loop


@pytest.fixture(scope="module")
def operations():
    with pm.Model() as model:
        x, group = pm.Normal("x", shape=3), np.array([0, 1, 1, 2])
        pm.MvNormal("y", np.zeros(4), cov=np.eye(4) + 0.1, observed=np.zeros(4))
        pm.Normal("z", x[group], observed=np.zeros(4))
    return profile_operations(model, calls=20)


class TestOperations:
    def test_shares_sum_to_one_and_every_operation_has_a_name(self, operations):
        assert operations.columns.tolist() == [
            "operation",
            "what",
            "nodes",
            "us_per_call",
            "share",
        ]
        assert operations["share"].sum() == pytest.approx(1)
        assert (operations["share"] >= 0).all()
        assert (operations["nodes"] > 0).all()
        assert operations["operation"].str.len().gt(0).all()
        assert operations["operation"].is_unique
        assert operations["what"].map(lambda word: isinstance(word, str)).all()
        total = operations["us_per_call"].sum()
        np.testing.assert_allclose(operations["share"], operations["us_per_call"] / total)
        assert 0 < total < 1e5

    def test_slowest_first(self, operations):
        assert operations["us_per_call"].is_monotonic_decreasing
        assert operations.index.tolist() == list(range(len(operations)))

    def test_finds_the_look_up_and_says_what_it_is(self, operations):
        """The graph looks effects up by group; its gradient adds them up again."""
        what = operations.set_index("operation")["what"]
        looked_up = what[what.str.contains("look up rows")]
        added_up = what[what.str.contains("add up by index")]
        assert len(looked_up) == 1
        assert len(added_up) == 1


def subclasses(kind):
    for one in kind.__subclasses__():
        yield one
        yield from subclasses(one)


def test_every_loop_of_this_package_has_a_meaning():
    """Concrete ones, which lie beside the module of their base."""
    loops = {
        loop.__name__
        for loop in subclasses(Loop)
        if loop.__module__.startswith(helpers.ops.__name__) and loop.__module__ != Loop.__module__
    }
    assert len(loops) >= 5
    assert loops - set(MEANINGS) == set()
