"""Files of counts: what can be read is read by the roles of its columns, the rest is refused."""

import gzip
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import CategoryCounts, read_counts, simulate_counts


@pytest.fixture
def write(tmp_path):
    def write(text, name="table.csv", encoding="utf-8"):
        path = tmp_path / name
        content = text.encode(encoding)
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet", ".pq", ".CSV", ".xlsx"])
def test_files_come_back(tmp_path, suffix):
    data, _ = simulate_counts(n_clusters=3, n_dates=2, n_range=(5, 9), random_seed=1)
    frame, path = data.to_frame().reset_index(drop=True), tmp_path / f"counts{suffix}"
    to_file = {".csv": frame.to_csv, ".xls": frame.to_excel}.get(suffix[:4].lower())
    (to_file or frame.to_parquet)(path, index=False)
    again = read_counts(
        path, list(data.categories), cluster="district", date="date", predictors=["x"]
    )
    np.testing.assert_array_equal(again.counts, data.counts)
    np.testing.assert_array_equal(again.available, data.available)
    assert again.date.equals(data.date)
    assert list(again.cluster) == list(data.cluster)
    np.testing.assert_allclose(again.predictors["x"], data.predictors["x"], rtol=1e-14)


@pytest.mark.parametrize(
    ("separator", "encoding", "end", "name"),
    [
        (",", "utf-8", "\n", "table.csv"),
        (";", "utf-8-sig", "\r\n", "table.csv"),
        ("\t", "latin-1", "\n", "table.tsv"),
        ("|", "utf-16", "\r\n", "table.txt"),
        (";", "utf-16-be with a mark", "\n", "table.csv"),
        (",", "latin-1", "\r\n", "table.csv.gz"),
        ("\t", "utf-16", "\n", "table.txt.gz"),
    ],
)
def test_separators_and_encodings(write, separator, encoding, end, name):
    lines = [["région", "n_été", "n_b"], ["Évreux", "3", "4"], ['"a, b; c"', "", "6"]]
    text = "".join(separator.join(line) + end for line in lines)
    if encoding.endswith("mark"):
        text, encoding = "\ufeff" + text, "utf-16-be"
    path = write(text, name, encoding)
    with pytest.warns(UserWarning, match="one category"):
        data = read_counts(path, cluster="région")
    assert data.categories == ("n_été", "n_b")
    assert list(data.cluster) == ["Évreux", "a, b; c"]
    assert data.counts.tolist() == [[3, 4], [0, 6]]
    assert data.available.tolist() == [[True, True], [False, True]]


def test_other_encodings_are_asked_for(write):
    path = write("place;n_€;n_b\n“x”;1;2\ny;3;4\n", encoding="cp1252")
    with pytest.raises(ValueError, match='neither UTF-8 nor Latin-1.*encoding="cp1252"'):
        read_counts(path)
    assert read_counts(path, encoding="cp1252").categories == ("n_€", "n_b")
    with pytest.raises(ValueError, match="cannot be read with the encoding 'utf-8'"):
        read_counts(path, encoding="utf-8")


class TestLabels:
    def test_codes_stay_codes_and_come_in_natural_order(self, write):
        rows = "".join(f"{c},3,4\n" for c in ["10", "1", "01", "2", "10E1", "NA", "1"])
        data = read_counts(write("ward,n_a,n_b\n" + rows), cluster="ward")
        assert list(data.cluster) == ["10", "1", "01", "2", "10E1", "NA", "1"]
        assert list(data.cluster.categories) == ["1", "01", "2", "10", "10E1", "NA"]

    def test_missing_counts_are_off_the_menu_and_missing_labels_refused(self, write):
        path = write("place,n_a,n_b,n_c\nx,1,NA,3\nNA,2,,4\nnull,3,5,n/a\n")
        data = read_counts(path, cluster="place")
        assert data.available.tolist() == [[1, 0, 1], [1, 0, 1], [1, 1, 0]]
        with pytest.raises(ValueError, match=r"cluster is missing in row\(s\) 1"):
            read_counts(write("place,n_a,n_b\nx,1,2\n,3,4\n"), cluster="place")

    def test_spreadsheets_keep_codes_and_numbers(self, tmp_path):
        path = tmp_path / "t.xlsx"
        frame = pd.DataFrame(
            {"code": ["01", "1", "NA"], "shop": [10, 2, 1], "n_a": [33_000, 7, None]}
        )
        with pd.ExcelWriter(path) as book:
            frame.assign(n_b=[4, 5, 6], heat=[1.234, 2.345, 3.456]).to_excel(book, index=False)
            frame.assign(n_b=[7, 8, 9]).to_excel(book, sheet_name="second", index=False)
        with pytest.warns(UserWarning, match="one category"):
            data = read_counts(path, cluster="code", predictors=["heat"])
        assert list(data.cluster) == ["01", "1", "NA"]
        assert data.counts[:, 0].tolist() == [33_000, 7, 0]
        assert data.predictors["heat"].tolist() == [1.234, 2.345, 3.456]
        with pytest.warns(UserWarning, match="one category"):
            second = read_counts(path, cluster="shop", sheet="second")
        assert list(second.cluster.categories) == ["1", "2", "10"]
        assert second.counts[:, 1].tolist() == [7, 8, 9]

    def test_a_parquet_file_keeps_its_types(self, tmp_path):
        path = tmp_path / "t.parquet"
        pd.DataFrame({"ward": [10, 2], "n_a": [1, 2], "n_b": [3, 4]}).to_parquet(path)
        assert list(read_counts(path, cluster="ward").cluster.categories) == [2, 10]

    def test_signs_and_markup_are_letters(self, write):
        path = write('p,"$0-$5",<b>R&D</b> [€],"x_1^2 {%}"\n$a$,1,2,3\n\\b_c,4,5,6\n')
        data = read_counts(path, ["$0-$5", "<b>R&D</b> [€]", "x_1^2 {%}"], cluster="p")
        assert data.categories == ("$0-$5", "<b>R&D</b> [€]", "x_1^2 {%}")
        assert list(data.cluster) == ["$a$", "\\b_c"]

    def test_a_frame_keeps_its_types(self):
        frame = pd.DataFrame({"c": [10, 2], "d": ["10", "2"], "a": [1, 2], "b": [3, 4]})
        assert list(CategoryCounts.from_wide(frame, ["a", "b"], cluster="c").cluster) == [10, 2]
        text = CategoryCounts.from_wide(frame, ["a", "b"], cluster="d").cluster
        assert list(text.categories) == ["2", "10"]


