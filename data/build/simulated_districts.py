"""Write the simulated data set of the size of the question this book answers, and its truth.

usage: python data/build/simulated_districts.py [--out data]
"""

import argparse
from pathlib import Path

from helpers import simulate_counts

SEED = 3961  # the number of the thread in which the question was asked

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1])
    out = parser.parse_args().out

    data, truth = simulate_counts(random_seed=SEED)
    frame = data.to_frame()
    frame.columns = [name.replace("category ", "n_category_") for name in frame.columns]
    frame.to_csv(out / "simulated_districts.csv", index=False, float_format="%.6f")
    # One line per true value, so that a plain CSV holds arrays of several shapes.
    names = ["intercept_mean", "intercept_sd", "slope_mean", "slope_sd", "correlation"]
    population = truth[names].to_dataframe().reset_index().assign(cluster="population")
    clusters = truth[["intercept", "slope"]].to_dataframe().reset_index()
    long = [
        table.melt(["cluster", "contrast"], var_name="parameter", value_name="value")
        for table in (population, clusters)
    ]
    lines = [line for table in long for line in table.itertuples(index=False)]
    with open(out / "simulated_districts_truth.csv", "w") as file:
        file.write("parameter,cluster,contrast,value\n")
        for line in lines:
            contrast = line.contrast.replace("category ", "n_category_")
            file.write(f"{line.parameter},{line.cluster},{contrast},{line.value:.6f}\n")
