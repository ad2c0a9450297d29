"""What every chapter does before its first model."""

import logging
import os
import warnings
from typing import Any

import pytensor

from helpers.analysis.fit import sampling_settings
from helpers.book.style import use_book_style

__all__ = ["set_up"]


def set_up(draws: int, random_seed: int) -> dict[str, Any]:
    """
    Prepare a chapter, and return the settings that all of its fits share.

    The book's style is used for figures, and PyMC logs errors only: each chapter checks the
    convergence of its fits itself. PyTensor does not warn of a missing BLAS for C, which no
    sampler here uses. It compiles without fast mathematics, which would add numbers in an order
    that depends on what is in the compile cache: a seed gives the same draws with an empty and
    with a full one.

    Parameters
    ----------
    draws : int
        Draws to keep in each chain.
    random_seed : int
        Seed of the sampler: the same seed gives the same draws.

    Returns
    -------
    dict
        Arguments for ``pm.sample``. Besides ``draws`` and ``random_seed``:

        ``chains``
            4, so that R-hat can compare chains that started apart.
        ``cores``
            4, so that chains run side by side where the machine allows it. PyMC by itself uses
            half of the processors only.
        ``nuts_sampler``
            nutpie, which adapts faster than PyMC's own NUTS and compiles its loop.
        ``progressbar``
            Whether a bar is shown: not if the environment variable ``BOOK_PROGRESSBAR`` is 0, as
            for the outputs stored in the book.
        ``compile_kwargs``
            ``freeze_model`` takes data and dimensions as constants, which makes gradients faster.
            The data cannot be exchanged while the model is sampled, but can be afterwards.

    Examples
    --------
    >>> from helpers.book import set_up
    >>> sampling = set_up(draws=500, random_seed=1)
    >>> sampling["nuts_sampler"], sampling["chains"], sampling["draws"]
    ('nutpie', 4, 500)
    >>> shorter = sampling | {"draws": 100}
    """
    use_book_style()
    logging.getLogger("pymc").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="PyTensor could not link to a BLAS")
    pytensor.config.numba__fastmath = False
    progressbar = os.environ.get("BOOK_PROGRESSBAR", "1") == "1"
    return sampling_settings(draws, random_seed, progressbar)
