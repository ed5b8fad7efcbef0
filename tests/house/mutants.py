"""Plant faults in the modules that decide results and count those that the tests notice: `make mutants`.

mutmut does the work (`[mutmut]` in setup.cfg names modules and tests). Of its operators only those are used that
change what is computed: numbers, comparisons, arithmetic, logic, branches and flags. The others rename texts and leave
out arguments, half of which changes nothing (`dtype=None` of what is a float already), and nobody would read the rest.
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
OPERATORS = ("number", "name", "augmented_assignment", "remove_unary_ops", "keywords", "swap_op", "match", "if_exp")
LEAST_SHARE = 0.9
# Exit codes of mutmut: tests passed, and no test reaches the mutant. All else was noticed.
UNNOTICED = (0, 5, 33)


def counts_by_module() -> dict[str, Counter[str]]:
    """Mutants of every module, and how many of them were noticed."""
    counts = {}
    for path in sorted((ROOT / "mutants").rglob("*.py.meta")):
        codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"].values()
        run = [code for code in codes if code is not None]
        if run:
            name = path.relative_to(ROOT / "mutants/src/claim_transformers").as_posix().removesuffix(".meta")
            counts[name] = Counter(planted=len(run), noticed=sum(code not in UNNOTICED for code in run))
    return counts


def main() -> None:
    """Run what is left to run, print the table, and fail under the least share."""
    # Not in the environment of the tests, which collect this file.
    from mutmut.__main__ import cli
    from mutmut.mutation import mutators

    os.chdir(ROOT)
    wanted = {getattr(mutators, f"operator_{name}") for name in OPERATORS}
    mutators.mutation_operators[:] = [pair for pair in mutators.mutation_operators if pair[1] in wanted]
    cli(["run", *sys.argv[1:]], standalone_mode=False)
    counts = counts_by_module()
    counts["all"] = sum(counts.values(), Counter())
    print("| module | faults planted | noticed | share |\n|---|---:|---:|---:|")
    for name, row in counts.items():
        print(f"| {name} | {row['planted']:,} | {row['noticed']:,} | {row['noticed'] / row['planted']:.3f} |")
    if counts["all"]["noticed"] < LEAST_SHARE * counts["all"]["planted"]:
        sys.exit(f"expected {LEAST_SHARE:.0%} noticed; `mutmut results` and `mutmut show NAME` tell which were not")


if __name__ == "__main__":
    main()
