"""What differs by category and row: attributes and exposure, in every way of giving them."""

import numpy as np
import pandas as pd
import pytest

from helpers import CategoryCounts, read_counts, simulate_counts

CATEGORIES = ["oats", "flakes", "none"]


@pytest.fixture
def sales():
    return pd.DataFrame(
        {
            "shop": ["a", "a", "b", "b"],
            "oats": [5, np.nan, 4, 7],
            "flakes": [3, 6, 2, 9],
            "none": [1, 2, 3, 4],
            "price_oats": [2.0, np.nan, 2.5, 3.0],
            "price_flakes": [1.0, 1.5, 1.0, 2.0],
            "hours_oats": [8.0, 0.0, 4.0, 8.0],
        }
    )


def read(frame, **options):
    return CategoryCounts.from_wide(frame, CATEGORIES, cluster="shop", **options)


class TestAttributes:
    def test_by_prefix_and_by_mapping_are_the_same(self, sales):
        columns = {"oats": "price_oats", "flakes": "price_flakes"}
        for given in (["price"], {"price": columns}):
            price = read(sales, attributes=given).attributes["price"]
            np.testing.assert_array_equal(price[:, :2], sales[list(columns.values())])
            assert np.isnan(price[:, 2]).all()

    def test_of_a_long_table(self, sales):
        lines = [
            {"day": i, "dish": dish, "n": row[dish], "price": row.get(f"price_{dish}", 0.0)}
            for i, row in sales.iterrows()
            for dish in CATEGORIES
            if not np.isnan(row[dish])
        ]
        long = CategoryCounts.from_long(
            pd.DataFrame(lines), row="day", category="dish", count="n", attributes=["price"]
        )
        wide = read(sales, attributes=["price"]).attributes["price"]
        np.testing.assert_array_equal(long.attributes["price"][:, :2], wide[:, :2])
        assert not long.available[1, 0]

    def test_come_back_from_a_frame(self, sales):
        data = read(sales, attributes=["price"], exposure={"oats": "hours_oats"})
        again = read(
            data.to_frame(),
            attributes=["price"],
            exposure={dish: f"exposure_{dish}" for dish in CATEGORIES},
        )
        np.testing.assert_array_equal(again.attributes["price"], data.attributes["price"])
        np.testing.assert_array_equal(again.exposure, data.exposure)

    def test_come_from_a_file(self, sales, tmp_path):
        path = tmp_path / "sales.csv"
        sales.to_csv(path, index=False, sep=";", decimal=",")
        options = {"cluster": "shop", "attributes": ["price"], "exposure": {"oats": "hours_oats"}}
        data = read_counts(path, CATEGORIES, **options)
        np.testing.assert_array_equal(
            data.attributes["price"], read(sales, attributes=["price"]).attributes["price"]
        )
        assert data.exposure[:, 0].tolist() == [8, 0, 4, 8]

    def test_rows_are_added_up_only_if_they_are_the_same(self, sales):
        twice = pd.concat([sales, sales], ignore_index=True)
        collapsed = read(twice, attributes=["price"]).collapse()
        assert len(collapsed) == 4 and collapsed.counts[0].tolist() == [10, 6, 2]
        twice.loc[4, "price_oats"] += 1
        assert len(read(twice, attributes=["price"]).collapse()) == 5

    @pytest.mark.parametrize(
        ("change", "options", "message"),
        [
            ({}, {"attributes": ["prize"]}, "prize.*needs columns such as 'prize_oats'"),
            ({}, {"attributes": "price"}, "must be a list"),
            ({}, {"attributes": {"price": "price_oats"}}, "mapping category -> column"),
            ({}, {"attributes": {"price": {"oat": "price_oats"}}}, "did you mean 'oats'"),
            ({}, {"attributes": {"price": {"oats": "prize_oats"}}}, "did you mean 'price_oats'"),
            ({"price_none": np.nan}, {"attributes": ["price"]}, "price_none.*empty"),
            ({"price_nune": 1.0}, {"attributes": ["price"]}, "There are price_nune"),
            (
                {"price_flakes": [1, np.nan, 1, 1]},
                {"attributes": ["price"]},
                r"missing.*row\(s\) 1",
            ),
            (
                {"price_flakes": [1, np.inf, 1, 1]},
                {"attributes": ["price"]},
                r"infinite.*row\(s\) 1",
            ),
            ({"price_flakes": "cheap"}, {"attributes": ["price"]}, "not numbers"),
            ({}, {"exposure": "hours_oats"}, "mapping category -> column"),
            ({"hours_oats": -1.0}, {"exposure": {"oats": "hours_oats"}}, r"below 0.*row\(s\) 0"),
            ({"hours_oats": np.inf}, {"exposure": {"oats": "hours_oats"}}, "infinite"),
            ({"hours_oats": [8, 0, np.nan, 8]}, {"exposure": {"oats": "hours_oats"}}, "missing.*2"),
            ({"hours_oats": [8, 0, 0, 8]}, {"exposure": {"oats": "hours_oats"}}, "Positive counts"),
            (
                {"oats": 0, "stands": True},
                {"exposure": {"oats": "hours_oats"}, "available": {"oats": "stands"}},
                "0, which is off the menu",
            ),
        ],
    )
    def test_that_make_no_sense_are_refused(self, sales, change, options, message):
        with pytest.raises(ValueError, match=message):
            read(sales.assign(**change), **options)

    def test_must_fit_the_counts(self):
        parts = [[3, 4], [1, 2]], [[True] * 2] * 2, ["tea", "milk"]
        for name in ("attributes", "exposure"):
            values = [[1.0, 2.0]]
            given = {"price": values} if name == "attributes" else values
            with pytest.raises(ValueError, match="counts' shape"):
                CategoryCounts(*parts, **{name: given})
        with pytest.raises(ValueError, match="missing everywhere"):
            CategoryCounts(*parts, attributes={"price": np.full((2, 2), np.nan)})
        with pytest.raises(ValueError, match="names both"):
            CategoryCounts(*parts, attributes={"tea": np.ones((2, 2))})


