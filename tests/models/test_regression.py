"""masked_regression is the model its docstring writes, and finds the truth."""

from functools import partial

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
import pytest
from oracles import PLAIN
from pymc.model.fgraph import clone_model
from pymc.model.transform.optimization import freeze_dims_and_data
from scipy import stats

from helpers import (
    CategoryCounts,
    RecoveryError,
    check_convergence,
    check_recovery,
    choose_reference,
    latent_preferences,
    masked_regression,
    parameter_names,
    simulate_counts,
)

CATEGORIES = ("w", "x", "y", "z")
# Each reference compiles a model of its own: the quick tests take one within and the last.
REFERENCES = [
    pytest.param("w", marks=pytest.mark.slow),
    "x",
    pytest.param("y", marks=pytest.mark.slow),
    "z",
]
CLUSTER = "aabbccddabcd"


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
        cluster=pd.Categorical(list(CLUSTER), list("dcba")),
        predictors=pd.DataFrame({"wealth": rng.normal(3e4, 5e3, 12), "rain": rng.random(12)}),
        rows=pd.Index([f"row {i}" for i in range(12)]),
    )


def without_predictors(data):
    return CategoryCounts(data.counts, data.available, data.categories, cluster=data.cluster)


def by_hand(data, effects, reference, available, spreads="category"):
    """The same model in plain PyMC: softmax with -inf off the menu, one multinomial."""
    reference_index = data.categories.index(reference)
    contrasts = [k for k in range(4) if k != reference_index]
    x = data.predictors.to_numpy()
    alike = np.eye(3) if spreads == "contrast" else (np.eye(3) + 1) / 2
    with pm.Model() as model:
        eta = [0.0] * 4
        if effects == "pooled":
            intercept = pm.MvNormal("intercept", np.zeros(3), 4 * alike)
        else:
            mean = pm.MvNormal("intercept_mean", np.zeros(3), 4 * alike)
            if spreads == "contrast":
                covariance = pt.diag(pm.Exponential("intercept_sd", 1, shape=3) ** 2)
            else:
                scale = pm.HalfNormal("intercept_spread_scale", 1)
                spread = pm.LogNormal("intercept_spread", pt.log(scale), 0.5, shape=4)
                covariance = pt.diag(spread[contrasts] ** 2) + spread[reference_index] ** 2
            by_cluster = pm.MvNormal("intercept", mean, covariance, shape=(4, 3))
            intercept = by_cluster[data.cluster.codes].T
        if x.shape[1]:
            slope = pm.MvNormal("slope", np.zeros(3), alike, shape=(2, 3))
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
        # PyTensor takes the logarithm of a constant standard deviation of 2 in single precision.
        assert values[0] == pytest.approx(values[1], rel=1e-9)
        assert np.isfinite(values[0])


