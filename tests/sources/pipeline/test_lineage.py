"""Lineage of columns, where many raw columns make one line."""

from pathlib import Path

import pytest

from claim_transformers.claims.engine import connect
from claim_transformers.sources.pipeline.layout_files import UNUSED
from claim_transformers.sources.pipeline.lineage import _trace_columns, trace_source
from claim_transformers.sources.registry import find_source, sources

# Nothing of a line is made of them, but they decide: which rows are one, which lines stay, which county if there is a
# crosswalk, which code if there is no other; or a line of another table is made of them.
DECIDING = {
    "admissions": {"row_id"},
    "beneficiary": {"SP_STATE_CODE", "BENE_COUNTY_CD"},
    "condition_occurrence": {"condition_concept_id"},
    "procedure_occurrence": {"procedure_concept_id"},
    "drug_exposure": {"drug_concept_id", "days_supply", "refills"},
    "drug_exposure_by_ndc": {"drug_concept_id"},
    "visit_detail": {"visit_occurrence_id"},
    "cost": {"cost_event_id", "cost_domain_id", "currency_concept_id"},
    "encounters": {"TOTAL_CLAIM_COST"},
    "medications": {"TOTALCOST"},
    "claims_transactions": {"TYPE"},
    "carrier": {f"LINE_PRCSG_IND_CD_{number}" for number in range(1, 14)},
}
# Of CCLF: whose row it is by any number, which version it is of which claim, and what is denied.
_VERSION = {"BENE_MBI_ID", "FILE_DATE"}
_OF_CLAIM = _VERSION | {"CLM_ADJSMT_TYPE_CD", "CLM_CNTL_NUM"}
_PART_B = _OF_CLAIM | {"CLM_TYPE_CD", "CLM_CARR_PMT_DNL_CD", "CLM_PRCSG_IND_CD"}
_PROVIDER = {"PRVDR_OSCAR_NUM", "CLM_BLG_PRVDR_OSCAR_NUM"}
_FILL = {"CLM_SRVC_PRVDR_GNRC_ID_NUM", "PRVDR_SRVC_ID_QLFYR_CD", "CLM_LINE_RX_SRVC_RFRNC_NUM", "CLM_DSPNSNG_STUS_CD"}
DECIDING |= {
    **dict.fromkeys(("cclf2", "cclf3", "cclf4"), _VERSION),
    **dict.fromkeys(("cclf5", "cclf6"), _PART_B),
    **{key: {"BENE_MBI_ID"} for key in ("cclf8", "enrollment")},
    "cclf1": _OF_CLAIM | _PROVIDER | {"CLM_ORG_CNTL_NUM", "CLM_MDCR_NPMT_RSN_CD"},
    "cclf7": _VERSION | _FILL | {"CLM_ADJSMT_TYPE_CD", "CLM_TYPE_CD", "CLM_LINE_BENE_PMT_AMT"},
}
# Formats whose layout files do not say what their columns feed, so that the code is traced.
TYPED = [
    source.name
    for source in sources().values()
    if source.read and source.layouts and not all(layout.is_mapped for layout in source.read_layouts().values())
]


def test_a_line_of_a_wide_row_is_traced_to_its_own_columns_only() -> None:
    columns = trace_source(find_source("synpuf"))
    assert "| `rendering_npi` | `PRF_PHYSN_NPI_1` to `PRF_PHYSN_NPI_13` |" in columns


@pytest.mark.parametrize("name", TYPED)
def test_a_column_is_marked_unused_where_no_line_is_made_of_it(tmp_path: Path, name: str) -> None:
    source = find_source(name)
    layouts = source.read_layouts()
    raw, scratch = tmp_path / "raw", tmp_path / "scratch"
    raw.mkdir()
    scratch.mkdir()
    for table, layout in layouts.items():
        (raw / f"{table}.csv").write_text(layout.delimiter.join(layout.names) + "\n")
    for staged in source.reader()(raw, connect(threads=1), scratch=scratch).tables:
        used = {column for columns in _trace_columns(staged).values() for column in columns}
        layout = layouts[staged.name.removesuffix("_by_ndc")]
        assert set(layout.find(UNUSED)) == set(layout.names) - used - DECIDING.get(staged.name, set())
