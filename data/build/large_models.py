"""Make data/large_models.csv: what an analysis costs from 3,000 to 300,000 rows.

Run `python data/build/large_models.py`. Each size runs in a process of its own, whose memory is
then its alone: simulated districts with 15 elections each, own intercepts and slopes in every
district, draws on the disk at all sizes. Every step of an analysis is timed, from the choice of
the model to the report. A size that is in the file already is passed over.
"""

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytensor

from helpers import check_convergence, simulate_counts
from helpers.analysis import (
    MANY,
    AnalysisOptions,
    Fit,
    build_model,
    choose,
    conclude,
    read_source,
    sample_on_disk,
)
from helpers.diagnostics import compile_gradient

OUT = Path(__file__).resolve().parents[1] / "large_models.csv"
ROWS = (3_000, 30_000, 300_000)
ELECTIONS = 15


class Peak(threading.Thread):
    """The largest memory that is held at any time, without what the system keeps of files."""

    def __init__(self):
        super().__init__(daemon=True)
        self.gigabytes = 0.0

    def run(self):
        while True:
            status = Path("/proc/self/status").read_text()
            held = float(status.partition("RssAnon:")[2].split()[0]) * 1024 / 1e9
            self.gigabytes = max(self.gigabytes, held)
            time.sleep(0.2)


def one_size(rows, draws, tune, seed, folder):
    """Costs of one analysis."""
    data, truth = simulate_counts(n_clusters=rows // ELECTIONS, n_dates=ELECTIONS, random_seed=seed)
    peak, found, last = Peak(), {}, [time.perf_counter()]
    peak.start()

    def step(name):
        now = time.perf_counter()
        found[f"{name}_s"], last[0] = now - last[0], now

    options = AnalysisOptions(drift="none", random_seed=seed, output_dir=folder, progressbar=False)
    source = read_source(data)
    choice = choose(source.data, **options.of_model())
    model = build_model(choice)
    step("choosing")
    function, point = compile_gradient(model)
    begin = time.perf_counter()
    for _ in range(5):
        function(point)
    found["gradient_ms"] = (time.perf_counter() - begin) / 5 * 1e3
    step("compiling")
    idata = sample_on_disk(
        model, folder, draws=draws, tune=tune, random_seed=seed, progressbar=False
    )
    step("sampling")
    table = check_convergence(idata, **MANY)
    step("checking")
    analysis = conclude(source, Fit(choice, model, idata, table), options)
    step("summarising")
    analysis.write(folder)
    step("writing")
    stats = idata["sample_stats"]
    of_table = {
        "rows": len(data),
        "clusters": len(data.cluster.categories),
        "elements": int(table["elements"].sum()),
        "draws": 4 * draws,
        "tune": 4 * tune,
    }
    of_draws = {
        "steps_per_draw": float(stats["n_steps"].mean()),
        "divergences": int(stats["diverging"].sum()),
        "rhat": table["rhat"].max(),
        "ess_bulk": table["ess_bulk"].min(),
        "ess_tail": table["ess_tail"].min(),
        "held_gb": peak.gigabytes,
        "disk_gb": sum(f.stat().st_size for f in Path(folder).rglob("*")) / 1e9,
        "inside_89": _inside(data, truth, analysis),
    }
    return of_table | found | of_draws


def _inside(data, truth, analysis):
    """Share of the districts' true preferences that their 89 % intervals hold."""
    table = analysis.tables["comparison"]
    own = table[table["cluster"] != "(all)"]
    codes, n = data.cluster.codes, data.n
    chosen = np.stack([np.bincount(codes, n * p) for p in truth["preference"].to_numpy().T], axis=1)
    true = (chosen / np.bincount(codes, n)[:, None]).ravel()
    return ((own["latent_low"] <= true) & (true <= own["latent_high"])).mean()


def main():
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="file to write to")
    parser.add_argument("--rows", type=int, nargs="*", default=list(ROWS))
    parser.add_argument("--draws", type=int, default=800)
    parser.add_argument("--tune", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--one", type=int, help="print the costs of this many rows, in JSON")
    parser.add_argument("--folder", type=Path, help="keep draws and reports here, one size each")
    given = parser.parse_args()
    logging.getLogger("pymc").setLevel(logging.ERROR)
    pytensor.config.numba__fastmath = False
    if given.one:
        with tempfile.TemporaryDirectory() as temporary:
            folder = given.folder or temporary
            print(json.dumps(one_size(given.one, given.draws, given.tune, given.seed, folder)))
        return
    tables = [pd.read_csv(given.out)] if given.out.exists() else []
    done = set(tables[0]["rows"]) if tables else set()
    for rows in given.rows:
        if rows not in done:
            options = ["--draws", str(given.draws), "--tune", str(given.tune)]
            if given.folder:
                options += ["--folder", str(given.folder / str(rows))]
            command = [sys.executable, __file__, "--one", str(rows), "--seed", str(given.seed)]
            run = subprocess.run(
                [*command, *options], check=True, stdout=subprocess.PIPE, text=True
            )
            tables.append(pd.DataFrame([json.loads(run.stdout.splitlines()[-1])]))
            print(tables[-1].T.to_string(), flush=True)
            table = pd.concat(tables).round(4).sort_values("rows")
            table.to_csv(given.out, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
