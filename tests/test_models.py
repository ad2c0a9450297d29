"""masked_regression is the model its docstring writes, and finds the truth."""

from functools import partial

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
import pytest
from pymc.model.fgraph import clone_model
from pytensor.compile.mode import Mode
from scipy import stats

from helpers import CategoryCounts, check_convergence, masked_regression, simulate_counts
from helpers.checks import RecoveryError, check_recovery
from helpers.models import choose_reference, latent_preferences, parameter_names

CATEGORIES = ("w", "x", "y", "z")
# Densities are compared in plain numpy: no compiler, so each costs a fraction of a second.
PLAIN = Mode(linker="py", optimizer="fast_compile")


@pytest.fixture(scope="module")
def data():
    """12 rows, 4 clusters, 2 predictors in odd units; w is on the menu everywhere, z rarely."""
    rng = np.random.default_rng(1)
    available = rng.random((12, 4)) < [1, 0.7, 0.8, 0.5]
    available[0] = True
    counts = rng.integers(1, 30, (12, 4)) * available
    return CategoryCounts(
        counts,
        available,
        CATEGORIES,
        cluster=pd.Categorical(list("aabbccddabcd"), list("dcba")),
        predictors=pd.DataFrame({"wealth": rng.normal(3e4, 5e3, 12), "rain": rng.random(12)}),
        rows=pd.Index([f"row {i}" for i in range(12)]),
    )


def without_predictors(data):
    return CategoryCounts(data.counts, data.available, data.categories, cluster=data.cluster)


def by_hand(data, effects, reference, available):
    """The same model in plain PyMC: softmax with -inf off the menu, one multinomial."""
    place = data.categories.index(reference)
    contrasts = [k for k in range(4) if k != place]
    x = data.predictors.to_numpy()
    with pm.Model() as model:
        eta = [0.0] * 4
        if effects == "pooled":
            intercept = pm.Normal("intercept", 0, 2, shape=3)
        else:
            mean = pm.Normal("intercept_mean", 0, 2, shape=3)
            sd = pm.Exponential("intercept_sd", 1, shape=3)
            intercept = pm.Normal("intercept", mean, sd, shape=(4, 3))[data.cluster.codes].T
        if x.shape[1]:
            slope = pm.Normal("slope", 0, 1, shape=(2, 3))
            z = (x - x.mean(axis=0)) / x.std(axis=0)
        for j, k in enumerate(contrasts):
            eta[k] = intercept[j] + (z @ slope[:, j] if x.shape[1] else 0.0)
        eta = pt.stack([pt.broadcast_to(pt.as_tensor(e), (12,)) for e in eta], axis=1)
        p = pm.math.softmax(pt.switch(available, eta, -np.inf), axis=1)
        pm.Multinomial("counts", n=data.n, p=p, observed=data.counts)
    return model


def assert_same_density(ours, plain):
    """Equal log-density of the same parameters, summed without the transforms' Jacobians."""
    densities = [m.compile_logp(jacobian=False, mode=PLAIN) for m in (ours, plain)]
    rng = np.random.default_rng(2)
    for _ in range(3):
        point = {name: rng.normal(size=v.shape) for name, v in plain.initial_point().items()}
        values = [
            f({v.name: point[v.name] for v in m.value_vars})
            for f, m in zip(densities, (ours, plain), strict=True)
        ]
        assert values[0] == pytest.approx(values[1], rel=1e-11)
        assert np.isfinite(values[0])


