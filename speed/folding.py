"""The whole ingest against only the folding, by SQL of DuckDB written by hand: CPU time, and memory as claims grow.

    OMP_NUM_THREADS=1 python -m speed.folding --lines 1000000 5000000

Raw files in the layout of DE-SynPUF are generated, 25 claim lines for each patient. `ingest` then reads, checks,
counts, writes canonical tables and patients. The rival folds the codes of the same raw files into visits and visits
into patients, and nothing else; a second one does so from our canonical tables, against the step that does it here.
All of them are shown to give the same visits, codes, ends, principal diagnoses and amounts before a figure is printed.
Last, what no ingest can do without: reading the raw files once, and reading and writing its tables as they are.
The SQL is the fastest of several ways that were tried: lists are sorted as lists, which costs half of ordered
aggregates and grows less than they do. Each runs alone in a process, with one thread.

Below a million lines or so, what planning costs whatever the size decides the ratio. The exit code is 1 when a gate is
missed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from string import Template

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # as the command line does

import duckdb  # noqa: E402
import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from claim_transformers.claims.sequences import PatientsWriter  # noqa: E402
from claim_transformers.sources.pipeline.ingest import ingest  # noqa: E402
from speed.history import remember  # noqa: E402

SEED = 20260101
YEARS = (2008, 2009, 2010)
DIAGNOSES, PROCEDURES, HCPCS = (
    [f"{stem}_{number}" for number in range(1, last + 1)]
    for stem, last in (("ICD9_DGNS_CD", 10), ("ICD9_PRCDR_CD", 6), ("HCPCS_CD", 45))
)
LINES_PER_PATIENT = 25
PATIENTS_AT_ONCE = 50_000
MAX_MEGABYTES, MAX_OF_FOLDING, MIN_TIMES_LESS, MAX_GROWTH = 2000, 1.0, 5.0, 1.05
NUMBERS = np.arange(10_000)
WIDE, NARROW, DRUGS = (pa.array(np.char.zfill(NUMBERS.astype(str), width)) for width in (5, 4, 11))
DAYS = pa.array(
    np.char.replace(np.datetime_as_string(np.datetime64("2008-01-01") + np.arange(1100)), "-", "").astype(object)
)
COMPARED = ("patient_id", "visit_day", "visit_type", "codes", "visit_end_day", "principal_codes", "visit_amount")

_FOLD = Template("""COPY (
WITH visits AS (
    SELECT patient_id, visit_day, visit_type,
        list_sort(list_distinct(flatten(list(list_filter(codes, lambda code: code IS NOT NULL))))) AS codes,
        max(end_day) AS visit_end_day, list_sort(list_distinct(list(principal))) AS principal_codes,
        CAST(sum(amount) AS DOUBLE) AS visit_amount
    FROM ($rows) GROUP BY ALL
), patients AS (
    SELECT patient_id, list_sort(list({'visit_day': visit_day, 'visit_type': visit_type, 'codes': codes,
        'visit_end_day': visit_end_day, 'principal_codes': principal_codes, 'visit_amount': visit_amount})) AS visits
    FROM visits GROUP BY patient_id
)
SELECT patient_id, $columns FROM patients ORDER BY patient_id
) TO '$out' (FORMAT parquet, COMPRESSION zstd)""")


def generate(folder: Path, num_lines: int) -> None:
    """Write raw files: of each patient one inpatient claim, four outpatient ones of 4.5 lines, six drugs."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    num_patients = num_lines // LINES_PER_PATIENT
    # Patients stand in no order: an odd factor permutes the numbers of 48 bits.
    numbers = np.arange(1, num_patients + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4B) % np.uint64(2**48)
    writers: dict[str, pq.ParquetWriter] = {}
    for start in range(0, num_patients, PATIENTS_AT_ONCE):
        of_chunk = numbers[start : start + PATIENTS_AT_ONCE].tolist()
        ids = pa.array([f"{number:016X}" for number in of_chunk])
        tables = {f"beneficiary_{year}": _beneficiaries(rng, ids) for year in YEARS}
        tables["inpatient"] = _institutional(rng, ids, start, 1, is_inpatient=True)
        tables["outpatient"] = _institutional(rng, ids, start, 4, is_inpatient=False)
        num_drugs = 6 * len(ids)
        tables["pde"] = pa.table(
            {
                "DESYNPUF_ID": ids.take(pa.array(rng.integers(0, len(ids), num_drugs))),
                "PDE_ID": _numbered(6 * start, num_drugs),
                "SRVC_DT": DAYS.take(pa.array(rng.integers(0, 1000, num_drugs))),
                "PROD_SRVC_ID": DRUGS.take(pa.array(rng.integers(1, 5000, num_drugs))),
            }
        )
        for name, table in tables.items():
            if name not in writers:
                writers[name] = pq.ParquetWriter(folder / f"{name}.parquet", table.schema)
            writers[name].write_table(table)
    for writer in writers.values():
        writer.close()


