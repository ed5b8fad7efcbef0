"""A proposal guesses what can be guessed, marks what a person decides, and shows no value of any cell."""

import re
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from claim_transformers.cli import app
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.tables.forms import profile
from claim_transformers.sources.formats.tables.guesses import guess_fields, kind_of_rows
from claim_transformers.sources.formats.tables.mapping import read_mapping
from claim_transformers.sources.formats.tables.proposal import propose_mapping
from claim_transformers.sources.formats.tables.samples import Sample
from claim_transformers.sources.pipeline.ingest import ingest

ROWS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three invented tables: visits whose days are all below 13, people with digits for a sex, and drugs by number."""
    folder = tmp_path_factory.mktemp("proposal")
    rng = np.random.default_rng(0)
    people = [f"MX{number:05d}Q" for number in rng.integers(0, 99_999, 20)]
    who = [people[place % 20] for place in range(ROWS)]
    days = [f"{rng.integers(1, 13):02d}/{rng.integers(1, 13):02d}/2016" for _ in range(ROWS)]
    visits = {
        "MBR_ID": who,
        "CLM_NBR": [f"K{7_000_000 + place // 2}" for place in range(ROWS)],
        "SVC_DT": days,
        "THRU_DT": ["28/02/2016"] * ROWS,
        "DIAG1": ["E11.9", "I10", "J45.909"] * (ROWS // 3),
        "DIAG2": ["Z00.00", "", ""] * (ROWS // 3),
        "DIAG3": [""] * ROWS,
        "DIAG_TYPE": ["ICD-10"] * ROWS,
        "CPT": ["99213", "36415"] * (ROWS // 2),
        "REVCD": ["0450", "0120"] * (ROWS // 2),
        "PAID_AMT": [f"${rng.integers(1, 900)}.75" for _ in range(ROWS)],
        "CLM_STATUS": ["P", "D", "P"] * (ROWS // 3),
        "CLM_TYPE": ["H", "Q"] * (ROWS // 2),
        "ADJ_NO": ["0"] * ROWS,
        "CLERK": ["somebody"] * ROWS,
    }
    lines = ["|".join(visits), *("|".join(row) for row in zip(*visits.values(), strict=True))]
    text = "\n".join(lines).replace("somebody", "Andr\u00e9")
    (folder / "visits_2016.txt").write_bytes(text.encode("latin-1"))
    members = {"MBR_ID": people, "SEX": ["1", "2"] * 10, "DOB_YEAR": ["1950", "1961"] * 10,
               "EFF_DT": ["2015-01-01"] * 20, "TERM_DT": ["2016-12-31"] * 20}  # fmt: skip
    rows = ["\t".join(members), *("\t".join(row) for row in zip(*members.values(), strict=True))]
    (folder / "members.tsv").write_text("\n".join(rows), encoding="utf-8")
    fills = {"MBR_ID": pa.array(range(20)), "RX_NO": pa.array([f"R{n}" for n in range(20)]),
             "FILL_DT": pa.array([16801 + n for n in range(20)], pa.int32()).cast(pa.date32()),
             "NDC": pa.array(["00093014505"] * 20), "DAYS": pa.array([30] * 20)}  # fmt: skip
    pq.write_table(pa.table(fills), folder / "fills.parquet")
    return folder


@pytest.fixture(scope="module")
def proposal(folder: Path) -> str:
    return propose_mapping(["visits_2016.txt", "members.tsv", "fills.parquet"], folder=folder)


def test_columns_are_found_by_name_and_form(proposal: str) -> None:
    wanted = {
        "rows: claim_line",
        'delimiter: "|"',
        "encoding: latin-1",
        "patient_id: MBR_ID",
        "claim_id: CLM_NBR",
        "columns: DIAG1..DIAG3",
        "system: {column: DIAG_TYPE}",
        "hcpcs_code: CPT",
        "revenue_center_code: REVCD",
        "paid_amount: PAID_AMT",
        "claim_end_date: THRU_DT",
        "dates: DD/MM/YYYY",
        "rows: eligibility",
        "enrollment_start_date: EFF_DT",
        "enrollment_end_date: TERM_DT",
        "rows: rx_claim",
        "ndc_code: NDC",
        "dispensing_date: FILL_DT",
        "days_supply: DAYS",
        "# not used: CLERK",
    }
    lines = {
        line.partition("  #")[0].strip() if not line.strip().startswith("#") else line.strip()
        for line in proposal.splitlines()
    }
    assert wanted - lines == set()
    assert "as in members" in proposal


def test_a_policy_of_a_family_is_no_patient_where_a_column_is_named_after_one() -> None:
    ids = {
        "SUBSCRIBER_ID": [f"S{n // 3}" for n in range(30)],
        "Insured Number": [f"{n}" for n in range(30)],
        "Enroll ID": [f"M{n}" for n in range(30)],
    }
    columns = [profile(name, pa.array(values)) for name, values in ids.items()]
    for given, wanted in ((columns, "Enroll ID"), (columns[:1], "SUBSCRIBER_ID")):
        sample = Sample("people", ("people.csv",), "", tuple(given))
        assert [guess.columns for guess in guess_fields(sample, "eligibility", ())] == [(wanted,)]


def test_what_a_wrong_guess_would_change_silently_is_for_a_person(proposal: str) -> None:
    decisions = [line.split("#")[0].strip() for line in proposal.splitlines() if "DECIDE" in line.split("#")[0]]
    assert decisions == [
        "name: DECIDE",
        "claim_type: {column: CLM_TYPE, values: DECIDE}",
        "claim_start_date: {column: SVC_DT, dates: DECIDE}",
        "- {column: CLM_STATUS, in: DECIDE, verdict: D_DENIED, because: the claim is denied}",
        "versions: DECIDE",
        "reversals: DECIDE",
        "gender: {column: SEX, values: DECIDE}",
        "birth_date: {column: DOB_YEAR, day: DECIDE}",
        "patient_id: {column: MBR_ID, is_number: DECIDE}",
    ]


def test_no_value_is_shown_and_no_small_count(proposal: str, folder: Path) -> None:
    text = (folder / "visits_2016.txt").read_text(encoding="latin-1") + (folder / "members.tsv").read_text()
    header = {"MBR_ID", *text.splitlines()[0].split("|")}
    cells = {cell for line in text.splitlines() for cell in re.split(r"[|\t]", line) if len(cell) > 3} - header
    words = set(re.findall(r"[\w./-]+", proposal))
    assert cells & words <= {"ICD-10", "TERM_DT", "EFF_DT", "DOB_YEAR"}
    counts = [int(count) for count in re.findall(r"(?<![\w.-])(\d+) (?:of|rows|filled|different)", proposal)]
    assert counts
    assert not [count for count in counts if 1 <= count <= 10]


def test_ingest_refuses_a_proposal_until_it_is_decided(proposal: str, folder: Path, tmp_path: Path) -> None:
    path = folder / "mapping.yaml"
    path.write_text(proposal, encoding="utf-8")
    with pytest.raises(ClaimDataError, match="E_DECIDE: expected a decision at 9 places"):
        ingest("tables", path, tmp_path / "out", progress=False)
    decided = proposal.replace("name: DECIDE", "name: site").replace("dates: DECIDE", "dates: MM/DD/YYYY")
    decided = decided.replace("CLM_TYPE, values: DECIDE", "CLM_TYPE, values: {H: OP, Q: CAR}")
    decided = decided.replace("in: DECIDE", "in: [D]").replace(
        "versions: DECIDE", "versions: {latest: ADJ_NO, of: claim}"
    )
    decided = decided.replace("reversals: DECIDE", "reversals: none").replace("is_number: DECIDE", "is_number: true")
    decided = decided.replace("values: DECIDE", "values: {1: male, 2: female}").replace("day: DECIDE", "day: 07-01")
    path.write_text(decided, encoding="utf-8")
    assert [table.rows for table in read_mapping(path).tables] == ["claim_line", "eligibility", "rx_claim"]


def test_the_command_writes_a_proposal_and_never_over_a_decision(folder: Path) -> None:
    out = folder / "proposal.yaml"
    result = CliRunner().invoke(app, ["map", str(folder / "mem*.tsv"), "--out", str(out), "--rows", "15"])
    assert result.exit_code == 0, result.output
    with pytest.raises(ClaimDataError, match="E_DECIDE: expected a decision at 3 places"):
        read_mapping(out)
    assert "3 times DECIDE in" in result.output
    assert "files: members.tsv" in out.read_text(encoding="utf-8")
    assert "15 rows were looked at" in out.read_text(encoding="utf-8")
    again = CliRunner().invoke(app, ["map", str(folder / "members.tsv"), "--out", str(out)])
    assert isinstance(again.exception, ClaimDataError)
    assert again.exception.reason_code == "E_EXISTS"


def test_tables_of_a_database_are_looked_at_like_files(folder: Path, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "site.duckdb")) as database:
        database.execute(
            f"CREATE TABLE members AS SELECT * FROM read_csv('{folder / 'members.tsv'}', all_varchar = true)"
        )
    found = propose_mapping(["main.members"], database="duckdb://site.duckdb", folder=tmp_path)
    assert "table: main.members" in found
    assert "database: DECIDE" in found
    assert "rows: eligibility" in found


def test_a_folder_is_refused_with_what_to_give_of_it(tmp_path: Path) -> None:
    with pytest.raises(ClaimDataError, match=r"E_NO_FILE: .*found the folder .*/claims_\*\.csv'"):
        propose_mapping([str(tmp_path)])


def test_a_file_without_names_is_refused_before_its_values_are_taken_for_some(tmp_path: Path) -> None:
    (tmp_path / "bare.csv").write_text("P1,2016-01-01,E11.9\nP2,2016-01-02,I10\n", encoding="utf-8")
    with pytest.raises(ClaimDataError, match=r"E_COLUMN: expected names in the first line of bare.csv") as caught:
        propose_mapping(["bare.csv"], folder=tmp_path)
    assert "E11" not in str(caught.value)


def test_the_end_of_a_service_and_the_drugs_of_fills_are_told_by_their_names() -> None:
    days = [f"{n % 28 + 1:02d}/01/2020" for n in range(60)]
    claims = {
        "MEMBER_ID": [f"M{n % 9}" for n in range(60)],
        "CLAIM_NUM": [f"C{n}" for n in range(60)],
        "SVC_FROM_DT": days,
        "SVC_TO_DT": days,
        "DX1": ["E11.9", "I10"] * 30,
        "TOB": [""] * 60,
    }
    fills = {
        "MEMBER_ID": claims["MEMBER_ID"],
        "RX_NUM": [f"R{n:06d}" for n in range(60)],  # of the form of a diagnosis
        "FILL_DT": days,
        "NDC": ["00093-0145-05", "0093-0145-05"] * 30,
    }
    samples = [
        Sample(
            name, (f"{name}.csv",), "", tuple(profile(column, pa.array(values)) for column, values in table.items())
        )
        for name, table in (("claims", claims), ("fills", fills))
    ]
    assert [kind_of_rows(sample) for sample in samples] == ["claim_line", "rx_claim"]
    found = {guess.field: guess.columns for guess in guess_fields(samples[0], "claim_line", ())}
    assert found["claim_start_date"] == ("SVC_FROM_DT",)
    assert found["claim_end_date"] == ("SVC_TO_DT",)
    assert "claim_line_start_date" not in found


def test_a_type_of_bill_that_no_row_has_tells_no_type_of_claim(tmp_path: Path) -> None:
    rows = "".join(f"M{n % 7},C{n},2020-01-02,I10,,11\n" for n in range(40))
    for bill, wanted in (("", "DECIDE"), ("131", "by_bill_type")):
        text = "MEMBER_ID,CLAIM_NUM,SVC_DT,DX1,TOB,POS\n" + rows.replace(",,", f",{bill},")
        (tmp_path / "claims.csv").write_text(text, encoding="utf-8")
        assert f"claim_type: {{constant: {wanted}}}" in propose_mapping(["claims.csv"], folder=tmp_path)


@pytest.mark.parametrize(
    ("kind", "names", "wanted"),
    [
        ("claim_line", "SVCDATE TSVCDAT", {"claim_start_date": "SVCDATE", "claim_end_date": "TSVCDAT"}),
        ("claim_line", "FST_DT LST_DT", {"claim_start_date": "FST_DT", "claim_end_date": "LST_DT"}),
        ("claim_line", "Service From Date/Service To Date",
         {"claim_start_date": "Service From Date", "claim_end_date": "Service To Date"}),
        ("claim_line", "serviceDate serviceEndDate",
         {"claim_start_date": "serviceDate", "claim_end_date": "serviceEndDate"}),
        ("claim_line", "PAY NETPAY COPAY", {"allowed_amount": "PAY", "paid_amount": "NETPAY"}),
        ("rx_claim", "PAY NETPAY COPAY", {"allowed_amount": "PAY", "paid_amount": "NETPAY"}),
        ("rx_claim", "STD_COST COPAY PATIENT_PAID", {"allowed_amount": "STD_COST"}),
        ("claim_line", "MEMBER_PAID_AMT BENEFIT_PAID", {"paid_amount": "BENEFIT_PAID"}),
    ],
)  # fmt: skip
def test_ends_are_no_starts_and_what_a_patient_owes_is_not_paid(kind: str, names: str, wanted: dict[str, str]) -> None:
    of_dates = any("date" in field for field in wanted)
    values = ["2021-03-14", "2021-03-15"] * 30 if of_dates else ["12.50", "7.00"] * 30
    columns = names.split("/") if "/" in names else names.split()
    sample = Sample("t", ("t.csv",), "", tuple(profile(name, pa.array(values)) for name in columns))
    assert {guess.field: guess.columns[0] for guess in guess_fields(sample, kind, ())} == wanted
