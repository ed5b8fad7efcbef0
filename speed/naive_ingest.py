"""DE-SynPUF to token ids with pandas and one `datasets.map` call per row: what a careful user writes first.

Raw rows are cleaned by a function that sees one row, pandas groups codes into visits and visits into patients, and a
second function writes the tokens of one patient. It checks dates and code forms like `ingest` does, but it leaves out
what only `ingest` does: duplicates, reversals, claims of two patients, enrollment, quarantine and the quality report.
With `strong`, whole columns are cleaned at once, and only the tokens are written row by row.
"""

import datetime as dt
import re
from collections.abc import Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow.parquet as pq

EPOCH = dt.date(1970, 1, 1)
DIAGNOSES = [f"ICD9_DGNS_CD_{number}" for number in range(1, 11)]
PROCEDURES = [f"ICD9_PRCDR_CD_{number}" for number in range(1, 7)]
HCPCS = [f"HCPCS_CD_{number}" for number in range(1, 46)]
CODE_FORMS = {
    "ICD9CM": re.compile(r"\d{3,5}|V\d{2,4}|E\d{3,4}"),
    "ICD9PCS": re.compile(r"[A-Z0-9]{2,11}"),
    "HCPCS": re.compile(r"[A-Z0-9]{4}\d|\d{4}[A-Z]"),
    "DRG": re.compile(r"\d{3}"),
    "NDC": re.compile(r"(?!0{11}|9{11})\d{11}"),
}
COLUMN_SYSTEMS = {
    **dict.fromkeys(DIAGNOSES, "ICD9CM"),
    **dict.fromkeys(PROCEDURES, "ICD9PCS"),
    **dict.fromkeys(HCPCS, "HCPCS"),
    "CLM_DRG_CD": "DRG",
    "PROD_SRVC_ID": "NDC",
}


def parse_day(text: str | None) -> int | None:
    """Days since 1970-01-01 of a date as YYYYMMDD."""
    if not text:
        return None
    try:
        return (dt.datetime.strptime(text, "%Y%m%d").date() - EPOCH).days
    except ValueError:
        return None


def clean_row(row: Mapping[str, Any], date_columns: list[str], visit_type: str) -> dict[str, Any]:
    """One raw row as patient, day, type and codes."""
    codes = []
    for column, system in COLUMN_SYSTEMS.items():
        text = row.get(column)
        if text:
            code = text.strip().upper().replace(".", "")
            if CODE_FORMS[system].fullmatch(code):
                codes.append(f"{system}/{code}")
    day = next((day for column in date_columns if (day := parse_day(row[column])) is not None), None)
    return {"patient_id": row["DESYNPUF_ID"], "day": day, "type": visit_type, "codes": codes}


def clean_frame(frame: pd.DataFrame, date_columns: list[str], visit_type: str) -> pd.DataFrame:
    """All rows at once: the strong form, for which pandas has to be known well."""
    days = pd.Series(pd.NaT, index=frame.index)
    for column in date_columns:
        days = days.fillna(pd.to_datetime(frame[column], format="%Y%m%d", errors="coerce"))
    columns = [column for column in COLUMN_SYSTEMS if column in frame]
    texts = frame[columns].melt(ignore_index=False, var_name="column", value_name="code").dropna()
    texts["code"] = texts["code"].str.strip().str.upper().str.replace(".", "", regex=False)
    texts["system"] = texts["column"].map(COLUMN_SYSTEMS)
    parts = [
        system + "/" + of_system["code"][of_system["code"].str.fullmatch(CODE_FORMS[system].pattern)]
        for system, of_system in texts.groupby("system")
    ]
    codes = pd.concat(parts).rename("codes").to_frame()
    codes["patient_id"] = frame["DESYNPUF_ID"]
    codes["day"] = (days - pd.Timestamp("1970-01-01")).dt.days
    codes["type"] = visit_type
    return codes.dropna().drop_duplicates()


