"""The figures say what they show, and nothing is drawn that is not in the data."""

import itertools

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from helpers import CategoryCounts, interval_table, simulate_counts
from helpers.analysis import (
    plot_clusters,
    plot_effects,
    plot_intervals,
    plot_menus,
    plot_over_time,
    plot_predictive,
    wide_range,
)
from helpers.book import use_book_style

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(autouse=True)
def closed():
    """The book's style, put back afterwards, and no figure left open."""
    with matplotlib.rc_context():
        use_book_style()
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def data():
    """Three menus: all (3 rows), without tea (2), without milk (1)."""
    counts = np.array([[1, 2, 3], [2, 2, 2], [5, 1, 1], [0, 4, 2], [0, 3, 3], [2, 0, 7]])
    available = np.array([[1, 1, 1]] * 3 + [[0, 1, 1]] * 2 + [[1, 0, 1]])
    return CategoryCounts(counts, available, ("tea", "milk", "water"))


class TestMenus:
    def test_each_menu_is_a_line_and_each_category_a_column(self, data):
        ax = plot_menus(data)
        assert [t.get_text() for t in ax.get_xticklabels()] == ["tea", "milk", "water"]
        assert [t.get_text() for t in ax.get_yticklabels()] == ["3", "2", "1"]
        assert ax.get_ylabel() == "rows with this menu"
        assert len(ax.patches) == 9
        dashes = {tuple(int(v) for v in t.get_position()) for t in ax.texts}
        assert dashes == {(0, 1), (1, 2)}  # (category, menu): tea off the second, milk the third
        ax.figure.canvas.draw()

    def test_many_menus_are_cut_short_and_counted(self):
        data, _ = simulate_counts(
            n_clusters=50, unavailable=(0.5,) * 5 + (0, 0), n_range=(500, 900), random_seed=1
        )
        total = len(data.patterns)
        ax = plot_menus(data, limit=5)
        labels = [t.get_text() for t in ax.get_yticklabels()]
        shown = data.patterns["rows"].iloc[:5]
        assert labels[:5] == [str(r) for r in shown]
        assert labels[5] == f"{200 - shown.sum()} in {total - 5} more menus"
        assert len(ax.patches) == 5 * 7

    def test_it_draws_on_given_axes(self, data):
        _, ax = plt.subplots()
        assert plot_menus(data, ax) is ax
        assert len(plt.get_fignums()) == 1


def test_interval_table_by_hand():
    """Draws 0, 1, ..., 100: the 80 % interval ends at the 10th and 90th percentiles."""
    draws = xr.DataArray(
        np.arange(101.0).reshape(1, 101, 1) * [1, -2],
        dims=("chain", "draw", "k"),
        coords={"k": ["up", "down"]},
    )
    table = interval_table(draws, prob=0.8)
    assert table.columns.tolist() == ["mean", "low", "high"]
    assert table.loc["up"].tolist() == pytest.approx([50, 10, 90])
    assert table.loc["down"].tolist() == pytest.approx([-100, -180, -20])


class TestIntervals:
    @pytest.fixture
    def estimates(self):
        index = pd.Index(["tea", "milk"], name="category")
        masked = pd.DataFrame({"mean": [1, 2], "low": [0, 1.5], "high": [3.0, 2.5]}, index)
        return {"masked": masked, "naive": masked.iloc[::-1] - 1}

    def test_each_estimate_is_drawn_and_named(self, estimates):
        ax = plot_intervals(estimates, xlabel="share of choices")
        assert ax.get_xlabel() == "share of choices"
        assert [t.get_text() for t in ax.get_yticklabels()] == ["tea", "milk"]
        assert [t.get_text() for t in ax.get_legend().get_texts()] == ["masked", "naive"]
        points = [bars.lines[0].get_xdata().tolist() for bars in ax.containers]
        assert points == [[1, 2], [0, 1]]
        ends = ax.containers[0].lines[2][0].get_segments()
        assert [segment[:, 0].tolist() for segment in ends] == [[0, 3], [1.5, 2.5]]
        ax.figure.canvas.draw()

    def test_truth_is_matched_by_label(self, estimates):
        truth = pd.Series({"milk": 2.2, "tea": 0.7})
        ax = plot_intervals(estimates, truth)
        bars = ax.collections[0].get_segments()
        assert [segment[0, 0] for segment in bars] == [0.7, 2.2]
        assert "truth" in [t.get_text() for t in ax.get_legend().get_texts()]