class TestExposure:
    def test_of_none_is_off_the_menu(self, sales):
        sales = sales.assign(oats=[5, 0, 4, 7])
        data = read(sales, exposure={"oats": "hours_oats"})
        assert data.available[:, 0].tolist() == [True, False, True, True]
        assert data.exposure[:, 0].tolist() == [8, 0, 4, 8] and (data.exposure[:, 1:] == 1).all()

    def test_of_a_long_table(self):
        lines = pd.DataFrame(
            {"day": [1, 1, 2, 2], "dish": ["a", "b"] * 2, "n": [3, 4, 0, 5], "h": [1, 2, 0, 2]}
        )
        data = CategoryCounts.from_long(lines, row="day", category="dish", count="n", exposure="h")
        assert data.exposure.tolist() == [[1, 2], [0, 2]] and not data.available[1, 0]


class TestSimulated:
    def test_leave_the_rest_as_it_was(self):
        plain, with_price = (
            simulate_counts(random_seed=3, **given)[0]
            for given in ({}, {"attribute_slope": {"price": -1.0}, "exposure": (0.5, 2.0)})
        )
        np.testing.assert_array_equal(plain.available, with_price.available)
        np.testing.assert_array_equal(plain.predictors, with_price.predictors)
        np.testing.assert_array_equal(plain.n, with_price.n)
        assert (plain.counts != with_price.counts).any()

    def test_are_in_the_shares(self):
        given = {"attribute_slope": {"price": -1.0, "time": 0.5}, "attribute_sd": {"time": 0.3}}
        data, truth = simulate_counts(
            30,
            20,
            3,
            unavailable=(0,) * 3,
            effects="pooled",
            exposure=(0.5, 2.0),
            random_seed=1,
            **given,
        )
        slopes = truth["attribute_slopes"].to_numpy()[data.cluster.codes]
        z = np.stack(list(data.attributes.values()), axis=-1)
        weight = data.exposure * np.exp(np.einsum("rkq,rq->rk", z, slopes))
        level = np.append(np.exp(truth["intercept"].to_numpy()[0]), 1.0)
        share = weight * level / (weight * level).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(truth["share"], share)
        assert truth["attribute_slopes"].sel(attribute="price").std() == 0
        assert 0.2 < truth["attribute_slopes"].sel(attribute="time").std() < 0.4

    def test_refuse_what_makes_no_sense(self):
        with pytest.raises(ValueError, match="attribute 'tiem'"):
            simulate_counts(attribute_slope={"time": 1.0}, attribute_sd={"tiem": 0.3})
        with pytest.raises(ValueError, match="two positive numbers"):
            simulate_counts(exposure=(0.0, 1.0))