def _numbered(start: int, number: int) -> pa.Array:
    return pa.array(np.char.zfill(np.arange(start, start + number).astype(str), 15))


def _beneficiaries(rng: np.random.Generator, ids: pa.Array) -> pa.Table:
    number = len(ids)
    births, months = pa.array([f"{1910 + year}0601" for year in range(40)]), pa.array(["0", "6", "12"])
    of_all = {"BENE_RACE_CD": "1", "SP_STATE_CODE": "26", "BENE_COUNTY_CD": "950"}
    return pa.table(
        {
            "DESYNPUF_ID": ids,
            "BENE_BIRTH_DT": births.take(pa.array(np.arange(number) % 40)),
            "BENE_DEATH_DT": pa.nulls(number, pa.string()),
            "BENE_SEX_IDENT_CD": pa.array(["1", "2"]).take(pa.array(np.arange(number) % 2)),
            **{name: pa.repeat(value, number) for name, value in of_all.items()},
            **{
                f"BENE_{part}_CVRAGE_TOT_MONS": months.take(pa.array(rng.choice(3, number, p=[0.05, 0.05, 0.9])))
                for part in ("HI", "SMI")
            },
        }
    )


def _institutional(
    rng: np.random.Generator, ids: pa.Array, start: int, claims_per_patient: int, *, is_inpatient: bool
) -> pa.Table:
    number = len(ids) * claims_per_patient
    days = rng.integers(0, 1000, number)
    columns = {
        "DESYNPUF_ID": ids.take(pa.array(rng.integers(0, len(ids), number))),
        "CLM_ID": _numbered((9 if is_inpatient else 5) * 10**14 + start * claims_per_patient, number),
        "SEGMENT": pa.repeat("1", number),
        "CLM_FROM_DT": DAYS.take(pa.array(days)),
        "CLM_THRU_DT": DAYS.take(pa.array(days + 3)),
        "CLM_PMT_AMT": pa.repeat("4000.00", number),
    }
    if is_inpatient:
        columns |= {"CLM_ADMSN_DT": columns["CLM_FROM_DT"], "NCH_BENE_DSCHRG_DT": columns["CLM_THRU_DT"]}
        columns["CLM_DRG_CD"] = pa.array([f"{drg:03d}" for drg in range(999)]).take(
            pa.array(rng.integers(1, 999, number))
        )
    shares = dict.fromkeys(DIAGNOSES, 0.8) | dict.fromkeys(PROCEDURES, 0.2)
    shares |= dict.fromkeys(HCPCS, 0.0 if is_inpatient else 0.1)
    for name, share in shares.items():
        codes = pa.array(np.minimum(rng.zipf(1.3, number), 9999), mask=rng.random(number) >= share)
        columns[name] = (NARROW if name in PROCEDURES else WIDE).take(codes)
    return pa.table(columns)


