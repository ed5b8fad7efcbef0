"""Relations and dirty tables at seed after seed, for as long as one likes.

    FUZZ_SECONDS=600 python tests/invariants/fuzz.py [relations|dirty] [source ...]

`make fuzz` runs it. The first seed goes through every source asked for, which takes minutes however few the seconds
are; with sources in the command it takes fewer. What fails is printed with the source and the seed that make it again,
and the exit code is 1.
"""

import os
import sys
import time
import warnings
from collections import Counter

from invariants.raw_files import SOURCES
from invariants.relations import RELATIONS
from invariants.test_dirty_tables import SOURCES as DIRTY_SOURCES
from invariants.test_dirty_tables import findings
from invariants.test_relations import check, load

_WORLDS_PER_LOAD = 400


def _relations(source: str, seed: int) -> tuple[int, dict[str, str]]:
    members = [relation for relation in RELATIONS if source not in relation.left_out]
    texts = {relation.name: check(relation, source, seed) for relation in members}
    load.cache_clear()
    return len(texts), {name: text for name, text in texts.items() if text}


def _dirty(source: str, seed: int) -> tuple[int, dict[str, str]]:
    number, found = findings(source, seed, range(_WORLDS_PER_LOAD))
    return number, {f"world {world}": text for world, text in found.items()}


def main(arguments: list[str]) -> int:
    warnings.simplefilter("ignore")
    kinds = {"relations": (_relations, SOURCES), "dirty": (_dirty, DIRTY_SOURCES)}
    chosen = [kind for kind in kinds if kind in arguments] or list(kinds)
    end = time.monotonic() + float(os.environ.get("FUZZ_SECONDS", "600"))
    done: Counter[str] = Counter()
    seed = first = int(os.environ.get("FUZZ_SEED", str(time.time_ns() % 1_000_000)))
    has_failed = False
    while seed == first or time.monotonic() < end:
        for kind in chosen:
            run, sources = kinds[kind]
            for source in [one for one in sources if one in arguments] or sources:
                if seed > first and time.monotonic() > end:
                    break
                number, found = run(source, seed)
                done[f"{kind} of {source}"] += number
                has_failed |= bool(found)
                for what, text in found.items():
                    print(f"FUZZ_SEED={seed} {kind} {source} {what}: {text}", flush=True)
        seed += 1
    print(", ".join(f"{number:,} {what}" for what, number in sorted(done.items())), f"from seed {first} on")
    return int(has_failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
