"""What each loop of `helpers.ops` brings, against the plain graph that it stands for.

Run with `make bench`. A loop is worth its lines where it brings 1.3 times or more, in a gradient or
in compiling. "none" is the model with all its loops.
"""

import pytest
from bench_slopes import SIZES, in_a_process, simulated
from graphs import conditioned, value_and_gradient
from loops import LOOPS, mode_without, shares


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("loop", LOOPS)
def test_gradient_without_a_loop(benchmark, size, loop):
    benchmark.group = f"without one loop, {size}: value and gradient"
    benchmark.extra_info["what"] = f"plain: {loop}"
    benchmark(*value_and_gradient(conditioned(simulated(size)), mode=mode_without(LOOPS[loop])))


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("cache", ["cold", "warm"])
def test_compile_without_a_loop(benchmark, tmp_path, loop, cache):
    benchmark.group = f"without one loop, 80 rows: compile, {cache}"
    benchmark.extra_info["what"] = f"plain: {loop}"
    warmup = 1 if cache == "warm" else 0
    arguments = "loops.py", loop, tmp_path
    seconds = benchmark.pedantic(in_a_process, arguments, rounds=1, warmup_rounds=warmup)
    benchmark.extra_info["seconds"] = seconds


@pytest.mark.parametrize("size", [80, 3_000, 30_000])
@pytest.mark.parametrize("graph", ["loop", "plain"])
def test_shares(benchmark, size, graph):
    benchmark.group = f"shares of {size} rows"
    benchmark.extra_info["what"] = graph
    benchmark(*shares(size, plain=graph == "plain"))


@pytest.mark.parametrize("graph", ["loop", "plain"])
def test_compile_shares(benchmark, tmp_path, graph):
    benchmark.group = "shares: compile, cold"
    benchmark.extra_info["what"] = graph
    arguments = "loops.py", f"shares {graph}", tmp_path
    benchmark.extra_info["seconds"] = benchmark.pedantic(in_a_process, arguments, rounds=1)
