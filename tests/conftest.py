"""How the tests and chapters are spread over the workers of pytest-xdist."""

import pytest

# What takes longest comes first, so that no worker is left with it at the end.
LONGEST_FIRST = [
    "06_profiling",
    "07_unknown_availability",
    "08_nader_2004",
    "17_calibration",
    "12_spanish_elections",
    "14_substitution",
    "10_scatter",
    "16_stock_outs_and_prices",
    "09_baseline_inflation",
    "18_more_rows_than_memory",
    "analyse_your_counts",
    "15_single_choices",
    "13_what_if",
    "test_analysis",
    "test_run",
    "03_varying_intercepts",
    "04_correlated_slopes",
    "05_centred_or_noncentred",
    "19_one_pass",
    "test_loops",
    "test_correlated",
    "test_regression",
    "test_on_disk",
    "02_masked_multinomial",
    "11_drift",
    "test_site",
]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    rank = {name: position for position, name in enumerate(LONGEST_FIRST)}
    items.sort(
        key=lambda item: (
            rank.get(item.path.stem, len(rank)),
            item.path.suffix != ".ipynb",
        )
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep each file on one worker (fixtures, kernels and compiled graphs serve a whole file);
    spread only the papermill runs one by one."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            path = super()._split_scope(nodeid)
            return nodeid if path.endswith("test_run.py") else path

    return Scheduling(config, log)
