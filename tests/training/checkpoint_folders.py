"""Checkpoint folders of a few bytes, and what can happen to their files."""

from collections.abc import Callable
from pathlib import Path

from claim_transformers.training.manifests import write_manifest

FILES = {
    "model": "model.safetensors",
    "optimizer": "optimizer.pt",
    "scheduler": "scheduler.pt",
    "random state": "rng_state.pth",
    "trainer state": "trainer_state.json",
    "tokenizer": "vocab.json",
    "configuration": "config.json",
}


def make_checkpoint(folder: Path, step: int, *, best: int | None = None, **facts: object) -> Path:
    """A checkpoint whose files hold their names."""
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir(parents=True)
    for name in FILES.values():
        (checkpoint / name).write_text(f"{name} of step {step}, and some bytes more")
    (checkpoint / "trainer_state.json").write_text(f'{{"best_global_step": {best or "null"}, "step": {step}}}')
    write_manifest(checkpoint, {"step": step, "is_resumable": True, **facts})
    return checkpoint


def missing(path: Path, other: Path) -> None:
    path.unlink()


def empty(path: Path, other: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path, other: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path, other: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-len(content) // 3] ^= 0x20
    path.write_bytes(bytes(content))


def zeroed(path: Path, other: Path) -> None:
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: size // 2] + bytes(size - size // 2))


def foreign(path: Path, other: Path) -> None:
    """The same file of another checkpoint; bytes in another order where those do not differ."""
    content = other.read_bytes()
    path.write_bytes(content if content != path.read_bytes() else content[::-1])


DAMAGES: list[Callable[[Path, Path], None]] = [missing, empty, truncated, flipped, zeroed, foreign]
