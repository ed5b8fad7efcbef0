"""A made-up CDM of three persons, in the names of version 5.4, and how to write it in other forms."""

import csv
import datetime as dt
from pathlib import Path

import duckdb
import pyarrow as pa

Rows = list[dict[str, str]]
ANN, BOB, EVE = "11", "12", "13"
E119, DIABETES, OFFICE_VISIT, FILL, TABLET, INFARCTION, KNEE, INJECTION, LOCAL, GOUT = map(str, range(9001, 9011))
OLD_NAMES = {
    "admitted_from_source_value": "ADMITTING_SOURCE_VALUE",
    "discharged_to_source_value": "DISCHARGE_TO_SOURCE_VALUE",
    "discharged_to_concept_id": "DISCHARGE_TO_CONCEPT_ID",
}


def _table(names: str, *rows: tuple[str, ...]) -> Rows:
    return [dict(zip(names.split(), row, strict=True)) for row in rows]


def make_cdm() -> dict[str, Rows]:
    return {
        "person": _table(
            "person_id gender_concept_id year_of_birth month_of_birth day_of_birth race_source_value",
            (ANN, "8532", "1950", "2", "3", "White"),
            (BOB, "8507", "1960", "", "", ""),
            (EVE, "8521", "1970", "1", "1", ""),
        ),
        "payer_plan_period": _table(
            "payer_plan_period_id person_id payer_plan_period_start_date payer_plan_period_end_date "
            "payer_source_value",
            ("1", ANN, "2015-01-01", "2018-12-31", "Blue"),
            ("2", BOB, "2016-01-01", "2017-12-31", "Red"),
        ),
        "observation_period": _table(
            "observation_period_id person_id observation_period_start_date observation_period_end_date",
            ("1", ANN, "2001-01-01", "2020-12-31"),
        ),
        "death": _table("person_id death_date", (BOB, "2018-05-05")),
        "visit_occurrence": _table(
            "visit_occurrence_id person_id visit_concept_id visit_start_date visit_end_date "
            "admitted_from_source_value discharged_to_source_value discharged_to_concept_id",
            ("501", ANN, "9201", "2016-03-01", "2016-03-08", "7", "", "8863"),
            ("502", BOB, "9202", "2017-04-02", "2017-06-30", "", "", "0"),
            ("503", BOB, "0", "2017-08-08", "2017-08-08", "", "", "0"),
        ),
        "visit_detail": _table(
            "visit_detail_id person_id visit_detail_concept_id visit_detail_start_date visit_detail_end_date "
            "visit_occurrence_id",
            ("501", ANN, "32037", "2016-03-02", "2016-03-03", "501"),
            ("502", BOB, "581477", "2017-05-03", "2017-05-03", "502"),
        ),
        "condition_occurrence": _table(
            "condition_occurrence_id person_id condition_concept_id condition_start_date visit_occurrence_id "
            "visit_detail_id condition_source_value condition_source_concept_id condition_status_concept_id",
            ("1", ANN, DIABETES, "2016-03-02", "501", "501", "E11.9", E119, "32902"),
            ("2", ANN, "0", "2016-03-01", "501", "0", "I50.9", "0", "32890"),
            ("3", BOB, DIABETES, "2017-05-03", "502", "502", "44054006.0", DIABETES, "0"),
            ("4", BOB, INFARCTION, "2017-09-09", "0", "", "", "0", "0"),
            ("5", BOB, DIABETES, "2017-06-05", "502", "0", "sugar", E119, "0"),
            ("6", "", DIABETES, "2017-06-05", "502", "0", "E11.9", E119, "0"),
            ("7", BOB, DIABETES, "2017-02-30", "502", "0", "E11.9", E119, "0"),
            ("8", BOB, "0", "2017-06-06", "502", "0", "", "0", "0"),
            ("9", BOB, "0", "2017-06-06", "502", "0", "LOC1", LOCAL, "0"),
            ("10", BOB, "0", "2017-06-06", "999", "0", "274.9", GOUT, "0"),
        ),
        "procedure_occurrence": _table(
            "procedure_occurrence_id person_id procedure_concept_id procedure_date visit_occurrence_id "
            "procedure_source_value procedure_source_concept_id modifier_source_value quantity",
            ("1", BOB, OFFICE_VISIT, "2017-04-02", "502", "99213", OFFICE_VISIT, "25", "1"),
            ("2", ANN, KNEE, "2016-03-04", "501", "0SRC0J9", KNEE, "", ""),
            ("3", ANN, OFFICE_VISIT, "2016-03-01", "501", "99213.0", OFFICE_VISIT, "", ""),
        ),
        "drug_exposure": _table(
            "drug_exposure_id person_id drug_concept_id drug_exposure_start_date visit_occurrence_id "
            "drug_source_value drug_source_concept_id quantity days_supply refills",
            ("1", ANN, TABLET, "2016-04-01", "", "00093-0145-05", FILL, "30", "30", "1"),
            ("2", ANN, TABLET, "2016-03-05", "501", "308182.0", TABLET, "2", "", ""),
            ("3", ANN, INJECTION, "2016-03-06", "501", "J1885", INJECTION, "1", "", ""),
            ("4", ANN, "0", "2016-04-02", "", "0145-05", FILL, "10", "10", "0"),
        ),
        "cost": _table(
            "cost_id cost_event_id cost_domain_id currency_concept_id total_charge total_paid paid_by_payer "
            "amount_allowed revenue_code_source_value drg_source_value",
            ("1", "1", "Procedure", "44818668", "120.00", "90.00", "80.00", "100.00", "", ""),
            ("2", "501", "Visit", "44818668", "9000.00", "7000.00", "", "", "450", "291"),
            ("3", "77", "Measurement", "44818668", "5.00", "5.00", "", "", "", ""),
            ("4", "1", "Drug", "44818568", "5.00", "5.00", "", "", "", ""),
        ),
        "concept": _table(
            "concept_id concept_code vocabulary_id concept_name",
            (E119, "E11.9", "ICD10CM", "a name"),
            (DIABETES, "44054006", "SNOMED", "a name"),
            (OFFICE_VISIT, "99213", "CPT4", "a name"),
            (FILL, "00093014505", "NDC", "a name"),
            (TABLET, "308182", "RxNorm", "a name"),
            (INFARCTION, "22298006", "SNOMED", "a name"),
            (KNEE, "0SRC0J9", "ICD10PCS", "a name"),
            (INJECTION, "J1885", "HCPCS", "a name"),
            (LOCAL, "LOC1", "A vocabulary of the site", "a name"),
            (GOUT, "274.9", "ICD9CM", "a name"),
        ),
        "cdm_source": _table("cdm_version vocabulary_version", ("5.4", "v5.0 09-APR-22")),
    }


