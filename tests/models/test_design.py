"""What a regression takes from the data, computed once."""

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from oracles import PLAIN
from scipy import stats

from helpers import CategoryCounts, masked_regression, simulate_counts
from helpers.models import Design, Options, Standardised


@pytest.fixture(scope="module")
def data():
    return simulate_counts(n_clusters=4, n_dates=3, random_seed=1)[0]


def test_predictors_are_standardised_and_their_scale_is_kept(data):
    scaled = Standardised.of(data.predictors)
    np.testing.assert_allclose(scaled.values.mean(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(scaled.values.std(axis=0), 1)
    back = scaled.values * scaled.sd + scaled.mean
    np.testing.assert_allclose(back, data.predictors.to_numpy(), rtol=1e-12)


def test_scales_of_summed_rows_are_those_of_the_rows():
    rng = np.random.default_rng(2)
    counts = pd.DataFrame(rng.poisson(20, (200, 3)), columns=list("abc"))
    frame = counts.assign(x=rng.choice([0.0, 1.0, 5.0], 200, p=[0.7, 0.2, 0.1]), z=0.0)
    frame.loc[frame["x"] == 1, "z"] = 3.0
    data = CategoryCounts.from_wide(frame, list("abc"), predictors=["x", "z"])
    summed = data.collapse()
    assert len(summed) == 3
    options = Options(effects="pooled")
    rows, sums = (Design.of(table, options).predictors for table in (data, summed))
    np.testing.assert_allclose(rows.mean, frame[["x", "z"]].mean(), rtol=1e-12)
    np.testing.assert_allclose(rows.sd, frame[["x", "z"]].std(ddof=0), rtol=1e-12)
    np.testing.assert_allclose(sums.mean, rows.mean, rtol=1e-12)
    np.testing.assert_allclose(sums.sd, rows.sd, rtol=1e-12)
    # So slopes per standard deviation mean the same: densities differ by a constant.
    models = [masked_regression(table, effects="pooled") for table in (data, summed)]
    densities = [model.compile_logp(mode=PLAIN) for model in models]
    start = models[0].initial_point()
    points = [{k: v + rng.normal(0, 0.3, v.shape) for k, v in start.items()} for _ in range(4)]
    differences = [densities[0](point) - densities[1](point) for point in points]
    np.testing.assert_allclose(differences, differences[0], rtol=1e-9)


def test_menus_are_those_of_the_option(data):
    assert Design.of(data, Options()).menus is data.available
    assert Design.of(data, Options(availability="ignored")).menus.all()


def test_dates_are_in_order_and_rows_know_theirs(data):
    design = Design.of(data, Options(drift="walk"))
    assert design.dates.is_monotonic_increasing and len(design.dates) == 3
    assert (design.dates[design.date] == data.date).all()
    for d in range(3):
        np.testing.assert_array_equal(
            design.dated_menus[d], data.available[design.date == d].any(axis=0)
        )


def test_coordinates_leave_the_reference_out_of_the_contrasts(data):
    design = Design.of(data, Options(reference="category 3"))
    assert design.coords["contrast"] == [c for c in data.categories if c != "category 3"]
    assert design.coords["effect"] == ["intercept", "x"]
    assert "date" not in design.coords and "inflated" not in design.coords


def test_the_pilot_is_that_of_the_options(data):
    clusters = Design.of(data, Options()).pilot()
    assert clusters.by_cluster.information.shape == (4, 6, 2, 2) and clusters.by_date is None
    pooled = Design.of(data, Options(effects="pooled", drift="walk")).pilot()
    assert pooled.by_cluster.information.shape == (1, 6, 1, 1)
    assert pooled.by_date.score.shape == (3, 6)


@pytest.mark.parametrize("likelihood", ["multinomial", "dirichlet-multinomial"])
def test_totals_beyond_32_bits_are_kept(likelihood):
    """PyMC makes integers of data 32 bits wide: 3e9 would come out negative."""
    counts = np.array([[3_000_000_000, 1_000_000_000], [5, 2_500_000_000], [7, 3]])
    data = CategoryCounts(counts, np.ones_like(counts, dtype=bool), ("soup", "stew"))
    priors = {}
    if likelihood == "dirichlet-multinomial":
        priors["concentration"] = lambda name, dims: pm.LogNormal(name, np.log(100), 2)
    model = masked_regression(
        data, effects="pooled", likelihood=likelihood, reference="stew", priors=priors
    )
    np.testing.assert_array_equal(model["n"].eval(), data.n)
    np.testing.assert_array_equal(model.rvs_to_values[model["counts"]].eval(), counts)
    point = model.initial_point() | {"intercept": np.array([0.4])}
    logp = model.compile_logp(vars=[model["counts"]], mode=PLAIN)(point)
    p = 1 / (1 + np.exp(-0.4))
    if likelihood == "multinomial":
        expected = stats.binom.logpmf(counts[:, 0], data.n, p).sum()
    else:
        phi = np.exp(point["concentration_log__"])
        expected = stats.betabinom.logpmf(counts[:, 0], data.n, phi * p, phi * (1 - p)).sum()
    assert logp == pytest.approx(expected, rel=1e-6)
    draw = pm.draw(model["counts"], mode=PLAIN, random_seed=1)
    np.testing.assert_array_equal(draw.sum(axis=1), data.n)


def test_small_totals_stay_integers(data):
    assert masked_regression(data)["n"].dtype.startswith("int")


def test_a_predictor_by_date_only_is_fine_with_common_slopes(data):
    frame = pd.DataFrame({"rate": np.tile([1.0, 2.0, 3.0], 4)})
    table = CategoryCounts(
        data.counts, data.available, data.categories, cluster=data.cluster, predictors=frame
    )
    assert Design.of(table, Options(effects="intercepts")).predictors.values.shape == (12, 1)
