"""Runs that are killed, damaged and stopped, again and again, and have to end as one that was not: `make chaos`.

The witness is the SHA-256 of all weights and the loss of every step. Processes are forks of this one, which has
imported everything and computed nothing, so that a run takes a second or two.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from training.chaos_runs import STEPS_OF_EPOCH, VARIANTS, Patients, Plan, Variant, run_child, witness
from training.checkpoint_folders import DAMAGES, FILES

_SECONDS = 120.0
Case = tuple[tuple[str, ...], Callable[[], bool]]


class Chaos:
    """All runs of one call, and what came of them."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        self.patients = Patients(folder / "patients")
        self.references: dict[str, tuple[dict[str, Any], list[dict[str, int]]]] = {}
        self.failures: list[str] = []
        self.ended_in: Counter[str] = Counter()
        self._number = 0

    def new_folder(self) -> Path:
        self._number += 1
        return self.folder / f"run-{self._number:03d}"

    def attempt(self, variant: Variant, folder: Path, plan: Plan) -> list[int]:
        """Run once, and return how each process ended: an exit code, or the number of a signal below zero."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        children = []
        for rank in range(variant.processes):
            child = os.fork()
            if child == 0:
                run_child(variant, self.patients, folder, plan, rank, port)
            children.append(child)
        return _wait(children)

    def reference(self, variant: Variant) -> tuple[dict[str, Any], list[dict[str, int]]]:
        """The witness of a run that nobody stopped, and how many events each of its processes had."""
        if variant.name not in self.references:
            folder = self.new_folder()
            if codes := [code for code in self.attempt(variant, folder, Plan()) if code]:
                sys.exit(f"{variant.name}: a run that nobody stopped ended with {codes}\n{_log_of(folder)}")
            counts = [json.loads(Path(f"{folder}.counts-{rank}").read_text()) for rank in range(variant.processes)]
            self.references[variant.name] = witness(folder), counts
            shutil.rmtree(folder)
        return self.references[variant.name]

    def end(self, variant: Variant, folder: Path, event: str, number: int, expected: int) -> str | None:
        """End a run by a signal at a random count of an event; say what went wrong, if anything."""
        counts, rank = self.reference(variant)[1], self.random.randrange(variant.processes)
        plan = Plan(event, self.random.randint(1, max(counts[rank][event], 1)), number, rank)
        codes = self.attempt(variant, folder, plan)
        place = f"{signal.Signals(number).name} at {event} {plan.count} of process {rank}"
        ended = Path(f"{folder}.ended")
        if not ended.exists():
            # A run that goes on has fewer events than a whole one.
            return None if codes == [0] * len(codes) and folder.exists() else f"{place}: exit codes {codes}"
        steps = json.loads(ended.read_text())["step"] // variant.accumulation
        ended.unlink()
        self.ended_in["first epoch" if steps <= STEPS_OF_EPOCH else "later epoch"] += 1
        is_right = expected in codes if number == signal.SIGKILL else set(codes) == {expected}
        return None if is_right else f"{place}: expected {expected}, found exit codes {codes}"

    def finish(self, variant: Variant, folder: Path) -> str | None:
        """Run to the end without a hand, and compare."""
        codes = self.attempt(variant, folder, Plan())
        if any(codes):
            return f"the run that went on ended with {codes}"
        return _difference(self.reference(variant)[0], witness(folder))

    def judge(self, what: str, folder: Path, fault: str | None) -> bool:
        """Note a fault with the end of the log, and clean up."""
        if fault is not None:
            self.failures.append(f"{what}: {fault}\n{_log_of(folder)}")
        for path in self.folder.glob(f"{folder.name}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return fault is None

    def kill(self, variant: Variant, events: Sequence[str]) -> bool:
        """Kill a run, and the one that goes on, once for each event; then let it end."""
        folder, fault = self.new_folder(), None
        for event in events:
            fault = fault or self.end(variant, folder, event, signal.SIGKILL, -signal.SIGKILL)
        return self.judge(f"{variant.name}, killed", folder, fault or self.finish(variant, folder))

    def stop(self, variant: Variant) -> bool:
        """Send SIGTERM, expect a save and the exit code that says so, and let the run go on."""
        folder = self.new_folder()
        fault = self.end(variant, folder, "step", signal.SIGTERM, 128 + signal.SIGTERM)
        return self.judge(f"{variant.name}, stopped", folder, fault or self.finish(variant, folder))

    def damage(self, variant: Variant, file: str, how: Callable[[Path, Path], None], half: Path) -> bool:
        """Damage the newest checkpoint of a run that was killed, and let it go on from the one before."""
        folder = Path(shutil.copytree(half, self.new_folder()))
        before, newest = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))[-2:]
        how(newest / FILES[file], before / FILES[file])
        fault = self.finish(variant, folder)
        log = _log_of(folder)
        if (
            f"W_CHECKPOINT: skipped {newest.name}: {FILES[file]}" not in log
            or f"from {folder}/{before.name}" not in log
        ):
            fault = fault or "expected a warning that names the file, and the checkpoint before it"
        return self.judge(f"{file} {how.__name__}", folder, fault)


def _log_of(folder: Path) -> str:
    log = Path(f"{folder}.log")
    return log.read_text() if log.exists() else ""


def _wait(children: list[int]) -> list[int]:
    """Wait for processes; when one is killed, the others are too, as a launcher does."""
    codes: dict[int, int] = {}
    deadline = time.monotonic() + _SECONDS
    while len(codes) < len(children):
        for child in children:
            if child not in codes:
                found, status = os.waitpid(child, os.WNOHANG)
                if found:
                    codes[child] = os.waitstatus_to_exitcode(status)
        is_broken = any(code < 0 for code in codes.values()) or time.monotonic() > deadline
        for child in children if is_broken else ():
            if child not in codes:
                os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    return [codes[child] for child in children]


def _difference(expected: dict[str, Any], found: dict[str, Any]) -> str | None:
    for name in expected:
        if found[name] != expected[name]:
            if name != "logged":
                return f"{name} differ: {found[name]} instead of {expected[name]}"
            pairs = zip(expected[name], found[name], strict=False)
            first = next((pair for pair in pairs if pair[0] != pair[1]), (len(expected[name]), len(found[name])))
            return f"logged figures differ: {first[1]} instead of {first[0]}"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--stops", type=int, default=20)
    parser.add_argument("--damages", type=int, default=42)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="Part of the names of variants.")
    given = parser.parse_args()
    variants = [variant for variant in VARIANTS if given.only in variant.name]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        chaos = Chaos(Path(name), given.seed)
        tables = [
            ("SIGKILL", given.kills, _kills(chaos, variants)),
            ("SIGTERM", given.stops, _stops(chaos, variants)),
            ("damage", given.damages, _damages(chaos, variants[0])),
        ]
        for what, limit, cases in tables:
            _print_table(what, chaos, limit, cases)
        for failure in chaos.failures:
            print(failure[:200], "...", failure[-2000:], sep="\n")
    print(f"{len(chaos.failures)} of {given.kills + given.stops + given.damages} differ, ", end="")
    print(f"{time.monotonic() - begun:.0f} seconds")
    return 1 if chaos.failures else 0


def _print_table(what: str, chaos: Chaos, limit: int, cases: Iterator[Case]) -> None:
    """Run cases, and print how many of each kind ended as a run that nobody stopped."""
    good: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    chaos.ended_in.clear()
    for _, (labels, run) in zip(range(limit), cases, strict=False):
        is_good = run()
        for label in labels:
            tried[label] += 1
            good[label] += is_good
    for label in tried:
        print(f"{what:8} {label:44} {good[label]:4} of {tried[label]:3} identical", flush=True)
    if chaos.ended_in:
        print(what, "in the", ", ".join(f"{place} {count}" for place, count in sorted(chaos.ended_in.items())))


def _kills(chaos: Chaos, variants: list[Variant]) -> Iterator[Case]:
    """Every variant in turn, every event in turn; each fourth run is killed again when it goes on."""
    events = ("step", "save", "step", "evaluation", "save", "step", "final")
    for number in itertools.count():
        variant = variants[number % len(variants)]
        event = events[(number + number // len(variants)) % len(events)]
        which = (event, "step", "save")[: 1 + 2 * (number % 4 == 3)]
        labels = (variant.name, f"in {event}", *(["three times"] if len(which) > 1 else []), "all")
        yield labels, partial(chaos.kill, variant, which)


def _stops(chaos: Chaos, variants: list[Variant]) -> Iterator[Case]:
    for variant in itertools.cycle(variants):
        yield (variant.name, "all"), partial(chaos.stop, variant)


def _damages(chaos: Chaos, variant: Variant) -> Iterator[Case]:
    half = chaos.new_folder()
    chaos.attempt(variant, half, Plan("step", 17 * variant.accumulation, signal.SIGKILL))
    for how, file in itertools.cycle(itertools.product(DAMAGES, FILES)):
        yield (file, how.__name__, "all"), partial(chaos.damage, variant, file, how, half)


if __name__ == "__main__":
    sys.exit(main())
