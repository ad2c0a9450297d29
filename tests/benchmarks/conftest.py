"""Note beside the measurements what was measured."""

import pymc


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["pymc"] = pymc.__version__