class TestDensity:
    @pytest.mark.parametrize("spreads", ["category", "contrast"])
    @pytest.mark.parametrize("reference", REFERENCES)
    @pytest.mark.parametrize("effects", ["pooled", "intercepts"])
    def test_is_the_one_written_by_hand(self, data, effects, reference, spreads):
        options = {"effects": effects, "reference": reference, "spreads": spreads}
        ours = masked_regression(data, centring="centred", **options)
        assert_same_density(ours, by_hand(data, available=data.available, **options))

    @pytest.mark.parametrize("spreads", ["category", "contrast"])
    @pytest.mark.parametrize("effects", ["pooled", "intercepts"])
    def test_is_the_one_written_by_hand_without_predictors(self, data, effects, spreads):
        data = without_predictors(data)
        options = {"effects": effects, "reference": "z", "spreads": spreads}
        ours = masked_regression(data, centring="centred", **options)
        assert_same_density(ours, by_hand(data, available=data.available, **options))

    def test_with_menus_ignored_is_that_of_everything_available(self, data):
        ours = masked_regression(data, effects="pooled", availability="ignored", reference="w")
        assert_same_density(ours, by_hand(data, "pooled", "w", np.ones((12, 4), bool)))

    @pytest.mark.parametrize("centring", ["auto", "conditioned", "noncentred"])
    @pytest.mark.slow
    def test_of_the_other_centrings_is_the_centred_one_after_a_change_of_variables(
        self, data, centring
    ):
        """
        The Jacobian from differences of the model's own map, which is linear. Non-centred spreads
        by category have a variable more: that form is tested by its moments.
        """
        spreads = "contrast" if centring == "noncentred" else "category"
        ours = masked_regression(
            data, effects="intercepts", centring=centring, reference="w", spreads=spreads
        )
        plain = by_hand(data, "intercepts", "w", data.available, spreads)
        known = {v.name for v in plain.value_vars}
        sampled = [v.name for v in ours.value_vars if v.name not in known]
        names = [name.removesuffix("_z").removesuffix("_conditioned__") for name in sampled]
        assert (
            names == ["intercept"] if centring == "noncentred" else ["intercept_mean", "intercept"]
        )
        rng = np.random.default_rng(3)
        point = {k: 0.3 * rng.normal(size=v.shape) for k, v in ours.initial_point().items()}
        natural = ours.compile_fn(
            ours.replace_rvs_by_values([ours[name] for name in names]),
            inputs=ours.value_vars,
            mode=PLAIN,
            on_unused_input="ignore",
        )
        at = dict(zip(names, natural(point), strict=True))

        def joined(arrays):
            return np.concatenate([np.ravel(x) for x in arrays])

        columns = []
        for name in sampled:
            for unit in np.eye(point[name].size).reshape(-1, *point[name].shape):
                moved = natural(point | {name: point[name] + unit})
                columns.append(joined(moved) - joined(at.values()))
        jacobian = np.linalg.slogdet(columns)[1]
        at |= {k: v for k, v in point.items() if k not in sampled}
        expected = plain.compile_logp(jacobian=True, mode=PLAIN)(at) + jacobian
        assert ours.compile_logp(jacobian=True, mode=PLAIN)(point) == pytest.approx(
            expected, rel=1e-9
        )

    def test_given_priors_take_the_defaults_place(self, data):
        narrow = partial(pm.Normal, mu=3, sigma=0.1)
        plain = masked_regression(data, effects="pooled")
        ours = masked_regression(data, effects="pooled", priors={"slope": narrow})
        point = {"intercept": np.zeros(3), "slope": np.full((2, 3), 0.5)}
        difference = ours.compile_logp(mode=PLAIN)(point) - plain.compile_logp(mode=PLAIN)(point)
        alike = stats.multivariate_normal(np.zeros(3), (np.eye(3) + 1) / 2)
        expected = 6 * stats.norm.logpdf(0.5, 3, 0.1) - 2 * alike.logpdf(np.full(3, 0.5))
        assert difference == pytest.approx(expected)

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("intercept_sd", {"effects": "intercepts"}),
            ("effects_sd", {"effects": "slopes"}),
            ("drift_sd", {"effects": "pooled", "drift": "walk"}),
        ],
    )
    def test_a_prior_of_contrasts_asks_for_spreads_by_contrast(self, data, name, options):
        dated = CategoryCounts(
            data.counts, data.available, data.categories, cluster=data.cluster,
            predictors=data.predictors, date=pd.Index(range(12)),
        )  # fmt: skip
        model = masked_regression(
            dated, priors={name: partial(pm.HalfNormal, sigma=0.3)}, **options
        )
        assert name in [rv.name for rv in model.free_RVs]
        assert not [rv.name for rv in model.free_RVs if "spread" in rv.name]


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
            "intercept_spread_scale": (),
            "intercept_spread": ("category",),
            "intercept_sd": ("contrast",),
            "intercept": ("cluster", "contrast"),
        }
        assert [rv.name for rv in pooled.free_RVs] == ["intercept", "slope"]
        assert [rv.name for rv in varying.free_RVs] == [
            "intercept_spread_scale",
            "intercept_spread",
            "intercept_mean",
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
        spreads = {"intercept_spread", "intercept_spread_scale"}
        assert set(parameter_names(model)) == names | spreads

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


def latent(data, theta, reference_index):
    """Logits of every row by hand, from effects (cluster, contrast, effect)."""
    x = data.predictors.to_numpy()
    z = np.column_stack([np.ones(len(x)), (x - x.mean(axis=0)) / x.std(axis=0)])
    contrasts = np.einsum("rp,rkp->rk", z, theta[data.cluster.codes])
    return np.insert(contrasts, reference_index, 0.0, axis=1)


def one_predictor(data):
    return CategoryCounts(
        data.counts,
        data.available,
        data.categories,
        cluster=data.cluster,
        predictors=data.predictors[["rain"]],
        rows=data.coords["row"],
    )


class TestSlopes:
    @pytest.mark.parametrize("reference", REFERENCES)
    def test_likelihood_is_scipys_on_what_was_on_the_menu(self, data, reference):
        model = masked_regression(data, reference=reference, centring="centred")
        density = model.compile_logp(vars=[model["counts"]], mode=PLAIN)
        rng = np.random.default_rng(4)
        for _ in range(3):
            theta = rng.normal(size=(4, 3, 3))
            point = model.initial_point() | {"effects": theta}
            eta = latent(data, theta, data.categories.index(reference))
            expected = 0.0
            for y, on, row in zip(data.counts, data.available, eta, strict=True):
                p = np.exp(row[on]) / np.exp(row[on]).sum()
                expected += stats.multinomial.logpmf(y[on], y.sum(), p)
            assert density(point) == pytest.approx(expected, rel=1e-11)

    def test_prior_is_the_documented_one(self, data):
        """By contrast: means N(0, 2) and, of slopes, N(0, 1); Exponential(1) deviations."""
        model = masked_regression(
            data, covariance="independent", centring="centred", spreads="contrast"
        )
        rv = [model[name] for name in ("effects_mean", "effects_sd", "effects")]
        density = model.compile_logp(vars=rv, jacobian=False, mode=PLAIN)
        rng = np.random.default_rng(5)
        mean, log_sd = rng.normal(size=(2, 3, 3))
        theta = rng.normal(size=(4, 3, 3))
        point = {"effects_mean": mean, "effects_sd_log__": log_sd, "effects": theta}
        expected = (
            stats.norm.logpdf(mean, 0, [2, 1, 1]).sum()
            + stats.expon.logpdf(np.exp(log_sd)).sum()
            + stats.norm.logpdf(theta, mean, np.exp(log_sd)).sum()
        )
        assert density(point) == pytest.approx(expected, rel=1e-11)

    @pytest.mark.slow
    def test_prior_by_category_is_the_documented_one(self, data):
        """
        Means of each category's intercept N(0, 2 / sqrt 2), of slopes N(0, 1 / sqrt 2), of which
        differences are seen; pooled spreads for the reference, too.
        """
        model = masked_regression(data, covariance="independent", centring="centred", reference="x")
        names = ("effects_mean", "effects_spread_scale", "effects_spread", "effects")
        rv = [model[name] for name in names]
        density = model.compile_logp(vars=rv, jacobian=False, mode=PLAIN)
        rng = np.random.default_rng(5)
        mean, theta = rng.normal(size=(3, 3)), rng.normal(size=(4, 3, 3))
        log_scale, log_spread = rng.normal(size=3), rng.normal(size=(4, 3))
        expected = stats.halfnorm.logpdf(np.exp(log_scale)).sum()
        expected += stats.lognorm.logpdf(np.exp(log_spread), 0.5, scale=np.exp(log_scale)).sum()
        for p, sd in enumerate([2, 1, 1]):
            alike = sd**2 * (np.eye(3) + 1) / 2
            expected += stats.multivariate_normal.logpdf(mean[:, p], None, alike)
            variance = np.exp(2 * log_spread[:, p])
            covariance = np.diag(variance[[0, 2, 3]]) + variance[1]
            away = theta[:, :, p] - mean[:, p]
            expected += stats.multivariate_normal.logpdf(away, None, covariance).sum()
        point = {
            "effects_mean": mean,
            "effects_spread_scale_log__": log_scale,
            "effects_spread_log__": log_spread,
            "effects": theta,
        }
        assert density(point) == pytest.approx(expected, rel=1e-9)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("covariance", "centring"),
        [
            ("category", "auto"),
            ("category", "noncentred"),
            ("full", "auto"),
            ("kronecker", "auto"),
            ("independent", "auto"),
        ],
    )
    def test_each_covariance_has_the_gradient_of_its_density(self, data, covariance, centring):
        """Along a random direction, against the density's own difference."""
        model = masked_regression(one_predictor(data), covariance=covariance, centring=centring)
        function = model.logp_dlogp_function(ravel_inputs=True, mode=PLAIN)
        function.set_extra_values({})
        rng = np.random.default_rng(6)
        point = pm.blocking.DictToArrayBijection.map(model.initial_point()).data
        value, gradient = function(point)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
        point = point + 0.1 * rng.normal(size=point.shape)
        direction = rng.normal(size=point.shape)
        slope = function(point)[1] @ direction
        up, down = (function(point + s * 1e-5 * direction)[0] for s in (1, -1))
        assert (up - down) / 2e-5 == pytest.approx(slope, rel=1e-5)

    def test_variables_and_dims_are_the_documented_ones(self, data):
        model = masked_regression(data, reference="y")
        dims = model.named_vars_to_dims
        assert {k: v for k, v in dims.items() if k.startswith("effects")} == {
            "effects_mean": ("contrast", "effect"),
            "effects_spread_scale": ("effect",),
            "effects_spread": ("category", "effect"),
            "effects_spread_corr": ("category", "effect", "effect_bis"),
            "effects_sd": ("contrast", "effect"),
            "effects_corr": ("contrast", "effect", "effect_bis"),
            "effects": ("cluster", "contrast", "effect"),
        }
        assert dims["cluster_index"] == ("row",)
        for name in ("logits", "preference", "share", "counts"):
            assert dims[name] == ("row", "category")
        assert list(model.coords["effect"]) == ["intercept", "wealth", "rain"]
        assert list(model.coords["contrast"]) == ["w", "x", "z"]
        assert not {"slope", "intercept"} & set(model.named_vars)
        assert model.value_vars[-1].name == "effects_conditioned__"
        names = set(parameter_names(model))
        assert {"effects", "effects_mean", "effects_sd", "effects_corr"} <= names
        assert not {"logits", "preference", "share"} & names

    def test_without_predictors_it_is_the_model_of_intercepts(self, data):
        data = without_predictors(data)
        names = [
            list(masked_regression(data, effects=effects).named_vars)
            for effects in ("slopes", "intercepts")
        ]
        assert names[0] == names[1]

    @pytest.mark.slow
    def test_a_cluster_may_have_one_row(self, data):
        cluster = pd.Categorical(["alone", *"bbbbbcccccc"])
        lonely = CategoryCounts(
            data.counts,
            data.available,
            data.categories,
            cluster=cluster,
            predictors=data.predictors,
        )
        model = masked_regression(lonely)
        assert model["effects"].eval(mode=PLAIN).shape == (3, 3, 3)
        assert np.isfinite(model.compile_logp(mode=PLAIN)(model.initial_point()))

    @pytest.mark.slow
    def test_given_priors_take_the_defaults_place(self, data):
        plain = masked_regression(data, covariance="independent", spreads="contrast")
        priors = {
            "effects_mean": partial(pm.Normal, mu=3, sigma=0.5),
            "effects_sd": partial(pm.Exponential, lam=4),
        }
        ours = masked_regression(data, covariance="independent", priors=priors)
        point = ours.initial_point()
        point["effects_mean"] = np.full((3, 3), 0.5)
        point["effects_sd_log__"] = np.full((3, 3), np.log(0.7))
        difference = ours.compile_logp(mode=PLAIN)(point) - plain.compile_logp(mode=PLAIN)(point)
        expected = (
            9 * stats.norm.logpdf(0.5, 3, 0.5)
            - stats.norm.logpdf(0.5, 0, [2, 1, 1]).sum() * 3
            + 9 * (stats.expon.logpdf(0.7, scale=1 / 4) - stats.expon.logpdf(0.7))
        )
        assert difference == pytest.approx(expected, rel=1e-9)

    def test_a_given_prior_is_used_or_refused(self, data):
        """The Kronecker product has standard deviations of its own: it must not pass over one."""
        used = []

        def prior(name, *, dims):
            used.append(name)
            return pm.HalfNormal(name, 0.1, dims=dims)

        try:
            masked_regression(data, covariance="kronecker", priors={"effects_sd": prior})
        except ValueError as refused:
            assert "effects_sd" in str(refused)
        else:
            assert used == ["effects_sd"]

    def test_latent_preferences_are_those_at_the_predictors_means(self, data):
        """Intercepts log 1, 2, 3, and 0 for the reference y: shares of 7 parts, any slopes."""
        model = masked_regression(data, reference="y")
        theta = np.random.default_rng(7).normal(size=(2, 5, 4, 3, 3))
        theta[..., 0] = np.log([1.0, 2.0, 3.0])
        theta[:, :, 1, :, 0] = [800.0, 0.0, -800.0]  # w takes all in cluster c
        dims = ["cluster", "contrast", "effect"]
        idata = az.from_dict(
            {"posterior": {"effects": theta}},
            coords={k: list(model.coords[k]) for k in dims},
            dims={"effects": dims},
        )
        latent = latent_preferences(idata, model)
        assert set(latent.dims) == {"chain", "draw", "cluster", "category"}
        assert latent["category"].to_numpy().tolist() == ["w", "x", "y", "z"]
        for cluster, parts in [("d", [1, 2, 1, 3]), ("c", [7, 0, 0, 0])]:
            expected = np.broadcast_to(np.array(parts) / 7, (2, 5, 4))
            one = latent.sel(cluster=cluster).transpose("chain", "draw", "category")
            np.testing.assert_allclose(one, expected, atol=1e-14)

    @pytest.mark.parametrize(
        ("predictors", "message"),
        [
            (lambda d: d.assign(rain=7.3), "rain is the same in every row"),
            (
                lambda d: d.assign(rain=[{"a": 0.1, "b": 2, "c": -1, "d": 5}[c] for c in CLUSTER]),
                'rain is the same in all rows of each cluster.*effects="intercepts"',
            ),
            (lambda d: d.assign(more=2 * d["rain"] - 1), "wealth, rain, more repeat each other"),
            (lambda d: d.assign(more=d["rain"] + d["wealth"]), "repeat each other"),
            (
                lambda d: d.assign(**{f"x{i}": np.eye(12)[i] for i in range(12)}),
                "repeat each other.*more of them than rows",
            ),
        ],
        ids=["constant", "constant in clusters", "a multiple", "a sum", "too many"],
    )
    def test_predictors_whose_slopes_cannot_vary_are_refused(self, data, predictors, message):
        frame = predictors(data.predictors)
        rest = {"cluster": data.cluster, "predictors": frame}
        data = CategoryCounts(data.counts, data.available, data.categories, **rest)
        with pytest.raises(ValueError, match=message):
            masked_regression(data, effects="slopes")

    @pytest.mark.slow
    def test_what_is_the_same_in_each_cluster_may_have_a_common_slope(self, data):
        """As the message advises."""
        frame = data.predictors.assign(
            rain=[{"a": 0.1, "b": 2, "c": -1, "d": 5}[c] for c in CLUSTER]
        )
        rest = {"cluster": data.cluster, "predictors": frame}
        data = CategoryCounts(data.counts, data.available, data.categories, **rest)
        model = masked_regression(data, effects="intercepts")
        assert np.isfinite(model.compile_logp(mode=PLAIN)(model.initial_point()))

    def test_missing_predictor_values_are_refused(self, data):
        frame = data.predictors.assign(rain=np.where(np.arange(12) == 5, np.nan, 0.3))
        with pytest.raises(ValueError, match="rain"):
            CategoryCounts(
                data.counts, data.available, data.categories, cluster=data.cluster, predictors=frame
            )

    def test_held_effects_give_their_own_shares(self, data):
        """pm.do on the effects, then shares by hand."""
        model = masked_regression(data, reference="x")
        theta = np.random.default_rng(8).normal(size=(4, 3, 3))
        held = pm.do(model, {"effects": theta})
        share, preference = pm.draw([held["share"], held["preference"]], random_seed=1, mode=PLAIN)
        eta = latent(data, theta, 1)
        for got, on in ((share, data.available), (preference, np.ones_like(data.available))):
            weights = np.exp(np.where(on, eta, -np.inf))
            np.testing.assert_allclose(
                got, weights / weights.sum(axis=1, keepdims=True), rtol=1e-10
            )
        assert "effects" not in [v.name for v in held.free_RVs]

    @pytest.mark.slow
    def test_frozen_density_is_the_same(self, data):
        model = masked_regression(data)
        frozen = freeze_dims_and_data(model)
        rng = np.random.default_rng(9)
        point = {k: 0.3 * rng.normal(size=v.shape) for k, v in model.initial_point().items()}
        values = [m.compile_logp(mode=PLAIN)(point) for m in (model, frozen)]
        assert np.isfinite(values[0])
        assert values[0] == pytest.approx(values[1], rel=1e-12)


