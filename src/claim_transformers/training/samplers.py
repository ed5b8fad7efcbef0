"""Batches of patients with similar numbers of visits, in an order that depends only on the seed and the epoch."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

# Rows are sorted by length inside blocks of this many batches: long enough for little padding, short enough that
# patients meet different neighbours in every epoch.
_BATCHES_PER_BLOCK = 50


class LengthGroupedBatches(torch.utils.data.Sampler[list[int]]):
    """Batch sampler that groups rows of similar length and can be resumed, on one process or many.

    The order is a pure function of `(seed, epoch)`; [`EpochFromState`] sets `epoch` from the trainer's state, so that
    a resumed run sees the batches of the first run. (The length grouping of `transformers` draws from the global
    generator and cannot be resumed.) Rows are shuffled, sorted by length inside blocks, cut into optimizer steps, and
    the steps are shuffled. Each step is then cut into `accumulation * processes` pieces.

    It yields the pieces of *all* processes, one after the other; `Accelerator.prepare` gives every process its share.
    The number of pieces is a multiple of the number of processes and `batch_size` is None, so that no row is
    repeated to fill a last batch: every row is used exactly once per epoch, and the same rows make up step `n` whether
    they run as 1 x 32, as 4 accumulated x 8 or as 2 processes x 16. (One exception: a last step with fewer rows than
    processes is joined to the step before it.)

    Args:
        lengths (`np.ndarray` or `list[int]`): Number of slots of each row.
        batch_size (`int`): Rows per process and forward pass.
        seed (`int`, *optional*, defaults to `0`): Seed of the order.
        accumulation (`int`, *optional*, defaults to `1`): Forward passes per optimizer step.
        processes (`int`, *optional*, defaults to `1`): Number of processes.
        batches_per_block (`int`, *optional*, defaults to `50`): Optimizer steps in a block sorted by length.

    Raises:
        ValueError: If there are fewer rows than processes, or a size is not positive.

    Examples:
        >>> batches = LengthGroupedBatches([5, 1, 5, 1, 5, 1], batch_size=3)
        >>> [sorted(batch) for batch in sorted(batches)]
        [[0, 2, 4], [1, 3, 5]]
        >>> batches.set_epoch(1)
        >>> len(batches), sorted(row for batch in batches for row in batch)
        (2, [0, 1, 2, 3, 4, 5])
    """

    # None tells accelerate that batches differ in size, so that it shards them without padding the last one.
    batch_size: int | None = None
    drop_last = False

    def __init__(
        self,
        lengths: npt.ArrayLike,
        batch_size: int,
        *,
        seed: int = 0,
        accumulation: int = 1,
        processes: int = 1,
        batches_per_block: int = _BATCHES_PER_BLOCK,
    ) -> None:
        self.lengths = np.asarray(lengths, dtype=np.int64)
        if min(batch_size, accumulation, processes, batches_per_block) < 1:
            raise ValueError("expected a positive batch_size, accumulation, processes and batches_per_block")
        if len(self.lengths) < processes:
            raise ValueError(f"expected at least one row for each of {processes} processes, found {len(self.lengths)}")
        self.rows_per_batch, self.accumulation, self.processes = batch_size, accumulation, processes
        self.seed, self.batches_per_block, self.epoch = seed, batches_per_block, 0

    @property
    def rows_per_step(self) -> int:
        """Rows of one optimizer step over all processes."""
        return self.rows_per_batch * self.accumulation * self.processes

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order is yielded next."""
        self.epoch = epoch

    def steps(self) -> list[npt.NDArray[np.int64]]:
        """Return the rows of each optimizer step of the epoch, longest rows first inside a step."""
        key = np.array([self.seed, self.epoch], dtype=np.int64).astype(np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key))
        order = generator.permutation(len(self.lengths))
        blocks = max(round(len(order) / (self.rows_per_step * self.batches_per_block)), 1)
        block = np.arange(len(order)) * blocks // len(order)
        order = order[np.lexsort((-self.lengths[order], block))]

        full, tail = divmod(len(order), self.rows_per_step)
        # The short step at the end takes rows of one length too, from a place that changes with the epoch.
        start = int(generator.integers(full + 1)) * self.rows_per_step
        last, order = order[start : start + tail], np.delete(order, np.s_[start : start + tail])
        steps = list(order.reshape(full, self.rows_per_step)[generator.permutation(full)])
        if 0 < tail < self.processes:
            # Too few rows to give every process one: the last full step takes them.
            steps[-1] = np.concatenate([steps[-1], last])
        elif tail:
            steps.append(last)
        return steps

    def __iter__(self) -> Iterator[list[int]]:
        for rows, pieces in zip(self.steps(), self._pieces_per_step(), strict=True):
            for piece in np.array_split(rows, pieces):
                yield piece.tolist()

    def __len__(self) -> int:
        return sum(self._pieces_per_step())

    def _pieces_per_step(self) -> list[int]:
        """Batches in each step: a multiple of the number of processes, none of them empty."""
        full, tail = divmod(len(self.lengths), self.rows_per_step)
        pieces = [self.accumulation * self.processes] * full
        if tail >= self.processes:
            rounds = min(-(-tail // (self.rows_per_batch * self.processes)), tail // self.processes)
            pieces.append(rounds * self.processes)
        return pieces
