"""Canaries: patients that nobody else is like, planted in raw claims and looked for in every byte that a run leaves.

The run is that of a user: ingest, cohort, pretraining, fine-tuning, report, staging of a push, and some mistakes.
Files inside the boundary hold patients and must hold the canaries, or the search would prove nothing; any other file
must not.
"""

import gzip
import importlib.util
import io
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from claim_transformers.hub.upload_folder import stage
from claim_transformers.training import (
    ClaimTrainingArguments,
    FineTuningArguments,
    PretrainingArguments,
    parse_arguments,
)
from reproduction.privacy.commands import run_command

_EXAMPLES = Path(__file__).parents[2] / "examples"
_CANARIES, _OF_RARE_CODE = 20, 10
_RARE_CODE, _WRONG_DAY = "V8709", "31.31.ZZDAY"
# What is found where is told by these words; the texts themselves are drawn anew in each run.
_MARKS = {"person": "ZZCANARY", "claim": "ZZCLAIM", "name": "ZZJANE"}
# Inside the boundary: claims, cohorts, caches, predictions and what rows were set aside.
INSIDE = (
    "raw/*", "claims/claim_line/*", "claims/rx_claim/*", "claims/eligibility/*", "claims/patients/*",
    "claims/quarantine/*", "cohort/train/*", "cohort/validation/*", "cohort/test/*", "cache/*",
    "models/*/predictions*.parquet",
)  # fmt: skip


def run_with_canaries(folder: Path, *, patients: int, steps: int, seed: int = 0) -> dict[str, list[str]]:
    """Run a pipeline on claims with canaries and look for them.

    Args:
        folder (`Path`): Empty folder that takes everything the run leaves.
        patients (`int`): Number of simulated patients, a few hundred at least.
        steps (`int`): Steps of pretraining, and epochs of fine-tuning.
        seed (`int`, *optional*, defaults to `0`): Seed of the claims.

    Returns:
        `dict[str, list[str]]`: Kinds of canaries in each file that holds one, by its path within the folder.
    """
    with (folder / "log.txt").open("w") as log, redirect_stdout(log), redirect_stderr(log):
        run_command("simulate", "pediatric", folder / "raw", "--patients", patients, "--seed", seed)
        texts = _plant(folder / "raw", seed)
        with mock.patch("datasets.config.HF_DATASETS_CACHE", folder / "cache"):
            _run_pipeline(folder, steps)
    return {path: kinds for path, content in _contents(folder) if (kinds := _kinds_in(content, texts))}


def is_inside(path: str) -> bool:
    """Whether a file is one of those that hold patients and stay where claims may be."""
    return any(Path(path).match(pattern) or path.startswith(pattern.removesuffix("*")) for pattern in INSIDE)