@pytest.mark.slow
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    labels=st.lists(st.text("01E+-.,;|$'\"é aN", min_size=1, max_size=6), min_size=2, max_size=6),
    separator=st.sampled_from([",", ";", "\t"]),
)
def test_any_label_comes_back_as_it_was(tmp_path_factory, labels, separator):
    path = tmp_path_factory.mktemp("labels") / "table.csv"
    frame = pd.DataFrame({"place": labels, "n_a": 3, "n_b": 4})
    frame.to_csv(path, index=False, sep=separator)
    assert list(read_counts(path, cluster="place").cluster) == labels


class TestNumbers:
    @pytest.mark.parametrize(
        ("mark", "cells"),
        [
            (".", ["6.518", "7.000", "950", "1.234.567"]),
            (",", ["6,518", "7,000", "950", "1,234,567"]),
            (" ", ["6 518", "7 000", "950", "1 234 567"]),
            (" ", ["6\u202f518", "7\u00a0000", "950", "1 234 567"]),
            ("'", ["6'518", "7\u2019000", "950", "1'234'567"]),
        ],
    )
    def test_marks_between_thousands_are_refused_and_read_when_asked(self, write, mark, cells):
        path = write("n_a;n_b\n" + "".join(f"{c};{c}\n" for c in cells))
        with pytest.raises(ValueError, match=r"n_a, n_b.*thousands.*thousands="):
            read_counts(path)
        data = read_counts(path, thousands=mark)
        assert data.counts[:, 1].tolist() == [6518, 7000, 950, 1234567]

    def test_rounded_thousands_do_not_pass_for_small_counts(self, write):
        path = write("n_a,n_b\n7.000,19.000\n6.000,18.000\n")
        with pytest.raises(ValueError, match="such as 7.000"):
            read_counts(path)
        assert read_counts(path, accept="thousands").counts.tolist() == [[7, 19], [6, 18]]
        assert read_counts(path, decimal=".").counts.tolist() == [[7, 19], [6, 18]]

    @pytest.mark.parametrize("cells", [["7.0", "12.0"], ["7.00", "0.00"], ["0.000", "7.000"]])
    def test_whole_numbers_with_decimals_are_counts(self, write, cells):
        path = write("n_a,n_b\n" + "".join(f"{c},3\n" for c in cells))
        assert read_counts(path).counts[:, 0].tolist() == [int(float(c)) for c in cells]

    def test_groups_that_are_not_of_three_are_refused(self, write):
        path = write("n_a;n_b\n7.5;3\n1.234;4\n")
        with pytest.raises(ValueError, match=r"'n_a' has cells.*groups of three in row\(s\) 0"):
            read_counts(path, thousands=".")

    def test_decimal_commas_of_predictors(self, write):
        path = write("heat;cold;n_a;n_b\n7,5;0,123;3;4\n-12,25;1,250;5;6\n")
        data = read_counts(path, predictors=["heat", "cold"])
        assert data.predictors.to_numpy().tolist() == [[7.5, 0.123], [-12.25, 1.25]]
        path = write("heat;n_a;n_b\n1,500;3;4\n2,250;5;6\n")
        with pytest.raises(ValueError, match="'heat' has commas before three digits.*decimal"):
            read_counts(path, predictors=["heat"])
        data = read_counts(path, predictors=["heat"], decimal=",")
        assert data.predictors["heat"].tolist() == [1.5, 2.25]
        data = read_counts(path, predictors=["heat"], thousands=",")
        assert data.predictors["heat"].tolist() == [1500, 2250]

    def test_both_marks(self, write):
        path = write("pop;n_a;n_b\n1.234,5;3.000;4\n12,5;5;6\n")
        data = read_counts(path, predictors=["pop"], thousands=".", decimal=",")
        assert data.predictors["pop"].tolist() == [1234.5, 12.5]
        with pytest.raises(ValueError, match=r"points beside decimal commas in row\(s\) 0"):
            read_counts(path, predictors=["pop"], decimal=",")
        with pytest.raises(ValueError, match="cannot both"):
            read_counts(path, thousands=",", decimal=",")
        with pytest.raises(ValueError, match="thousands must be one of"):
            read_counts(path, thousands="_")

    def test_availability_may_be_words_or_numbers(self, write):
        path = write("n_a,n_b,on,also\n1,2,TRUE,1\n3,0,false,0\n")
        for column in ("on", "also"):
            with pytest.warns(UserWarning, match="one category"):
                data = read_counts(path, available={"n_b": column})
            assert data.available[:, 1].tolist() == [True, False]
        with pytest.raises(ValueError, match="mapping category -> column"):
            read_counts(path, available="on")


