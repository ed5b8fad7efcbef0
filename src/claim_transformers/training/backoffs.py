"""Back-off of a tokenizer on a cohort, in one line: how many codes it knows, backs off and does not know."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa


def describe_backoffs(tokenizer: Any, examples: "pa.Table | datasets.Dataset") -> str:
    """Say how much of the codes of examples a tokenizer knows.

    Args:
        tokenizer (`ClaimTokenizer`): The tokenizer of a model.
        examples (`pa.Table` or `datasets.Dataset`): Examples of a cohort.

    Examples:
        >>> import pyarrow as pa
        >>> from claim_transformers.models.claim import ClaimTokenizer
        >>> codes = [[["ICD9CM/49392", "ICD9CM/49390", "CCS/128", "LOS/1"]]]
        >>> table = pa.table({"visit_day": [[0]], "visit_type": [["IP"]], "codes": codes})
        >>> describe_backoffs(ClaimTokenizer({"ICD9CM/49392": 3, "ICD9CM/493": 4}), table)
        '4 codes: 25.00 % known, 25.00 % backed off to a shorter code or a category, 50.00 % unknown'
    """
    table = examples if hasattr(examples, "schema") else examples.with_format("arrow")[:]
    levels: dict[str, int] = {}
    for counts in tokenizer.count_backoffs(table).values():
        for level, count in counts.items():
            levels[level] = levels.get(level, 0) + count
    total = sum(levels.values())
    known, coarser = levels.get("exact", 0), levels.get("prefix", 0) + levels.get("category", 0)
    shares = [f"{100 * count / max(total, 1):.2f} %" for count in (known, coarser, total - known - coarser)]
    return (
        f"{total:,} codes: {shares[0]} known, {shares[1]} backed off to a shorter code or a category, "
        f"{shares[2]} unknown"
    )
