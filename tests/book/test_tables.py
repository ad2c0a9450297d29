"""Tables as the chapters print them."""

import numpy as np
import pandas as pd

from helpers.book import readable


def test_numbers_are_rounded_by_what_they_are():
    table = pd.DataFrame(
        {
            "ess_bulk": [12_345.6, 401.2],
            "rhat": [1.00049, 1.01],
            "rows_off": [3, 24_000],
            "error": [-0.1234, -0.0004],
        }
    )
    expected = {
        "ESS, bulk": ["12,346", "401"],
        "R-hat": ["1.000", "1.010"],
        "rows off": ["3", "24,000"],
        "error": ["−0.12", "0.00"],
    }
    assert readable(table).to_dict("list") == expected
    assert readable(table, 4)["error"].tolist() == ["−0.1234", "−0.0004"]


def test_what_is_no_number_stays():
    table = pd.DataFrame({"verdict": ["fits"], "was_on": [True], "none": [np.nan]})
    assert readable(table).iloc[0].tolist() == ["fits", True, "–"]


def test_the_table_itself_is_not_changed():
    table = pd.DataFrame({"mean_error": [0.5]})
    readable(table)
    assert table.columns.tolist() == ["mean_error"] and table.iloc[0, 0] == 0.5