def fold_raw(raw: Path, out: Path) -> None:
    """Raw files to visits of patients, in SQL."""
    codes = [f"'ICD9CM/' || {name}" for name in DIAGNOSES] + [f"'ICD9PCS/' || {name}" for name in PROCEDURES]
    codes += [f"'HCPCS/' || {name}" for name in HCPCS]

    def rows(file: str, visit_type: str, begin: str, end: str, codes: list[str], of_claim: str) -> str:
        first, last = (f"CAST(strptime({name}, '%Y%m%d') AS DATE) - DATE '1970-01-01'" for name in (begin, end))
        return (
            f"SELECT DESYNPUF_ID AS patient_id, {first} AS visit_day, '{visit_type}' AS visit_type, "
            f"[{', '.join(codes)}] AS codes, {last} AS end_day, {of_claim} "
            f"FROM read_parquet('{raw}/{file}.parquet')"
        )

    of_claim = "'ICD9CM/' || ICD9_DGNS_CD_1 AS principal, CAST(CLM_PMT_AMT AS DECIMAL(12, 2)) AS amount"
    stay = ("CLM_ADMSN_DT", "NCH_BENE_DSCHRG_DT")
    parts = [
        rows("inpatient", "IP", *stay, [*codes, "'DRG/' || CLM_DRG_CD"], of_claim),
        rows("outpatient", "OP", "CLM_FROM_DT", "CLM_THRU_DT", codes, of_claim),
        rows("pde", "RX", "SRVC_DT", "SRVC_DT", ["'NDC/' || PROD_SRVC_ID"], "NULL AS principal, NULL AS amount"),
    ]
    _execute(" UNION ALL ".join(parts), out)


def fold_tables(folder: Path, out: Path) -> None:
    """Canonical tables to visits of patients, in SQL."""
    named = "lambda entry: entry.system || '/' || entry.code"
    _execute(
        f"""
        SELECT patient_id, CASE claim_type WHEN 'IP' THEN coalesce(admission_date, claim_start_date)
                ELSE claim_start_date END - DATE '1970-01-01' AS visit_day, claim_type AS visit_type,
            list_concat(list_transform(diagnoses, {named}), list_transform(procedures, {named}),
                ['HCPCS/' || hcpcs_code, 'DRG/' || drg_code]) AS codes,
            coalesce(discharge_date, claim_end_date) - DATE '1970-01-01' AS end_day,
            list_transform(list_filter(diagnoses, lambda entry: entry.rank = 1), {named})[1] AS principal,
            paid_amount AS amount
        FROM read_parquet('{folder}/claim_line/*.parquet')
        UNION ALL SELECT patient_id, dispensing_date - DATE '1970-01-01', 'RX', ['NDC/' || ndc_code],
            dispensing_date - DATE '1970-01-01', NULL, paid_amount
        FROM read_parquet('{folder}/rx_claim/*.parquet')
        """,
        out,
    )


def _execute(rows: str, out: Path) -> None:
    columns = ", ".join(f"list_transform(visits, lambda visit: visit.{name}) AS {name}" for name in COMPARED[1:])
    with duckdb.connect(config={"threads": 1, "temp_directory": f"{out}.spill"}) as connection:
        connection.execute(_FOLD.substitute(rows=rows, columns=columns, out=out))


def ingest_whole(raw: Path, out: Path) -> None:
    """Raw files to everything that an ingest writes."""
    ingest("synpuf", raw, out, overwrite=True, threads=1, progress=False)


def fold_ours(folder: Path, _out: Path) -> None:
    """Canonical tables to patients, as an ingest does it; they take the place of those that are there."""
    with PatientsWriter(folder) as writer:
        writer.write(source="synpuf")


def read_raw(raw: Path, _out: Path) -> None:
    """Raw files read once by Arrow: what no ingest can do without."""
    for path in sorted(raw.glob("*.parquet")):
        pq.read_table(path, use_threads=False)


def copy_tables(folder: Path, out: Path) -> None:
    """Tables that an ingest writes, read and written again by Arrow as they are: the same."""
    for path in sorted(folder.glob("*/*.parquet")):
        footer = pq.read_metadata(path)
        leaves = [footer.schema.column(number) for number in range(len(footer.schema))]
        strings = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        options = {"compression": "zstd", "compression_level": 1, "write_batch_size": 1 << 16}
        with (
            pq.ParquetFile(path, read_dictionary=strings) as file,
            pq.ParquetWriter(out, file.schema_arrow, **options) as writer,
        ):
            for number in range(file.num_row_groups):
                writer.write_table(file.read_row_group(number, use_threads=False))


STEPS: dict[str, Callable[[Path, Path], None]] = {
    step.__name__: step for step in (ingest_whole, fold_raw, fold_ours, fold_tables, read_raw, copy_tables)
}


