"""Single choices to counts: against pandas, on each form of a menu, and what is refused."""

import shutil

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers import count_choices

PRODUCTS = ["ale", "milk", "tea, black", "10 eggs"]
KEYS = ["shop", "day"]


def log(n=600, seed=1):
    """Choices in shops on days, whose shelves hold what they hold."""
    rng = np.random.default_rng(seed)
    shop, day = rng.integers(3, size=n), rng.integers(4, size=n)
    shelves = rng.random((3, 4, 4)) < 0.7
    shelves[:, :, :2] = True
    on = shelves[shop, day]
    chosen = [rng.choice(np.flatnonzero(row)) for row in on]
    frame = pd.DataFrame({"shop": [f"shop {s}" for s in shop], "day": 1 + day})
    return frame.assign(bought=[PRODUCTS[k] for k in chosen]), on


def with_lists(frame, on, rng=None):
    lists = [[PRODUCTS[k] for k in np.flatnonzero(row)] for row in on]
    if rng is not None:  # in any order, and some named twice
        lists = [[*rng.permutation(names), names[0]] for names in lists]
    return pa.Table.from_pandas(frame).append_column("shelf", pa.array(lists))


def with_flags(frame, on):
    return pa.Table.from_pandas(frame.assign(**{f"has_{k}": on[:, k] for k in range(4)}))


FLAGS = {name: f"has_{k}" for k, name in enumerate(PRODUCTS)}


def with_offers(frame, on):
    whole = frame[KEYS].assign(on=list(on)).drop_duplicates(KEYS)
    lines = [
        {"shop": row.shop, "day": row.day, "product": PRODUCTS[k]}
        for row in whole.itertuples()
        for k in np.flatnonzero(row.on)
    ]
    return pa.Table.from_pandas(pd.DataFrame(lines))


def by_hand(frame, on, by):
    """Counts by keys and menu, by pandas."""
    menu = ["".join("01"[int(x)] for x in row) for row in on]
    table = frame.assign(menu=menu).groupby([*by, "menu"])["bought"].value_counts().unstack()
    return table.reindex(columns=PRODUCTS).fillna(0).astype(int)


def same(counted, frame, on, by):
    expected = by_hand(frame, on, by)
    menus = np.array([[x == "1" for x in menu] for menu in expected.index.get_level_values("menu")])
    columns = [counted.cluster.astype(str)]
    if len(by) > 1:
        columns.append(np.asarray(counted.date))
    found = pd.DataFrame(counted.counts, columns=list(counted.categories))[PRODUCTS]
    order = [counted.categories.index(name) for name in PRODUCTS]
    text = ["".join("01"[int(x)] for x in row) for row in counted.available[:, order]]
    found.index = pd.MultiIndex.from_arrays([*columns, text], names=expected.index.names)
    pd.testing.assert_frame_equal(
        found.sort_index(), expected.sort_index(), check_names=False, check_index_type=False
    )
    assert len(menus) == len(counted.counts)


class TestCounts:
    @pytest.mark.parametrize("by", [["shop"], KEYS])
    def test_are_those_of_pandas_from_lists(self, by):
        frame, on = log()
        table = ibis.memtable(with_lists(frame, on, np.random.default_rng(2)))
        same(count_choices(table, choice="bought", menu="shelf", by=by), frame, on, by)

    def test_from_columns_of_true_and_false(self):
        frame, on = log()
        table = ibis.memtable(with_flags(frame, on))
        counted = count_choices(table, choice="bought", menu=FLAGS, by=KEYS)
        assert list(counted.categories) == PRODUCTS
        same(counted, frame, on, KEYS)

    @pytest.mark.parametrize("by", [["shop"], KEYS])
    def test_from_a_table_of_offers(self, by):
        frame, on = log()
        counted = count_choices(
            ibis.memtable(pa.Table.from_pandas(frame)), choice="bought", menu="product", by=by,
            offers=ibis.memtable(with_offers(frame, on)), on=KEYS,
        )  # fmt: skip
        same(counted, frame, on, by)

    def test_from_a_file_and_offers_in_another(self, tmp_path):
        frame, on = log()
        pq.write_table(pa.Table.from_pandas(frame), tmp_path / "log.parquet")
        pq.write_table(with_offers(frame, on), tmp_path / "offers.parquet")
        offers = tmp_path / "offers.parquet"
        for log_of in (tmp_path / "log.parquet", ibis.memtable(pa.Table.from_pandas(frame))):
            counted = count_choices(
                log_of, choice="bought", menu="product", by=KEYS, offers=offers, on=KEYS
            )
            same(counted, frame, on, KEYS)

    def test_from_files(self, tmp_path):
        frame, on = log()
        table = with_lists(frame, on)
        for i in range(3):
            pq.write_table(table[200 * i : 200 * (i + 1)], tmp_path / f"part_{i}.parquet")
        files = sorted(tmp_path.glob("*.parquet"))
        for source in (files, tmp_path / "*.parquet", str(tmp_path / "part_*.parquet")):
            same(count_choices(source, choice="bought", menu="shelf", by=KEYS), frame, on, KEYS)

    def test_do_not_depend_on_the_order_of_the_lines(self):
        frame, on = log()
        table = with_lists(frame, on)
        turned = table.take(np.random.default_rng(3).permutation(len(frame)))
        one, other = (
            count_choices(ibis.memtable(t), choice="bought", menu="shelf", by=KEYS).to_frame()
            for t in (table, turned)
        )
        pd.testing.assert_frame_equal(one, other)

    def test_further_columns_are_predictors(self):
        frame, on = log()
        frame["discount"] = (frame["day"] > 2).astype(float)
        table = ibis.memtable(with_lists(frame, on))
        counted = count_choices(table, choice="bought", menu="shelf", by=[*KEYS, "discount"])
        assert list(counted.predictors) == ["discount"]
        assert counted.n.sum() == len(frame)


