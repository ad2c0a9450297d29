"""What an analysis says of attributes."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp

from helpers import simulate_counts
from helpers.analysis import AnalysisOptions, attribute_section, choose
from helpers.models import Design, Options
from helpers.predict import elasticities


@pytest.fixture(scope="module")
def table():
    return simulate_counts(
        4, 6, 3, unavailable=(0.3, 0, 0), effects="intercepts", n_range=(200, 900),
        attribute_slope={"price": -1.0}, exposure=(0.5, 2.0), random_seed=1,
    )[0]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["common", "varying"])
def test_table_and_section(table, kind, prior_of, tables_of):
    choice = choose(table, drift="none", attribute_effects=kind)
    assert ("own slopes" in choice.description) == (kind == "varying")
    assert "in proportion to exposure" in choice.description
    model, idata = prior_of(choice)
    found = tables_of(choice, model, idata, random_seed=1)["attributes"]
    slopes = idata["posterior"]["attribute_slope"].to_numpy().ravel()
    line = found[found["quantity"] == "slope"].iloc[0]
    assert line["mean"] == pytest.approx(slopes.mean())
    assert line["probability_of_direction"] == max((slopes > 0).mean(), (slopes < 0).mean())
    assert (found["quantity"] == "sd of slopes").sum() == (kind == "varying")
    own = found[(found["quantity"] == "elasticity") & (found["category"] == found["changed"])]
    all_draws = elasticities(idata, model, "price")
    mean = all_draws.mean(("chain", "draw")).to_numpy()
    np.testing.assert_allclose(own["mean"], np.diag(mean))
    section = attribute_section(found)
    assert section[0].startswith("Per unit of price the odds")
    assert section[-1].shape == (3, 3) and attribute_section(None) == []


def test_a_category_without_a_price_is_chosen_and_never_dearer():
    """Such as "no purchase": a line of the table, and no column."""
    pairs = [(k, j) for k in ("oats", "flakes", "no purchase") for j in ("oats", "flakes")]
    table = pd.DataFrame(pairs, columns=["category", "changed"]).assign(
        attribute="price", quantity="elasticity", mean=0.4, low=0.3, high=0.5
    )
    slope = {"attribute": "price", "quantity": "slope", "mean": -0.9, "low": -1.0, "high": -0.8}
    grid = attribute_section(pd.concat([pd.DataFrame([slope]), table]))[-1]
    assert grid.index.tolist() == ["oats", "flakes", "no purchase"]
    assert grid.columns.tolist() == ["oats", "flakes"]


def test_what_quick_fits_take_for_known(table):
    """Exposure, and the price by a slope that is better than none and than twice as much."""
    log_exposure = np.log(np.where(table.available, table.exposure, 1.0))
    design = Design.of(table, Options(effects="pooled"))
    z = design.attributes.scaled[..., 0]
    slope = (design.offset - log_exposure)[z != 0] / z[z != 0]
    assert np.ptp(slope) < 1e-10

    def log_likelihood(factor):
        eta = log_exposure + factor * slope.mean() * z
        total = logsumexp(np.where(table.available, eta, -np.inf), axis=1)
        return (table.counts * (eta - total[:, None])).sum()

    assert log_likelihood(1) > max(log_likelihood(0), log_likelihood(2))


def test_options():
    options = AnalysisOptions(attributes="price, time", exposure="tea=hours")
    assert options.attributes == ("price", "time") and options.exposure == {"tea": "hours"}
    by_name = AnalysisOptions(attributes='{"price": {"tea": "price of tea"}}')
    assert by_name.attributes == {"price": {"tea": "price of tea"}}
    long = AnalysisOptions(row="r", category="c", count="n", exposure="hours")
    assert long.exposure == "hours"
