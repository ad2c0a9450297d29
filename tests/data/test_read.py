"""Files of counts: each kind comes back, and what cannot be read is refused by name."""

import numpy as np
import pytest

from helpers import read_counts, simulate_counts


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet", ".pq", ".CSV"])
def test_files_come_back(tmp_path, suffix):
    data, _ = simulate_counts(n_clusters=3, n_dates=2, n_range=(5, 9), random_seed=1)
    frame, path = data.to_frame().reset_index(drop=True), tmp_path / f"counts{suffix}"
    to_file = frame.to_csv if "csv" in suffix.lower() else frame.to_parquet
    to_file(path, index=False)
    again = read_counts(
        path, list(data.categories), cluster="district", date="date", predictors=["x"]
    )
    np.testing.assert_array_equal(again.counts, data.counts)
    np.testing.assert_array_equal(again.available, data.available)
    assert again.date.equals(data.date)
    assert list(again.cluster) == list(data.cluster)
    np.testing.assert_allclose(again.predictors["x"], data.predictors["x"], rtol=1e-15)


def test_categories_of_a_file_are_the_columns_called_n(tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text("n_left,place,n_right\n3,x,4\n5,y,\n7,z,8\n")
    with pytest.warns(UserWarning, match="one category"):
        data = read_counts(path, cluster="place")
    assert data.categories == ("n_left", "n_right")
    assert data.available[:, 1].tolist() == [True, False, True]


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.csv"):
        read_counts(tmp_path / "none.csv")
    for name, content, message in [
        ("table.xlsx", b"PK", r"'table.xlsx' is not known.*\.csv"),
        ("empty.csv", b"", "empty.csv cannot be read as CSV"),
        ("header.csv", b"n_a,n_b\n", "no rows"),
        ("latin.csv", b"n_a,n_b\n\xff\xfe,1\n", "latin.csv cannot be read as CSV"),
        ("ragged.csv", b"n_a,n_b\n1,2\n1,2,3,4\n", "ragged.csv cannot be read as CSV"),
        ("broken.parquet", b"nothing of the kind", "broken.parquet cannot be read as Parquet"),
        ("unnamed.csv", b"a;b\n1;2\n", r"No column is named n_\*.*a;b"),
    ]:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_counts(path)
