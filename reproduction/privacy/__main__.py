"""Canaries in what a run leaves, tokens of too few patients, and membership inference: the figures of SECURITY.md.

From the repository root; about a quarter of an hour on one core that is free:

    python -m reproduction.privacy

It ends with status 1 where a canary is found outside the boundary, a token has too few patients, members can be told
from others, or a control is not noticed, in which case its pass proves nothing.
"""

import os
import sys
import tempfile
from argparse import ArgumentParser
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from claim_transformers.models.claim import ClaimTokenizer
from claim_transformers.training import Architecture
from reproduction.engine.silence import quiet
from reproduction.privacy.canaries import is_inside, run_with_canaries
from reproduction.privacy.membership import membership
from reproduction.privacy.populations import CHECKPOINTS, learned_by
from reproduction.privacy.rare_tokens import MIN_PATIENTS, rare_tokens

_LARGEST_AUC, _SMALLEST_CONTROL = 0.55, 0.80


def _report_canaries(folder: Path) -> bool:
    """Print where canaries were found."""
    found = run_with_canaries(folder, patients=1500, steps=2)
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    outside = sorted(path for path in found if not is_inside(path))
    inside = len(found) - len(outside)
    print(f"canaries: {len(outside)} of {sum(not is_inside(path) for path in files)} files outside the boundary hold")
    print(f"  one; inside, where claims may be, {inside} of {sum(map(is_inside, files))} files do")
    for path in outside:
        print(f"  {path}: {', '.join(found[path])}")
    return not outside and inside > 0


def _report_checkpoint(name: str, folder: Path, population: int | None, patients: int) -> bool:
    """Print the tokens of too few patients and how well members are told, of one checkpoint."""
    log = folder / "log.txt"
    with log.open("w") as file, redirect_stdout(file), redirect_stderr(file), quiet():
        learned = learned_by(name, folder, patients=population)
        tokenizer = ClaimTokenizer.from_pretrained(name)
        recipe = Architecture.from_json(name).tokenizer
        rare = rare_tokens(name, learned["train"], roll_up=recipe.get("roll_up", ()))
        found, control, size = membership(name, learned, tokenizer, patients=patients, passes=80)
    print(f"{name}: {len(rare)} of {len(tokenizer):,} tokens have fewer than {MIN_PATIENTS} training patients")
    print(f"  membership inference: AUC {found:.3f} ({size:,} members, as many others), overfit control {control:.3f}")
    return not rare and found <= _LARGEST_AUC and control >= _SMALLEST_CONTROL


def main() -> int:
    """Print every figure; 1 if one of them is out of its bounds."""
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--patients", type=int, default=1000, help="members, and others, of each checkpoint")
    parser.add_argument("--population", type=int, help="first patients of each simulation only; rare tokens need all")
    arguments = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    is_well = []
    with tempfile.TemporaryDirectory() as parent:
        for name in ("canaries", *CHECKPOINTS):
            folder = Path(parent, name)
            folder.mkdir()
            if name == "canaries":
                is_well.append(_report_canaries(folder))
            else:
                is_well.append(_report_checkpoint(name, folder, arguments.population, arguments.patients))
    return 0 if all(is_well) else 1


if __name__ == "__main__":
    sys.exit(main())