class TestPredictive:
    def test_each_category_has_a_panel_of_the_rows_that_offered_it(self, data):
        predicted = np.stack([data.counts] * 20)
        predicted[:10] += 1
        panels = plot_predictive(data, predicted)
        assert [p.get_title(loc="left") for p in panels] == [
            f"{name}\n100% inside" for name in ("tea", "milk", "water")
        ]
        rows = [len(p.collections[0].get_segments()) for p in panels]
        assert rows == [4, 5, 6]
        assert panels[0].get_ylabel() == "share" and panels[0].get_xlabel() == "rows, sorted"
        panels[0].figure.canvas.draw()

    def test_rows_outside_their_interval_are_counted(self, data):
        predicted = np.stack([data.counts] * 20)
        predicted[:, 0, 2] += 4
        panels = plot_predictive(data, predicted)
        assert panels[2].get_title(loc="left") == "water\n83% inside"  # 5 of 6
        crosses = panels[2].collections[2].get_offsets()
        assert crosses[:, 1].tolist() == [0.5]  # row 0 chose water 3 of 6 times

    def test_spare_panels_are_hidden(self):
        data, _ = simulate_counts(n_clusters=3, random_seed=1)
        panels = plot_predictive(data, np.stack([data.counts] * 5))
        assert len(panels) == 7
        assert [ax.get_visible() for ax in panels[0].figure.axes] == [True] * 7 + [False]

    def test_it_draws_on_given_axes(self, data):
        _, axes = plt.subplots(1, 3)
        panels = plot_predictive(data, np.stack([data.counts] * 5), axes)
        assert list(panels) == list(axes)


class TestClusters:
    def test_cells_are_doublings_of_the_mean_over_clusters(self):
        means = pd.DataFrame({"tea": [0.1, 0.3], "milk": [0.7, 0.7]}, ["north", "south"])
        ax = plot_clusters(means)
        assert [t.get_text() for t in ax.get_xticklabels()] == ["tea", "milk"]
        assert [t.get_text() for t in ax.get_yticklabels()] == ["north", "south"]
        cells = ax.collections[0]
        np.testing.assert_allclose(cells.get_array().ravel(), [-1, 0, np.log2(1.5), 0], atol=1e-12)
        assert cells.get_clim() == pytest.approx((-1, 1))
        assert ax.figure.axes[1].get_ylabel() == "doublings of the mean"
        ax.figure.canvas.draw()

    def test_clusters_stand_in_the_order_of_what_sets_them_apart(self):
        """Milk and tea trade places along the alphabet's shuffled letters; water is noise."""
        tea = np.array([0.4, 0.1, 0.3, 0.2, 0.5])
        means = pd.DataFrame(
            {"tea": tea, "milk": 0.6 - tea, "water": [0.4, 0.4, 0.4, 0.4, 0.4]}, list("dacbe")
        )
        means = means.clip(lower=0.02)
        ax = plot_clusters(means)
        order = "".join(t.get_text() for t in ax.get_yticklabels())
        assert order in ("abcde", "edcba")

    def test_of_many_clusters_both_ends_are_drawn(self):
        means = pd.DataFrame({"tea": np.linspace(0.1, 0.9, 100)}).assign(milk=0.5)
        ax = plot_clusters(means, limit=10)
        shown = [int(t.get_text()) for t in ax.get_yticklabels()]
        assert sorted(shown) == [*range(5), *range(95, 100)]

    def test_many_clusters_are_cut_short_and_extremes_too(self):
        means = pd.DataFrame({"tea": np.r_[1e-6, np.ones(99)], "milk": np.ones(100)})
        ax = plot_clusters(means)
        assert len(ax.get_yticklabels()) == 60
        assert ax.collections[0].get_clim() == (-4, 4)

    def test_it_draws_on_given_axes(self):
        _, ax = plt.subplots()
        means = pd.DataFrame({"tea": [0.1, 0.3], "milk": [0.9, 0.7]})
        assert plot_clusters(means, ax) is ax


def test_names_are_drawn_as_they_are_written(data):
    """Two dollars would begin and end mathematics, where a space is lost and _ a subscript."""
    names = ("$0 to $5", "a_b", r"\alpha $x$")
    priced = CategoryCounts(data.counts, data.available, names)
    ax = plot_menus(priced)
    ax.figure.canvas.draw()
    for text, name in zip(ax.get_xticklabels(), names, strict=True):
        drawn, mathematics = text._preprocess_math(text.get_text())
        assert (drawn, mathematics) == (name, False)


