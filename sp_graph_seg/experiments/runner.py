"""The execution of all jobs that have no result yet, on any number of workers."""

from collections import defaultdict
from collections.abc import Sequence

from sp_graph_seg.errors import OutputError
from sp_graph_seg.experiments.jobs import Job, run_job
from sp_graph_seg.parallel import count_workers, map_unordered
from sp_graph_seg.progress import WorkProgress

#: Number of times that a job is tried in one run.
_TRIES = 2


def run_missing(
    jobs: Sequence[Job], workers: int | None = None, scheduler: str | None = None
) -> dict[Job, str]:
    """Runs the jobs that have no result on disk. A job that fails is tried once more.

    Args:
        jobs: All jobs.
        workers: Number of processes on this machine, see
            :func:`~sp_graph_seg.parallel.map_unordered`.
        scheduler: Address of a Dask scheduler, whose workers run the jobs instead of processes on
            this machine.

    Returns:
        For each failed job, the reason why it failed.

    Raises:
        OutputError: If results cannot be written, for example on a full disk. Results that
            are already written are kept.
    """
    missing = [job for job in jobs if job.result() is None]
    failed: dict[Job, str] = {}
    if not missing:
        return failed
    at_once = count_workers(workers, scheduler)
    with WorkProgress(len(jobs), "jobs", done=len(jobs) - len(missing)) as progress:
        estimate = _Estimate(missing, at_once)
        for _ in range(_TRIES):
            for job, outcome in map_unordered(run_job, missing, workers, scheduler):
                if isinstance(outcome, OutputError):
                    raise outcome
                failed.pop(job, None)
                if isinstance(outcome, BaseException):
                    failed[job] = " ".join(str(outcome).split()) or type(outcome).__name__
                elif job.result() is None:
                    failed[job] = (
                        f"{job.labels_file}: was written by a worker, but is not visible here; use "
                        "a folder that all machines share."
                    )
                else:
                    estimate.add(job, outcome["seconds"])
                is_done = job not in failed
                note = f"{len(failed)} failed" if failed else ""
                progress.advance(int(is_done), estimate.seconds_left(), note)
            missing = list(failed)
            if not missing:
                break
    return failed


class _Estimate:
    """An estimate of the time left, from the mean time of the finished jobs of each method."""

    def __init__(self, jobs: Sequence[Job], at_once: int) -> None:
        self._at_once = at_once
        self._left: dict[str, int] = defaultdict(int)
        self._seconds: dict[str, list[float]] = defaultdict(list)
        for job in jobs:
            self._left[job.method.name] += 1

    def add(self, job: Job, seconds: float) -> None:
        self._left[job.method.name] -= 1
        self._seconds[job.method.name].append(seconds)

    def seconds_left(self) -> float | None:
        means = {name: sum(times) / len(times) for name, times in self._seconds.items()}
        if not means:
            return None
        usual = sum(means.values()) / len(means)
        left = sum(count * means.get(name, usual) for name, count in self._left.items())
        return left / self._at_once
