"""Scores of members of a table against the loop that one would write: batches of 64 as they come, padded, in float32.

    OMP_NUM_THREADS=1 python -m speed.scoring

The loop gets its tokens for nothing, made before the clock starts; ours is measured from the patients table to the
table of scores, so it cuts the claims at the date and tokenises them as well. Scores are equal in float32 before
anything is measured. The loop runs as the model is, which packs positions inside a batch, and with every padded
position computed, as most models do; the gate is against the latter. Figures are ratios of CPU time within a round.
The exit code is 1 when the gate is missed. `--members` measures rate and memory of a whole folder instead.
"""

import argparse
import datetime as dt
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from speed.history import remember
from speed.pretraining import (
    HAS_BF16,
    SEED,
    cpu_seconds,
    print_machine,
    ratio_text,
)  # sets the number of threads first

import pyarrow as pa  # isort: skip
import pyarrow.parquet as pq  # isort: skip
import torch  # isort: skip

from claim_transformers import ClaimConfig, ClaimForSequenceClassification, ClaimTokenizer  # isort: skip
from claim_transformers.claims.schema import SCHEMAS  # isort: skip
from claim_transformers.training import Scorer  # isort: skip
from claim_transformers.training.collators import ClaimCollator  # isort: skip
from claim_transformers.training.scoring.patients import known_patients  # isort: skip

AT = dt.date(2025, 6, 1)
NUM_CODES = 5000
LOOP_BATCH = 64
GATE = 5.0  # in bfloat16
PRECISIONS: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16") if HAS_BF16 else ("float32",)
_EPOCH = dt.date(1970, 1, 1)
_ROWS_PER_FILE = 20_000


def make_members(rng: np.random.Generator, number: int, first: int = 0) -> pa.Table:
    """Draw members: visits lognormal around 8, codes per visit lognormal around 3, zipf-like codes."""
    visits = np.clip(np.round(rng.lognormal(np.log(8), 1.0, number)), 1, 200).astype(np.int64)
    codes = np.clip(np.round(rng.lognormal(np.log(3), 0.66, int(visits.sum()))), 1, 20).astype(np.int64)
    odds = 1.0 / np.arange(1, NUM_CODES + 1)
    names = pa.array([f"ICD10CM/A{code:05d}" for code in range(NUM_CODES)])
    drawn = names.take(pa.array(np.searchsorted(np.cumsum(odds / odds.sum()), rng.random(codes.sum())) % NUM_CODES))
    day = rng.integers(15_000, 20_200, visits.sum())
    day = day[np.lexsort((day, np.repeat(np.arange(number), visits)))].astype(np.int32)
    types = pa.array(["IP", "OP", "RX"]).take(pa.array(rng.integers(0, 3, len(day))))
    ones = np.ones(number, np.int64)
    days = pa.array(day)
    return pa.table(
        {
            "patient_id": pa.array([f"P{row:08d}" for row in range(first, first + number)]),
            "sex": pa.array(["F", "M"]).take(pa.array(rng.integers(0, 2, number))),
            "birth_day": pa.array(rng.integers(-10_000, 10_000, number).astype(np.int32)),
            "death_day": pa.nulls(number, pa.int32()),
            "enrollment_start_day": _lists(ones, pa.array(np.full(number, 14_000, np.int32))),
            "enrollment_end_day": _lists(ones, pa.array(np.full(number, 20_500, np.int32))),
            "visit_day": _lists(visits, days),
            "visit_type": _lists(visits, types),
            "codes": _lists(visits, _lists(codes, drawn)),
            "visit_end_day": _lists(visits, days),
        }
    )


def make_eligibility(members: pa.Table) -> pa.Table:
    """Enrolment of members, and of a tenth more who have no claim."""
    people = members["patient_id"].to_pylist()
    silent = [f"{identifier}-silent" for identifier in people[::10]]
    number = len(people) + len(silent)
    known = {
        "patient_id": pa.array([*people, *silent]),
        "gender": pa.repeat(pa.scalar("F"), number),
        "birth_date": pa.repeat(pa.scalar(dt.date(1970, 1, 1)), number),
        "enrollment_start_date": pa.repeat(pa.scalar(dt.date(2010, 1, 1)), number),
        "enrollment_end_date": pa.repeat(pa.scalar(dt.date(2026, 1, 1)), number),
        "data_source": pa.repeat(pa.scalar("speed"), number),
    }
    schema = SCHEMAS["eligibility"]
    columns = [known.get(field.name, pa.nulls(number, field.type)) for field in schema]
    return pa.table([column.cast(field.type) for column, field in zip(columns, schema, strict=True)], schema=schema)


def _lists(lengths: npt.NDArray[np.int64], values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(np.append(0, np.cumsum(lengths)).astype(np.int32)), values)


