"""Zero-shot risk: the outcome read off the pretraining head, without a single label (Claim-PT NVP).

The head of next-visit prediction gives every code of the vocabulary, or every category, a probability of its own. The
probability that the next visit carries any of the outcome's codes is `1 - prod(1 - p)` over the tokens that denote the
outcome. It ranks patients; as a risk over a horizon it is not calibrated, because a visit is not a year.
"""

import difflib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from claim_transformers.analysis.readout.probes import evaluating, token_batches
from claim_transformers.models.claim import ClaimForPreTraining, ClaimTokenizer
from claim_transformers.models.claim.canonical_claim import CODE_SYSTEMS

_STRAY_SHARE = 0.01

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa


def next_visit_probability(
    model: ClaimForPreTraining,
    tokenized: "pa.Table | datasets.Dataset",
    tokenizer: ClaimTokenizer,
    codes: Sequence[str],
    *,
    together_with: Sequence[Sequence[str]] = (),
    allow_wider: bool = False,
    batch_size: int = 256,
) -> NDArray[np.float64]:
    """Compute the probability that the next visit of each patient carries a code of the outcome.

    Args:
        model (`ClaimForPreTraining`): A pretrained model, with `nvp_target` `"code"` or `"category"`.
        tokenized (`pa.Table` or `datasets.Dataset`): Rows of `tokenize_dataset` or `tokenizer.encode_table`.
        tokenizer (`ClaimTokenizer`): The tokenizer of the model.
        codes (`list[str]`): `SYSTEM/PREFIX` entries of the outcome, as in a cohort definition.
        together_with (`list[list[str]]`, *optional*): Further groups of entries, each of which must be there too, for
            instance `[["DRG/202", "DRG/203"]]` for an admission with asthma. The head predicts every token for itself,
            so the probabilities of the groups are multiplied.
        allow_wider (`bool`, *optional*, defaults to `False`): What to do where no token denotes the outcome: an error,
            or the tokens that the outcome's codes back off to; see [`outcome_tokens`].
        batch_size (`int`, *optional*, defaults to `256`): Patients per forward pass.

    Returns:
        `NDArray[float]` of shape `(patients,)`.

    Raises:
        TypeError: If the model is no `ClaimForPreTraining`.
        ValueError: If no target of the head denotes a group, or model and tokenizer differ in their vocabulary.
    """
    if not hasattr(model, "nvp_decoder"):
        raise TypeError(f"expected a ClaimForPreTraining, which predicts next visits, found {type(model).__name__}")
    tokenizer.check_vocabulary(model.config)
    target = model.config.nvp_target
    ids_of = _output_ids(tokenizer, target)
    columns = [
        torch.tensor(
            [ids_of[name] for name in outcome_tokens(tokenizer, group, target=target, allow_wider=allow_wider)],
            device=model.device,
        )
        for group in (codes, *together_with)
    ]
    probability = np.zeros(len(tokenized))
    with evaluating(model):
        for rows, batch in token_batches(tokenized, model.config, batch_size, model.device):
            logits_BK = model.predict_next_visit(**batch).double()
            joint_B = torch.ones(len(rows), dtype=torch.double, device=logits_BK.device)
            for chosen in columns:
                # log(1 - sigmoid(x)) = -softplus(x): small probabilities keep their digits.
                joint_B *= -torch.expm1(-torch.nn.functional.softplus(logits_BK[:, chosen]).sum(dim=1))
            probability[rows] = joint_B.cpu().numpy()
    return probability


