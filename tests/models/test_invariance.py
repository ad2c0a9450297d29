"""The model is the same whichever category is the reference, and says so where it is not."""

import itertools

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from oracles import PLAIN
from pymc.model.transform.conditioning import remove_value_transforms

from helpers import CategoryCounts, latent_preferences, masked_regression, parameter_names

CATEGORIES = ("w", "x", "y", "z")
REFERENCES = ("w", "y", "z")
LIKELIHOODS = {
    "multinomial": {"likelihood": "multinomial"},
    "dirichlet-multinomial": {"likelihood": "dirichlet-multinomial"},
    "normal scatter": {"likelihood": "logistic-normal", "scatter": "normal"},
    "t scatter": {"likelihood": "logistic-normal", "scatter": "t"},
}
# Which axis is that of contrasts.
CONTRASTS_AT = {
    "intercept": -1,
    "intercept_mean": -1,
    "slope": -1,
    "drift_steps": -1,
    "scatter": -1,
    "effects": -2,
    "effects_mean": -2,
}
LEVELS = ("intercept", "intercept_mean", "effects", "effects_mean")


@pytest.fixture(scope="module")
def data():
    """12 rows, 4 clusters, 3 dates far apart; each category is off all menus at some date."""
    rng = np.random.default_rng(1)
    dates = np.tile([2001, 2002, 2006], 4)
    available = rng.random((12, 4)) < 0.8
    for category, off in enumerate([2002, 2001, None, 2006]):
        available[:, category] &= dates != off
    available[:, 2] |= available.sum(axis=1) < 2
    available[:, 0] |= available.sum(axis=1) < 2
    return CategoryCounts(
        rng.integers(1, 30, (12, 4)) * available,
        available,
        CATEGORIES,
        cluster=pd.Categorical(np.repeat(list("abcd"), 3)),
        date=pd.Index(dates),
        predictors=pd.DataFrame({"rain": rng.normal(size=12)}),
    )


@pytest.fixture(scope="module")
def zeros():
    """All menus as far as is known, and x that was often not chosen."""
    rng = np.random.default_rng(2)
    counts = rng.integers(1, 30, (12, 4))
    counts[::2, 1] = 0
    return CategoryCounts(
        counts,
        np.ones((12, 4), bool),
        CATEGORIES,
        cluster=pd.Categorical(np.repeat(list("abcd"), 3)),
    )


class Natural:
    """A model with its density in terms of its own parameters, without changes of variables."""

    def __init__(self, data, reference, **options):
        self.reference = data.categories.index(reference)
        model = remove_value_transforms(masked_regression(data, reference=reference, **options))
        self.density = model.compile_logp(jacobian=False, mode=PLAIN)
        names = ["preference", "share", *(["drift"] if "drift" in model.named_vars else [])]
        outputs = model.replace_rvs_by_values([model[name] for name in names])
        function = model.compile_fn(
            outputs, inputs=model.value_vars, mode=PLAIN, on_unused_input="ignore"
        )
        self.outcome = lambda point: dict(zip(names, function(point), strict=True))
        start = model.initial_point()
        self.shapes = {name: np.shape(x) for name, x in start.items()}

    def point(self, rng):
        """Any contrasts; the rest between 0 and 1, which all others may be."""
        return {
            name: rng.normal(size=shape) if name in CONTRASTS_AT else rng.uniform(0.2, 0.8, shape)
            for name, shape in self.shapes.items()
        }

    def shifted(self, point, sign):
        """Levels with the drift at the first date added, or taken off again."""
        drift = self.outcome(point).get("drift")
        for name in LEVELS if drift is not None else ():
            if name in point:
                shift = drift[0]
                if name.startswith("effects"):
                    shift = shift[:, None] * (np.arange(point[name].shape[-1]) == 0)
                point = point | {name: point[name] + sign * shift}
        return point

    def moved(self, point, to):
        """The same point in the terms of a model with another reference."""
        levelled = self.shifted(point, 1)
        moved = {
            name: against(x, CONTRASTS_AT[name], self.reference, to.reference)
            if name in CONTRASTS_AT
            else x
            for name, x in levelled.items()
        }
        return to.shifted(moved, -1)


def against(contrasts, axis, reference, other):
    """Contrasts with another category."""
    axis = axis % contrasts.ndim
    of_all = np.insert(contrasts, reference, 0.0, axis=axis)
    of_all = of_all - np.take(of_all, [other], axis=axis)
    return np.delete(of_all, other, axis=axis)


def assert_same(data, references=REFERENCES, **options):
    """Density and shares, at points mapped from one reference to the others."""
    first, *others = [Natural(data, reference, **options) for reference in references]
    rng = np.random.default_rng(3)
    for _ in range(3):
        point = first.point(rng)
        expected, outcome = first.density(point), first.outcome(point)
        assert np.isfinite(expected)
        for model in others:
            at = first.moved(point, model)
            for name in ("preference", "share"):
                np.testing.assert_allclose(model.outcome(at)[name], outcome[name], rtol=1e-9)
            assert model.density(at) == pytest.approx(expected, rel=1e-10)


