"""What the tests of several modules start from."""

import numpy as np
import pytest
from effect_oracles import CATEGORIES, CLUSTERS


@pytest.fixture(scope="module")
def coupling():
    """Of 3 categories x 2 effects: nothing that a pilot would say."""
    size = 2 * CATEGORIES
    return np.random.default_rng(13).normal(size=(CLUSTERS, size, size))
