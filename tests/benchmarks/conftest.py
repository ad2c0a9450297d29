"""Note beside the measurements what was measured; compile as the chapters do."""

import pymc
import pytensor

# As `helpers.book.set_up` does.
pytensor.config.numba__fastmath = False


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["pymc"] = pymc.__version__