class TestSmallAndMany:
    def test_points_lie_over_intervals_and_bars(self):
        table = pd.DataFrame({"mean": [0.2], "low": [0.1], "high": [0.3]}, ["tea"])
        ax = plot_intervals({"fit": table}, pd.Series({"tea": 0.2}))
        points, _, (bars,) = ax.containers[0].lines
        truth = ax.collections[0]
        assert points.get_zorder() > truth.get_zorder()
        assert points.get_zorder() >= bars.get_zorder()

    def test_small_shares_are_seen_on_a_logarithmic_axis(self):
        table = pd.DataFrame({"mean": [0.001, 0.9], "low": [5e-4, 0.8], "high": [0.002, 1.0]})
        ax = plot_intervals({"fit": table}, log=True)
        ax.figure.canvas.draw()
        assert ax.get_xscale() == "log"
        labels = [t.get_text() for t in ax.get_xticklabels()]
        assert "0.01" in labels and not any("$" in label for label in labels)

    def test_a_wide_range_needs_all_values_above_0(self):
        assert wide_range([0.01, 0.9]) and not wide_range([0.1, 0.9])
        assert not wide_range([0.0, 0.9]) and not wide_range([])

    def test_only_some_of_many_categories_are_named(self):
        counts = np.ones((3, 50), dtype=int)
        ax = plot_menus(CategoryCounts(counts, counts, [f"c{k}" for k in range(50)]))
        assert not ax.get_xticks().size and ax.get_xlabel() == "50 categories"
        assert ax.figure.get_figwidth() <= 12

    def test_many_rows_are_thinned_and_all_are_counted(self):
        rng = np.random.default_rng(1)
        counts = rng.multinomial(100, [0.5, 0.5], size=1_000)
        many = CategoryCounts(counts, np.ones_like(counts), ("a", "b"))
        predicted = np.stack([many.counts] * 10)
        predicted[:, :500, 0] += 100
        panels = plot_predictive(many, predicted)
        assert panels[0].get_title(loc="left").endswith("50% inside")
        assert len(panels[0].collections[0].get_segments()) == 300


class TestEffects:
    def test_each_predictor_has_a_panel_of_changes(self):
        lines = [
            (p, step, cluster, name, mean, mean - 1, mean + 1, 2.0)
            for p, sign in (("heat", 1), ("rain $", -1))
            for step in ("1 sd", "1 unit")
            for cluster in ("(all)", "north")
            for name, mean in (("tea", 3.0 * sign), ("milk", -3.0 * sign))
        ]
        columns = ["predictor", "step", "cluster", "category", "mean", "low", "high", "size"]
        panels = plot_effects(pd.DataFrame(lines, columns=columns))
        titles = [ax.get_title(loc="left").replace(r"\$", "$") for ax in panels]
        assert titles == ["heat + 2", "rain $ + 2"]
        assert [t.get_text() for t in panels[0].get_yticklabels()] == ["tea", "milk"]
        for ax, means in zip(panels, ([3, -3], [-3, 3]), strict=True):
            points = ax.collections[-1]
            assert points.get_offsets()[:, 0].tolist() == means
            ends = [segment[:, 0].tolist() for segment in ax.collections[0].get_segments()]
            assert ends == [[mean - 1, mean + 1] for mean in means]
            assert points.get_zorder() > ax.collections[0].get_zorder()
        panels[0].figure.canvas.draw()


class TestOverTime:
    @pytest.mark.parametrize(
        "dates",
        [
            np.arange(1999, 2024),
            pd.date_range("1977", periods=25, freq="YS"),
            [f"wave number {d}" for d in range(25)],
        ],
        ids=["years", "dates", "labels"],
    )
    def test_dates_do_not_overlap(self, dates):
        index = pd.MultiIndex.from_product([dates, list("abcd")], names=["date", "category"])
        table = pd.DataFrame({"mean": 0.25, "low": 0.2, "high": 0.3}, index).reset_index()
        panels = plot_over_time(table)
        panels[0].figure.canvas.draw()
        for ax in panels:
            boxes = [t.get_window_extent() for t in ax.get_xticklabels() if t.get_text()]
            boxes = [box for box in boxes if box.width]
            assert len(boxes) >= 2
            for left, right in itertools.pairwise(sorted(boxes, key=lambda box: box.x0)):
                assert left.x1 < right.x0

    @pytest.mark.parametrize("dates", [[1, 2], ["May", "June"], pd.date_range("2024", periods=2)])
    def test_each_category_has_a_line_in_per_cent(self, dates):
        names = [f"n_{k}" for k in "edcba"]
        index = pd.MultiIndex.from_product([dates, names], names=["date", "category"])
        mean = np.r_[np.full(5, 0.1), np.full(5, 0.3)]
        table = pd.DataFrame({"mean": mean, "low": mean / 2, "high": 2 * mean}, index)
        panels = plot_over_time(table.reset_index())
        assert [p.get_title(loc="left") for p in panels] == names
        assert panels[0].lines[0].get_ydata().tolist() == pytest.approx([10, 30])
        band = panels[0].collections[0].get_paths()[0].vertices[:, 1]
        assert (band.min(), band.max()) == pytest.approx((5, 60))
        assert panels[0].get_ylabel() == panels[4].get_ylabel() == "probability (%)"
        assert [ax.get_visible() for ax in panels[0].figure.axes] == [True] * 5 + [False] * 3
        panels[0].figure.canvas.draw()
