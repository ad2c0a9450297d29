"""The choice of a likelihood, and of the tails of scatter."""

import numpy as np
import pandas as pd
import pytest

from helpers import CategoryCounts, draw_counts, simulate_counts
from helpers.models import choose_likelihood, choose_scatter, slopes_are_alike


def scattering(seed, *, freedom=None, n=(5_000, 50_000), clusters=20, dates=6):
    """Counts whose rows scatter, normally or with the tails of a t."""
    data, truth = simulate_counts(
        n_clusters=clusters,
        n_dates=dates,
        effects="intercepts",
        n_range=n,
        random_seed=seed,
    )
    rng = np.random.default_rng(seed)
    logits = truth["logits"].to_numpy()
    scatter = rng.uniform(0.2, 0.6, logits.shape[1]) * rng.normal(size=logits.shape)
    if freedom:
        scatter /= np.sqrt(rng.gamma(freedom / 2, 2 / freedom, size=(len(logits), 1)))
    share = np.where(data.available, np.exp(logits + scatter), 0)
    counts = draw_counts(rng, data.n, share / share.sum(axis=1, keepdims=True))
    return CategoryCounts(counts, data.available, data.categories, data.cluster, date=data.date)


class TestLikelihood:
    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("n_range", [(2, 8), (20, 200), (6_000, 119_000)])
    def test_a_multinomial_is_taken_for_one(self, seed, n_range):
        data, _ = simulate_counts(random_seed=seed, n_range=n_range)
        likelihood, ratio = choose_likelihood(data)
        assert likelihood == "multinomial" and 0.6 < ratio < 1.4

    @pytest.mark.parametrize("seed", range(3))
    def test_hundreds_of_categories_with_few_clusters_are_not_mistaken_for_scatter(self, seed):
        """With thousands of degrees of freedom, a tenth too few of them looks like evidence."""
        data, _ = simulate_counts(
            n_clusters=6,
            n_categories=200,
            unavailable=(0.15,) * 100 + (0.0,) * 100,
            effects="intercepts",
            n_range=(2_000, 10_000),
            random_seed=seed,
        )
        likelihood, ratio = choose_likelihood(data, effects="intercepts")
        assert likelihood == "multinomial" and 0.93 < ratio < 1.1

    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("n", [(30, 200), (5_000, 50_000)])
    def test_scatter_is_seen(self, seed, n):
        assert choose_likelihood(scattering(seed, n=n), effects="intercepts")[0] == (
            "logistic-normal"
        )

    @pytest.mark.parametrize("seed", range(5))
    def test_scatter_of_another_kind_is_seen_as_well(self, seed):
        data, truth = simulate_counts(random_seed=seed, n_range=(6_000, 9_000))
        rng = np.random.default_rng(seed)
        counts = draw_counts(rng, data.n, truth["share"].to_numpy(), 2_000)
        scattered = CategoryCounts(
            counts, data.available, data.categories, data.cluster, predictors=data.predictors
        )
        assert choose_likelihood(scattered)[0] == "logistic-normal"

    @pytest.mark.parametrize("scatters", [False, True])
    @pytest.mark.parametrize("seed", range(3))
    def test_unknown_menus_are_not_mistaken_for_scatter(self, seed, scatters):
        if scatters:
            known = scattering(seed)
        else:
            known, _ = simulate_counts(effects="intercepts", random_seed=seed)
        data = CategoryCounts(
            known.counts, np.ones_like(known.available), known.categories, known.cluster
        )
        found = {
            availability: choose_likelihood(data, effects="intercepts", availability=availability)
            for availability in ("known", "unknown")
        }
        assert found["unknown"][0] == ("logistic-normal" if scatters else "multinomial")
        # Taken for choices, the zeros would look like scatter.
        assert found["known"][0] == "logistic-normal"

    def test_a_drift_is_scatter_unless_it_is_allowed_for(self):
        data, truth = simulate_counts(random_seed=1, effects="intercepts", n_range=(500, 900))
        shift = np.array([0.0, 0.4, -0.3, 0.2])[pd.factorize(data.date)[0]]
        logits = truth["logits"].to_numpy().copy()
        logits[:, :3] += shift[:, None]
        share = np.where(data.available, np.exp(logits), 0)
        counts = draw_counts(
            np.random.default_rng(1), data.n, share / share.sum(axis=1, keepdims=True)
        )
        drifting = CategoryCounts(
            counts, data.available, data.categories, data.cluster, date=data.date
        )
        assert choose_likelihood(drifting)[0] == "logistic-normal"
        assert choose_likelihood(drifting, drift="walk")[0] == "multinomial"

    def test_single_choices_show_no_scatter(self):
        """
        Choices that follow a pattern within clusters and menus which the fit cannot know: with
        totals of 30 the same shares scatter beyond doubt.
        """
        rng = np.random.default_rng(1)
        share = rng.dirichlet([0.1] * 3, size=400)
        kinds = {}
        for n in (1, 30):
            counts = draw_counts(rng, np.full(400, n), share)
            data = CategoryCounts(counts, np.ones(counts.shape, bool), ["a", "b", "c"])
            kinds[n] = choose_likelihood(data, effects="pooled")[0]
        assert kinds == {1: "multinomial", 30: "logistic-normal"}


class TestSlopes:
    """Slopes are common only where they are alike beyond doubt."""

    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize(
        ("sd", "n", "alike"),
        [(0.0, 200_000, True), (0.1, 200_000, False), (0.0, 20, False)],
    )
    def test_are_alike_if_they_are_and_enough_is_known_of_them(self, sd, n, alike, seed):
        rng = np.random.default_rng(seed)
        data, _ = simulate_counts(
            n_clusters=40, n_dates=6, effects="intercepts", n_range=(n, n + 1), random_seed=seed
        )
        cluster, x = data.cluster.codes, rng.normal(size=len(data))
        slope = np.array([0.3, -0.2, 0.1, 0, 0.4, 0, -0.3]) + sd * rng.normal(size=(40, 7))
        logits = rng.normal(0, 0.5, size=(40, 7))[cluster] + x[:, None] * slope[cluster]
        share = np.where(data.available, np.exp(logits), 0)
        counts = draw_counts(rng, data.n, share / share.sum(axis=1, keepdims=True))
        table = CategoryCounts(
            counts,
            data.available,
            data.categories,
            data.cluster,
            predictors=pd.DataFrame({"x": x}),
        )
        assert slopes_are_alike(table) == alike


class TestScatter:
    """Error rates of 200 tables are in the docstring; here a few seeds."""

    @pytest.mark.parametrize("seed", range(3))
    def test_heavy_tails(self, seed):
        kind, freedom = choose_scatter(
            scattering(seed, freedom=3, clusters=40), effects="intercepts"
        )
        assert kind == "t" and 2 < freedom < 10

    @pytest.mark.parametrize("seed", range(3))
    def test_normal_tails(self, seed):
        kind, freedom = choose_scatter(scattering(seed, clusters=40), effects="intercepts")
        assert kind == "normal" and freedom > 15

    def test_where_tails_cannot_be_seen_they_are_taken_for_normal(self):
        for data in scattering(1, n=(5, 30)), scattering(1, clusters=4):
            kind, freedom = choose_scatter(data, effects="intercepts")
            assert kind == "normal" and np.isnan(freedom)
