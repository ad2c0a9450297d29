"""
Make the small table of benchmarks that chapter 6 shows from a run of pytest-benchmark.

    python -m pytest tests/benchmarks/bench_*.py --benchmark-only --benchmark-json=run.json
    python tests/benchmarks/table.py run.json data/benchmarks.csv

One line per benchmark: `group`; `what` was measured; its median `seconds` (where the clock of
interest is inside what was run, that clock); `ratio` to the fastest of its group; `ess_per_s`,
`rhat` and `divergences` where something was sampled; the peak of memory in `gb` where it was
looked at; and the machine it came from. `make bench` does both. It prints the table's new
checksum, which belongs in data/README.md.
"""

import argparse
import hashlib
import json
from pathlib import Path

import pandas as pd

SAMPLED = {"ESS/s": "ess_per_s", "R-hat": "rhat", "divergences": "divergences", "GB": "gb"}


def tidy(run):
    """Turn the content of a pytest-benchmark JSON file into a frame."""
    lines = []
    for one in run["benchmarks"]:
        extra = one["extra_info"]
        lines.append(
            {
                "group": one["group"],
                "what": what(one),
                "seconds": extra.get("seconds", one["stats"]["median"]),
                **{column: extra.get(name) for name, column in SAMPLED.items()},
            }
        )
    table = pd.DataFrame(lines).sort_values(["group", "seconds"], ignore_index=True)
    fastest = table.groupby("group")["seconds"].transform("min")
    table.insert(3, "ratio", table["seconds"] / fastest)
    table["divergences"] = table["divergences"].astype("Int64")
    machine = run["machine_info"]
    table["cpu"] = machine["cpu"].get("brand_raw", machine["processor"])
    table["cores"] = machine["cpu"].get("count")
    table["python"] = machine["python_version"]
    table["pymc"] = machine["pymc"]
    return table


def what(one):
    """What was measured, or the parameters that tell it from the others of its group."""
    if "what" in one["extra_info"]:
        return one["extra_info"]["what"]
    label = one["param"] or one["name"].removeprefix("test_").replace("_", " ")
    # What the group says already is not said again.
    parts = [part for part in label.split("-") if part not in one["group"]]
    return ", ".join(parts) or label


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("json", type=Path, help="what --benchmark-json wrote")
    parser.add_argument("csv", type=Path, help="where to write the table")
    given = parser.parse_args()
    table = tidy(json.loads(given.json.read_text(encoding="utf-8")))
    table.to_csv(given.csv, index=False, float_format="%.4g", lineterminator="\n")
    checksum = hashlib.sha256(given.csv.read_bytes()).hexdigest()
    print(f"| `{given.csv.name}` | `{checksum}` |")


if __name__ == "__main__":
    main()
