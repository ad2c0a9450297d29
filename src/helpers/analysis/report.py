"""A report as one HTML file, and results that are written all together or not at all."""

import base64
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import jinja2
import matplotlib.figure
import pandas as pd

from helpers.diagnostics.convergence import ConvergenceError

__all__ = ["Figure", "Stop", "html_report", "stop_on_error", "write_together"]


class Stop(Exception):
    """Ends a notebook with a message, instead of a long traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@contextmanager
def stop_on_error(message: str) -> Iterator[None]:
    """
    End a notebook where the data, the choices or the draws are at fault.

    Errors of other kinds, which are faults of the program, pass as they are.

    Parameters
    ----------
    message : str
        What cannot be done; the error's own message follows.

    Raises
    ------
    Stop
        Instead of a :class:`ValueError`, :class:`FileNotFoundError` or
        :class:`~helpers.ConvergenceError`.

    Examples
    --------
    >>> from helpers import read_counts
    >>> from helpers.analysis import stop_on_error
    >>> with stop_on_error("Nothing to analyse."):
    ...     read_counts("no.csv")
    Traceback (most recent call last):
        ...
    helpers.analysis.report.Stop: Nothing to analyse. There is no file 'no.csv': check the path.
    """
    try:
        yield
    except (ValueError, FileNotFoundError, ConvergenceError) as error:
        raise Stop(f"{message} {error}") from None


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure of a report: a matplotlib figure, its caption and its alternative text."""

    figure: matplotlib.figure.Figure
    caption: str
    alt: str


_TEMPLATE = jinja2.Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 1rem/1.55 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; }
  body { padding: 0 1rem; }
  h1, h2 { line-height: 1.2; }
  figure { margin: 1.5rem 0; }
  img { max-width: 100%; height: auto; background: white; border-radius: .4rem; }
  figcaption { font-style: italic; opacity: .85; }
  .table { overflow-x: auto; }
  table { border-collapse: collapse; font-size: .9rem; }
  th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #8884; }
  th { font-weight: 600; }
  pre { overflow-x: auto; font-size: .85rem; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
{% for heading, parts in sections %}
<h2>{{ heading }}</h2>
{% for part in parts %}{{ part }}
{% endfor %}{% endfor %}
</body>
</html>
"""
)


def html_report(title: str, sections: Mapping[str, Sequence[Any]]) -> str:
    """
    Put text, tables and figures into one HTML page that needs no other file.

    Parameters
    ----------
    title : str
        Title of the page.
    sections : mapping of str to list
        Heading -> parts: text (a paragraph each), tables (:class:`pandas.DataFrame`) and figures
        (:class:`Figure`).

    Returns
    -------
    str
        The page.

    Examples
    --------
    >>> from helpers.analysis import html_report
    >>> page = html_report("Votes & menus", {"Result": ["All is well."]})
    >>> "<h1>Votes &amp; menus</h1>" in page
    True
    """
    rendered = [(escape(h), [_render(p) for p in parts]) for h, parts in sections.items()]
    return _TEMPLATE.render(title=escape(title), sections=rendered)


def _render(part: Any) -> str:
    if isinstance(part, pd.DataFrame):
        return f'<div class="table">{part.to_html(border=0, na_rep="–")}</div>'
    if isinstance(part, Figure):
        buffer = io.BytesIO()
        part.figure.savefig(buffer, format="png", dpi=130, bbox_inches="tight")
        image = base64.b64encode(buffer.getvalue()).decode()
        return (
            f'<figure><img alt="{escape(part.alt)}" src="data:image/png;base64,{image}">'
            f"<figcaption>{escape(part.caption)}</figcaption></figure>"
        )
    return f"<p>{escape(str(part))}</p>"


def write_together(
    output_dir: str | Path, writers: Mapping[str, Callable[[Path], Any]]
) -> list[Path]:
    """
    Write several files, all of them or none.

    Each is written beside its target first; they are renamed only once all are written, so that a
    failure neither leaves half a result nor destroys an old file.

    Parameters
    ----------
    output_dir : str or pathlib.Path
        Folder of the files, created if it does not exist.
    writers : mapping of str to callable
        File name -> function that is called with a path and writes there.

    Returns
    -------
    list of pathlib.Path
        The files.

    Examples
    --------
    >>> import tempfile
    >>> from helpers.analysis import write_together
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = write_together(folder, {"a.txt": lambda path: path.write_text("a")})
    ...     [path.name for path in paths]
    ['a.txt']
    """
    output_dir = Path(output_dir)
    made = [p for p in (output_dir, *output_dir.parents) if not p.exists()]
    output_dir.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=output_dir, prefix=".draft-") as draft:
            drafts = {name: Path(draft) / name for name in writers}
            for name, write in writers.items():
                write(drafts[name])
            for name, path in drafts.items():
                if path.is_dir() and (output_dir / name).is_dir():
                    shutil.rmtree(output_dir / name)
                os.replace(path, output_dir / name)
    except BaseException:
        for folder in made:
            folder.rmdir()
        raise
    return [output_dir / name for name in writers]
