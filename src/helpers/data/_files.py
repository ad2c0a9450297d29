"""Files as tables of text, so that what a cell means is decided by its column's role."""

import gzip
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

import duckdb
import fastexcel
import pandas as pd

from helpers.data.messages import listing

_DELIMITERS = (",", ";", "\t", "|")
_TEXT = (".csv", ".tsv", ".txt")
_EXCEL = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_PARQUET = (".parquet", ".pq")
_KINDS = ".csv, .tsv or .txt (also with .gz), .xlsx, .xls or .ods, .parquet or .pq"


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of a file: text (None if empty), and the columns whose types the file knows."""

    text: pd.DataFrame
    typed: dict[str, pd.Series] = field(default_factory=dict)


def read_cells(path: Path, sheet: str | int = 0, encoding: str | None = None) -> Cells:
    """Read a file by the end of its name; a repeated header is refused."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}: check the path.")
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(_TEXT):
        return Cells(_delimited(path, encoding))
    if name.endswith(_EXCEL):
        return _spreadsheet(path, sheet)
    if name.endswith(_PARQUET):
        try:
            frame = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path.name} cannot be read as Parquet: {error}") from None
        return Cells(frame, {str(column): frame[column] for column in frame})
    raise ValueError(f"The kind of {path.name!r} is not known: give a file that ends in {_KINDS}.")


def _delimited(path: Path, encoding: str | None) -> pd.DataFrame:
    """Read text with separators, as DuckDB's sniffer finds them."""
    try:
        if encoding is None:
            with _opened(path) as file:
                start = file.read(2)
            encoding = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else None
        if encoding is None:
            return _under_header(_in_utf8_or_latin1(path), path)
        # DuckDB knows few encodings, and of UTF-16 one order of the bytes.
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "copy.csv"
            with _opened(path) as file:
                copy.write_text(file.read().decode(encoding), encoding="utf-8", newline="")
            return _under_header(_rows(copy, "utf-8", path.name), path)
    except (UnicodeError, LookupError) as error:
        raise ValueError(
            f"{path.name} cannot be read with the encoding {encoding!r} ({error}): give another "
            "with `encoding`, or save the file as UTF-8."
        ) from None
    except (duckdb.Error, OSError, EOFError) as error:
        raise ValueError(f"{path.name} cannot be read as CSV: {_in_words(error)}") from None


def _in_utf8_or_latin1(path: Path) -> pd.DataFrame:
    try:
        return _rows(path, "utf-8", path.name)
    except duckdb.Error as error:
        if "utf-8" not in str(error):
            raise
    try:
        return _rows(path, "latin-1", path.name)
    except duckdb.Error as error:
        if "latin-1" not in str(error):
            raise
    raise ValueError(
        f"{path.name} cannot be read as CSV: its letters are in neither UTF-8 nor Latin-1. Save "
        'it as UTF-8, or name its encoding with `encoding`. encoding="cp1252" is that of Windows '
        "in Western Europe and the Americas."
    )


def _opened(path: Path) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def _rows(path: Path, encoding: str, name: str) -> pd.DataFrame:
    """Return all rows of a file, the header among them, as text."""
    given = {"path": _escaped(path), "encoding": encoding}
    common = "$path, encoding = $encoding, all_varchar = true"
    with duckdb.connect() as database:

        def sniffed(options: str) -> tuple[str, int, int]:
            try:
                found = database.execute(
                    "SELECT Delimiter, SkipRows, len(Columns) FROM sniff_csv("
                    f"{common}, {options}, quote = '\"', sample_size = -1)",
                    given,
                ).fetchone()
            except duckdb.InvalidInputException as error:
                if "dialect" not in str(error):
                    raise
                return "", 1, 0
            assert found is not None
            return found

        delimiter, skipped, n_columns = sniffed("null_padding = false")
        if skipped or n_columns == 1:
            # The header must go with the rest; else ragged rows are to blame, and reading says so.
            each = [sniffed(f"delim = '{mark}'") for mark in _DELIMITERS]
            whole = [found for found in each if not found[1] and found[2] > 1]
            lenient = "null_padding = true, ignore_errors = true"
            found = max(whole, key=itemgetter(2)) if whole else sniffed(lenient)
            delimiter, skipped, n_columns = found
        if skipped:
            raise ValueError(
                f"{name} cannot be read as CSV: its first {skipped} line(s) do not go with "
                "the rest. Delete what stands above the header, and see that each line has as "
                "many cells as the header."
            )
        columns = {f"c{k}": "VARCHAR" for k in range(n_columns)}
        return database.execute(
            f"FROM read_csv({common}, delim = $delimiter, quote = '\"', escape = '\"', "
            "header = false, skip = 0, auto_detect = false, columns = $columns)",
            given | {"delimiter": delimiter, "columns": columns},
        ).df()


