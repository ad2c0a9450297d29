"""The report is one page, and results are written all together or not at all."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from helpers.analysis import Figure, html_report, write_together


def test_page_holds_text_tables_and_figures_and_loads_nothing():
    figure, ax = plt.subplots()
    ax.plot([0, 1])
    table = pd.DataFrame({"a<b": [1.5]}, index=["row & one"])
    page = html_report("A & B", {"Sec < 1": ["x < y", table, Figure(figure, "cap", 'alt "q"')]})
    plt.close(figure)
    soup = BeautifulSoup(page, "html.parser")
    assert soup.title.text == "A & B" and soup.h2.text == "Sec < 1" and soup.p.text == "x < y"
    assert soup.find("th", string="a<b") and soup.find("th", string="row & one")
    assert soup.img["alt"] == 'alt "q"' and soup.figcaption.text == "cap"
    assert soup.img["src"].startswith("data:image/png;base64,")
    assert not soup.find(["script", "link"])


def test_failure_leaves_old_files_and_no_new_ones(tmp_path):
    (tmp_path / "a.txt").write_text("old")

    def fail(path):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_together(tmp_path, {"a.txt": lambda p: p.write_text("new"), "b.txt": fail})
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_failure_leaves_no_new_folder(tmp_path):
    def fail(path):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_together(tmp_path / "new/deep", {"b.txt": fail})
    assert list(tmp_path.iterdir()) == []


def test_success_replaces_all(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    paths = write_together(
        tmp_path, {"a.txt": lambda p: p.write_text("new"), "b.txt": lambda p: p.write_text("b")}
    )
    assert [p.read_text() for p in paths] == ["new", "b"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "b.txt"]