def measure(step: str, given: Path, out: Path) -> dict[str, float]:
    """CPU seconds and peak memory in megabytes of a step in a process of its own."""
    command = [sys.executable, "-m", "speed.folding", "--step", step, str(given), str(out)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    print(f"    {step}: {found['cpu']:.1f} CPU s, {found['megabytes']:.0f} MB", flush=True)
    return found


def _run_step(step: str, given: Path, out: Path) -> None:
    start = time.process_time()
    STEPS[step](given, out)
    spent = time.process_time() - start
    (peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    print(json.dumps({"cpu": spent, "megabytes": int(peak.split()[1]) / 1000}))


def check_equal(patients: Path, folded: Path) -> None:
    """Stop unless the visits of all patients are the same."""
    listed = ", ".join(COMPARED)
    with duckdb.connect(config={"threads": 1, "memory_limit": "4GB"}) as connection:
        ours = f"SELECT {listed} FROM read_parquet('{patients}/*.parquet')"
        theirs = f"SELECT {listed} FROM read_parquet('{folded}')"
        counts = connection.execute(
            f"SELECT (SELECT count(*) FROM ({ours})), (SELECT count(*) FROM ({theirs})), "
            f"(SELECT count(*) FROM ({ours}) AS a JOIN ({theirs}) AS b USING (patient_id) "
            f"WHERE {' AND '.join(f'a.{name} IS NOT DISTINCT FROM b.{name}' for name in COMPARED[1:])})"
        ).fetchall()[0]
    if len(set(counts)) > 1:
        sys.exit(f"not equivalent: {counts[0]:,} and {counts[1]:,} patients, {counts[2]:,} alike; no figures")


def compare(num_lines: int, folder: Path) -> dict[str, float]:
    """Measure all at one size: memory of the ingest, its CPU, and both ratios."""
    raw, out = folder / "raw", folder / "out"
    raw.mkdir()
    generate(raw, num_lines)
    print(f"{num_lines:,} lines", flush=True)
    whole, folding = measure("ingest_whole", raw, out), measure("fold_raw", raw, folder / "raw.parquet")
    check_equal(out / "patients", folder / "raw.parquet")
    ours, theirs = measure("fold_ours", out, folder), measure("fold_tables", out, folder / "tables.parquet")
    check_equal(out / "patients", folder / "tables.parquet")
    measure("read_raw", raw, folder)
    measure("copy_tables", out, folder / "copy.parquet")
    shutil.rmtree(raw)
    return {
        "megabytes": whole["megabytes"],
        "CPU": whole["cpu"],
        "of folding": whole["cpu"] / folding["cpu"],
        "times less": theirs["cpu"] / ours["cpu"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, nargs="+", default=[1_000_000], help="Claim lines, one size or several.")
    parser.add_argument("--folder", type=Path, help="Where to write, about 0.5 GB for each million of lines.")
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        step, given, out = arguments.step
        return _run_step(step, Path(given), Path(out))
    print(f"duckdb {duckdb.__version__}, pyarrow {pa.__version__}, load {os.getloadavg()[0]:.1f}")
    found = {}
    for num_lines in arguments.lines:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
            found[num_lines] = compare(num_lines, Path(temporary))
    smallest = min(found)
    missed = False
    for num_lines, figures in found.items():
        growth = figures["CPU"] / num_lines / (found[smallest]["CPU"] / smallest)
        print(
            f"{num_lines:,} lines: {figures['megabytes']:,.0f} MB (gate {MAX_MEGABYTES:,}); the ingest costs "
            f"{figures['of folding']:.2f} times the folding by SQL (gate {MAX_OF_FOLDING}); tables to patients cost "
            f"{figures['times less']:.1f} times less than by SQL (gate {MIN_TIMES_LESS}); "
            f"CPU per line {growth:.2f} times that of {smallest:,} lines (gate {MAX_GROWTH})"
        )
        missed |= figures["megabytes"] > MAX_MEGABYTES or figures["of folding"] > MAX_OF_FOLDING
        missed |= figures["times less"] < MIN_TIMES_LESS or growth > MAX_GROWTH
        remember(
            "folding",
            {
                f"{num_lines:,} lines, whole ingest : folding by SQL": figures["of folding"],
                f"{num_lines:,} lines, folding of tables by SQL : ours": figures["times less"],
            },
        )
    sys.exit(int(missed))


if __name__ == "__main__":
    main()