class TestBadLines:
    def lines(self):
        frame, on = log(60)
        table = with_lists(frame, on).to_pylist()
        for line in table:
            line["shelf"] = list(line["shelf"])
        table[0]["bought"] = None
        table[1]["shop"] = None
        table[2]["shelf"] = []
        table[3]["shelf"] = None
        table[4]["bought"] = "hats"
        table[5]["shelf"].append("hats")
        table[6]["shelf"].remove(table[6]["bought"])
        return ibis.memtable(pa.Table.from_pylist(table))

    def test_are_counted_by_kind_with_examples(self):
        with pytest.raises(ValueError) as error:
            count_choices(self.lines(), choice="bought", menu="shelf", by=KEYS, categories=PRODUCTS)
        said = str(error.value)
        assert "Some of 60 choices" in said
        for words in (
            "1: the choice is missing ('no_choice')",
            "1: a column of `by` is missing ('no_key')",
            "2: there is no menu",
            "1: the choice is none of the categories ('unknown_choice'), such as choice hats",
            "1: the menu holds something that is none of the categories",
            "1: the choice was not on its menu ('off_menu'), such as choice",
        ):
            assert words in said

    def test_are_left_out_when_named_and_said(self):
        kinds = ["no_choice", "no_key", "no_menu", "unknown_choice", "unknown_offer", "off_menu"]
        with pytest.warns(UserWarning, match="Left out of 60 choices"):
            counted = count_choices(
                self.lines(), choice="bought", menu="shelf", by="shop", categories=PRODUCTS,
                accept=kinds,
            )  # fmt: skip
        assert counted.n.sum() == 53
        with pytest.raises(ValueError, match="off_menu"):
            count_choices(
                self.lines(), choice="bought", menu="shelf", by="shop", categories=PRODUCTS,
                accept=kinds[:-1],
            )  # fmt: skip

    def test_do_not_turn_whole_numbers_into_others(self):
        frame, on = log(60)
        lines = with_lists(frame, on).to_pylist()
        lines[0]["day"] = None
        table = ibis.memtable(pa.Table.from_pylist(lines))
        with pytest.warns(UserWarning, match="Left out"):
            counted = count_choices(table, choice="bought", menu="shelf", by="day", accept="no_key")
        assert list(counted.cluster.categories) == [1, 2, 3, 4]
        assert pd.api.types.is_integer_dtype(counted.cluster.categories)

    def test_without_an_offer_have_no_menu(self):
        frame, on = log()
        offers = with_offers(frame, on).filter(pa.compute.field("shop") != "shop 1")
        with pytest.raises(ValueError, match="no offer for these keys") as error:
            count_choices(
                ibis.memtable(pa.Table.from_pandas(frame)), choice="bought", menu="product",
                by="shop", offers=ibis.memtable(offers), on=KEYS,
            )  # fmt: skip
        assert f"{(frame['shop'] == 'shop 1').sum()}: there is no menu" in str(error.value)


class TestRefusals:
    def count(self, **options):
        frame, on = log(50)
        given = {"choice": "bought", "menu": "shelf", "by": "shop"} | options
        return count_choices(ibis.memtable(with_lists(frame, on)), **given)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"choice": "bougt"}, "bought"),
            ({"menu": "shelves"}, "shelves"),
            ({"menu": {"ale": "has_0"}}, "has_0"),
            ({"by": ["shop", "week"]}, "week"),
            ({"by": []}, "at least one column"),
            ({"accept": "anything"}, "off_menu"),
            ({"on": ["shop"]}, "together"),
        ],
    )
    def test_say_what_is_missing(self, options, said):
        with pytest.raises(ValueError, match=said):
            self.count(**options)

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no file"):
            count_choices(tmp_path / "none.parquet", choice="a", menu="b", by="c")

    def test_a_file_elsewhere_is_for_the_backend_to_find(self):
        class Elsewhere:
            def read_parquet(self, path):
                raise LookupError(path)

        with pytest.raises(LookupError, match=r"s3://till/log\.parquet"):
            count_choices(
                "s3://till/log.parquet", choice="a", menu="b", by="c", backend=Elsewhere()
            )


@pytest.mark.second_seed
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_same_expression_on_spark(tmp_path):
    sql = pytest.importorskip("pyspark.sql", reason="pip install 'not-on-the-menu[spark]'")
    frame, on = log()
    pq.write_table(with_lists(frame, on, np.random.default_rng(2)), tmp_path / "log.parquet")
    pq.write_table(with_offers(frame, on), tmp_path / "offers.parquet")
    pq.write_table(with_flags(frame, on), tmp_path / "flags.parquet")
    session = (
        sql.SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.warehouse.dir", str(tmp_path / "warehouse"))
        .getOrCreate()
    )
    spark = ibis.pyspark.connect(session)
    given = {"choice": "bought", "by": KEYS, "backend": spark}
    same(count_choices(tmp_path / "log.parquet", menu="shelf", **given), frame, on, KEYS)
    same(count_choices(tmp_path / "flags.parquet", menu=FLAGS, **given), frame, on, KEYS)
    offered = {"menu": "product", "offers": tmp_path / "offers.parquet", "on": KEYS}
    same(count_choices(tmp_path / "log.parquet", **offered, **given), frame, on, KEYS)
    session.stop()