def make_checkpoint() -> tuple[ClaimForSequenceClassification, ClaimTokenizer]:
    """A classifier of width 128 and two layers, with the vocabulary of the members."""
    from claim_transformers.models.claim.vocabulary_claim import GAP_BOUNDS_DAYS, GAP_START

    names = ["SEX/F", "SEX/M", "TYPE/IP", "TYPE/OP", "TYPE/RX", GAP_START, *(f"AGE/{age}" for age in range(91))]
    names += [*(f"GAP/{bound}" for bound in GAP_BOUNDS_DAYS), *(f"ICD10CM/A{code:05d}" for code in range(NUM_CODES))]
    tokenizer = ClaimTokenizer({name: number for number, name in enumerate(names, 3)})
    torch.manual_seed(SEED)
    config = ClaimConfig(  # type: ignore[call-arg]  # num_labels is of PreTrainedConfig
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=512,
        visit_pooling="sum",
        num_labels=2,
    )
    return ClaimForSequenceClassification(config).eval(), tokenizer


def padded_loop(
    model: torch.nn.Module, tokenizer: ClaimTokenizer, encoded: pa.Table, **options: Any
) -> npt.NDArray[np.float64]:
    """The obvious loop over tokenised members; `output_hidden_states` computes padding too."""
    collator, found = ClaimCollator(tokenizer), []
    with torch.no_grad():
        for begin in range(0, encoded.num_rows, LOOP_BATCH):
            logits = model(**collator(encoded.slice(begin, LOOP_BATCH)), **options).logits
            found.append(logits.softmax(dim=1)[:, 1])
    return torch.cat(found).double().numpy()


def measure_ratios(number: int, rounds: int) -> bool:
    """Measure all contestants on the same members and return whether the gate holds."""
    model, tokenizer = make_checkpoint()
    members = make_members(np.random.default_rng(SEED), number)
    encoded = tokenizer.encode_table(known_patients(members, (AT - _EPOCH).days).examples)
    scorers = {name: Scorer(model, tokenizer, precision=name) for name in PRECISIONS}
    expected = padded_loop(model, tokenizer, encoded)
    scores = {name: scorer.score(members, AT)[0]["score"].to_numpy() for name, scorer in scorers.items()}
    errors = {name: float(np.abs(found - expected).max()) for name, found in scores.items()}
    if errors["float32"] > 1e-5:
        raise ValueError(f"expected equal scores in float32, found a difference of {errors['float32']:.1e}")
    print(f"  largest difference of a score: {errors}, standard deviation {expected.std():.3f}")
    work: dict[str, Callable[[int], Any]] = {
        "loop": lambda _: padded_loop(model, tokenizer, encoded),
        "loop, padding computed": lambda _: padded_loop(model, tokenizer, encoded, output_hidden_states=True),
    }
    work |= {f"ours {name}": partial(lambda scorer, _: scorer.score(members, AT), of) for name, of in scorers.items()}
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, call in work.items():
            seconds[name].append(cpu_seconds(call, 1))
    for name, found in seconds.items():
        print(f"  {name:24} {number / statistics.median(found):8.0f} members per CPU second, this run only")
    holds = True
    ratios: dict[str, float | None] = {}
    for ours in (f"ours {name}" for name in PRECISIONS):
        for loop in ("loop", "loop, padding computed"):
            text, median = ratio_text(seconds[loop], seconds[ours])
            ratios[f"{ours} : {loop}"] = median
            print(f"  {ours} : {loop} {text}")
            if (ours, loop) == ("ours bfloat16", "loop, padding computed"):
                holds = median is not None and median >= GATE
    remember("scoring", ratios)
    return holds


def measure_folder(number: int) -> None:
    """Score a folder of so many members: rate, and memory above that of the model and the libraries."""
    from claim_transformers import score_claims
    from claim_transformers.claims.store import write_manifest

    model, tokenizer = make_checkpoint()
    with tempfile.TemporaryDirectory() as parent:
        claims = Path(parent, "claims")
        for table in ("patients", "eligibility"):
            (claims / table).mkdir(parents=True)
        for place, begin in enumerate(range(0, number, _ROWS_PER_FILE)):
            members = make_members(np.random.default_rng(SEED + place), min(_ROWS_PER_FILE, number - begin), begin)
            path = claims / "patients" / f"train-{place:05d}.parquet"
            pq.write_table(members, path, row_group_size=5000)
            pq.write_table(make_eligibility(members), claims / "eligibility" / path.name)
        del members
        write_manifest(claims, {"patients": {"last_day": "2025-12-31"}})
        (claims / "_SUCCESS").touch()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start, cpu = time.monotonic(), time.process_time()
        summary = score_claims(Scorer(model, tokenizer), claims, Path(parent, "out"), at=AT)
        seconds, cpu = time.monotonic() - start, time.process_time() - cpu
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"  {summary}")
        print(f"  {summary.members / cpu:.0f} members per CPU second, {summary.members / seconds:.0f} per second")
        print(f"  memory at most {most / 1024:.0f} MiB, before the first member {before / 1024:.0f} MiB")


def main() -> int:
    """Run the measurement and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--table", type=int, default=5000, help="members of the table of the ratios")
    parser.add_argument("--members", type=int, help="score a folder of so many members instead")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print_machine()
    if arguments.members:
        measure_folder(arguments.members)
        return 0
    holds = measure_ratios(arguments.table, arguments.rounds)
    print("the gate holds" if holds else "the gate is missed, or too noisy to be measured")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
