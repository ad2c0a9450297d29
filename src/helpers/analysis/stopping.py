"""Ctrl-C while the sampler runs."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["stoppable"]


@contextmanager
def stoppable() -> Iterator[None]:
    """
    Pass Ctrl-C on, where the sampler would take it for the end of the draws.

    Raises
    ------
    KeyboardInterrupt
        If it is stopped.

    Examples
    --------
    >>> from helpers.analysis import stoppable
    >>> with stoppable():
    ...     pass
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopped, before = threading.Event(), signal.getsignal(signal.SIGINT)

    def stop(number: int, frame: Any) -> None:
        stopped.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if stopped.is_set():
            raise KeyboardInterrupt  # also where the stopped chains could not be put together
