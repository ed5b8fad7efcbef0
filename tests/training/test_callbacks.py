import ctypes
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from claim_transformers.training.callbacks import ReturnFreeMemory


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="only the GNU C library keeps and returns memory in this way",
)
def test_freed_memory_goes_back_to_the_system():
    # Small blocks stay with the allocator when every second one is freed, and so do those at the end of the heap.
    blocks = [bytearray(60_000) for _ in range(4000)]
    kept = blocks[::2]
    del blocks
    before = resident_bytes()
    ReturnFreeMemory(every_steps=10).on_step_end(None, SimpleNamespace(global_step=10), None)
    assert before - resident_bytes() > 50_000_000
    assert len(kept) == 2000


def test_a_distance_below_one_step_is_refused():
    with pytest.raises(ValueError, match="expected every_steps of at least 1, found 0"):
        ReturnFreeMemory(every_steps=0)
