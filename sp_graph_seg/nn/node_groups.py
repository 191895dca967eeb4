"""Sums and means over the nodes of each graph of a batch."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from sp_graph_seg.errors import InputError
from sp_graph_seg.nn.checks import can_validate, refuse

_PARTS = 128

_NEGATIVE = "batch: some numbers are negative; number the graphs from 0."


class NodeGroups:
    """The nodes of a batch, grouped by graph, for sums and means over each graph.

    Args:
        num_nodes: Number of nodes N.
        batch: Number of the graph of each node, ``(N,)``; ``None`` if there is only one graph.
        batch_size: Number of graphs B. By default, it is the largest number in ``batch`` plus 1.
            If ``batch`` is on a GPU, reading this number waits for the GPU.
        validate: Whether to check the values of ``batch``.

    Raises:
        InputError: If ``batch`` is not an int64 tensor ``(N,)``, or if it contains a negative
            number or a number that is not below ``batch_size``.
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
            raise InputError(
                f"batch: shape {tuple(batch.shape)} of type {batch.dtype} must be ({num_nodes},) "
                "of type torch.int64; give the number of the graph of each node."
            )
        if self.size is None:
            low, high = torch.stack(batch.aminmax()).tolist()
            self.size = high + 1
            if low < 0:
                raise InputError(_NEGATIVE)
        elif can_validate(validate):
            refuse(
                (batch.min() < 0, lambda: _NEGATIVE),
                (
                    batch.max() >= self.size,
                    lambda: (
                        f"batch_size={batch_size} must exceed each number in batch; give the "
                        "number of graphs, or leave batch_size out."
                    ),
                ),
            )

    def sum(self, values: Tensor) -> Tensor:
        """Sums values over the nodes of each graph: ``(N, ...)`` -> ``(B, ...)``."""
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
        """Yields for each graph the rows of the values ``(N, ...)`` that belong to its nodes.

        If ``batch`` is on a GPU, this waits for the GPU.
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
        """Averages losses ``(B,)`` over the graphs that have nodes. Other graphs are ignored."""
        if self.batch is None:
            return losses.mean()
        is_present = self.counts() > 0
        return torch.where(is_present, losses, 0).sum() / is_present.sum()
