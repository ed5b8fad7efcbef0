"""The folder that `simulate` writes."""

from claim_transformers.sources.registry import Source

SOURCE = Source(
    name="simulated",
    help="The folder that 'claim-transformers simulate' writes.",
    read=f"{__name__}.source:read_simulated",
    drug_table="drug_ingredients.parquet",
    is_by_patient=True,
)
