"""Back-off: what stands in for a code that a vocabulary does not hold."""

from claim_transformers.codes.rules import CategoryRules
from claim_transformers.codes.systems import split_code

_UNKNOWN_SYSTEM = "UNK"
_ICD_CATEGORY_LENGTH = 3
_ICD9CM_E_CODE_LENGTH = 4  # E812 names an external cause as 493 names a disease; E81 is no category.
_NDC_PRODUCT_LENGTH = 9


def _shorten(system: str, bare: str) -> str:
    """Return the shorter code of the same system, or the code itself where the system has none."""
    match system:
        case "ICD9CM":
            return bare[: _ICD9CM_E_CODE_LENGTH if bare.startswith("E") else _ICD_CATEGORY_LENGTH]
        case "ICD10CM":
            return bare[:_ICD_CATEGORY_LENGTH]
        case "NDC":
            return bare[:_NDC_PRODUCT_LENGTH]
    return bare


def backoff_chain(code: str, rules: CategoryRules) -> tuple[str, ...]:
    """Return a code and what stands in for it, from the closest to the unknown code of its system.

    Diagnoses have a category of 3 characters first (4 for ICD-9-CM E codes), drugs their first 9 digits; then come the
    category of the code, what is wider than that (a body system, a section, a therapeutic class), and `UNK/...`. A
    category made from the same characters as the step before it says nothing new and is left out.

    Args:
        code (`str`): `SYSTEM/CODE`.
        rules (`CategoryRules`): The categories.

    Returns:
        `tuple[str, ...]`: Distinct steps; the first is the code, the last `UNK/SYSTEM`.

    Raises:
        ValueError: If the text is not `SYSTEM/CODE` of a known system.

    Examples:
        >>> rules = CategoryRules({"ICD10CM/E11": "CCSR/END002"}, {"NDC": ("NDC9", 9), "HCPCS": ("HCPCSGROUP", 3)})
        >>> backoff_chain("ICD10CM/E1165", rules)
        ('ICD10CM/E1165', 'ICD10CM/E11', 'CCSR/END002', 'UNK/ICD10CM')
    """
    system, bare = split_code(code)
    shorter = _shorten(system, bare)
    steps = [code, f"{system}/{shorter}"]
    category = rules.category(code)
    if category is not None:
        is_repetition = rules.prefix_category(code) is None and category.partition("/")[2] == shorter
        steps += [] if is_repetition else [category]
        wider = rules.wider_category(category)
        steps += [] if wider is None else [wider, *filter(None, [rules.wider.get(wider)])]
    return tuple(dict.fromkeys([*steps, f"{_UNKNOWN_SYSTEM}/{system}"]))
