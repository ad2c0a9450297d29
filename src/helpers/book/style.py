"""The look of the book's figures."""

import seaborn as sns

__all__ = ["use_book_style"]


def use_book_style() -> None:
    """
    Set the look of the book's figures: a light card that reads on light and dark pages.

    Sets matplotlib's rcParams for this session, with seaborn's colour-blind-safe palette.
    """
    sns.set_theme(
        context="notebook",
        style="whitegrid",
        palette="colorblind",
        rc={
            "figure.figsize": (7.5, 4),
            "figure.dpi": 110,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "figure.constrained_layout.use": True,
            "axes.titlesize": "medium",
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "font.size": 11,
            "legend.frameon": False,
        },
    )
