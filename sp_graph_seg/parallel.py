"""Spreads work over processes and machines with Dask, and survives workers that die."""

import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from sp_graph_seg.errors import InputError
from sp_graph_seg.extras import require

if TYPE_CHECKING:
    from distributed import Client

Task = TypeVar("Task")
Result = TypeVar("Result")

#: Tasks submitted for each worker, so that no worker waits for the next one.
_AHEAD = 3

_SECONDS_TO_CONNECT = 15

#: A process takes seconds to start, so each should have several images.
_IMAGES_A_WORKER = 32


def map_unordered(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    workers: int | None = None,
    scheduler: str | None = None,
) -> Iterator[tuple[Task, Result | BaseException]]:
    """Calls a function for every task, in any order and on any worker.

    If a worker dies, another worker repeats the task, up to three times. A task that fails does not
    stop the other tasks. Its exception is returned in place of its result. Workers that join a
    scheduler later get tasks too.

    A script that starts processes must call this below ``if __name__ == "__main__":``, because the
    processes import the script.

    Args:
        function: The function to call with one task. The function, the tasks and the results must
            be picklable. After a worker has died, the function may be called again with the same
            task.
        tasks: The tasks. Only a few tasks for each worker are held in memory at a time.
        workers: Number of processes on this machine. 0 does all work in the calling process.
            (default: one for each GPU, or for each core if there is no GPU)
        scheduler: Address of a running Dask scheduler, such as ``"tcp://host:8786"``, to use
            instead of processes on this machine.

    Yields:
        Each task with its result, or with the exception that the task raised.

    Raises:
        InputError: If ``workers`` is negative, the scheduler cannot be reached, or one of its
            workers has more than one thread. Threads would share random seeds, which are set for
            the whole process.
    """
    if workers is not None and workers < 0:
        raise InputError(f"workers={workers}: must not be negative; give 0 or more.")
    if workers == 0 and scheduler is None:
        yield from ((task, _call(function, task)) for task in tasks)
        return
    with _open_client(workers, scheduler) as client:
        from distributed import as_completed
        from distributed.comm import CommClosedError

        waiting = iter(tasks)
        running: dict[Any, Task] = {}
        completed = as_completed()

        def hand_out() -> None:
            free = _AHEAD * _count_ready(client, scheduler) - len(running)
            for task in islice(waiting, max(0, free)):
                future = client.submit(function, task, pure=False)
                running[future] = task
                completed.add(future)

        hand_out()
        for future in completed:
            task = running.pop(future)
            hand_out()
            outcome = _call(lambda future: future.result(), future)
            if isinstance(outcome, (CancelledError, CommClosedError)):  # the scheduler was lost
                raise outcome
            yield task, outcome


def count_workers(workers: int | None, scheduler: str | None, cores_per_worker: int = 1) -> int:
    """Returns how many tasks run at once.

    By default, there is one worker for each GPU. Without a GPU, there is one for every
    ``cores_per_worker`` cores.
    """
    if scheduler is not None:
        with _open_client(workers, scheduler) as client:
            return _count_ready(client, scheduler)
    return max(1, _default_workers(cores_per_worker) if workers is None else workers)


def map_images(
    function: Callable[[Task], Result], tasks: Sequence[Task], workers: int | None = None
) -> Iterator[Result]:
    """Calls a function for the task of every image. Many images are divided among processes.

    A script that calls this function does not need ``if __name__ == "__main__":``. The first error
    stops all work.

    Args:
        function: The function to call with one task. It may be defined in the script itself.
        tasks: A task for each image.
        workers: Number of processes. 0 or 1 does all work in the calling process. (default: one for
            every 32 images, but at most one for each core)

    Yields:
        The results in the order of the tasks.
    """
    from joblib import Parallel, delayed, parallel_config

    if workers is None:
        workers = min(_count_cores(), math.ceil(len(tasks) / _IMAGES_A_WORKER))
    workers = max(workers, 1)
    with closing_joblib(workers), parallel_config("loky", inner_max_num_threads=1):
        yield from Parallel(workers, return_as="generator")(map(delayed(function), tasks))