def _run_pipeline(folder: Path, steps: int) -> None:
    """What a user does, and what goes wrong on the way."""
    claims, cohort, models = folder / "claims", folder / "cohort", folder / "models"
    run_command("ingest", "tuva", folder / "raw", claims)
    run_command("ingest", "tuva", folder / "raw", claims)  # the folder is there already
    run_command("cohort", "event", "asthma_exacerbation", claims, cohort)
    run_command("cohort", "event", "no_such_cohort", claims, folder / "none")
    tiny = {"visit_pooling": "sum", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    (folder / "tiny.json").write_text(json.dumps({"model": {**tiny, "intermediate_size": 32}, "tokenizer": {}}))
    trained = ("--use_cpu", True, "--logging_steps", 1, "--disable_tqdm", True)
    _run_example(
        "run_pretraining", "demo_pretraining", "--claims", claims, "--model_config", folder / "tiny.json",
        "--output_dir", models / "pretrained",
        "--max_steps", steps, "--eval_steps", steps, "--save_steps", steps, *trained,
    )  # fmt: skip
    _run_example(
        "run_classification", "demo_classification", "--cohort", cohort, "--output_dir", models / "fine-tuned",
        "--model_name_or_path", models / "pretrained", "--num_train_epochs", steps, *trained,
    )  # fmt: skip
    run_command("report", folder)
    for name in ("pretrained", "fine-tuned"):
        source, target = folder / "saved" / name, folder / "staged" / name
        source.mkdir(parents=True)
        target.mkdir(parents=True)
        for path in (models / name).iterdir():
            if path.suffix == ".safetensors" or path.name in ("config.json", "tokenizer_config.json", "vocab.json"):
                (source / path.name).write_bytes(path.read_bytes())
        stage(source, target, with_code=False)


def _run_example(name: str, config: str, *arguments: object) -> None:
    """Run a script of `examples` with one of its configurations."""
    specification = importlib.util.spec_from_file_location(name, _EXAMPLES / f"{name}.py")
    if specification is None or specification.loader is None:
        raise FileNotFoundError(f"expected the script {name}.py in examples, found none: run in a clone")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    given = [str(_EXAMPLES / "configs" / f"{config}.yaml"), *map(str, arguments)]
    kind = PretrainingArguments if name == "run_pretraining" else FineTuningArguments
    module.main(*parse_arguments(kind, ClaimTrainingArguments, arguments=given))


# ---- Planting ----


def _plant(raw: Path, seed: int) -> dict[str, list[bytes]]:
    """Give some patients of the raw tables ids, names, a day and a code that are nobody else's."""
    rng = np.random.default_rng(seed)
    words = {kind: [f"{mark}{rng.bytes(4).hex().upper()}" for _ in range(_CANARIES)] for kind, mark in _MARKS.items()}
    chosen = pc.unique(_read(raw / "medical_claim.parquet")["person_id"]).slice(0, _CANARIES)
    for path in (raw / f"{name}.parquet" for name in ("medical_claim", "pharmacy_claim", "eligibility", "true_risk")):
        table = _read(path)
        person = "patient_id" if "patient_id" in table.column_names else "person_id"
        place = pc.index_in(table[person], chosen)
        table = _replaced(table, person, place, words["person"])
        if "member_id" in table.column_names:
            table = _replaced(table, "member_id", place, words["person"])
            table = table.append_column("first_name", pa.nulls(len(table), pa.string()))
            table = _replaced(table, "first_name", place, words["name"])
        if "claim_id" in table.column_names:
            # One number for all claims of a patient would make them versions of one claim.
            number = pc.binary_join_element_wise(pc.take(pa.array(words["claim"]), place), table["claim_id"], "-")
            table = _set(table, "claim_id", pc.coalesce(number, table["claim_id"]))
        if "diagnosis_code_1" in table.column_names:
            rare = pc.if_else(pc.less(place, _OF_RARE_CODE), place, None)
            table = _replaced(table, "diagnosis_code_1", rare, [_RARE_CODE] * _CANARIES)
            # A row whose day nobody can read is set aside, and told of.
            first = pc.if_else(pa.array(np.arange(len(table)) == pc.index(place, 0).as_py()), 0, None)
            for name in [name for name in table.column_names if name.endswith("_date") and name != "paid_date"]:
                table = _replaced(table, name, first, [_WRONG_DAY])
        pq.write_table(table, path)
    texts = {kind: [word.encode() for word in found] for kind, found in words.items()}
    texts["cell"] = [_WRONG_DAY.encode()]
    return texts | {"rare code": [f"ICD9CM/{_RARE_CODE}".encode(), f'"{_RARE_CODE}"'.encode()]}


def _read(path: Path) -> pa.Table:
    """A table whose texts are plain ones, so that any other text can take their place."""
    table = pq.read_table(path)
    plain = [field.type.value_type if pa.types.is_dictionary(field.type) else field.type for field in table.schema]
    return table.cast(pa.schema(list(zip(table.column_names, plain, strict=True))))


def _replaced(table: pa.Table, name: str, place: pa.ChunkedArray, words: list[str]) -> pa.Table:
    """A table whose column holds other texts where a place is given."""
    return _set(table, name, pc.coalesce(pc.take(pa.array(words), place), pc.cast(table[name], pa.string())))


def _set(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


# ---- Looking ----


def _contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a folder with its path, its name and its bytes, unpacked."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.name.encode() + b"\n" + _unpacked(path)


def _unpacked(path: Path) -> bytes:
    """The bytes of a file as they are, and of a packed one what it holds too."""
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content += gzip.decompress(content)
    if content[:4] == b"PAR1":
        table, plain = pq.read_table(io.BytesIO(content)), io.BytesIO()
        with pa.ipc.new_stream(plain, table.schema) as stream:
            stream.write_table(table)
        content += plain.getvalue()
    return content


def _kinds_in(content: bytes, texts: dict[str, list[bytes]]) -> list[str]:
    """Kinds of canaries in some bytes."""
    return [kind for kind, words in texts.items() if any(word in content for word in words)]
