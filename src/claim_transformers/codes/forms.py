"""Forms of code systems: what each looks like, written once for Python, Arrow and Ibis.

A pattern is matched against the whole trimmed text before it is put in upper case, so it names both cases: the upper
case of some letters outside ASCII falls into ASCII (U+0131 becomes `I`), and such text is no code. The patterns hold
no back-slash and no look-around, which keeps them the same in Python, RE2 (Arrow, DuckDB) and Java (Spark). A code is
cut together from positions rather than from groups, because engines write group references differently.

Sources: NCHS and CMS ICD-9-CM and ICD-10-CM/PCS Official Guidelines; CMS HCPCS Level II and HIPPS code documentation;
21 CFR 207.33 (NDC) and the 5-4-2 form of HIPAA; CMS Claims Processing Manual (Pub. 100-04) chapters 25 and 26 (revenue
center, patient discharge status, place of service).
"""

from dataclasses import dataclass
from types import MappingProxyType

from claim_transformers.codes.systems import check_system

NO_BREAK_SPACE = "\u00a0"
BLANKS = " \t\n\v\f\r"
# Brackets, bars, quotes, control and right-to-left marks and letters outside ASCII are in no code.
CODE_TEXT = "[A-Za-z0-9 .,+/_-]{1,64}"

R_CODE_TEXT = "R_CODE_TEXT"
_R_ICDFORM = "R_ICDFORM"
_R_NDC = "R_NDC"
_R_NDC10 = "R_NDC10"
_R_HCPCS = "R_HCPCS"
_R_DOMAIN = "R_DOMAIN"
_F_CODE_FORM = "F_CODE_FORM"
_F_NDC = "F_NDC"
_F_MODIFIER = "F_MODIFIER"


@dataclass(frozen=True)
class Shape:
    """One accepted way to write a code, and how the canonical form is cut from it, in the order of the arguments."""

    pattern: str  # Pattern of the whole trimmed text.
    drop: str = ""  # Characters taken out.
    squeeze: str = ""  # Pattern of a run of characters that becomes one `_`.
    fill: int = 0  # Width that zeros on the left make up.
    # Text, or begin and end of a slice, joined into the code; empty for the whole.
    pieces: tuple[str | tuple[int, int], ...] = ()
    modifiers_from: int = 0  # Where the modifiers begin; `0` for none.
    fix: str = _F_CODE_FORM  # What a change of the text is counted as.


@dataclass(frozen=True)
class _Form:
    """The accepted shapes of one code system."""

    expected: str  # The canonical form in words, for messages.
    reason: str  # Reason code of text that has no accepted shape.
    shapes: tuple[Shape, ...]  # Accepted shapes; no two match the same text.
    # Pattern and reason code of text that is refused before the shapes are tried.
    refused: tuple[tuple[str, str], ...] = ()


def _digits(width: int) -> _Form:
    # A code of fixed width that is a number can lose zeros only on its left, so they can be put back.
    shape = Shape(f"[0-9]{{1,{width}}}", fill=width)
    return _Form(f"{width} digits", _R_DOMAIN, (shape,))


# The last position is a digit in CPT category I, HCPCS Level II and most HIPPS codes, a letter in the other CPT
# categories and in HIPPS codes of home health with supplies.
_HCPCS = "(?:[0-9A-Za-z]{4}[0-9]|[0-9]{4}[A-Za-z]|[1-5][A-Za-z]{3}[S-Xs-x])"
_MODIFIER = "[0-9A-Za-z]{2}"

# Vocabularies of OMOP of which only this is known, that their codes are text. Their signs are kept: a dot tells codes
# of some of them apart.
FOREIGN_SYSTEMS = (
    *(
        "AMT",
        "ATC",
        "BDPM",
        "CANCER_MODIFIER",
        "CCAM",
        "CIM10",
        "CVX",
        "DM_D",
        "GCN_SEQNO",
        "GEMSCRIPT",
        "GPI",
        "HEMONC",
    ),
    *("ICD10", "ICD10CN", "ICD10GM", "ICDO3", "ICPC", "KCD7", "LOINC", "MULTUM", "NDFRT", "NEBRASKA_LEXICON"),
    *("OMOP_EXTENSION", "OMOP_GENOMIC", "OPCS4", "OPS", "OXMIS", "READ", "RXNORM_EXTENSION", "SPL", "VANDF"),
)
_ANY_FORM = _Form(
    "up to 64 letters, digits and signs; blanks become an underscore",
    R_CODE_TEXT,
    (Shape("[A-Za-z0-9](?:[A-Za-z0-9 .,+/_-]{0,63})", squeeze=" +"),),
)

