"""Several tables through one compiled program."""

import numpy as np
import pymc as pm
import pytest

from helpers import CategoryCounts, simulate_counts
from helpers.models import ManyTables

SAMPLING = {"draws": 500, "tune": 500, "chains": 4, "cores": 2, "random_seed": 1}
OPTIONS = {"effects": "intercepts", "likelihood": "logistic-normal", "reference": "category 2"}


def table(seed, unavailable=(0, 0, 0)):
    return simulate_counts(
        8, 4, 3, unavailable=unavailable, n_range=(100, 900), effects="intercepts", random_seed=seed
    )[0]


def summary(draws, names=None):
    posterior = draws["posterior"].to_dataset().stack(sample=("chain", "draw"))
    names = list(names or posterior.data_vars)
    means = [posterior[name].mean("sample").to_numpy().ravel() for name in names]
    sds = [posterior[name].std("sample").to_numpy().ravel() for name in names]
    return np.concatenate(means), np.concatenate(sds)


def test_without_a_reference_is_refused():
    with pytest.raises(ValueError, match="must share their reference"):
        ManyTables(effects="intercepts")


@pytest.fixture(scope="module")
def many():
    many = ManyTables(**OPTIONS)
    many.fit(table(1), **SAMPLING)
    return many


@pytest.mark.slow
class TestFits:
    def test_of_a_second_table_are_those_of_a_program_of_its_own(self, many):
        model, draws = many.fit(table(2), **SAMPLING)
        mean, sd = summary(draws)
        names = list(draws["posterior"].data_vars)
        with model:
            own = pm.sample(**SAMPLING, nuts_sampler="nutpie", var_names=names, progressbar=False)
        own_mean, own_sd = summary(own, names)
        # Both are means of draws worth several hundred.
        np.testing.assert_allclose(mean, own_mean, atol=0.3 * own_sd.max())
        assert (np.abs(mean - own_mean) < 0.3 * own_sd).all()
        first = summary(many.fit(table(1), **SAMPLING)[1])[0]
        assert (np.abs(first - mean) > own_sd).mean() > 0.3

    @pytest.mark.parametrize(
        "other",
        [
            table(2, unavailable=(0.4, 0, 0)),
            simulate_counts(8, 4, 4, unavailable=(0,) * 4, effects="intercepts", random_seed=1)[0],
            simulate_counts(9, 4, 3, unavailable=(0,) * 3, effects="intercepts", random_seed=1)[0],
        ],
        ids=["menus", "categories", "clusters"],
    )
    def test_of_another_design_are_refused(self, many, other):
        with pytest.raises(ValueError, match="cannot share the program"):
            many.fit(other, **SAMPLING)

    def test_of_rows_in_another_order_are_the_same(self, many):
        frame = table(1).to_frame().sample(frac=1, random_state=1)
        other = CategoryCounts.from_wide(frame, list(table(1).categories), cluster="district")
        assert not np.array_equal(other.cluster, table(1).cluster)
        mean, sd = summary(many.fit(table(1), **SAMPLING)[1])
        shuffled = summary(many.fit(other, **SAMPLING)[1])[0]
        assert (np.abs(shuffled - mean) < 0.3 * sd).all()
