"""Sums and means over the nodes of each graph of a batch."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from sp_graph_seg.errors import InputError
from sp_graph_seg.nn.checks import can_validate, refuse

_PARTS = 128


class NodeGroups:
    """The nodes of a batch, grouped by graph, for sums and means over each graph.

    Args:
        num_nodes: Number of nodes N.
        batch: Graph of each node, ``(N,)``; ``None`` for one graph.
        batch_size: Number of graphs B. By default it is read from ``batch``, which synchronises
            with the GPU, if any.
        validate: Whether to check the values of ``batch``.

    Raises:
        InputError: If ``batch`` has another shape or type, or a graph number is out of range.
    """

    def __init__(
        self,
        num_nodes: int,
        batch: Tensor | None = None,
        batch_size: int | None = None,
        validate: bool = True,
    ) -> None:
        self.batch = batch
        self.size = 1 if batch is None else batch_size
        if batch is None:
            return
        if batch.shape != (num_nodes,) or batch.dtype != torch.long:
            raise _bad_batch(batch, num_nodes)
        if self.size is None:
            low, high = torch.stack(batch.aminmax()).tolist()
            self.size = high + 1
            if low < 0:
                raise _bad_batch(batch, num_nodes)
        elif can_validate(validate):
            refuse(
                (batch.min() < 0, lambda: str(_bad_batch(batch, num_nodes))),
                (
                    batch.max() >= self.size,
                    lambda: (
                        f"batch_size={batch_size} must exceed each number in batch; give the "
                        "number of graphs."
                    ),
                ),
            )

    def sum(self, values: Tensor) -> Tensor:
        """Sums over the nodes of each graph: ``(N, ...)`` -> ``(B, ...)``."""
        if self.batch is None:
            return values.sum(dim=0, keepdim=True)
        assert self.size is not None
        # Large graphs need two steps: adding up a million numbers one by one loses two digits.
        parts = _PARTS if len(values) > self.size * _PARTS**2 else 1
        part = torch.arange(len(values), device=values.device) % parts
        sums = scatter(values, self.batch * parts + part, 0, self.size * parts, reduce="sum")
        return sums.unflatten(0, (self.size, parts)).sum(dim=1)

    def counts(self) -> Tensor:
        """Counts the nodes of each graph of a batch, ``(B,)``."""
        assert self.batch is not None
        return self.sum(torch.ones_like(self.batch))

    def split(self, *values: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Yields the part of the values ``(N, ...)`` that belongs to each graph.

        With a batch it synchronises with the GPU, if any.
        """
        if self.batch is None:
            yield values
            return
        sizes = self.counts().tolist()
        if (self.batch[1:] < self.batch[:-1]).any():
            order = self.batch.argsort(stable=True)
            values = tuple(value[order] for value in values)
        yield from zip(*(value.split(sizes) for value in values), strict=True)

    def mean(self, values: Tensor) -> Tensor:
        """Averages values ``(N,)`` over the nodes of each graph, then over graphs with nodes."""
        if self.batch is None:
            return values.mean()
        return self.mean_of_present(self.sum(values) / self.counts().clamp(min=1))

    def mean_of_present(self, losses: Tensor) -> Tensor:
        """Averages losses ``(B,)`` over the graphs that have nodes; some may have none."""
        if self.batch is None:
            return losses.mean()
        is_present = self.counts() > 0
        return torch.where(is_present, losses, 0).sum() / is_present.sum()


def _bad_batch(batch: Tensor, num_nodes: int) -> InputError:
    return InputError(
        f"batch: {tuple(batch.shape)} of {batch.dtype} does not number the graphs of {num_nodes} "
        f"nodes; give ({num_nodes},) of int64, numbers from 0."
    )
