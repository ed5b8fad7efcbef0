"""The input layer of the Tuva Project, from files or from a warehouse."""

from pathlib import Path

from claim_transformers.sources.registry import Source, SourceOption

SOURCE = Source(
    name="tuva",
    help="Tuva input layer: medical_claim, pharmacy_claim, eligibility.",
    read=f"{__name__}.source:read_tuva",
    options=(
        SourceOption("suffix", str, "What follows the name of each table, such as _1000p.", ""),
        SourceOption("schema", str, "Schema of the tables in a warehouse.", is_on_command_line=False),
        SourceOption("delimiter", str, "What separates columns.", ","),
        SourceOption("encoding", str, "Encoding of delimited files, utf-8 or latin-1.", "utf-8"),
        SourceOption("layouts", Path, "Folder of layout files with rules of your own, such as for denied claims."),
        SourceOption("name", str, "data_source of rows that do not name their own.", "tuva"),
    ),
    layouts=Path(__file__).parent / "layouts",
    is_by_patient=True,
)
