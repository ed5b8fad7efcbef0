"""A site's own tables: files or a database, described by one YAML file."""

from claim_transformers.sources.registry import Source, SourceOption

SOURCE = Source(
    name="tables",
    help="Your own tables, as a mapping says (claim-transformers map proposes one).",
    read=f"{__name__}.source:read_tables",
    options=(SourceOption("database", str, "URL of the database with the tables, instead of that of the mapping."),),
    path_help="Mapping, a YAML file.",
    inputs=f"{__name__}.inputs:list_inputs",
)