def read_claims(path: Path, date_columns: list[str], visit_type: str, *, strong: bool) -> pd.DataFrame:
    """All rows of a raw file, cleaned."""
    known = set(pq.read_schema(path).names)
    wanted = ["DESYNPUF_ID", "CLM_ID", "SEGMENT", *date_columns, *COLUMN_SYSTEMS]
    frame = pd.read_parquet(path, columns=[column for column in wanted if column in known])
    if "SEGMENT" in frame:
        # What is true of the whole claim stands in its first segment.
        frame = frame.sort_values(["CLM_ID", "SEGMENT"])
        of_claim = [column for column in (*date_columns, "CLM_DRG_CD") if column in frame]
        frame[of_claim] = frame.groupby(["DESYNPUF_ID", "CLM_ID"])[of_claim].transform("first")
    frame = frame.reset_index(drop=True)
    if strong:
        return clean_frame(frame, date_columns, visit_type)
    raw = datasets.Dataset.from_pandas(frame, preserve_index=False)
    cleaned = raw.map(
        partial(clean_row, date_columns=date_columns, visit_type=visit_type), remove_columns=raw.column_names
    )
    return cleaned.to_pandas()


def read_patients(raw: Path, *, strong: bool) -> datasets.Dataset:
    """All patients with their visits in order."""
    claims = pd.concat(
        [
            read_claims(next(raw.glob("inpatient*.parquet")), ["CLM_ADMSN_DT", "CLM_FROM_DT"], "IP", strong=strong),
            read_claims(next(raw.glob("outpatient*.parquet")), ["CLM_FROM_DT"], "OP", strong=strong),
            read_claims(next(raw.glob("pde*.parquet")), ["SRVC_DT"], "RX", strong=strong),
        ]
    )
    claims = claims[claims["day"].notna() & (claims["codes"].str.len() > 0)].astype({"day": "int64"})
    by_visit = claims.groupby(["patient_id", "day", "type"])["codes"]
    visits = by_visit.agg(list) if strong else by_visit.agg(lambda codes: sorted(set(chain(*codes))))
    patients = visits.reset_index().groupby("patient_id")[["day", "type", "codes"]].agg(list)

    columns = ["DESYNPUF_ID", "BENE_BIRTH_DT", "BENE_SEX_IDENT_CD"]
    years = [pd.read_parquet(path, columns=columns) for path in sorted(raw.glob("beneficiary_*.parquet"))]
    people = pd.concat(years).drop_duplicates("DESYNPUF_ID", keep="last").set_index("DESYNPUF_ID")
    patients["birth_day"] = people["BENE_BIRTH_DT"].map(parse_day)
    patients["sex"] = people["BENE_SEX_IDENT_CD"].map({"1": "M", "2": "F"})
    return datasets.Dataset.from_pandas(patients.reset_index(), preserve_index=False)


def gap_bound(gap_days: int) -> int:
    """Lower bound of the bucket of a gap: 0, 1, 2, 4, ... 4096 days."""
    return min(2 ** (gap_days.bit_length() - 1), 4096) if gap_days else 0


def encode_patient(row: Mapping[str, Any], vocab: Mapping[str, int], max_visits: int) -> dict[str, list[int]]:
    """Tokens of one patient: age and sex, then type, gap and codes of each visit."""
    visits = list(zip(row["day"], row["type"], row["codes"], strict=True))[-max_visits:]
    input_ids = []
    if row["birth_day"] is not None:
        first, born = (EPOCH + dt.timedelta(days=int(day)) for day in (visits[0][0], row["birth_day"]))
        age = first.year - born.year - ((first.month, first.day) < (born.month, born.day))
        input_ids.append(vocab[f"AGE/{min(max(age, 0), 90)}"])
    input_ids.append(vocab[f"SEX/{row['sex'] or 'U'}"])
    visit_ids = [0] * len(input_ids)
    previous_day = None
    for number, (day, visit_type, codes) in enumerate(visits, start=1):
        gap = "START" if previous_day is None else gap_bound(day - previous_day)
        known = {vocab.get(code, vocab.get(f"UNK/{code.split('/')[0]}", vocab["[UNK]"])) for code in codes}
        tokens = [vocab[f"TYPE/{visit_type}"], vocab[f"GAP/{gap}"], *sorted(known)]
        input_ids += tokens
        visit_ids += [number] * len(tokens)
        previous_day = day
    return {"input_ids": input_ids, "visit_ids": visit_ids, "visit_days": [0, *(v[0] - visits[0][0] for v in visits)]}


def ingest_naively(raw: Path, vocab: Mapping[str, int], max_visits: int, *, strong: bool = False) -> datasets.Dataset:
    """From raw files to the tokens of every patient."""
    patients = read_patients(raw, strong=strong)
    encode = partial(encode_patient, vocab=vocab, max_visits=max_visits)
    return patients.map(encode, remove_columns=[name for name in patients.column_names if name != "patient_id"])
