"""Write simulated claims as the tables of an invented data warehouse, to try a mapping on.

    python examples/own_tables/write_tables.py raw tables

Four wide tables, as commercial claims databases have them: services of inpatients and of outpatients, drugs of
outpatients and enrolment, each with columns, formats of dates and words of its own. Nobody uses these names. Their
mapping lies beside them.
"""

import argparse
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

CLAIMS = {
    "MEMBNO": "person_id", "CLMNO": "claim_id", "LNNO": "claim_line_number", "BEGDT": "claim_start_date",
    "ENDDT": "claim_end_date", "SVCDT": "claim_line_start_date", "SVCEND": "claim_line_end_date",
    "ADMDT": "admission_date", "DISDT": "discharge_date", "DSTATUS": "discharge_disposition_code",
    "PLACE": "place_of_service_code", "DRGNO": "drg_code", "HCPC": "hcpcs_code", "DXVER": "diagnosis_code_type",
    **{f"DX{place}": f"diagnosis_code_{place}" for place in range(1, 5)},
    "OPVER": "procedure_code_type", "OP1": "procedure_code_1", "OP1DT": "procedure_date_1",
    "PDDT": "paid_date", "NETPAY": "paid_amount", "ALLOWED": "allowed_amount", "BILLED": "charge_amount",
}  # fmt: skip
DRUGS = {
    "MEMBNO": "person_id", "RXNO": "claim_id", "LNNO": "claim_line_number", "FILLDT": "dispensing_date",
    "DRUG": "ndc_code", "METQTY": "quantity", "DAYSUPP": "days_supply", "REFILL": "refills", "PDDT": "paid_date",
    "NETPAY": "paid_amount", "ALLOWED": "allowed_amount",
}  # fmt: skip
MEMBERS = {
    "MEMBNO": "person_id", "CARDNO": "member_id", "PLANTYP": "payer", "SEXCD": "gender", "RACECD": "race",
    "DOB": "birth_date", "DOD": "death_date", "DTSTART": "enrollment_start_date", "DTEND": "enrollment_end_date",
}  # fmt: skip
WORDS = {"SEXCD": {"female": "2", "male": "1"}}
VERSIONS = {"icd-9-cm": "9", "icd-9-pcs": "9", "icd-10-cm": "0", "icd-10-pcs": "0"}


def rename(table: pa.Table, names: dict[str, str], dates: str | None) -> pa.Table:
    """Columns under their new names, days as text in a format."""
    columns = {}
    for new, old in names.items():
        column = table[old]
        if pa.types.is_dictionary(column.type):
            column = column.cast(pa.string())
        if pa.types.is_date(column.type) and dates is not None:
            column = pc.strftime(column, format=dates)
        words = VERSIONS if new in ("DXVER", "OPVER") else WORDS.get(new, {})
        for word, code in words.items():
            column = pc.if_else(pc.fill_null(pc.equal(column, word), False), code, column)
        columns[new] = column
    return pa.table(columns)


def write_tables(raw: Path, out: Path) -> None:
    """Write the tables of a folder of simulated claims."""
    out.mkdir(parents=True, exist_ok=True)
    claims, drugs, members = (pq.read_table(raw / f"{name}.parquet") for name in (
        "medical_claim", "pharmacy_claim", "eligibility"))  # fmt: skip
    is_inpatient = pc.equal(claims["claim_type"].cast(pa.string()), "IP")
    wide = rename(claims, CLAIMS, "%m/%d/%Y")
    with pa.CompressedOutputStream(str(out / "inpatient_services.csv.gz"), "gzip") as file:
        csv.write_csv(wide.filter(is_inpatient), file)
    tabs = csv.WriteOptions(delimiter="\t")
    csv.write_csv(wide.filter(pc.invert(is_inpatient)), out / "outpatient_services.tsv", tabs)
    pq.write_table(rename(drugs, DRUGS, None), out / "outpatient_drugs.parquet")
    csv.write_csv(rename(members, MEMBERS, "%d%b%Y"), out / "enrolment_detail.csv")
    shutil.copy(Path(__file__).with_name("mapping.yaml"), out / "mapping.yaml")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raw", type=Path, help="Folder of simulated claims.")
    parser.add_argument("out", type=Path, help="Folder that the tables are written to.")
    write_tables(**vars(parser.parse_args()))
