"""Draw the introduction's picture, wide for a desk and tall for a phone.

    python book/make_figures.py

A canteen, five days, four dishes. The guests' preferences are made up; the counts follow from
them and from each day's menu without any chance, so whatever the picture shows is not noise.
"""

from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import FancyBboxPatch, Rectangle

STATIC = Path(__file__).parent / "_static"
DISHES = ["Pasta", "Curry", "Salad", "Soup"]
DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri"]
PREFERENCE = np.array([0.4, 0.3, 0.2, 0.1])
ON_THE_MENU = np.array(
    [[1, 1, 1, 1], [1, 0, 1, 1], [1, 0, 1, 0], [0, 1, 1, 1], [1, 0, 1, 1]], dtype=bool
)
GUESTS = np.array([200, 210, 180, 180, 140])

INK, GRID, CARD = "#1f2933", "#c9d1d9", "#ffffff"
BLUE, ORANGE, TINT = "#0072b2", "#d55e00", "#e3eef6"


def canteen():
    """Counts, and the preferences that two models read from them."""
    available = PREFERENCE * ON_THE_MENU
    counts = GUESTS[:, None] * available / available.sum(axis=1, keepdims=True)
    plain = counts.sum(axis=0) / counts.sum()
    masked = np.full(len(DISHES), 1 / len(DISHES))
    for _ in range(2000):  # maximum likelihood; each step is a minorisation-maximisation update
        demand = GUESTS / (masked * ON_THE_MENU).sum(axis=1)
        masked = counts.sum(axis=0) / (demand[:, None] * ON_THE_MENU).sum(axis=0)
        masked = masked / masked.sum()
    return counts, plain, masked


def draw_table(ax, title, text, color, fill):
    rows, columns = len(DAYS), len(DISHES)
    for i in range(rows):
        for k in range(columns):
            box = Rectangle((k, i), 1, 1, facecolor=fill(i, k), edgecolor=GRID, linewidth=0.8)
            ax.add_patch(box)
            ax.text(k + 0.5, i + 0.52, text(i, k), color=color(i, k), ha="center", va="center")
    ax.set(xlim=(0, columns), ylim=(rows, 0))
    ax.set_xticks(np.arange(columns) + 0.5, DISHES)
    ax.set_yticks(np.arange(rows) + 0.5, DAYS)
    ax.xaxis.tick_top()
    ax.tick_params(length=0, labelcolor=INK)
    ax.spines[:].set_visible(False)
    ax.set_title(title, pad=12)


def draw_preferences(ax, plain, masked, title_pad):
    y = np.arange(len(DISHES))
    ax.hlines(y, 100 * PREFERENCE, 100 * plain, color=ORANGE, linewidth=2, alpha=0.45)
    # "What the guests prefer" is a ring, so that an estimate on the spot still shows inside it.
    ax.plot(100 * PREFERENCE, y, "o", ms=13, mfc="none", mec=INK, mew=1.6, label="truth")
    ax.plot(100 * masked, y, "o", ms=6, color=BLUE, label="knows the menu")
    ax.plot(100 * plain, y, "D", ms=7, color=ORANGE, label="plain multinomial")
    ax.set(xlim=(0, 52), ylim=(len(DISHES) - 0.5, -0.6))
    ax.set_yticks(y, DISHES)
    ax.set_xlabel("% of guests, were every dish on the menu")
    ax.grid(axis="x", color=GRID, linewidth=0.6)
    ax.tick_params(length=0, labelcolor=INK)
    ax.spines[:].set_visible(False)
    ax.set_title("What a model makes of it", pad=title_pad)
    ax.legend(
        loc="upper center",
        bbox_to_anchor=(0.45, -0.2),
        ncols=3,
        frameon=False,
        handletextpad=0.2,
        columnspacing=0.8,
        fontsize="small",
    )


def draw(path, size, grid, ratios, title_pad):
    counts, plain, masked = canteen()
    style = {
        "font.size": 11,
        "axes.titlesize": 12,
        "axes.titleweight": "bold",
        "text.color": INK,
        "axes.labelcolor": INK,
        "svg.hashsalt": "canteen",
        "font.family": "DejaVu Sans",
    }
    with plt.rc_context(style):
        figure, axes = plt.subplots(*grid, figsize=size, gridspec_kw=ratios, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.22, h_pad=0.22, wspace=0.03, hspace=0.03)
        figure.patch.set_alpha(0)
        card = FancyBboxPatch(
            (0, 0),
            size[0],
            size[1],
            boxstyle="round,pad=0,rounding_size=0.15",
            transform=figure.dpi_scale_trans,
            facecolor=CARD,
            edgecolor="none",
            zorder=-1,
        )
        figure.add_artist(card)
        draw_table(
            axes[0],
            "What was recorded",
            text=lambda i, k: f"{counts[i, k]:.0f}",
            color=lambda i, k: INK if ON_THE_MENU[i, k] else ORANGE,
            fill=lambda i, k: CARD,
        )
        draw_table(
            axes[1],
            "What was on the menu",
            text=lambda i, k: "yes" if ON_THE_MENU[i, k] else "no",
            color=lambda i, k: BLUE if ON_THE_MENU[i, k] else ORANGE,
            fill=lambda i, k: TINT if ON_THE_MENU[i, k] else CARD,
        )
        draw_preferences(axes[2], plain, masked, title_pad)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)


def main(folder=STATIC):
    wide, tall = {"width_ratios": [1.15, 1.15, 1.3]}, {"height_ratios": [1, 1, 1.05]}
    draw(Path(folder) / "canteen.svg", (10.2, 3.7), (1, 3), wide, title_pad=29)
    draw(Path(folder) / "canteen_tall.svg", (4.6, 10), (3, 1), tall, title_pad=12)


if __name__ == "__main__":
    main()