def outcome_tokens(
    tokenizer: ClaimTokenizer, codes: Sequence[str], *, target: str = "code", allow_wider: bool = False
) -> list[str]:
    """Find the outputs of the next-visit head that denote an outcome."""
    if not codes:
        raise ValueError("expected at least one code of the outcome, found none")
    known = _output_ids(tokenizer, target)
    members = _members_of_categories(tokenizer)
    # As codes are written: an entry is the beginning of one, so that zeros are not put back.
    wanted = tuple(code if code in known else code.strip().upper().replace(".", "") for code in codes)
    prefixes = _beginnings(wanted, known, members)
    # A category denotes the outcome when every code that the rules put there does, of the systems that the outcome is
    # written in: `CCS/128` is `ICD9CM/493`, but `CCS/662` is self-inflicted injury and suicidal ideation alike and
    # does not denote `ICD9CM/E95`.
    systems = tuple(f"{_system(prefix)}/" for prefix in prefixes)
    found = [
        name
        for name in known
        if name in wanted
        or name.startswith(prefixes)
        or _all_begin([code for code in members.get(name, ()) if code.startswith(systems)], prefixes)
    ]
    if not found and allow_wider:
        found = _wider_tokens(prefixes, known, members)
    if not found:
        raise ValueError(
            f"expected targets of next-visit prediction that denote {sorted(codes)}, found none; a larger training "
            "population keeps more codes, allow_wider takes the tokens that the codes back off to, and claim types "
            "are no targets (an admission has DRG codes)"
        )
    return sorted(found)


def _all_begin(codes: Sequence[str], prefixes: tuple[str, ...]) -> bool:
    return bool(codes) and all(code.startswith(prefixes) for code in codes)


def _beginnings(entries: Sequence[str], known: Collection[str], categories: Iterable[str]) -> tuple[str, ...]:
    """The entries that are beginnings of codes; a name that is neither that nor an output is refused, not left out."""
    of_categories = {_system(name) for name in categories} - set(CODE_SYSTEMS)
    of_codes = {*CODE_SYSTEMS, *map(_system, known)} - of_categories
    beginnings = tuple(entry for entry in entries if "/" in entry and _system(entry) in of_codes)
    if unknown := sorted(set(entries) - set(known) - set(beginnings)):
        nearest = difflib.get_close_matches(unknown[0], known, n=3, cutoff=0.0)
        raise ValueError(
            "expected outcomes as SYSTEM/PREFIX, such as ICD9CM/493, or as categories of the checkpoint, found "
            f"{unknown}; the nearest names are {', '.join(nearest)}; claim types are no targets (an admission has DRG "
            "codes)"
        )
    return beginnings


def _system(name: str) -> str:
    return name.partition("/")[0]


def _output_ids(tokenizer: ClaimTokenizer, target: str) -> dict[str, int]:
    """Name and number of every output of the head that is trained."""
    if target == "category":
        return {name: number for number, name in enumerate(tokenizer.category_names)}
    targets = np.flatnonzero(tokenizer.target_mask).tolist()
    return dict(zip(tokenizer.convert_ids_to_tokens(targets), targets, strict=True))


def _members_of_categories(tokenizer: ClaimTokenizer) -> dict[str, list[str]]:
    """The `SYSTEM/PREFIX` entries behind every category, from the rules rather than from the codes that were seen."""
    rules = tokenizer._rules  # the tokenizer has no public name for its rules
    members: dict[str, list[str]] = {}
    for prefix, category in rules.prefixes.items():
        members.setdefault(category, []).append(prefix)
    systems = {name: system for system, (name, _) in rules.prefix_lengths.items()}
    for category in tokenizer.category_names:
        name, _, text = category.partition("/")
        if name in systems and category not in members:
            members[category] = [f"{systems[name]}/{text}"]
    return members


def _wider_tokens(wanted: tuple[str, ...], known: Collection[str], members: Mapping[str, list[str]]) -> list[str]:
    """Outputs that mean the outcome and more: its entries' shorter prefixes, and categories that hold part of it."""
    shorter = {name for name in known if "/" in name and any(code.startswith(name) for code in wanted)}
    category_of = {code: name for name, codes in members.items() for code in codes}
    holding = Counter(name for code, name in category_of.items() if code.startswith(wanted))
    for entry in wanted:
        # The longest beginning decides: that of a poisoning by intent, not that of poisonings.
        owner = next((code for end in range(len(entry), 0, -1) if (code := entry[:end]) in category_of), None)
        holding.update([] if owner is None or owner.startswith(wanted) else [category_of[owner]])
    # A category of a stray code among hundreds would say more of its other codes than of the outcome.
    most = {name for name, count in holding.items() if count > _STRAY_SHARE * holding.total()}
    return sorted(shorter | (most & set(known)))
