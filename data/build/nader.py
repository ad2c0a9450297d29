"""Make data/nader_2004.csv: votes for Bush, Kerry and Nader in 4,600 US counties and towns, 2004.

    apt-get download r-cran-survey && dpkg-deb -x r-cran-survey_*.deb unpacked
    pip install rdata
    python data/build/nader.py unpacked/usr/lib/R/site-library/survey/data/election.rda

The source names places and not states, but is sorted by state, and within each by name. Where a
new state begins shows in the order of names, all but twice: Alabama's Autauga would follow Alaska,
and Delaware's Kent the District of Columbia, in one alphabet as well.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import rdata

DATA = Path(__file__).resolve().parents[1]
SOURCE_SHA256 = "f53a6f0009262da042c07b1a223856ed4d61248d29704387d230ac401532b6f9"

# Postal code and number of places: counties and their like, or towns in New England, in the order
# of the source, which is that of the codes but for AK before AL and so on.
STATES = (
    "AK 1, AL 67, AR 75, AZ 15, CA 58, CO 64, CT 169, DC 1, DE 3, FL 67, GA 159, HI 4, IA 99, "
    "ID 44, IL 102, IN 92, KS 105, KY 120, LA 64, MA 351, MD 24, ME 511, MI 83, MN 87, MO 115, "
    "MS 82, MT 56, NC 100, ND 53, NE 93, NH 237, NJ 21, NM 33, NV 17, NY 62, OH 88, OK 77, OR 36, "
    "PA 67, RI 39, SC 46, SD 66, TN 95, TX 254, UT 29, VA 134, VT 246, WA 39, WI 72, WV 55, WY 23"
)


def in_order(names):
    """Whether names are in alphabetical order."""
    keys = [name.lower() for name in names]
    return keys == sorted(keys)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="election.rda of the R package survey")
    source = parser.parse_args().source.read_bytes()
    if hashlib.sha256(source).hexdigest() != SOURCE_SHA256:
        sys.exit("This election.rda is not the one the table was made from: see SOURCE_SHA256.")
    frame = rdata.conversion.convert(rdata.parser.parse_data(source))["election"]
    frame = frame.reset_index(drop=True)

    states = [part.split() for part in STATES.split(", ")]
    out = pd.DataFrame(
        {
            "state": [code for code, size in states for _ in range(int(size))],
            "place": frame["County"].astype(str),
            **{name.lower(): frame[name] for name in ("Bush", "Kerry", "Nader")},
        }
    )
    assert len(out) == 4600
    for state, places in out.groupby("state")["place"]:
        assert in_order(places), f"{state} is not in order"
    starts = np.flatnonzero(out["state"] != out["state"].shift())[1:]
    hidden = [out["state"][i] for i in starts if in_order(out["place"][i - 1 : i + 1])]
    assert hidden == ["AL", "DE"], hidden
    assert (out[["bush", "kerry", "nader"]].sum(axis=1) == frame["votes"]).all()
    out.to_csv(DATA / "nader_2004.csv", index=False, lineterminator="\n")
    checksum = hashlib.sha256((DATA / "nader_2004.csv").read_bytes()).hexdigest()
    print(f"{len(out)} places in {out['state'].nunique()} states; sha256 {checksum}")


if __name__ == "__main__":
    main()
