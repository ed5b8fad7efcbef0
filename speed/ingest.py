"""Raw DE-SynPUF files to token ids: this package against pandas with one `datasets.map` call per row.

    OMP_NUM_THREADS=1 python -m speed.ingest --data path/to/synpuf/sample1
    OMP_NUM_THREADS=1 python -m speed.ingest --tiny cms-rif path/to/rif

Both are shown to give the same tokens for every patient, and then run in turn over the same files. Figures are ratios
of CPU time, children included, within a round; a ratio that spreads by more than 1.5 between rounds is called noisy
and not printed. Without `--data` the files are generated. The exit code is 1 when the gate is missed.

The baseline, `naive_ingest.py`, comes as it is and in a strong form that cleans whole columns. Both leave out every
check that only `ingest` makes, and write neither canonical tables nor a report.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

# Two threads on a busy machine are slower than one; the libraries read this when first imported.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import datasets  # noqa: E402
import duckdb  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from claim_transformers import ClaimTokenizer, ingest  # noqa: E402
from speed.history import remember  # noqa: E402
from speed.naive_ingest import DIAGNOSES, HCPCS, PROCEDURES, ingest_naively  # noqa: E402

SEED = 20260101
GATE = 5.0
NOISY_SPREAD = 1.5
MAX_VISITS = 256
BASELINE = "pandas and datasets.map"
YEARS = (2008, 2009, 2010)


def cpu_seconds() -> float:
    """CPU time of this process and its finished children, in seconds."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def generate(folder: Path, num_patients: int) -> None:
    """Write files in the layout of DE-SynPUF: a third of the patients has claims, as in Sample 1."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    ids = np.array([f"{number:016X}" for number in rng.choice(2**48, num_patients, replace=False)])
    for year in YEARS:
        columns = {
            "DESYNPUF_ID": ids,
            "BENE_BIRTH_DT": [f"{1910 + number % 40}0601" for number in range(num_patients)],
            "BENE_DEATH_DT": [None] * num_patients,
            "BENE_SEX_IDENT_CD": [str(1 + number % 2) for number in range(num_patients)],
            "BENE_RACE_CD": ["1"] * num_patients,
            "SP_STATE_CODE": ["26"] * num_patients,
            "BENE_COUNTY_CD": ["950"] * num_patients,
            "BENE_HI_CVRAGE_TOT_MONS": rng.choice(["0", "6", "12"], num_patients, p=[0.05, 0.05, 0.9]),
            "BENE_SMI_CVRAGE_TOT_MONS": rng.choice(["0", "6", "12"], num_patients, p=[0.05, 0.05, 0.9]),
        }
        pq.write_table(pa.table(columns), folder / f"beneficiary_{year}.parquet")
    seen = ids[: num_patients // 3]
    pq.write_table(_institutional(rng, seen, 2, is_inpatient=True), folder / "inpatient.parquet")
    pq.write_table(_institutional(rng, seen, 1, is_inpatient=False), folder / "outpatient.parquet")
    num_drugs = len(seen)
    drugs = {
        "DESYNPUF_ID": rng.choice(seen, num_drugs),
        "PDE_ID": [f"{number:015d}" for number in range(num_drugs)],
        "SRVC_DT": _dates(rng.integers(0, 1000, num_drugs)),
        "PROD_SRVC_ID": np.char.zfill(rng.integers(1, 5000, num_drugs).astype(str), 11),
    }
    pq.write_table(pa.table(drugs), folder / "pde.parquet")


def _institutional(
    rng: np.random.Generator, ids: np.ndarray, claims_per_patient: int, *, is_inpatient: bool
) -> pa.Table:
    num_claims = len(ids) * claims_per_patient
    start = rng.integers(0, 1000, num_claims)
    columns = {
        "DESYNPUF_ID": rng.choice(ids, num_claims),
        "CLM_ID": np.char.add("9" if is_inpatient else "5", np.char.zfill(np.arange(num_claims).astype(str), 14)),
        "SEGMENT": ["1"] * num_claims,
        "CLM_FROM_DT": _dates(start),
        "CLM_THRU_DT": _dates(start + 3),
        "CLM_PMT_AMT": ["4000.00"] * num_claims,
    }
    if is_inpatient:
        columns |= {"CLM_ADMSN_DT": _dates(start), "NCH_BENE_DSCHRG_DT": _dates(start + 3)}
        columns["CLM_DRG_CD"] = np.char.zfill(rng.integers(1, 999, num_claims).astype(str), 3)
    shares = dict.fromkeys(DIAGNOSES, 0.8) | dict.fromkeys(PROCEDURES, 0.2)
    shares |= dict.fromkeys(HCPCS, 0.0 if is_inpatient else 0.1)
    for column, share in shares.items():
        width = 4 if column in PROCEDURES else 5
        codes = np.char.zfill(np.minimum(rng.zipf(1.3, num_claims), 9999).astype(str), width)
        columns[column] = pa.array(codes, pa.string(), mask=rng.random(num_claims) >= share)
    return pa.table(columns)


def _dates(days: np.ndarray) -> list[str]:
    dates = pd.Timestamp("2008-01-01") + pd.to_timedelta(days, unit="D")
    return dates.strftime("%Y%m%d").tolist()


def ingest_ours(raw: Path, out: Path, tokenizer: ClaimTokenizer | None) -> tuple[pa.Table, pa.Table | None]:
    """Patients and, given a tokenizer, their tokens."""
    ingest("synpuf", raw, out, overwrite=True, threads=1, progress=False)
    patients = pa.concat_tables(pq.read_table(path) for path in sorted((out / "patients").glob("*.parquet")))
    return patients, None if tokenizer is None else tokenizer.encode_table(patients)


def check_equal(patients: pa.Table, ours: pa.Table, theirs: datasets.Dataset) -> None:
    """Stop unless both give the same tokens for the same patients."""
    names = ["input_ids", "visit_ids", "visit_days"]
    expected = pa.Table.from_arrays([patients["patient_id"], *(ours[name] for name in names)], ["patient_id", *names])
    found = theirs.with_format("arrow")[:].select(["patient_id", *names])
    first, second = (
        {row["patient_id"]: tuple(tuple(row[name]) for name in names) for row in table.to_pylist()}
        for table in (expected, found)
    )
    num_different = sum(first.get(patient_id) != tokens for patient_id, tokens in second.items())
    if set(first) != set(second) or num_different:
        sys.exit(
            f"not equivalent: {len(first)} and {len(second)} patients, {num_different} with other tokens; no figures"
        )
    print(
        f"equivalent: the same tokens for {len(first):,} patients, {sum(len(t[0]) for t in first.values()):,} tokens"
    )


def measure(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Ratios of CPU time to the first contestant, of each other one, round by round."""
    first, *others = contestants
    ratios: dict[str, list[float]] = {name: [] for name in others}
    for number in range(rounds):
        spent = {}
        for name, run in contestants.items():
            before = cpu_seconds()
            run()
            spent[name] = cpu_seconds() - before
        for name in others:
            ratios[name].append(spent[name] / spent[first])
        print(f"round {number + 1}: {', '.join(f'{name} {value:.1f} CPU s' for name, value in spent.items())}")
    return ratios


