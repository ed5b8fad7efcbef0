import json

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from claim_transformers.codes import normalize_codes, report_coverage


def test_shares_count_distinct_codes_and_occurrences():
    codes = ["ICD9CM/49392", "ICD9CM/493", "ICD9CM/000", "HCPCS/99213", "ICD9CM/49392"]
    icd9cm, hcpcs = report_coverage(codes, [5, 3, 2, 7, 1]).systems
    assert (icd9cm.num_codes, icd9cm.num_occurrences) == (3, 11)
    assert (icd9cm.num_codes_mapped, icd9cm.num_occurrences_mapped) == (2, 9)
    assert (icd9cm.num_codes_unlisted, icd9cm.num_occurrences_unlisted) == (2, 5)
    assert (hcpcs.codes_mapped_share, hcpcs.num_codes_unlisted) == (1.0, None)


def test_each_code_counts_once_without_counts():
    (drg,) = report_coverage(pa.chunked_array([["DRG/470"], ["DRG/470", "DRG/001"]])).systems
    assert (drg.num_codes, drg.num_occurrences) == (2, 3)


def test_a_report_is_json_with_an_entry_per_system():
    report = report_coverage(["HCPCS/99213", "ICD9CM/000"], [1, 1])
    content = json.loads(json.dumps(report.to_dict()))
    assert [system["codes_mapped_share"] for system in content["systems"]] == [0.0, 1.0]


def test_an_empty_data_set_has_an_empty_report():
    assert report_coverage([]).systems == ()


def test_codes_without_occurrences_keep_a_finite_share():
    (drg,) = report_coverage(["DRG/470"], [0]).systems
    assert drg.occurrences_mapped_share == 1.0


@pytest.mark.parametrize(
    ("codes", "counts"),
    [(["DRG/470"], [1, 2]), (["DRG/470", None], [1, 1]), (["470"], [1]), (["DRG/"], [1]), (["X/1"], [1])],
)
def test_codes_and_counts_that_do_not_fit_are_refused(codes, counts):
    with pytest.raises(ValueError, match="expected"):
        report_coverage(codes, counts)


def test_every_inpatient_diagnosis_of_synpuf_has_a_category(claims_data_dir):
    columns = ["ADMTNG_ICD9_DGNS_CD", *(f"ICD9_DGNS_CD_{number}" for number in range(1, 11))]
    table = pq.read_table(claims_data_dir / "synpuf" / "sample1" / "inpatient.parquet", columns=columns)
    raw = pa.chunked_array([chunk for column in columns for chunk in table[column].chunks])
    normalized = normalize_codes("ICD9CM", raw)
    assert normalized.reasons.null_count == len(raw)
    counts = pc.value_counts(normalized.codes.drop_null())
    codes = pc.binary_join_element_wise("ICD9CM", counts.field("values"), "/")
    (icd9cm,) = report_coverage(codes, counts.field("counts")).systems
    assert icd9cm.num_codes == icd9cm.num_codes_mapped == 5_491
    assert icd9cm.num_occurrences == icd9cm.num_occurrences_mapped == len(raw) - raw.null_count
    assert icd9cm.num_codes_unlisted == 0
