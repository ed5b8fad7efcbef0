"""Where the rows of new tokens begin: at the mean of codes like them, so that training goes on from there.

Codes like a new one are its siblings (of the same prefix of three characters) and those of its category, whichever
there are; a code of one era begins where the same disease stood in the other.
"""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from .vocabulary_claim import IGNORE_INDEX, code_system, parent_code


def follow_tokenizer(model: Any, known: int, tokenizer: Any) -> None:
    """Begin the rows of new tokens and categories where a tokenizer says that their relatives are.

    The table and the decoder of codes have the new size; `known` tokens were there before.
    """
    tables = _tables(model)
    if tokenizer is None:
        return
    if len(tokenizer) != model.config.vocab_size or tokenizer.num_categories < model.config.num_categories:
        raise ValueError(
            f"expected the tokenizer of the new vocabulary, with {model.config.vocab_size} tokens and at least "
            f"{model.config.num_categories} categories, found {len(tokenizer)} and {tokenizer.num_categories}"
        )
    with torch.no_grad():
        for token, groups in enumerate(_relatives(tokenizer, known), start=known):
            for table in tables:
                table[token] = torch.stack([table[group].mean(dim=0) for group in groups]).mean(dim=0)
    if model.config.num_categories:
        for name, head in model.named_children():
            if name in ("cp_decoder", "horizon_decoder") or (
                name == "nvp_decoder" and model.config.nvp_target == "category"
            ):
                _grow(head, model.config.num_categories, tokenizer.num_categories, model.config.nvp_bias_init)
        model.config.num_categories = tokenizer.num_categories


def _tables(model: Any) -> list[Tensor]:
    """Tables with a row for each token, the counts of a classifier included, which grow here."""
    tables, decoder = [model.get_input_embeddings().weight], model.get_output_embeddings()
    for name, part in model.named_children():
        if name == "code_skip":
            part.resize(model.config.vocab_size)
            tables.append(part.weight)
    if decoder is not None:
        tables += [decoder.bias] if decoder.weight is tables[0] else [decoder.weight, decoder.bias]
    return tables


def _relatives(tokenizer: Any, known: int) -> list[list[list[int]]]:
    """For each new token the groups of old tokens like it: siblings and category, else its system, else all."""
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    categories = tokenizer.category_of_token.tolist()
    keys = [
        (parent_code(token), None if category == IGNORE_INDEX else category, code_system(token))
        for token, category in zip(tokens, categories, strict=True)
    ]
    members: tuple[defaultdict[Any, list[int]], ...] = tuple(defaultdict(list) for _ in range(3))
    for number, key in enumerate(keys[:known]):
        for group, name in zip(members, key, strict=True):
            group[name].append(number)
    everything = tokenizer.target_mask[:known].nonzero()[0].tolist() or list(range(known))
    found = []
    for parent, category, system in keys[known:]:
        near = [(members[0], parent), (members[1], category)]
        groups = [group[name] for group, name in near if name is not None and group[name]]
        found.append(groups or [members[2][system] or everything])
    return found


def _grow(head: nn.Linear, old: int, new: int, bias: float) -> None:
    """Add outputs for new categories behind the old ones, in each block of them; they begin at the log prior."""
    blocks = head.out_features // old
    weight = head.weight.new_zeros(blocks, new, head.in_features)
    offset = head.bias.new_full((blocks, new), bias)
    weight[:, :old] = head.weight.detach().view(blocks, old, -1)
    offset[:, :old] = head.bias.detach().view(blocks, old)
    head.weight, head.bias = nn.Parameter(weight.flatten(0, 1)), nn.Parameter(offset.flatten())
    head.out_features = blocks * new