def measure_tiny(source: str, raw: Path) -> None:
    """CPU time of the whole command on a few rows, in new processes: without plans of earlier ones, then with them."""
    with tempfile.TemporaryDirectory() as temporary:
        environment = os.environ | {"CLAIM_TRANSFORMERS_PLANS": str(Path(temporary, "plans"))}
        call = "from claim_transformers.cli import main; main()"
        command = [sys.executable, "-c", call, "ingest", source, str(raw), str(Path(temporary, "out")), "--overwrite"]
        for name in ("the first process", "the second", "the third"):
            before = cpu_seconds()
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
            print(f"{name}: {cpu_seconds() - before:.1f} CPU s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="Folder of DE-SynPUF parquet files; generated if not given.")
    # Below some ten thousand patients the fixed cost of the engine, about two seconds, decides the ratio.
    parser.add_argument("--patients", type=int, default=120_000, help="Patients to generate; Sample 1 has 116,352.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tiny", nargs=2, metavar=("SOURCE", "PATH"), help="Only the command, on a few rows.")
    arguments = parser.parse_args()
    if arguments.tiny is not None:
        return measure_tiny(arguments.tiny[0], Path(arguments.tiny[1]))
    datasets.disable_progress_bars()
    datasets.disable_caching()
    print(
        f"python {platform.python_version()}, duckdb {duckdb.__version__}, pandas {pd.__version__}, "
        f"pyarrow {pa.__version__}, datasets {datasets.__version__}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as temporary:
        raw, out = arguments.data, Path(temporary, "out")
        if raw is None:
            raw = Path(temporary, "raw")
            raw.mkdir()
            generate(raw, arguments.patients)
            print(f"generated {arguments.patients:,} patients, seed {SEED}")
        patients, _ = ingest_ours(raw, out, None)
        tokenizer = ClaimTokenizer.train_from_dataset(patients, backoff=False, max_visits=MAX_VISITS)
        vocab = tokenizer.get_vocab()
        # The checked runs are also the warm-up.
        patients, ours = ingest_ours(raw, out, tokenizer)
        for strong in (False, True):
            check_equal(patients, ours, ingest_naively(raw, vocab, MAX_VISITS, strong=strong))
        contestants = {
            "ours": lambda: ingest_ours(raw, out, tokenizer),
            BASELINE: lambda: ingest_naively(raw, vocab, MAX_VISITS),
            f"{BASELINE}, strong": lambda: ingest_naively(raw, vocab, MAX_VISITS, strong=True),
        }
        ratios = measure(contestants, arguments.rounds)
    for name, of_rounds in ratios.items():
        low, middle, high = min(of_rounds), statistics.median(of_rounds), max(of_rounds)
        figures = "noisy" if high / low > NOISY_SPREAD else f"{middle:.1f} (min {low:.1f}, max {high:.1f})"
        print(f"CPU time of {name} over ours: {figures}{f', gate {GATE}' if name == BASELINE else ''}")
    remember("ingest", {f"CPU time of {name} : ours": statistics.median(found) for name, found in ratios.items()})
    sys.exit(int(statistics.median(ratios[BASELINE]) < GATE))


if __name__ == "__main__":
    main()
