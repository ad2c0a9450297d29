"""Several tables through one compiled program."""

import numpy as np
import pymc as pm
import pytensor
import pytest
from oracles import PLAIN

from helpers import CategoryCounts, masked_regression, simulate_counts
from helpers.models import ManyTables, many_tables

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


def priced(seed):
    return simulate_counts(
        8, 4, 3, unavailable=(0, 0, 0), n_range=(100, 900), effects="intercepts",
        attribute_slope={"price": -1.0, "time": 0.5}, attribute_sd={"price": 0.3}, random_seed=seed,
    )[0]  # fmt: skip


PRICED = {
    "effects": "intercepts",
    "attribute_effects": {"price": "varying"},
    "reference": "category 2",
}


def opened(data, options=OPTIONS):
    return many_tables._Opened(masked_regression(data, **options))


class TestPrograms:
    @pytest.mark.slow
    @pytest.mark.parametrize("change", ["another table", "rows in another order", "prices"])
    def test_with_exchanged_values_have_the_density_of_the_other_table(self, change):
        other, options, made = table(2), OPTIONS, table
        if change == "prices":
            other, options, made = priced(2), PRICED, priced
        elif change != "another table":
            frame = table(1).to_frame().sample(frac=1, random_state=1)
            names = list(table(1).categories)
            other = CategoryCounts.from_wide(frame, names, cluster="district")
            assert not np.array_equal(other.cluster, table(1).cluster)
        first, new = opened(made(1), options), opened(other, options)
        assert new.is_the_same_program_as(first)
        density = pytensor.function(first.value_vars, first.logp(), mode=PLAIN)
        rng = np.random.default_rng(3)
        point = {k: rng.normal(0, 0.3, np.shape(v)) for k, v in first.initial_point().items()}
        before = density(**point)
        for variable in first.shared:
            variable.set_value(new.values[variable.name])
        own = masked_regression(other, **options).compile_logp(mode=PLAIN)(point)
        np.testing.assert_allclose(density(**point), own, rtol=1e-10)
        # Coordinates are relative to each table's own pilot fit, which leaves little between them.
        assert abs(before / own - 1) > 1e-6

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "other",
        [
            table(2, unavailable=(0.4, 0, 0)),
            simulate_counts(8, 4, 4, unavailable=(0,) * 4, effects="intercepts", random_seed=1)[0],
            simulate_counts(9, 4, 3, unavailable=(0,) * 3, effects="intercepts", random_seed=1)[0],
        ],
        ids=["menus", "categories", "clusters"],
    )
    def test_of_another_design_are_others(self, other):
        assert not opened(other).is_the_same_program_as(opened(table(1)))


@pytest.mark.slow
def test_fits_are_those_of_a_program_of_its_own():
    # Without effects of clusters it compiles in a third of the time.
    many = ManyTables(**OPTIONS | {"effects": "pooled"})
    first = summary(many.fit(table(1), **SAMPLING)[1])[0]
    model, draws = many.fit(table(2), **SAMPLING)
    mean, sd = summary(draws)
    names = list(draws["posterior"].data_vars)
    with model:
        own = pm.sample(**SAMPLING, nuts_sampler="nutpie", var_names=names, progressbar=False)
    own_mean, own_sd = summary(own, names)
    # Both are means of draws worth several hundred.
    assert (np.abs(mean - own_mean) < 0.3 * own_sd).all()
    assert (np.abs(first - mean) > own_sd).mean() > 0.3
    with pytest.raises(ValueError, match="cannot share the program"):
        many.fit(table(2, unavailable=(0.4, 0, 0)), **SAMPLING)