class TestDensity:
    @pytest.mark.parametrize("reference", CATEGORIES)
    @pytest.mark.parametrize("effects", ["pooled", "intercepts"])
    def test_is_the_one_written_by_hand(self, data, effects, reference):
        ours = masked_regression(data, effects=effects, reference=reference, centring="centred")
        assert_same_density(ours, by_hand(data, effects, reference, data.available))

    @pytest.mark.parametrize("effects", ["pooled", "intercepts"])
    def test_is_the_one_written_by_hand_without_predictors(self, data, effects):
        data = without_predictors(data)
        ours = masked_regression(data, effects=effects, reference="z", centring="centred")
        assert_same_density(ours, by_hand(data, effects, "z", data.available))

    def test_with_menus_ignored_is_that_of_everything_available(self, data):
        ours = masked_regression(data, effects="pooled", availability="ignored", reference="w")
        assert_same_density(ours, by_hand(data, "pooled", "w", np.ones((12, 4), bool)))

    @pytest.mark.parametrize("centring", ["auto", "conditioned", "noncentred"])
    def test_of_the_other_centrings_is_the_centred_one_after_a_change_of_variables(
        self, data, centring
    ):
        """The Jacobian from finite differences of the model's own map."""
        ours = masked_regression(data, effects="intercepts", centring=centring, reference="w")
        plain = by_hand(data, "intercepts", "w", data.available)
        value = ours.value_vars[2]
        assert value.name == (
            "intercept_z" if centring == "noncentred" else "intercept_conditioned__"
        )
        rng = np.random.default_rng(3)
        point = {k: 0.3 * rng.normal(size=v.shape) for k, v in ours.initial_point().items()}
        to_theta = ours.compile_fn(
            ours.replace_rvs_by_values([ours["intercept"]])[0],
            inputs=ours.value_vars,
            mode=PLAIN,
            on_unused_input="ignore",
        )
        theta = to_theta(point)
        ones = point | {value.name: point[value.name] + 1.0}
        jacobian = np.log(to_theta(ones) - theta).sum()  # the map is linear, element by element
        at = {k: v for k, v in point.items() if k != value.name} | {"intercept": theta}
        expected = plain.compile_logp(jacobian=True, mode=PLAIN)(at) + jacobian
        assert ours.compile_logp(jacobian=True, mode=PLAIN)(point) == pytest.approx(
            expected, rel=1e-10
        )

    def test_given_priors_take_the_defaults_place(self, data):
        narrow = partial(pm.Normal, mu=3, sigma=0.1)
        plain = masked_regression(data, effects="pooled")
        ours = masked_regression(data, effects="pooled", priors={"slope": narrow})
        point = {"intercept": np.zeros(3), "slope": np.full((2, 3), 0.5)}
        difference = ours.compile_logp(mode=PLAIN)(point) - plain.compile_logp(mode=PLAIN)(point)
        expected = stats.norm.logpdf(0.5, 3, 0.1) - stats.norm.logpdf(0.5, 0, 1)
        assert difference == pytest.approx(6 * expected)