@pytest.mark.slow
class TestByCategory:
    @pytest.mark.parametrize("likelihood", LIKELIHOODS)
    @pytest.mark.parametrize("drift", [None, "walk"])
    @pytest.mark.parametrize("effects", ["pooled", "intercepts", "slopes"])
    def test_density_is_the_same_for_each_reference(self, data, effects, drift, likelihood):
        options = {"effects": effects, "drift": drift} | LIKELIHOODS[likelihood]
        assert_same(data, centring="centred", **options)

    @pytest.mark.parametrize("effects", ["intercepts", "slopes"])
    def test_noncentred(self, data, effects):
        """There is something sampled for each category, the reference too: the same numbers."""
        assert_same(data, effects=effects, drift="walk", centring="noncentred")

    def test_without_correlations(self, data):
        assert_same(data, covariance="independent", centring="centred")

    @pytest.mark.parametrize("likelihood", ["multinomial", "t scatter"])
    @pytest.mark.parametrize(
        "options", [{"effects": "intercepts", "psi_by": "cluster"}, {"effects": "pooled"}]
    )
    def test_unknown_menus(self, zeros, likelihood, options):
        """The reference must be on each menu, so it is one of those that are."""
        unknown = {"availability": "unknown", "inflated": ["x"], "centring": "centred"}
        assert_same(zeros, **LIKELIHOODS[likelihood], **unknown, **options)

    @pytest.mark.parametrize("scatter", ["normal", "t"])
    def test_unknown_menus_and_scatter_can_be_sampled(self, zeros, scatter):
        """The pilot is there, and density and gradient are finite where sampling starts."""
        model = masked_regression(
            zeros, availability="unknown", likelihood="logistic-normal", scatter=scatter
        )
        assert "scatter_conditioned__" in [v.name for v in model.value_vars]
        function = model.logp_dlogp_function(ravel_inputs=True, mode=PLAIN)
        function.set_extra_values({})
        start = pm.blocking.DictToArrayBijection.map(model.initial_point()).data
        for at in (start, start + np.random.default_rng(4).normal(size=start.shape)):
            value, gradient = function(at)
            assert np.isfinite(value) and np.isfinite(gradient).all()

    def test_two_categories(self, data):
        pair = CategoryCounts(
            data.counts[:, 1:3], np.ones((12, 2), bool), ("x", "y"), cluster=data.cluster
        )
        scatter = LIKELIHOODS["normal scatter"]
        models = [
            Natural(pair, reference, **scatter, effects="intercepts") for reference in ("x", "y")
        ]
        point = models[0].point(np.random.default_rng(3))
        at = models[0].moved(point, models[1])
        assert models[1].density(at) == pytest.approx(models[0].density(point), rel=1e-10)


class TestByContrast:
    """A normal of independent contrasts is not one of those with another category."""

    def bend(self, model, at, by):
        """Mixed second difference of the density in two categories' effects of a cluster."""
        total = 0.0
        for one, other in itertools.product((0, 1), repeat=2):
            point = at(one * by[0] + other * by[1])
            total += (-1) ** (one + other) * model.density(point)
        return total

    @pytest.mark.parametrize(("spreads", "same"), [("category", True), ("contrast", False)])
    def test_no_standard_deviations_make_two_references_agree(self, data, spreads, same):
        """
        Against y, effects of w and x are independent, so that the mixed difference is that of the
        likelihood alone. Against x, a shift of x moves w's effect, too, and the prior adds to it,
        whatever the standard deviations.
        """
        options = {"effects": "intercepts", "spreads": spreads, "centring": "centred"}
        models = [Natural(data, reference, **options) for reference in ("y", "x")]
        point = models[0].point(np.random.default_rng(3))
        steps = np.zeros((2, *point["intercept"].shape))
        steps[0, 0, 0] = steps[1, 0, 1] = 1.0

        def mapped(shift):
            return models[0].moved(point | {"intercept": point["intercept"] + shift}, models[1])

        here = self.bend(models[0], lambda s: point | {"intercept": point["intercept"] + s}, steps)
        gaps = []
        for scale in (0.1, 1.0, 10.0):
            spread = {k: x * scale for k, x in point.items() if k.endswith(("_sd", "_spread"))}
            there = self.bend(models[1], lambda s, sd=spread: mapped(s) | sd, steps)
            gaps.append(abs(there - here))
        if same:
            assert gaps[1] < 1e-9 * abs(here)
        else:
            assert min(gaps) > 1e-3


@pytest.mark.slow
def test_fits_against_two_references_agree(data):
    """Spreads and preferences within Monte Carlo error, of 12 rows that say little."""
    fits = []
    for reference in ("w", "z"):
        model = masked_regression(data, effects="intercepts", reference=reference)
        with model:
            idata = pm.sample(
                2_000,
                chains=4,
                cores=2,
                nuts_sampler="nutpie",
                random_seed=1,
                progressbar=False,
                var_names=parameter_names(model),
                nuts={"target_accept": 0.95},
            )
        fit = idata["posterior"].to_dataset()[["intercept_spread"]]
        fits.append(np.log(fit).assign(preference=latent_preferences(idata, model)))
    means, errors = [], []
    for fit in fits:
        ess = pm.stats.ess(fit, method="mean")
        means.append(fit.mean(("chain", "draw")))
        errors.append(fit.std(("chain", "draw")) / np.sqrt(ess))
        assert ess.to_array().min() > 400
    for name in fits[0]:
        z = (means[0] - means[1])[name] / np.hypot(errors[0][name], errors[1][name])
        # The largest of 20 standard normals passes 4 once in 800 times.
        assert float(np.abs(z).max()) < 4