def predict(model, prior, new, rows):
    """Counts and shares of new rows, exchanged for the model's own."""
    with model:
        pm.set_data(new, coords={"row": rows})
        return pm.sample_posterior_predictive(
            prior,
            var_names=["counts", "share"],
            predictions=True,
            progressbar=False,
            random_seed=2,
            compile_kwargs={"mode": PLAIN},
        )["predictions"]


class TestPredictions:
    @pytest.mark.slow
    @pytest.mark.parametrize("centring", ["conditioned", "noncentred"])
    def test_new_rows_of_a_model_of_slopes(self, data, centring):
        """Other rows, menus, totals and predictors, three in place of twelve; shares by hand."""
        model = clone_model(masked_regression(data, reference="w", centring=centring))
        plain = {"mode": PLAIN}
        with model:
            prior = pm.sample_prior_predictive(40, random_seed=1, compile_kwargs=plain)
        effects = prior["prior"]["effects"]
        assert effects.dims == ("chain", "draw", "cluster", "contrast", "effect")
        prior["posterior"] = prior["prior"]
        menus = np.array([[1, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]], bool)
        x = np.array([[2.5e4, 0.5], [3.5e4, 0.1], [3e4, 0.9]])
        new = {"available": menus, "n": [40, 9, 1], "cluster_index": [3, 0, 3], "predictors": x}
        predicted = predict(model, prior, new, ["new 1", "new 2", "new 3"])
        counts = predicted["counts"].to_numpy()[0]
        assert (counts[:, ~menus] == 0).all()
        np.testing.assert_array_equal(counts.sum(axis=-1), np.tile([40, 9, 1], (40, 1)))
        old = data.predictors.to_numpy()
        z = np.column_stack([np.ones(3), (x - old.mean(axis=0)) / old.std(axis=0)])
        theta = effects.to_numpy()[0][:, [3, 0, 3]]
        eta = np.insert(np.einsum("rp,drkp->drk", z, theta), 0, 0.0, axis=-1)
        eta = np.where(menus, eta, -np.inf)
        weights = np.exp(eta - eta.max(axis=-1, keepdims=True))
        expected = weights / weights.sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(predicted["share"].to_numpy()[0], expected, rtol=1e-9)

    def test_new_rows_are_predicted_through_set_data(self, data):
        model = clone_model(masked_regression(data, effects="intercepts", reference="w"))
        with model:
            prior = pm.sample_prior_predictive(50, random_seed=1, compile_kwargs={"mode": PLAIN})
        prior["posterior"] = prior["prior"]
        menus = np.array([[True, True, False, True], [False, False, True, True]])
        x = np.array([[2.5e4, 0.5], [3.5e4, 0.1]])
        new = {"available": menus, "n": [40, 9], "cluster_index": [3, 0], "predictors": x}
        predicted = predict(model, prior, new, ["new 1", "new 2"])
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


@pytest.mark.slow
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