def test_long_files(write):
    path = write("day,dish,sold,on\n01,soup,3,1\n01,2,4,1\n1,2,6,1\n1,soup,0,1\n")
    data = read_counts(path, row="day", category="dish", count="sold", available="on")
    assert data.rows.tolist() == ["01", "1"]
    assert data.categories == ("soup", "2")
    assert data.counts.tolist() == [[3, 4], [0, 6]]
    with pytest.raises(ValueError, match="all of `row`, `category` and `count`"):
        read_counts(path, row="day", category="dish")
    with pytest.raises(ValueError, match="no `categories`"):
        read_counts(path, ["soup", "2"], row="day", category="dish", count="sold")


def test_categories_of_a_file_are_the_columns_called_n(write):
    path = write("n_left,place,n_right\n3,x,4\n5,y,\n7,z,8\n", "votes.csv")
    with pytest.warns(UserWarning, match="one category"):
        data = read_counts(path, cluster="place")
    assert data.categories == ("n_left", "n_right")
    assert data.available[:, 1].tolist() == [True, False, True]


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.csv"):
        read_counts(tmp_path / "none.csv")
    for name, content, message in [
        ("table.doc", b"PK", r"'table.doc' is not known.*\.csv"),
        ("table.xlsx", b"PK", "table.xlsx cannot be read as a spreadsheet"),
        ("empty.csv", b"", "empty.csv cannot be read: it has no header"),
        ("header.csv", b"n_a,n_b\n", "no rows"),
        (
            "ragged.csv",
            b"n_a,n_b\n1,2\n1,2,3,4\n",
            "ragged.csv cannot be read as CSV: line 1 has 2 .*another has 4",
        ),
        (
            "short.csv",
            b"k,n_a,n_b\nx,1,2\ny,3\n",
            "short.csv cannot be read as CSV: line 3 has 2 .*has 3",
        ),
        ("open.csv", b'k,n_a,n_b\nx,1,2\ny,"3,4\n', "open.csv reads as one column.*quotation mark"),
        ("note.csv", b"# from our shop\nn_a,n_b\n1,2\n3,4\n", "note.csv cannot be read as CSV"),
        ("broken.csv.gz", b"n_a,n_b\n1,2\n", "broken.csv.gz cannot be read"),
        ("broken.parquet", b"nothing of the kind", "broken.parquet cannot be read as Parquet"),
        ("unnamed.csv", b"a;b\n1;2\n", r"No column is named n_\*.*a, b"),
        ("twice.csv", b"n_a,n_b,n_a\n1,2,3\n", r"twice.csv has the column\(s\) n_a more than once"),
        ("words.csv", b"n_a,n_b\nx,2\ny,3\n", "'n_a'.*names in place of counts"),
    ]:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_counts(path)


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("nader_2004", {"categories": ["bush", "kerry", "nader"], "cluster": "state"}),
        ("simulated_districts", {"cluster": "district", "date": "date", "predictors": ["x"]}),
        ("spain_elections", {"cluster": "province", "date": "date"}),
        ("spain_elections_alternative", {"cluster": "province", "date": "date"}),
    ],
)
def test_the_tables_of_this_book_are_ordinary(name, roles):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_counts(f"data/{name}.csv", **roles).suspicions == ()