class TestNames:
    def test_variables_and_dims_are_the_documented_ones(self, data):
        pooled = masked_regression(data, effects="pooled", reference="y")
        varying = masked_regression(data, effects="intercepts", reference="y")
        common = {
            "available": ("row", "category"),
            "n": ("row",),
            "predictors": ("row", "predictor"),
            "predictor_mean": ("predictor",),
            "predictor_sd": ("predictor",),
            "slope": ("predictor", "contrast"),
            "logits": ("row", "category"),
            "preference": ("row", "category"),
            "share": ("row", "category"),
            "counts": ("row", "category"),
        }
        assert pooled.named_vars_to_dims == common | {"intercept": ("contrast",)}
        assert varying.named_vars_to_dims == common | {
            "cluster_index": ("row",),
            "intercept_mean": ("contrast",),
            "intercept_sd": ("contrast",),
            "intercept": ("cluster", "contrast"),
        }
        assert [rv.name for rv in pooled.free_RVs] == ["intercept", "slope"]
        assert [rv.name for rv in varying.free_RVs] == [
            "intercept_mean",
            "intercept_sd",
            "intercept",
            "slope",
        ]
        coords = {k: list(v) for k, v in varying.coords.items()}
        assert coords == {
            "row": [f"row {i}" for i in range(12)],
            "category": ["w", "x", "y", "z"],
            "contrast": ["w", "x", "z"],
            "cluster": ["d", "c", "b", "a"],
            "predictor": ["wealth", "rain"],
        }

    def test_scaling_is_kept_in_the_predictors_units(self, data):
        model = masked_regression(data, effects="pooled")
        x = data.predictors.to_numpy()
        np.testing.assert_array_equal(model["predictors"].get_value(), x)
        np.testing.assert_allclose(model["predictor_mean"].get_value(), x.mean(axis=0))
        np.testing.assert_allclose(model["predictor_sd"].get_value(), x.std(axis=0))

    def test_parameters_are_what_does_not_grow_with_the_rows(self, data):
        model = masked_regression(data, effects="intercepts", centring="noncentred")
        names = {"intercept_mean", "intercept_sd", "intercept_z", "intercept", "slope"}
        assert set(parameter_names(model)) == names

    def test_reference_is_the_most_available_then_the_most_chosen(self, data):
        assert choose_reference(data) == "w"
        both = CategoryCounts([[5, 9, 99], [5, 9, 0]], [[1, 1, 1], [1, 1, 0]], tuple("abc"))
        assert choose_reference(both) == "b"
        model = masked_regression(both, effects="pooled")
        assert list(model.coords["contrast"]) == ["a", "c"]

    def test_latent_preferences_put_the_reference_back(self, data):
        """Logits log 1, 2, 3 and 0 for the reference y: shares of 7 parts."""
        model = masked_regression(data, effects="intercepts", reference="y")
        logits = np.tile(np.log([1.0, 2.0, 3.0]), (2, 5, 4, 1))
        logits[:, :, 1] = [800.0, 0.0, -800.0]  # w takes all in cluster c
        idata = az.from_dict(
            {"posterior": {"intercept": logits}},
            coords={k: list(model.coords[k]) for k in ("cluster", "contrast")},
            dims={"intercept": ["cluster", "contrast"]},
        )
        latent = latent_preferences(idata, model)
        assert latent["category"].to_numpy().tolist() == ["w", "x", "y", "z"]
        for cluster, parts in [("d", [1, 2, 1, 3]), ("c", [7, 0, 0, 0])]:
            expected = np.broadcast_to(np.array(parts) / 7, (2, 5, 4))
            one = latent.sel(cluster=cluster).transpose("chain", "draw", "category")
            np.testing.assert_allclose(one, expected, atol=1e-14)

    def test_shares_and_preferences_at_a_point(self, data):
        """All logits 0: equal shares of what is on the menu, equal preferences of everything."""
        model = masked_regression(without_predictors(data), effects="pooled")
        outputs = model.replace_rvs_by_values([model["share"], model["preference"]])
        share, preference = model.compile_fn(outputs, mode=PLAIN)({"intercept": np.zeros(3)})
        expected = data.available / data.available.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(share, expected, rtol=1e-14)
        np.testing.assert_allclose(preference, 0.25, rtol=1e-14)


class TestErrors:
    @pytest.mark.parametrize(
        ("choice", "named"),
        [
            ({"effects": "pooling"}, ["effects", "'pooled'", "'pooling'"]),
            ({"centring": "centered"}, ["centring", "'centred'", "'centered'"]),
            ({"covariance": "diagonal"}, ["covariance", "'category'", "'diagonal'"]),
            ({"likelihood": "poisson"}, ["likelihood", "'multinomial'", "'poisson'"]),
            ({"availability": "guess"}, ["availability", "'known'", "'guess'"]),
            ({"reference": "v"}, ["reference", "'w'", "'v'"]),
            ({"priors": {"slopes": pm.Normal}}, ["prior", "'slope'", "'slopes'"]),
        ],
    )
    def test_unknown_choices_are_refused_with_the_known_ones(self, data, choice, named):
        with pytest.raises(ValueError) as caught:
            masked_regression(data, **({"effects": "pooled"} | choice))
        for words in named:
            assert words in str(caught.value)

    def test_varying_effects_need_clusters(self, data):
        lonely = CategoryCounts(data.counts, data.available, data.categories)
        with pytest.raises(ValueError, match='needs a cluster.*effects="pooled"'):
            masked_regression(lonely, effects="intercepts")

    @pytest.mark.parametrize("value", [0.0, 7.3, -1e9])
    def test_a_predictor_that_does_not_vary_is_refused(self, data, value):
        frame = data.predictors.assign(rain=value)
        constant = CategoryCounts(data.counts, data.available, data.categories, predictors=frame)
        with pytest.raises(ValueError, match="rain is the same in every row"):
            masked_regression(constant, effects="pooled")