@contextmanager
def closing_joblib(workers: int) -> Iterator[None]:
    """Shuts down joblib's worker processes, if there are several, when the block ends.

    Without this, the idle processes would keep all imported modules in memory. There may be a
    second benefit. Joblib's loky once warned of leaked semaphores at the end of a program, perhaps
    because of idle processes. The warning could not be reproduced, so this is not certain.
    """
    try:
        yield
    finally:
        if workers > 1:
            from joblib.externals.loky import get_reusable_executor

            get_reusable_executor(reuse=True).shutdown(wait=True)


def _call(function: Callable[[Task], Result], task: Task) -> Result | BaseException:
    try:
        return function(task)
    except Exception as error:
        return error


def _count_ready(client: "Client", scheduler: str | None) -> int:
    """Returns the number of workers, or 1 if no worker has joined yet."""
    threads = client.nthreads().values()
    if any(number != 1 for number in threads):
        raise InputError(
            f"scheduler={scheduler}: a worker has {max(threads)} threads, which would share "
            "one random state; start the workers of the scheduler with --nthreads 1."
        )
    return max(1, len(threads))


@contextmanager
def _open_client(workers: int | None, scheduler: str | None) -> Iterator["Client"]:
    require("distributed")
    import dask
    from distributed import Client

    with _silent_dask(), dask.config.set({"distributed.comm.timeouts.connect": "60s"}):
        if scheduler is not None:
            with _reach(scheduler) as client, _naming_lost(scheduler):
                yield client
            return
        count = _default_workers() if workers is None else workers
        with _local_cluster(count) as cluster, Client(cluster) as client:
            client.register_plugin(_make_pin(_list_gpus()))
            yield client


@contextmanager
def _silent_dask() -> Iterator[None]:
    """Keeps Dask from printing the traceback of every lost connection.

    The levels are set on the loggers themselves. Dask reads its configuration only when it is
    imported, so changing the configuration later has no effect on the loggers.
    """
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _naming_lost(scheduler: str) -> Iterator[None]:
    """Names the scheduler and the remedy when the connection to it is lost."""
    try:
        yield
    except (OSError, CancelledError) as error:
        raise InputError(
            f"scheduler={scheduler}: the connection was lost; start a scheduler, give its address, "
            "and repeat the command. Finished work is kept."
        ) from error


def _reach(scheduler: str) -> "Client":
    from distributed import Client

    try:
        return Client(scheduler, timeout=_SECONDS_TO_CONNECT)
    except (OSError, ValueError) as error:
        raise InputError(
            f"scheduler={scheduler}: cannot be reached; start a scheduler with 'dask "
            "scheduler' and its workers with 'dask worker ADDRESS --nthreads 1', and give the "
            "address of the scheduler."
        ) from error


def _local_cluster(workers: int) -> Any:
    from distributed import LocalCluster

    threads = str(max(1, _count_cores() // workers))  # workers share the cores
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        memory_limit=0,
        dashboard_address=None,
        scheduler_kwargs={
            "dashboard_address": "127.0.0.1:0"
        },  # the default port 8787 may be in use
        silence_logs=logging.CRITICAL,
        env=dict.fromkeys(names, os.environ.get("OMP_NUM_THREADS", threads)),
    )


def _make_pin(gpus: Sequence[str]) -> Any:
    """Makes a Dask plugin that assigns a GPU to each worker before torch looks for GPUs."""
    from distributed import WorkerPlugin

    class PinGPU(WorkerPlugin):
        def setup(self, worker: Any) -> None:
            if gpus:
                os.environ["CUDA_VISIBLE_DEVICES"] = gpus[int(worker.name) % len(gpus)]

    return PinGPU()


def _default_workers(cores_per_worker: int = 1) -> int:
    return len(_list_gpus()) or _count_cores() // cores_per_worker


def _list_gpus() -> list[str]:
    """Returns the GPUs that this process may use, named as in CUDA_VISIBLE_DEVICES."""
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = named.split(",") if named else map(str, range(count))
    return [name.strip() for name in names][:count]


def _count_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
