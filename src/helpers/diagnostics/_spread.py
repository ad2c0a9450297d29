"""The same work in this process, in several, or on several machines."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.progress import track

__all__ = ["mapped", "with_progress"]

# How often a task is tried again when the worker that had it is lost.
RETRIES = 5
SECONDS_TO_CONNECT = 10


@contextmanager
def mapped(client: Any) -> Iterator[Callable[[Callable, Sequence], Iterable]]:
    """
    Give a function that maps another over tasks, wherever they run.

    Parameters
    ----------
    client : distributed.Client, str or None
        None for this process, ``"local"`` for processes on this machine, the address of a Dask
        scheduler, or a client of one.

    Yields
    ------
    callable
        Called with a function and the tasks; returns their results, those first that are ready
        first.

    Raises
    ------
    ValueError
        If the scheduler cannot be reached.
    ImportError
        If Dask is wanted and not installed.

    Examples
    --------
    >>> from helpers.diagnostics._spread import mapped
    >>> with mapped(None) as over:
    ...     list(over(abs, [-1, 2]))
    [1, 2]
    """
    if client is None:
        yield map
        return
    try:
        import distributed  # an extra: most people need no other machine
    except ImportError as error:
        raise ImportError(
            "Spreading work needs Dask: pip install 'not-on-the-menu[dask]'."
        ) from error
    if isinstance(client, str) and client == "local":
        # One thread each: compiled programs are not shared between threads. When all is done, a
        # worker with large programs takes longer to end than Dask waits before it says so.
        cluster_options = {
            "threads_per_worker": 1,
            "dashboard_address": ":0",
            "silence_logs": logging.ERROR,
        }
        with (
            distributed.LocalCluster(**cluster_options) as cluster,
            distributed.Client(cluster) as own,
        ):
            yield _over(own, distributed)
    elif isinstance(client, str):
        try:
            own = distributed.Client(client, timeout=SECONDS_TO_CONNECT)
        except (OSError, TimeoutError, ValueError) as error:
            raise ValueError(
                f"No Dask scheduler answers at {client!r}. Is it running, and is the address that "
                "which it printed when it started, such as tcp://10.0.0.5:8786?"
            ) from error
        with own:
            yield _over(own, distributed)
    else:
        yield _over(client, distributed)


def _over(client: Any, distributed: Any) -> Callable[[Callable, Sequence], Iterable]:
    def over(function: Callable, tasks: Sequence) -> Iterator:
        futures = client.map(function, tasks, pure=False, retries=RETRIES)
        for future in distributed.as_completed(futures):
            yield future.result()

    return over


def with_progress(results: Iterable, total: int, shown: bool = True) -> Iterator:
    """
    Pass results on, with a bar that says how many there are.

    Parameters
    ----------
    results : iterable
        The results.
    total : int
        How many there will be.
    shown : bool
        Whether to show the bar.

    Returns
    -------
    iterator

    Examples
    --------
    >>> from helpers.diagnostics._spread import with_progress
    >>> list(with_progress([1, 2], 2, shown=False))
    [1, 2]
    """
    return iter(track(results, "Simulations", total=total, disable=not shown))
