"""The last end and payment of a visit: the plain definition, row by row, against what the packed integers give."""

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from claims.folding import write_patients

from claim_transformers.claims import patient_files
from claim_transformers.claims.later_days import VISIT_PAID_DAY
from claim_transformers.claims.patient_files import PATIENTS_SCHEMA
from claim_transformers.claims.schema import _CLAIM_LINE_SCHEMA, _ELIGIBILITY_SCHEMA, _RX_CLAIM_SCHEMA
from claim_transformers.codes.errors import ClaimDataError

EPOCH = dt.date(1970, 1, 1)


def date(number):
    return None if number is None else EPOCH + dt.timedelta(days=int(number))


def line(patient_id="P1", day=0, paid=None, **values):
    return {"patient_id": patient_id, "claim_type": "OP", "claim_start_date": date(day), "paid_date": date(paid),
            "hcpcs_code": "99213"} | values  # fmt: skip


def drug(patient_id="P1", day=0, paid=None):
    return {"patient_id": patient_id, "dispensing_date": date(day), "ndc_code": "1", "paid_date": date(paid)}


def folder(path: Path, lines, drugs=(), num_files=1) -> Path:
    tables = (("claim_line", lines, _CLAIM_LINE_SCHEMA), ("rx_claim", drugs, _RX_CLAIM_SCHEMA),
              ("eligibility", (), _ELIGIBILITY_SCHEMA))  # fmt: skip
    for name, rows, schema in tables:
        schema = pa.schema([(field.name, field.type) for field in schema])
        (path / name).mkdir(parents=True)
        for number in range(num_files):
            part = [dict.fromkeys(schema.names) | row for row in list(rows)[number::num_files]]
            pq.write_table(pa.Table.from_pylist(part, schema=schema), path / name / f"part-{number:05d}.parquet")
    return path


def read(path: Path, column="visit_paid_day") -> dict[tuple, int | None]:
    """(patient, day, type) of every visit to its paid day, or its end."""
    found = {}
    for file in sorted(path.glob("patients/*.parquet")):
        for row in pq.read_table(file).to_pylist():
            visits = zip(row["visit_day"], row["visit_type"], row[column], strict=True)
            found |= {(row["patient_id"], day, kind): later for day, kind, later in visits}
    return found


def end_of(row) -> dt.date | None:
    """The last day of the claim of a line, none for a stay that goes on."""
    ends = [row.get(name) for name in ("claim_end_date", "discharge_date")]
    if not any(ends) and row["claim_type"] in ("IP", "SNF"):
        return None
    if row["claim_type"] != "IP":
        ends += [row.get(name) for name in ("claim_line_start_date", "claim_line_end_date")]
    return max((end for end in ends if end), default=EPOCH)


def expected(lines, drugs, later_of=lambda row: row["paid_date"], of_several=None) -> dict[tuple, int | None]:
    """The definition: the latest paid date of the lines behind a visit, never before the service."""
    seen: dict[tuple, list[dt.date | None]] = {}
    of_several = of_several or (lambda days: max((day for day in days if day), default=None))
    with_codes = set()
    for row in lines:
        header = row["claim_start_date"]
        if row["claim_type"] == "IP":
            header = row.get("admission_date") or header
        own = row.get("claim_line_start_date") or header
        procedures = [each["date"] or header for each in row.get("procedures") or []]
        with_codes |= {(row["patient_id"], when, row["claim_type"]) for when in procedures}
        if row.get("diagnoses"):
            with_codes.add((row["patient_id"], header, row["claim_type"]))
        if row.get("hcpcs_code"):
            with_codes.add((row["patient_id"], own, row["claim_type"]))
        for when in {header, own, *procedures}:
            seen.setdefault((row["patient_id"], when, row["claim_type"]), []).append(later_of(row))
    for row in drugs:
        key = (row["patient_id"], row["dispensing_date"], "RX")
        with_codes.add(key)
        seen.setdefault(key, []).append(later_of(row))
    latest = {visit: of_several(seen[visit]) for visit in with_codes}
    return {
        (patient_id, (when - EPOCH).days, kind): None if later is None else (max(later, when) - EPOCH).days
        for (patient_id, when, kind), later in latest.items()
    }


def expected_ends(lines, drugs) -> dict[tuple, int | None]:
    """The last end of the claims behind a visit; none if one of them has none."""
    return expected(
        lines,
        drugs,
        lambda row: row["dispensing_date"] if "dispensing_date" in row else end_of(row),
        lambda ends: None if None in ends else max(ends),
    )


def random_rows(seed):
    generator = np.random.default_rng(seed)
    pick = lambda values: values[int(generator.integers(len(values)))]  # noqa: E731
    lines, drugs = [], []
    for _ in range(400):
        day = int(generator.integers(40))
        maybe = lambda: pick([None, None, date(day + int(generator.integers(6)))])  # noqa: B023, E731
        lines.append(
            line(
                f"P{generator.integers(30)}",
                day,
                pick([None, day - 3, day + int(generator.integers(90))]),
                claim_type=pick(["IP", "OP", "SNF"]),
                claim_end_date=maybe(),
                discharge_date=maybe(),
                claim_line_end_date=maybe(),
                hcpcs_code=pick(["99213", None]),
                admission_date=maybe(),
                claim_line_start_date=maybe(),
                diagnoses=pick([None, [{"system": "ICD9CM", "code": "4659", "poa": None, "rank": 1}]]),
                procedures=pick([None, [{"system": "ICD9PCS", "code": "9671", "date": maybe()}]]),
            )
        )
        drugs.append(drug(f"P{generator.integers(30)}", day, pick([None, day + int(generator.integers(30))])))
    return lines, drugs


