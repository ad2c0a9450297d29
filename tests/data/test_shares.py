"""Shares on a menu against scipy's softmax."""

import warnings

import numpy as np
import pytest
from scipy.special import softmax

from helpers.data import shares_on_menu


@pytest.fixture
def logits():
    return np.random.default_rng(1).normal(0, 300, size=(5, 4, 3))


def test_full_menus_give_the_plain_softmax(logits):
    np.testing.assert_array_equal(shares_on_menu(logits, True), softmax(logits, axis=-1))


def test_each_menu_gives_the_softmax_of_what_is_on_it(logits):
    available = np.random.default_rng(2).random(logits.shape) < 0.6
    available[..., 2] |= ~available.any(axis=-1)
    # Logits off the menu are ignored, even those that are not numbers.
    share = shares_on_menu(np.where(available, logits, np.nan), available)
    assert (share[~available] == 0).all()
    for row, on, found in zip(
        logits.reshape(-1, 3), available.reshape(-1, 3), share.reshape(-1, 3), strict=True
    ):
        np.testing.assert_allclose(found[on], softmax(row[on]), rtol=1e-14)


def test_menus_and_logits_broadcast(logits):
    menus = np.array([[1, 1, 0], [0, 1, 1]], dtype=bool)[:, None]
    share = shares_on_menu(logits[0], menus)
    assert share.shape == (2, 4, 3)
    for menu, found in zip(menus, share, strict=True):
        on = np.broadcast_to(menu, (4, 3))
        np.testing.assert_array_equal(found, shares_on_menu(logits[0], on))


def test_an_empty_menu_gives_nan_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        share = shares_on_menu([1.0, 2.0], [[False, False], [True, True]])
    assert np.isnan(share[0]).all()
    assert share[1].sum() == pytest.approx(1)
