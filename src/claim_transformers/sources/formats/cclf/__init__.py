"""CMS Claim and Claim Line Feed: Medicare claims of the patients of an accountable care organization."""

from pathlib import Path

from claim_transformers.sources.registry import Source, SourceOption, Stageable

SOURCE = Source(
    name="cclf",
    help="CMS Claim and Claim Line Feed (CCLF), fixed width or CSV: Part A, Part B, Part D, demographics.",
    read=f"{__name__}.source:read_cclf",
    options=(
        SourceOption("layouts", Path, "Folder of layout files of another version, with its positions."),
        SourceOption("keep_denied", bool, "Keep denied claims.", False),
    ),
    layouts=Path(__file__).parent / "layouts",
    stageable=Stageable(
        find=f"{__name__}.source:find_deliveries",
        keys=(("CUR_CLM_UNIQ_ID",), ("BENE_MBI_ID",), ("PRVS_NUM",)),
        options=("layouts",),
        repeatable=("cclf8", "cclf9"),
    ),
)