@pytest.mark.parametrize(("shards", "num_files"), [(1, 1), (5, 3)])
def test_ends_and_paid_days_equal_the_definition(tmp_path, shards, num_files):
    lines, drugs = random_rows(seed=shards)
    write_patients(folder(tmp_path, lines, drugs, num_files), shards=shards)
    found = read(tmp_path)
    assert found == expected(lines, drugs)
    assert {type(paid) for paid in found.values()} == {int, type(None)}
    ends = read(tmp_path, "visit_end_day")
    assert ends == expected_ends(lines, drugs)
    assert {end if end is None else end > day for (_, day, _), end in ends.items()} == {None, False, True}


def test_a_stay_without_an_end_hides_the_end_of_another_claim_and_no_other_type_is_endless(tmp_path):
    stay = {"claim_type": "IP", "admission_date": date(0)}
    lines = [
        line(**stay, claim_end_date=date(4)),
        line("P2", **stay),
        line("P2", **stay, discharge_date=date(9)),
        line("P3"),
        line("P4", **stay, claim_line_start_date=date(3), discharge_date=date(2)),
    ]
    write_patients(folder(tmp_path, lines))
    assert read(tmp_path, "visit_end_day") == {
        ("P1", 0, "IP"): 4,
        ("P2", 0, "IP"): None,
        ("P3", 0, "OP"): 0,
        ("P4", 3, "IP"): 3,
    }


def test_a_code_on_a_day_of_its_own_ends_with_its_claim(tmp_path):
    procedures = [{"system": "ICD9PCS", "code": "9671", "date": date(5)}]
    stay = line(claim_type="IP", admission_date=date(0), discharge_date=date(8), procedures=procedures)
    bill = line("P2", claim_end_date=date(30), claim_line_start_date=date(7))
    write_patients(folder(tmp_path, [stay, bill]))
    assert read(tmp_path, "visit_end_day") == {("P1", 0, "IP"): 8, ("P1", 5, "IP"): 8, ("P2", 7, "OP"): 30}


def test_the_last_claim_paid_decides_and_another_type_or_day_does_not(tmp_path):
    lines = [line(paid=30), line(paid=45), line(paid=20), line(day=1, paid=99), line(paid=60, claim_type="IP")]
    write_patients(folder(tmp_path, lines))
    assert read(tmp_path) == {("P1", 0, "IP"): 60, ("P1", 0, "OP"): 45, ("P1", 1, "OP"): 99}


def test_a_line_without_a_paid_date_does_not_hide_the_date_of_another(tmp_path):
    write_patients(folder(tmp_path, [line(paid=30), line(paid=None), line(day=5, paid=None)]))
    assert read(tmp_path) == {("P1", 0, "OP"): 30, ("P1", 5, "OP"): None}


def test_without_any_paid_date_the_files_are_what_they_were(tmp_path):
    write_patients(folder(tmp_path, [line(), line("P2", 3)]))
    for file in tmp_path.glob("patients/*.parquet"):
        assert pq.read_schema(file).equals(PATIENTS_SCHEMA)


def test_with_one_paid_date_every_file_has_the_column_even_without_rows(tmp_path):
    write_patients(folder(tmp_path, [line(paid=9)]))
    files = sorted(tmp_path.glob("patients/*.parquet"))
    assert len(files) == 3
    for file in files:
        assert pq.read_schema(file).equals(PATIENTS_SCHEMA.append(VISIT_PAID_DAY))


def test_the_other_columns_and_row_groups_do_not_change_with_paid_dates(tmp_path, monkeypatch):
    monkeypatch.setattr(patient_files, "_PATIENTS_PER_ROW_GROUP", 3)
    lines, drugs = random_rows(seed=9)
    write_patients(folder(tmp_path / "paid", lines, drugs), shards=3)
    bare = [row | {"paid_date": None} for row in lines], [row | {"paid_date": None} for row in drugs]
    write_patients(folder(tmp_path / "bare", *bare))
    for file in sorted((tmp_path / "bare" / "patients").iterdir()):
        table = pq.read_table(tmp_path / "paid" / "patients" / file.name)
        assert table.drop_columns([VISIT_PAID_DAY.name]).equals(pq.read_table(file))
    assert read(tmp_path / "paid") == expected(lines, drugs)


def test_the_tokenizer_never_sees_the_columns(tmp_path):
    from claim_transformers.models.claim import ClaimTokenizer

    write_patients(folder(tmp_path, [line(paid=30), line(day=9, paid=31)]))
    table = next(table for table in map(pq.read_table, tmp_path.glob("patients/*.parquet")) if table.num_rows)
    tokenizer = ClaimTokenizer.train_from_dataset(table, min_patients=1)
    bare = table.drop_columns([VISIT_PAID_DAY.name, "visit_end_day"])
    assert tokenizer.get_vocab() == ClaimTokenizer.train_from_dataset(bare, min_patients=1).get_vocab()
    assert tokenizer.encode_table(table).equals(tokenizer.encode_table(bare))


def test_a_table_without_the_column_paid_date_is_refused(tmp_path):
    path = folder(tmp_path, [line()]) / "claim_line" / "part-00000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["paid_date"]), path)
    with pytest.raises(ClaimDataError, match="expected a column 'paid_date'"):
        write_patients(tmp_path)
