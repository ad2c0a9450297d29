"""Ratios of gamma functions, and gamma draws, on the log scale."""

import pytensor.tensor as pt

# From here on Stirling's series holds to rounding.
SHIFT = 8


def log_rising(log_a, count):
    """
    Logarithm of a (a + 1) ... (a + count - 1), to rounding, for any a and count.

    The difference of two log-gammas, but neither is computed: they are large where their
    difference is small, and their gradients take three quarters of a model's time. Moved up by
    `SHIFT`, where Stirling's series holds to rounding, the difference is written term by term.
    """
    a = pt.exp(log_a)
    low, high = a + SHIFT, a + SHIFT + count
    # a itself may have underflowed, its logarithm has not.
    moved = pt.log((a + count) * _seven_factors(a + count) / _seven_factors(a)) - log_a
    stirling = (low - 0.5) * pt.log1p(count / low) + count * (pt.log(high) - 1)
    res = stirling + stirling_series(high) - stirling_series(low) - moved
    return pt.switch(pt.eq(count, 0), 0.0, res)


def _seven_factors(x):
    """(x + 1) (x + 2) ... (x + 7), in pairs that are as far from 4 on both sides."""
    square = x * (x + 8)
    return (x + 4) * (square + 7) * (square + 12) * (square + 15)


def stirling_series(x):
    """What Stirling's formula leaves of log Gamma(x); to 1e-14 from `SHIFT` on."""
    y = 1 / (x * x)
    return (
        1 / 12
        - y
        * (
            1 / 360
            - y * (1 / 1260 - y * (1 / 1680 - y * (1 / 1188 - y * (691 / 360360 - y / 156))))
        )
    ) / x


def log_gamma_draws(rng, shape, log_a):
    """Logarithms of Gamma(a, 1) draws, which do not underflow where a is small."""
    a = pt.exp(log_a)
    rng, whole = pt.random.gamma(a + 1, scale=1.0, size=shape, rng=rng, return_next_rng=True)
    rng, wait = pt.random.exponential(size=shape, rng=rng, return_next_rng=True)
    # Gamma(a) is Gamma(a + 1) U^(1/a); the floor keeps what never happens finite.
    return rng, pt.log(whole) - wait / pt.maximum(a, 1e-290)
