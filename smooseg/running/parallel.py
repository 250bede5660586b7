"""Independent tasks, on processes of this machine or on a running Dask cluster; results never depend on which."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask
from dask.delayed import Delayed
from tqdm.dask import TqdmCallback

from ..errors import SmoosegError
from .files import is_url
from .plugins import code_with_heads
from .progress import DEFAULTS, progress

PATIENCE = 30  # seconds that a scheduler has to answer, and to have a worker


def compute(
    function: Callable, tasks: Iterable[tuple], workers: int, scheduler: str | None, desc: str, unit: str = "block"
) -> list:
    """Results of ``function(*task)`` for every task, in order.

    Args:
        function: From a module of this package: processes and cluster workers look it up by name.
        tasks: Its arguments, small ones: paths (see :func:`absolute`) and ranges, no pixels.
        workers: Processes on this machine; with 1 the tasks run in this one.
        scheduler: Address of a Dask scheduler, such as tcp://10.0.0.1:8786, whose workers run the tasks instead;
            tasks of a worker that dies run again on another.
        desc, unit: Name of the progress bar, and what a task is called there.

    Raises:
        SmoosegError: If a task raises one, or the scheduler does not answer, or has no worker, or one with
            another smooseg, or the workers keep dying.
    """
    delayed = [dask.delayed(function, pure=False)(*task) for task in tasks]
    if scheduler is not None:
        return on_cluster(delayed, function, scheduler, desc)
    how = {"scheduler": "processes", "num_workers": workers, "chunksize": 1} if workers > 1 else {"scheduler": "sync"}
    with TqdmCallback(desc=desc, unit=unit, **DEFAULTS):
        return list(dask.compute(*delayed, **how))


def in_threads(function: Callable, items: Iterable, threads: int) -> list:
    """Results of a function that lets go of Python's lock, for every item, in order.

    Args:
        function: Of one item.
        items: What to call it with.
        threads: At work at a time.

    Raises:
        SmoosegError: With the texts of all that calls raised.
    """
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(function, item) for item in items]
    problems = [str(future.exception()) for future in futures if isinstance(future.exception(), SmoosegError)]
    if problems:
        raise SmoosegError("; ".join(dict.fromkeys(problems)))
    return [future.result() for future in futures]


def on_cluster(delayed: list[Delayed], function: Callable, scheduler: str, desc: str) -> list:
    """Results of calls of ``function``, computed by the workers of a scheduler."""
    from distributed import Client, KilledWorker, as_completed  # takes half a second that local runs need not spend

    try:
        client = Client(scheduler, timeout=PATIENCE)
    except OSError as error:
        raise unreachable_error(scheduler, "nothing answers there") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise unreachable_error(scheduler, "it has no worker") from error
        module = function.__module__.partition(".")[2]  # without the package's name
        if any(found != code_with_heads(module) for found in client.run(code_with_heads, module).values()):
            raise unreachable_error(scheduler, "a worker there has another version of smooseg")
        futures = client.compute(delayed)
        try:
            for _ in progress(as_completed(futures), total=len(futures), unit="block", desc=desc):
                pass
            return client.gather(futures)
        except KilledWorker as error:
            raise unreachable_error(scheduler, "its workers keep dying, and their logs say why") from error


def unreachable_error(scheduler: str, why: str) -> SmoosegError:
    """The error for a cluster that cannot be used."""
    return SmoosegError(
        f"dask.scheduler {scheduler}: {why}; docs/how-to/machines.md says how to start one, "
        "null computes on this machine"
    )


def absolute(path: str | Path) -> str | Path:
    """A store's URL, or its absolute path: workers may run in another folder."""
    return path if is_url(path) else Path(path).absolute()
