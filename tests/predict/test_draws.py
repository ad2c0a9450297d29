"""Values of expressions by draw, against numpy on the stored draws."""

import numpy as np
import pymc as pm
import pytest
import xarray as xr

from helpers.predict import value_by_draw


@pytest.fixture(scope="module")
def fitted():
    with pm.Model(coords={"city": ["Rome", "Oslo"]}) as model:
        km = pm.Data("km", [1.0, 2.0, 4.0])
        x = pm.Normal("x", dims="city")
        pm.Deterministic("sum", x.sum() * km)
    draws = np.random.default_rng(1).normal(size=(2, 5, 2))
    return model, xr.Dataset({"x": (("chain", "draw", "city"), draws)})


@pytest.mark.parametrize("which", [None, [7, 0]])
def test_draws_are_counted_through_the_chains(fitted, which):
    model, posterior = fitted
    turned = posterior.transpose("city", "draw", "chain")
    expected = posterior["x"].to_numpy().reshape(10, 2)[which or slice(None)]
    for stored in (posterior, turned):
        values = list(value_by_draw(stored, model, 2 * model["x"], which))
        np.testing.assert_allclose(values, 2 * expected, rtol=1e-15)


def test_data_may_be_replaced_by_data_of_another_shape(fitted):
    model, posterior = fitted
    data = {"km": np.array([3.0])}
    values = list(value_by_draw(posterior, model, [model["sum"], model["x"]], [4], data=data))
    np.testing.assert_allclose(values[0][1], posterior["x"][0, 4])
    np.testing.assert_allclose(values[0][0], [3 * posterior["x"][0, 4].sum()])
    np.testing.assert_array_equal(model["km"].get_value(), [1, 2, 4])


def test_what_is_drawn_from_the_prior_depends_on_the_seed_alone(fitted):
    model, posterior = fitted
    once, again, other = (
        np.array(list(value_by_draw(posterior, model, model["x"], resample=["x"], random_seed=s)))
        for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(once, again)
    assert not np.isclose(once, other).any()
    assert not np.isclose(once, posterior["x"].to_numpy().reshape(10, 2)).any()


def test_a_variable_that_is_not_stored_is_named(fitted):
    model, posterior = fitted
    with pytest.raises(ValueError, match="lacks x: store all free variables"):
        next(value_by_draw(posterior.drop_vars("x"), model, model["x"]))
