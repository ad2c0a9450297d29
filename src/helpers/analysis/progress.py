"""What is being done, for whoever waits."""

import sys
import time

__all__ = ["Progress", "shows_bars"]


def shows_bars() -> bool:
    """
    Say whether a bar that moves can be seen: in a terminal or a notebook.

    Returns
    -------
    bool
    """
    return sys.stdout.isatty() or "ipykernel" in sys.modules


class Progress:
    """
    Says what begins, and how many seconds have passed, a line each on standard error.

    Parameters
    ----------
    show : bool
        Whether to say anything.

    Examples
    --------
    >>> from helpers.analysis import Progress
    >>> Progress(show=False)("Reading")
    """

    def __init__(self, show: bool = True):
        self._show, self._start = show, time.perf_counter()

    def __call__(self, what: str) -> None:
        """
        Say what begins.

        Parameters
        ----------
        what : str
            What is done next.
        """
        if self._show:
            print(
                f"{time.perf_counter() - self._start:6.1f} s  {what}", file=sys.stderr, flush=True
            )