_FORMS = MappingProxyType(
    {
        "ICD9CM": _Form(
            "3 to 5 digits, V and 2 to 4 digits, or E and 3 or 4 digits, with no dot or one after the category",
            _R_ICDFORM,
            (Shape("[0-9]{3}[.]?[0-9]{0,2}|[Vv][0-9]{2}[.]?[0-9]{0,2}|[Ee][0-9]{3}[.]?[0-9]?", drop="."),),
        ),
        "ICD10CM": _Form(
            "a letter, 2 letters or digits with a digit among them, up to 4 more, with no dot or one after the third",
            _R_ICDFORM,
            (Shape("[A-Za-z](?:[0-9][0-9A-Za-z]|[A-Za-z][0-9])[.]?[0-9A-Za-z]{0,4}", drop="."),),
        ),
        "ICD9PCS": _Form(
            "2 to 4 digits, with no dot or one after the second",
            _R_ICDFORM,
            (Shape("[0-9]{2}[.]?[0-9]{0,2}", drop="."),),
        ),
        "ICD10PCS": _Form(
            "7 digits or letters other than I and O", _R_ICDFORM, (Shape("[0-9A-HJ-NP-Za-hj-np-z]{7}"),)
        ),
        "HCPCS": _Form(
            "5 letters and digits, then up to 2 modifiers without or 4 modifiers with a hyphen or blank before each",
            _R_HCPCS,
            (
                Shape(_HCPCS),
                Shape(
                    f"{_HCPCS}(?:(?:{_MODIFIER}){{1,2}}|(?:[ -]{_MODIFIER}){{1,4}})",
                    drop=" -",
                    pieces=((0, 5),),
                    modifiers_from=5,
                    fix=_F_MODIFIER,
                ),
            ),
        ),
        "NDC": _Form(
            "11 digits, or hyphenated segments of 5-4-2, 4-4-2, 5-3-2 or 5-4-1 digits",
            _R_NDC,
            (
                Shape("[0-9]{11}|[0-9]{5}-[0-9]{4}-[0-9]{2}", drop="-", fix=_F_NDC),
                Shape("[0-9]{4}-[0-9]{4}-[0-9]{2}", drop="-", pieces=("0", (0, 10)), fix=_F_NDC),
                Shape("[0-9]{5}-[0-9]{3}-[0-9]{2}", drop="-", pieces=((0, 5), "0", (5, 10)), fix=_F_NDC),
                Shape("[0-9]{5}-[0-9]{4}-[0-9]", drop="-", pieces=((0, 9), "0", (9, 10)), fix=_F_NDC),
            ),
            # Ten digits without hyphens belong to three different drugs; the segment that lost its zero is unknown.
            refused=(("[0-]{1,13}|[9-]{1,13}", _R_NDC), ("[0-9]{10}", _R_NDC10)),
        ),
        "DRUG": _Form(
            "up to 64 letters, digits, hyphens and underscores; blanks, commas and slashes become one underscore",
            R_CODE_TEXT,
            (Shape("[A-Za-z0-9](?:[A-Za-z0-9 ,/_-]{0,62}[A-Za-z0-9])?", squeeze="[ ,/_]+"),),
        ),
        "REV": _digits(4),
        "DRG": _digits(3),
        # Its texts are licensed (3M), so it has no categories and, as the systems that MEDS adds, is not in `SYSTEMS`.
        "APRDRG": _Form(
            "3 digits, then up to 1 digit of severity from 0 to 4 with or without a hyphen",
            _R_DOMAIN,
            (Shape("[0-9]{3}(?:-?[0-4])?", drop="-"),),
        ),
        "POS": _digits(2),
        "DISP": _digits(2),
        # Systems of the vocabularies of OMOP, which claims do not know: no categories, and not in `SYSTEMS` either.
        "SNOMED": _Form("6 to 18 digits", _R_DOMAIN, (Shape("[1-9][0-9]{5,17}"),)),
        "RXNORM": _Form("up to 8 digits", _R_DOMAIN, (Shape("[1-9][0-9]{0,7}"),)),
        **dict.fromkeys(FOREIGN_SYSTEMS, _ANY_FORM),
    }
)


def form_of(system: str) -> _Form:
    """Return what the codes of a system look like."""
    return _FORMS[system if system in _FORMS else check_system(system)]


def describe_expected(system: str) -> str:
    """Say in words what a code of a system looks like, for messages."""
    article = "an" if system.startswith(("I", "H", "N")) else "a"
    return f"{article} {system} code: {form_of(system).expected}"


def whole(pattern: str) -> str:
    """Anchor a pattern at both ends, for engines that search."""
    return f"^(?:{pattern})$"
