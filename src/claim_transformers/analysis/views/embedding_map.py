"""Embedding maps: codes and patients by what a model has learned, in two dimensions (Claim-PT, Figure 3).

Groups of a map are diseases. A code is in a group when it begins with one of the group's entries; a patient when the
record holds codes of exactly one group.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.analysis.readout.probes import encoder_of, patient_vectors
from claim_transformers.analysis.views.clustering import mean_of_groups, point_silhouettes
from claim_transformers.models.claim import ClaimPreTrainedModel, ClaimTokenizer

Groups = Mapping[str, Sequence[str]]

# The four diseases of Claim-PT, Figure 3.
FIGURE_3_GROUPS: Mapping[str, tuple[str, ...]] = {
    "asthma": ("ICD9CM/493", "ICD10CM/J45"),
    "diabetes": ("ICD9CM/250", "ICD10CM/E10", "ICD10CM/E11"),
    "depression": ("ICD9CM/2962", "ICD9CM/2963", "ICD9CM/311", "ICD10CM/F32", "ICD10CM/F33"),
    "seizure": ("ICD9CM/345", "ICD9CM/7803", "ICD10CM/G40", "ICD10CM/R56"),
}
NO_GROUP = "other"


@dataclass(frozen=True)
class EmbeddingMap:
    """Positions of patients or codes in two dimensions."""

    points: NDArray[np.float64]  # t-SNE of the embeddings, shape `(points, 2)`.
    groups: list[str]  # Disease group of each point, `"other"` for none or several.
    # Mean silhouette of the groups in the embedding space itself, not in the picture, every group counting the same;
    # `None` when fewer than two groups have members.
    silhouette: float | None


def embed_patients(
    model: ClaimPreTrainedModel, tokenizer: ClaimTokenizer, patients: pa.Table, *, batch_size: int = 256
) -> NDArray[np.float32]:
    """The patient embedding of every row: the vector that classification reads (Claim-PT, `pe`).

    Args:
        model (`ClaimPreTrainedModel`): A pretrained encoder, or a head on one.
        tokenizer (`ClaimTokenizer`): Its tokenizer.
        patients (`pa.Table`): Rows of the patients table or of a cohort.
        batch_size (`int`): Patients per forward pass.

    Returns:
        `NDArray[float32]` of shape `(patients, hidden)`.
    """
    tokens = tokenizer.encode_table(patients, keep_columns=[])
    return patient_vectors(model, tokens, "start", batch_size=batch_size)


def disease_groups(patients: pa.Table, groups: Groups = FIGURE_3_GROUPS) -> list[str]:
    """The one disease group of each patient, by the codes on record."""
    visits = patients["codes"].combine_chunks()
    visits_per_patient = pc.list_value_length(visits).to_numpy(zero_copy_only=False)
    per_visit = pc.list_flatten(visits)
    codes_per_visit = pc.list_value_length(per_visit).to_numpy(zero_copy_only=False)
    owner = np.repeat(np.repeat(np.arange(patients.num_rows), visits_per_patient), codes_per_visit)
    codes = pc.list_flatten(per_visit)
    # A patient may belong to several groups; only those of exactly one are named.
    member = np.zeros((patients.num_rows, len(groups)), bool)
    for column, prefixes in enumerate(groups.values()):
        member[owner[_begin_with(codes, prefixes)], column] = True
    names = np.array([*groups, NO_GROUP])
    choice = np.where(member.sum(axis=1) == 1, member.argmax(axis=1), len(groups))
    found: list[str] = names[choice].tolist()
    return found


def hide_group_codes(patients: pa.Table, groups: Groups = FIGURE_3_GROUPS) -> pa.Table:
    """Take the codes of all groups out of the records, so that a map shows what the rest of a record says."""
    visits = patients["codes"].combine_chunks()
    per_visit = pc.list_flatten(visits)
    codes = pc.list_flatten(per_visit)
    kept = ~_begin_with(codes, [prefix for prefixes in groups.values() for prefix in prefixes])
    # Offsets of the visits into the codes that are left: how many are kept before each old offset. Visits stay, empty
    # or not.
    kept_before = np.concatenate([[0], np.cumsum(kept)])
    ends = np.cumsum(pc.list_value_length(per_visit).to_numpy(zero_copy_only=False))
    code_offsets = kept_before[np.concatenate([[0], ends]).astype(np.int64)]
    visit_offsets = np.concatenate([[0], np.cumsum(pc.list_value_length(visits).to_numpy(zero_copy_only=False))])
    shown = pa.ListArray.from_arrays(pa.array(code_offsets, pa.int32()), codes.filter(pa.array(kept)))
    nested = pa.ListArray.from_arrays(pa.array(visit_offsets, pa.int32()), shown)
    return patients.set_column(patients.column_names.index("codes"), "codes", nested)


def grouped_codes(
    tokenizer: ClaimTokenizer, groups: Groups = FIGURE_3_GROUPS
) -> tuple[NDArray[np.int64], list[str], list[str]]:
    """Find the codes of the vocabulary that belong to a group."""
    ids = np.flatnonzero(tokenizer.target_mask)
    tokens = tokenizer.convert_ids_to_tokens(ids.tolist())
    found = [
        (token_id, token, name)
        for token_id, token in zip(ids.tolist(), tokens, strict=True)
        for name, prefixes in groups.items()
        if token.startswith(tuple(prefixes))
    ]
    return (
        np.array([token_id for token_id, _, _ in found], np.int64),
        [token for _, token, _ in found],
        [name for _, _, name in found],
    )


def lay_out(vectors: npt.ArrayLike, *, seed: int = 0) -> NDArray[np.float64]:
    """Lay vectors out in two dimensions by t-SNE (van der Maaten and Hinton, 2008) on cosine distances."""
    from sklearn.manifold import TSNE

    points = np.asarray(vectors)
    if len(points) < 3:
        raise ValueError(f"expected at least three points for a map, found {len(points)}")
    perplexity = min(30.0, max(1.0, (len(points) - 1) / 4))
    layout = TSNE(perplexity=perplexity, random_state=seed, init="pca", metric="cosine").fit_transform(points)
    return np.asarray(layout, np.float64)


def map_patients(
    model: ClaimPreTrainedModel, tokenizer: ClaimTokenizer, patients: pa.Table, *, most: int = 2000, seed: int = 0
) -> EmbeddingMap:
    """Embeds patients and lays them out by t-SNE, with a score that makes the picture a measurement.

    Args:
        model (`ClaimPreTrainedModel`): A pretrained encoder, or a head on one.
        tokenizer (`ClaimTokenizer`): Its tokenizer.
        patients (`pa.Table`): Rows of the patients table or of a cohort.
        most (`int`): Most patients drawn; t-SNE grows faster than linearly.
        seed (`int`): Seed of the draw and of t-SNE.
    """
    if patients.num_rows > most:
        drawn = np.random.default_rng(seed).choice(patients.num_rows, most, replace=False)
        patients = patients.take(pa.array(np.sort(drawn)))
    embedded = embed_patients(model, tokenizer, patients)
    return _map(embedded, disease_groups(patients), seed)


def code_vectors(model: ClaimPreTrainedModel) -> NDArray[np.float32]:
    """The embedding table: one vector per token."""
    table = encoder_of(model).embeddings.code_embeddings.weight
    vectors: NDArray[np.float32] = table.detach().float().cpu().numpy()
    return vectors


def _map(vectors: NDArray[np.float32], names: list[str], seed: int) -> EmbeddingMap:
    member = np.array(names)
    member, grouped = member[member != NO_GROUP], vectors[member != NO_GROUP]
    score = None
    if len(set(member.tolist())) >= 2:
        score = float(mean_of_groups(member, point_silhouettes(member, grouped)))
    return EmbeddingMap(lay_out(vectors, seed=seed), names, score)


def _begin_with(codes: pa.Array, prefixes: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each code begins with one of the prefixes, working on the distinct codes."""
    encoded = pc.dictionary_encode(codes)
    distinct = encoded.dictionary
    hits = np.zeros(len(distinct), bool)
    for prefix in prefixes:
        hits |= pc.starts_with(distinct, prefix).to_numpy(zero_copy_only=False)
    index = encoded.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
    found: NDArray[np.bool_] = np.append(hits, False)[index]
    return found
