"""The OMOP Common Data Model 5.3 and 5.4, from files or from a database."""

from pathlib import Path

from claim_transformers.sources.registry import Source, SourceOption

SOURCE = Source(
    name="omop",
    help="OMOP CDM 5.3 or 5.4: visits, conditions, procedures, drugs; a folder, a DuckDB file or a URL.",
    read=f"{__name__}.source:read_omop",
    options=(
        SourceOption("enrollment", str, "Table of enrolment: payer_plan_period (if filled) or observation_period."),
        SourceOption("condition_system", str, "Code system of condition_source_value without a source concept."),
        SourceOption("procedure_system", str, "The same of procedure_source_value."),
        SourceOption("drug_system", str, "The same of drug_source_value."),
        SourceOption("schema", str, "Schema of the tables in a database."),
        SourceOption("delimiter", str, "What separates columns.", ","),
        SourceOption("encoding", str, "Encoding of delimited files, utf-8 or latin-1.", "utf-8"),
        SourceOption("layouts", Path, "Folder of layout files with values of your own, such as types of visits."),
    ),
    layouts=Path(__file__).parent / "layouts",
)