def write_csv(folder: Path, tables: dict[str, Rows]) -> Path:
    """Files as a site of version 5.3 writes them, in capitals; the vocabulary as Athena does, with tabs."""
    folder.mkdir(parents=True)
    for name, rows in tables.items():
        columns = list(dict.fromkeys(key for row in rows for key in row))
        with (folder / f"{name.upper()}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="\t" if name == "concept" else ",")
            writer.writerow([OLD_NAMES.get(column, column.upper()) for column in columns])
            writer.writerows([row.get(column, "") for column in columns] for row in rows)
    return folder


def write_database(path: Path, tables: dict[str, Rows]) -> Path:
    """A DuckDB file as a site of version 5.4 has it: whole numbers, and days that are timestamps."""
    with duckdb.connect(str(path)) as connection:
        for name, rows in tables.items():
            table = pa.table({column: _typed(column, [row[column] or None for row in rows]) for column in rows[0]})
            connection.register("rows", table)
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM rows")
            connection.unregister("rows")
    return path


def _typed(column: str, cells: list[str | None]) -> pa.Array:
    if column.endswith("_id") and column != "cost_domain_id" and column != "vocabulary_id":
        return pa.array(cells, pa.string()).cast(pa.int64())
    is_day = [cell is None or (len(cell) == 10 and cell[4] == "-") for cell in cells]
    if column.endswith("_date") and all(is_day) and "2017-02-30" not in cells:
        return pa.array(
            [None if cell is None else dt.datetime.fromisoformat(cell) for cell in cells], pa.timestamp("us")
        )
    return pa.array(cells, pa.string())
