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

    Diagnoses: the code, its category of 3 characters (4 for ICD-9-CM E codes), the category of the code, `UNK/...`.
    Drugs: the NDC, its first 9 digits, the ingredient, its therapeutic class, `UNK/NDC`. All others: the code, its
    category, `UNK/...`. A category made from the same characters as the step before it says nothing new and is left
    out.

    There is no step of a chapter: every listed diagnosis has a CCS or CCSR category, so only codes that no list holds
    would reach it.

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
        >>> backoff_chain("NDC/00093014505", rules)
        ('NDC/00093014505', 'NDC/000930145', 'UNK/NDC')
        >>> backoff_chain("HCPCS/99213", rules)
        ('HCPCS/99213', 'HCPCSGROUP/992', 'UNK/HCPCS')
    """
    system, bare = split_code(code)
    shorter = _shorten(system, bare)
    steps = [code, f"{system}/{shorter}"]
    category = rules.category(code)
    if category is not None:
        is_repetition = rules.prefix_category(code) is None and category.partition("/")[2] == shorter
        steps += [] if is_repetition else [category]
        steps += [rules.wider[category]] if category in rules.wider else []
    return tuple(dict.fromkeys([*steps, f"{_UNKNOWN_SYSTEM}/{system}"]))
