"""What each token of a vocabulary is called, in words that may be shown to anybody."""

from collections.abc import Mapping
from types import MappingProxyType

from claim_transformers.analysis.views.attention_view import KIND_TITLES, SEX_TITLES
from claim_transformers.analysis.views.code_names import code_name
from claim_transformers.models.claim import ClaimTokenizer

_FIRST_VISIT = "START"
_OF_PATIENT: Mapping[str, Mapping[str, str]] = MappingProxyType({"SEX": SEX_TITLES, "TYPE": KIND_TITLES})


def token_name(tokenizer: ClaimTokenizer, token_id: int) -> str:
    """Name a token: its own public name, else that of its category, else the code itself."""
    token = tokenizer.convert_ids_to_tokens([token_id])[0]
    system, _, bare = token.partition("/")
    match system:
        case "AGE":
            return f"{bare} years"
        case "SEX" | "TYPE":
            return _OF_PATIENT[system].get(bare, bare)
        case "DAY":
            return f"{bare} days after the first visit"
        case "GAP":
            return "the first visit" if bare == _FIRST_VISIT else f"{bare} days or more after the visit before"
        case "PRINCIPAL":
            # What follows is a group, such as `PRINCIPAL/CCS/108` or the prefix of a code.
            return f"principal diagnosis: {code_name(bare) or bare}"
    category_id = int(tokenizer.category_of_token[token_id])
    category = tokenizer.category_names[category_id] if category_id >= 0 else None
    return code_name(token) or (code_name(category) if category else None) or bare or token
