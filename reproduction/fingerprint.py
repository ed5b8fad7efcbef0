"""Fingerprint of all results: a change of the code shows with it that it changed none of them.

From the repository root, before the change and after it:

    python -m reproduction.fingerprint --write before.json
    python -m reproduction.fingerprint --compare before.json

It digests five parts: `simulated`, every file of a small simulation of both populations under two seeds; `logits`,
tokens and outputs of the checkpoints in the package for a record each; `tables`, every table and picture but `run`,
which holds times; `steps`, what each step of a workspace gave, by its name, whatever its key; `demo`, the table of
`make demo`. Tables, steps and the demo are read where they lie, so run them first; what another clone left is read
with `--runs`, and its simulations with `--simulated`.
"""

import hashlib
import json
import re
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Digests = dict[str, str]

SEEDS = (7, 11)
PATIENTS = {"ped": 3000, "med": 1500}
RECORDS = Path(__file__).with_name("golden_records.json")
PARTS = ("simulated", "logits", "tables", "steps", "demo")
TABLES = {".md", ".csv", ".json", ".svg"}
# How long a fit took is no result.
TIMES = re.compile(rb'"seconds[a-z_]*": [0-9.e-]+')
# Times and the machine; and prose.
LEFT_OUT = {"run", "README", "log"}


def digest(content: bytes) -> str:
    """First 16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]


def digest_json(content: Any) -> str:
    """Digest of what JSON holds; the order of keys does not count."""
    return digest(json.dumps(content, sort_keys=True).encode())


# ---- Parts ----


def simulated(folder: Path | None) -> Digests:
    """Every file of both populations under every seed, simulated now, or those of a folder with `ped-7` and others."""
    if folder is None:
        with tempfile.TemporaryDirectory() as made:
            simulate_into(Path(made))
            return simulated(Path(made))
    names = [f"{population}-{seed}" for population in PATIENTS for seed in SEEDS]
    files = [path for name in names for path in sorted(folder.joinpath(name).rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): digest(path.read_bytes()) for path in files}


def simulate_into(folder: Path) -> None:
    """Simulate both populations under every seed."""
    from reproduction.claim_pt.populations import PediatricPlan, PediatricPopulations
    from reproduction.engine.steps import Workspace
    from reproduction.medicare.populations import MedicarePlan, MedicarePopulations

    workspace = Workspace(folder / "workspace", show_progress=False)
    for seed in SEEDS:
        child = PediatricPlan(PATIENTS["ped"], seed)
        PediatricPopulations(workspace, {}, {}).simulate(child, folder / f"ped-{seed}")
        patient = MedicarePlan(PATIENTS["med"], seed)
        MedicarePopulations(workspace, {}).simulate(patient, folder / f"med-{seed}")


def logits() -> Digests:
    """Tokens of a record, and what each checkpoint of the package says of it, to the last bit."""
    import torch

    from claim_transformers.models.claim import ClaimForMaskedLM, ClaimForPreTraining, ClaimTokenizer

    classes: dict[str, Any] = {"claim-pt-base": ClaimForPreTraining, "medicare-encoder-base": ClaimForMaskedLM}
    found: Digests = {}
    for name, record in json.loads(RECORDS.read_text(encoding="utf-8")).items():
        model, tokenizer = classes[name].from_pretrained(name), ClaimTokenizer.from_pretrained(name)
        encoded = tokenizer([record], padding=True, return_tensors="pt")
        batch = {key: encoded[key] for key in ("input_ids", "visit_ids", "visit_days", "attention_mask")}
        with torch.no_grad():
            arrays = {**batch, "vector": model.claim(**batch).pooler_output}
            if hasattr(model, "predict_next_visit"):
                arrays["next visit"] = model.predict_next_visit(**batch)
                arrays["horizon"] = model.horizon_decoder(arrays["vector"])
            else:
                arrays["codes"] = model(**batch).logits
        found |= {f"{name}: {key}": digest(array.numpy().tobytes()) for key, array in arrays.items()}
    return found


def tables(runs: Path, docs: Path) -> Digests:
    """Every table and picture of the benchmarks that were run, and of those that are published."""
    folders = {"docs": docs} | {path.parent.name: path for path in sorted(runs.glob("benchmark/*/docs"))}
    return {
        f"{name}/{path.name}": digest(TIMES.sub(b"", path.read_bytes()))
        for name, folder in folders.items()
        for path in sorted(folder.iterdir())
        if path.suffix in TABLES and path.stem not in LEFT_OUT
    }


def steps(runs: Path) -> Digests:
    """What the steps of one name gave, value and rows; the keys may differ, because they name checkpoints by bytes."""
    given: dict[str, set[str]] = {}
    for path in sorted(runs.glob("benchmark/*/steps/**/*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        workspace = path.relative_to(runs).parts[1]
        content = digest_json([record["value"], record.get("table_sha256")])
        given.setdefault(f"{workspace}: {record['name']}", set()).add(content)
    return {name: digest_json(sorted(contents)) for name, contents in given.items()}


def demo(runs: Path) -> Digests:
    """Every row of the table of the demo."""
    path = runs / "demo" / "results.json"
    if not path.is_file():
        return {}
    return {name: digest_json(row) for name, row in json.loads(path.read_text(encoding="utf-8"))["models"].items()}


# ---- Before and after ----


def compare(before: Mapping[str, Digests], after: Mapping[str, Digests]) -> list[str]:
    """Print how many digests of each part are equal, and give the names of what differs or is on one side only."""
    different = []
    for part in dict.fromkeys([*before, *after]):
        old, new = before.get(part, {}), after.get(part, {})
        names = [name for name in dict.fromkeys([*old, *new]) if old.get(name) != new.get(name)]
        verdict = f"{len(names)} differ" if names else "before = after"
        print(f"{part:10} {len(old):5} before {len(new):5} after   {verdict}")
        different += [f"{part}: {name}" for name in names]
    return different


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the fingerprint, write it or compare it; 1 where something differs."""
    parser = ArgumentParser(description="Fingerprint of all results, for before = after.")
    parser.add_argument("--write", type=Path, help="JSON file for the fingerprint")
    parser.add_argument("--compare", type=Path, help="JSON file of an earlier fingerprint")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder with benchmark/ and demo/")
    parser.add_argument("--docs", type=Path, default=Path("docs/benchmark"), help="folder of the published tables")
    parser.add_argument("--simulated", type=Path, help="folder with ped-7, ped-11, med-7 and med-11, read as it is")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="all without it")
    given = parser.parse_args(arguments)
    parts: dict[str, Callable[[], Digests]] = {
        "simulated": lambda: simulated(given.simulated),
        "logits": logits,
        "tables": lambda: tables(given.runs, given.docs),
        "steps": lambda: steps(given.runs),
        "demo": lambda: demo(given.runs),
    }
    found = {part: parts[part]() for part in given.parts}
    if given.write:
        given.write.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if not given.compare:
        print("\n".join(f"{part:10} {len(digests):5}" for part, digests in found.items()))
        return 0
    before = json.loads(given.compare.read_text(encoding="utf-8"))
    different = compare({part: before.get(part, {}) for part in given.parts}, found)
    print("\n".join(different))
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main())