def _escaped(path: Path) -> str:
    """Return the path, with what DuckDB would take for a pattern in brackets."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in str(path))


def _in_words(error: Exception) -> str:
    """Say which line is ragged, if that is what DuckDB complains of."""
    text = " ".join(str(error).split())
    found = re.search(r"Line: (\d+) .*Expected Number of Columns: (\d+) Found: (\d+)", text)
    if not found:
        return _first_lines(error)
    line, expected, cells = found.groups()
    return (
        f"line {line} has {cells} cell(s), another has {expected}. If one is a title or a note "
        "above or below the table, delete it; if a cell holds the separator, put the cell in "
        "quotation marks."
    )


def _first_lines(error: Exception, limit: int = 3) -> str:
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines[:limit] if line)


def _spreadsheet(path: Path, sheet: str | int) -> Cells:
    """Read a sheet; numbers are numbers there, so that marks cannot be misread."""
    try:
        book = fastexcel.read_excel(path)
        text = book.load_sheet(sheet, header_row=None, dtypes="string").to_pandas()
        body = book.load_sheet(sheet, header_row=None, skip_rows=1).to_pandas()
    except fastexcel.FastExcelError as error:
        raise ValueError(
            f"{path.name} cannot be read as a spreadsheet: {_first_lines(error, 1)}"
        ) from None
    frame = _under_header(text, path)
    typed = {}
    if body.shape[1] == text.shape[1] and len(body) == len(text) - 1:
        for k, name in enumerate(_names(text.iloc[0] if len(text) else [])):
            if name in frame and pd.api.types.is_numeric_dtype(body.iloc[:, k]):
                typed[name] = body.iloc[: len(frame), k]
    return Cells(frame, typed)


def _names(header: Sequence[Any] | pd.Series) -> list[str]:
    """Names of the columns: a column without one is called by its number."""
    return [
        f"column {k + 1}" if pd.isna(name) or not str(name).strip() else str(name).strip()
        for k, name in enumerate(header)
    ]


def _under_header(rows: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Take the first row for the header; a name that occurs twice is refused."""
    rows = rows.astype(object).where(rows.notna(), None)
    if rows.empty or rows.iloc[0].isna().all():
        raise ValueError(f"{path.name} cannot be read: it has no header in its first line.")
    names = _names(rows.iloc[0])
    body = rows.iloc[1:].set_axis(names, axis=1).reset_index(drop=True)
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ValueError(
            f"{path.name} has the column(s) {listing(twice)} more than once: which one is meant "
            "cannot be told. Rename or delete all but one."
        )
    if len(names) == 1 and any(mark in names[0] for mark in _DELIMITERS):
        raise ValueError(
            f"{path.name} reads as one column, {names[0]!r}: a quotation mark may be open. Find a "
            "cell that begins or ends with one, and close or delete it."
        )
    nameless = rows.iloc[0].isna().to_numpy() & body.isna().all().to_numpy()
    body = body.loc[:, ~nameless]
    empty = body.isna().all(axis=1).to_numpy()
    filled = (~empty).nonzero()[0]
    # Spreadsheets often end in empty rows; an empty row in between may mean something.
    return body.iloc[: filled[-1] + 1 if len(filled) else 0]
