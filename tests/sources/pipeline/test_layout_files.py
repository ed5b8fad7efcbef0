"""Layout files: what they may say, and that the documentation says the same."""

import csv
import os
from pathlib import Path

import ibis
import pytest
import yaml

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.pipeline.layout_files import UNUSED, _read_layout, read_layouts
from claim_transformers.sources.registry import find_source, sources

DATA = os.environ.get("CLAIMS_DATA_DIR")
LAYOUTS = find_source("cms-rif").read_layouts()
MINIMAL = {
    "source": "a test",
    "target": "rx_claim",
    "claim_type": "RX",
    "date_format": "YYYYMMDD",
    "columns": {
        "ID": ["id", "patient_id"],
        "EVENT": ["id", "claim_id"],
        "DAY": ["date", "dispensing_date"],
        "DRUG": ["code", "ndc_code"],
        "N": ["code", "unused", "nobody asks"],
    },
}


def _write(folder: Path, **changes: object) -> Path:
    path = folder / "drugs.yaml"
    path.write_text(yaml.safe_dump(MINIMAL | changes), encoding="utf-8")
    return path


def test_every_column_is_mapped_or_unused_for_a_reason() -> None:
    columns = [column for layout in LAYOUTS.values() for column in layout.columns]
    assert sum(len(column.names) for column in columns) == 1_468
    assert all(column.because for column in columns if column.feeds == UNUSED)


def test_ranges_stand_for_numbered_columns_and_months() -> None:
    assert LAYOUTS["inpatient"].find("procedures.date")[24] == "PRCDR_DT25"
    assert LAYOUTS["beneficiary"].find("county_fips.month")[8] == "FIPS_STATE_CNTY_SEPT_CD"


def test_numbered_columns_are_named_by_their_stem_and_only_whole_stems() -> None:
    carrier = find_source("synpuf").read_layouts()["carrier"]
    assert carrier.series("ICD9_DGNS_CD") == tuple(f"ICD9_DGNS_CD_{number}" for number in range(1, 9))
    assert len(carrier.series("LINE_ICD9_DGNS_CD")) == 13


def test_a_column_that_stands_in_the_name_of_the_file_is_no_column_of_it() -> None:
    beneficiary = find_source("synpuf").read_layouts()["beneficiary"]
    dated, undated = beneficiary.to_layout("DE1_0_2008_Beneficiary.csv"), beneficiary.to_layout("beneficiary.csv")
    assert (dated.constants, "YEAR" in dated.columns, "YEAR" in dated.required) == ({"YEAR": "2008"}, False, False)
    assert (undated.constants, "YEAR" in undated.columns, "YEAR" in undated.required) == ({}, True, True)


@pytest.mark.parametrize("name", [source.name for source in sources().values() if source.layouts is not None])
def test_every_layout_says_where_its_facts_are_from(name: str) -> None:
    assert all(layout.source for layout in find_source(name).read_layouts().values())


def test_a_rule_finds_listed_values_or_all_others_and_never_an_empty_field(tmp_path: Path) -> None:
    rules = [
        {"column": "N", "in": ["x"], "verdict": "D_DENIED", "because": "x"},
        {"column": "N", "not_in": ["x"], "verdict": "R_CLAIM_TYPE", "because": "not x"},
    ]
    rows = ibis.memtable({"N": ["x", "y", None]}, schema={"N": "string"})
    checks = [rule.to_check() for rule in _read_layout(_write(tmp_path, rules=rules)).rules]
    found = [rows.mutate(fails=check.fails(rows)).to_pyarrow()["fails"].to_pylist() for check in checks]
    assert found == [[True, False, None], [False, True, None]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"colunms": {}}, "keys out of"),
        ({"columns": {"ID": ["id", "member_id"]}}, "to feed a field of rx_claim"),
        ({"columns": {"ID": ["id", "unused"]}}, "a reason for ID"),
        ({"columns": {"ID": ["integer", "patient_id"]}}, "a type out of"),
        ({"columns": {"ID<1..X>": ["id", "patient_id"]}}, "a range such as"),
        ({"columns": {"ID": ["id", "patient_id"], "I<D..D>": ["id", "patient_id"]}}, "a range such as"),
        ({"target": "claims"}, "a target out of"),
        ({"claim_type": "INPATIENT"}, "a claim_type out of"),
        ({"date_format": "DD/MM/YYYY"}, "a date_format out of"),
        ({"quote": "'"}, "a double quote or nothing as quote"),
        ({"required": ["CLM_ID"]}, "listed under columns"),
        ({"rules": [{"column": "N", "in": ["x"]}]}, "a rule with"),
        ({"rules": [{"column": "N", "in": ["x"], "verdict": "E_N", "because": "x"}]}, "a verdict"),
        ({"columns": "none"}, "a mapping"),
        ({"columns": {"ID": ["id", "patient_id"]}}, "columns that feed claim_id, dispensing_date, ndc_code"),
        ({"columns": MINIMAL["columns"] | {"M": "code"}}, "all columns to say what they feed, or none"),
        ({"columns": {"ID": 7}}, "type, .*for ID"),
        ({"required": "ID"}, "a list as required"),
        ({"is_ordered": "yes please"}, "true or false as is_ordered"),
        ({"values": {"N": "x"}}, "a mapping as N of values"),
        ({"aliases": {"OLD": "NEW"}}, "listed under columns"),
        ({"from_file_name": {"DAY": "("}}, "regular expressions"),
        ({"rules": [1]}, "a rule with column"),
        ({"rules": [{"column": "N", "in": 1, "verdict": "D_X", "because": "x"}]}, "a list as in or not_in"),
        ({"columns": {1: ["id", "no_field"]}}, "1 to feed a field"),
        ({"columns": {"N_<1..999999999>": "id"}}, "a range such as"),
        ({"columns": {"N": ["x" * 900] * 900}}, r"type, .* \.\.\. \("),
    ],
)
def test_a_wrong_layout_file_is_refused_with_what_was_expected(tmp_path: Path, changes, said: str) -> None:
    with pytest.raises(ClaimDataError, match=rf"E_LAYOUT_FILE: drugs.yaml: expected .*{said}"):
        _read_layout(_write(tmp_path, **changes))


