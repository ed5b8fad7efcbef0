import pytest

from claim_transformers.codes import ClaimDataError, category_rules, read_procedure_ccs

ICD9 = """NOTE: NEW CODES ARE INTRODUCED IN OCTOBER AND OLD CODES ARE PHASED OUT IN SEPTEMBER.
'ICD-9-CM CODE','CCS CATEGORY','CCS CATEGORY DESCRIPTION','ICD-9-CM CODE DESCRIPTION'
'     ','0  ','No PROC          ',"INVALID CODES IN USER DATA"
'0101 ','1  ','Inc/exc CNS      ',"CISTERNAL PUNCTURE"
'8154 ','152','Arthroplasty knee',"TOTAL KNEE REPLACEMENT, NEC"
"""
SERVICES = """"CLINICAL CLASSIFICATIONS SOFTWARE (CCS) FOR SERVICES AND PROCEDURES"
Code Range,CCS,CCS Label
'00100-00102',232,"Anesthesia"
'27447-27447',152,"Arthroplasty knee"
'A0425-A0427',239,"Transportation"
'0001F-0003F',227,"Other"
'99999',227,"Other"
"""


@pytest.fixture
def write(tmp_path):
    def _write(text, name="ccs.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return _write


def test_values_lose_their_quotes_and_blanks_and_the_blank_code_is_left_out(write):
    assert read_procedure_ccs(write(ICD9)) == {"ICD9PCS/0101": "CCSPR/1", "ICD9PCS/8154": "CCSPR/152"}


def test_ranges_of_services_are_written_out(write):
    table = read_procedure_ccs(write(SERVICES))
    assert [code for code, category in table.items() if category == "CCSPR/232"] == [
        "HCPCS/00100",
        "HCPCS/00101",
        "HCPCS/00102",
    ]
    assert table["HCPCS/A0426"] == "CCSPR/239"
    assert table["HCPCS/0002F"] == table["HCPCS/99999"] == "CCSPR/227"
    assert len(table) == 3 + 1 + 3 + 3 + 1


def test_both_files_join_into_rules_that_keep_every_code(write):
    table = read_procedure_ccs(write(ICD9)) | read_procedure_ccs(write(SERVICES, "services.csv"))
    rules = category_rules(procedure_ccs=table)
    assert {code: rules.category(code) for code in table} == table


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "'ICD-9-CM CODE','CCS LVL 1'\n'0101','1'\n"])
def test_a_file_of_another_layout_is_refused(write, text):
    with pytest.raises(ClaimDataError, match=r"E_COLUMN.*expected a header.*ccs\.csv"):
        read_procedure_ccs(write(text))


@pytest.mark.parametrize(
    "row",
    ["'49392','128'", "'0101','x'", "'0101'", "'0101','2'"],
    ids=["a diagnosis", "no number", "no category", "a second category"],
)
def test_a_bad_row_of_procedures_is_refused_by_its_line(write, row):
    with pytest.raises(ClaimDataError, match=r"E_LAYOUT.*line 6") as caught:
        read_procedure_ccs(write(ICD9 + row + "\n"))
    assert "0101" not in str(caught.value)


@pytest.mark.parametrize("codes", ["00100-A0102", "00100-0102", "00100-00102-00103", "00109-00100", "0001F-0003T"])
def test_a_range_that_cannot_be_written_out_is_refused(write, codes):
    with pytest.raises(ClaimDataError, match="E_LAYOUT"):
        read_procedure_ccs(write(f"Code Range,CCS\n'{codes}',1\n"))