class TestPredictions:
    def test_new_rows_are_predicted_through_set_data(self, data):
        model = clone_model(masked_regression(data, effects="intercepts", reference="w"))
        with model:
            prior = pm.sample_prior_predictive(50, random_seed=1, compile_kwargs={"mode": PLAIN})
        prior["posterior"] = prior["prior"]
        menus = np.array([[True, True, False, True], [False, False, True, True]])
        x = np.array([[2.5e4, 0.5], [3.5e4, 0.1]])
        new = {"available": menus, "n": [40, 9], "cluster_index": [3, 0], "predictors": x}
        with model:
            pm.set_data(new, coords={"row": ["new 1", "new 2"]})
            predicted = pm.sample_posterior_predictive(
                prior,
                var_names=["counts", "share"],
                predictions=True,
                progressbar=False,
                random_seed=2,
                compile_kwargs={"mode": PLAIN},
            )["predictions"]
        assert predicted["row"].to_numpy().tolist() == ["new 1", "new 2"]
        counts = predicted["counts"].to_numpy()[0]
        assert (counts[:, ~menus] == 0).all()
        np.testing.assert_array_equal(counts.sum(axis=-1), np.tile([40, 9], (50, 1)))
        # The shares by hand, with the old rows' scaling; w is the reference.
        old = data.predictors.to_numpy()
        z = (x - old.mean(axis=0)) / old.std(axis=0)
        draws = prior["posterior"]
        intercept = draws["intercept"].to_numpy()[0][:, [3, 0]]
        slope = draws["slope"].to_numpy()[0]
        eta = np.insert(intercept + np.einsum("rp,dpk->drk", z, slope), 0, 0.0, axis=-1)
        weights = np.exp(np.where(menus, eta, -np.inf))
        expected = weights / weights.sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(predicted["share"].to_numpy()[0], expected, rtol=1e-9)


def sample(model, draws=500):
    with model:
        return pm.sample(
            draws=draws,
            tune=500,
            chains=4,
            cores=2,
            random_seed=1,
            nuts_sampler="nutpie",
            progressbar=False,
            var_names=parameter_names(model),
        )


class TestSampling:
    def test_pooled_preferences_are_recovered_and_the_naive_ones_are_not(self):
        """The masked fit holds the truth; the one that ignores the menus misses by far."""
        data, truth = simulate_counts(
            n_clusters=10, n_dates=4, n_range=(200, 2_000), effects="pooled", random_seed=2
        )
        preference = truth["preference"].isel(row=0).to_numpy()
        model = masked_regression(data, effects="pooled")
        idata = sample(model)
        check_convergence(idata)
        latent = latent_preferences(idata, model)
        assert latent.dims == ("chain", "draw", "category")
        np.testing.assert_allclose(latent.sum("category"), 1, rtol=1e-12)
        idata["posterior"] = idata["posterior"].to_dataset().assign(preference=latent)
        check_recovery(idata, {"preference": preference})
        naive = masked_regression(data, effects="pooled", availability="ignored")
        at_mle = data.counts.sum(axis=0) / data.n.sum()
        idata = sample(naive)
        draws = latent_preferences(idata, naive)
        np.testing.assert_allclose(draws.mean(("chain", "draw")), at_mle, atol=5e-3)
        idata["posterior"] = idata["posterior"].to_dataset().assign(preference=draws)
        with pytest.raises(RecoveryError):
            check_recovery(idata, {"preference": preference})

    def test_poor_clusters_sample_well_and_as_in_the_other_parametrisation(self):
        """Totals of 5 to 60: no divergences, and the same means within Monte Carlo error."""
        data, truth = simulate_counts(n_range=(5, 60), effects="intercepts", random_seed=3)
        fits = {}
        for centring in ("conditioned", "noncentred"):
            model = masked_regression(
                data, effects="intercepts", centring=centring, reference="category 7"
            )
            fits[centring] = sample(model, 1_000)
        check_convergence(fits["conditioned"])
        # The other is the yardstick: it need not be as good, only good enough to compare with.
        check_convergence(fits["noncentred"], rhat=1.03, ess=200, divergences=20)
        check_recovery(fits["conditioned"], truth[["intercept"]])
        for name in ("intercept_mean", "intercept_sd", "intercept"):
            means, errors = [], []
            for fit in fits.values():
                draws = fit["posterior"][name]
                ess = pm.stats.ess(fit["posterior"].to_dataset()[[name]], method="mean")[name]
                means.append(draws.mean(("chain", "draw")))
                errors.append(draws.std(("chain", "draw")) / np.sqrt(ess))
            z = (means[0] - means[1]) / np.hypot(*errors)
            # The largest of 120 standard normals passes 4.5 once in 1,200 times.
            assert float(np.abs(z).max()) < 4.5