def test_text_that_is_no_yaml_and_a_folder_without_layouts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ClaimDataError, match=r"E_LAYOUT_FILE.*found none"):
        read_layouts(tmp_path)
    (tmp_path / "x.yaml").write_text("a: [", encoding="utf-8")
    with pytest.raises(ClaimDataError, match=r"E_LAYOUT_FILE: x\.yaml: expected YAML"):
        read_layouts(tmp_path)


@pytest.mark.skipif(not DATA, reason="CLAIMS_DATA_DIR is not set")
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_columns_are_those_that_cms_publishes(name: str) -> None:
    folder = Path(str(DATA)) / "cms_rif"
    published = {"beneficiary": "Beneficiary", "beneficiary_history": "BeneficiaryHistory", "part_d": "PartDEvent"}
    stems = {"inpatient": "Inpatient", "outpatient": "Outpatient", "carrier": "Carrier", "dme": "DME"}
    stems |= {"home_health": "HHA", "hospice": "Hospice", "snf": "SNF"}
    mapping = folder / "layouts" / f"{published.get(name, f'{stems.get(name)}Claim')}.yaml"
    enums = yaml.safe_load(mapping.read_text(encoding="utf-8"))["mappings"][0]["enumTypes"]
    # CMS's own loader reads the first column, which tells it what to do with the row, apart from the others.
    assert {"DML_IND", *enums[0]["values"]} == set(LAYOUTS[name].names)
    files = [file for file in (folder / "rif-synthea").iterdir() if _is_of(name, file.name)]
    assert files
    for file in files:
        with file.open(encoding="utf-8-sig") as lines:
            assert set(next(csv.reader(lines, delimiter="|"))) == set(LAYOUTS[name].names)


def _is_of(name: str, file: str) -> bool:
    import re

    return re.search(LAYOUTS[name].files, file, re.IGNORECASE) is not None


FIXED = {"positions": {"ID": [1, 4], "N": [5, 4]}, "record_length": [10, 8]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"positions": {"ID": [0, 4]}}, r"\[first character, length\] as the position of ID"),
        ({"positions": {"ID": [1]}}, r"\[first character, length\]"),
        ({"positions": {"X": [1, 4]}}, "listed under columns"),
        ({"positions": {"ID": [1, 4], "N": [4, 2]}}, "N behind ID, found columns that overlap"),
        ({"positions": {"ID": [1, 4], "N": [7, 3]}}, "N within a line of 8 characters or behind it"),
        ({"positions": {"ID": [1, 4], "N": [11, 2]}}, "columns within 10 characters"),
        ({"positions": {"N": [1, 4]}, "required": ["ID"]}, "a position of every required column, found none of ID"),
        ({"positions": {"ID": [9, 2]}, "required": ["ID"]}, "ID in every version"),
        ({"record_length": []}, "whole numbers as record_length"),
        ({"record_length": [8, 10]}, "the longest first"),
        ({"record_length": 10}, "a list as record_length"),
    ],
)
def test_positions_that_cannot_be_are_refused(tmp_path: Path, changes, said: str) -> None:
    _read_layout(_write(tmp_path, **FIXED))
    with pytest.raises(ClaimDataError, match=rf"E_LAYOUT_FILE: drugs.yaml: expected .*{said}"):
        _read_layout(_write(tmp_path, **(FIXED | changes)))


def test_a_range_of_columns_stands_one_behind_the_other(tmp_path: Path) -> None:
    columns = MINIMAL["columns"] | {"C_<1..3>": ["code", "unused", "x"]}
    layout = _read_layout(_write(tmp_path, columns=columns, positions={"C_<1..3>": [5, 7]}, record_length=[25]))
    assert layout.positions == {"C_1": (5, 7), "C_2": (12, 7), "C_3": (19, 7)}


def test_numbered_columns_end_with_the_last_that_is_filled_and_their_parts_stay_as_long() -> None:
    layout = find_source("cms-rif").read_layouts()["inpatient"]
    narrow = layout.up_to_last({"PRCDR_DT3", "ICD_DGNS_CD2", "CLM_POA_IND_SW2"})
    lengths = {
        f"{kind}.{part}": len(narrow.find(f"{kind}.{part}"))
        for kind in ("procedures", "diagnoses.listed", "diagnoses.external")
        for part in ("code", "version")
    }
    assert len(narrow.find("procedures.date")) == 3
    assert set(lengths.values()) == {1, 2, 3}
    assert all(lengths[f"{kind}.code"] == lengths[f"{kind}.version"] for kind in ("procedures", "diagnoses.listed"))
    others = [[column for column in one.columns if "<" not in column.name] for one in (layout, narrow)]
    assert others[0] == others[1]
    assert layout.up_to_last(set(layout.names)) == layout
