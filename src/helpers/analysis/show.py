"""Sections of the report as a notebook shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib.figure
import matplotlib.pyplot as plt
import pandas as pd

from helpers.analysis.report import Figure

__all__ = ["Section", "show_sections"]


@dataclass(frozen=True, eq=False, repr=False)
class Section:
    """
    A section of the report: at the end of a cell, its text and tables are shown.

    Attributes
    ----------
    parts : list
        Text, tables (:class:`pandas.DataFrame`) and figures (:class:`Figure`).

    Examples
    --------
    >>> from helpers.analysis import Section
    >>> Section(["All is well."])
    All is well.
    """

    parts: Sequence[Any]

    def _repr_html_(self) -> str:
        shown = [part for part in self.parts if not isinstance(part, Figure)]
        return "\n".join(
            part.to_html(border=0, na_rep="–", classes="dataframe")
            if isinstance(part, pd.DataFrame)
            else f"<p>{escape(str(part))}</p>"
            for part in shown
        )

    def __repr__(self) -> str:
        shown = [part for part in self.parts if not isinstance(part, Figure)]
        return "\n\n".join(
            part.to_string() if isinstance(part, pd.DataFrame) else str(part) for part in shown
        )

    def figure(self, number: int = 0) -> matplotlib.figure.Figure | None:
        """
        Return a figure of the section, which a notebook draws at the end of a cell.

        Parameters
        ----------
        number : int
            Which one, from 0.

        Returns
        -------
        matplotlib.figure.Figure or None
            None if the section has no more figures, as those of dates and clusters are not always
            there.
        """
        figures = [part.figure for part in self.parts if isinstance(part, Figure)]
        return figures[number] if number < len(figures) else None


def show_sections(sections: Mapping[str, Sequence[Any]]) -> dict[str, Section]:
    """
    Make sections of the report that a notebook can show one by one.

    Parameters
    ----------
    sections : mapping of str to list
        Heading -> parts, as :func:`report_sections` makes them.

    Returns
    -------
    dict of str to Section
        The same. Figures are closed, so that they are drawn where they are asked for only.
    """
    for part in (part for parts in sections.values() for part in parts):
        if isinstance(part, Figure):
            plt.close(part.figure)
    return {heading: Section(parts) for heading, parts in sections.items()}
