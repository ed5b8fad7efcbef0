"""Maps of what a model has learned: patients by their embedding, in two dimensions (Claim-PT, Figure 3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from claim_transformers.models.claim import ClaimModel, ClaimTokenizer
from claim_transformers.training import DataCollatorForClaimClassification

# The four diseases of Claim-PT, Figure 3.
FIGURE_3_GROUPS: Mapping[str, tuple[str, ...]] = {
    "asthma": ("ICD9CM/493", "ICD10CM/J45"),
    "diabetes": ("ICD9CM/250", "ICD10CM/E10", "ICD10CM/E11"),
    "depression": ("ICD9CM/2962", "ICD9CM/2963", "ICD9CM/311", "ICD10CM/F32", "ICD10CM/F33"),
    "seizure": ("ICD9CM/345", "ICD9CM/7803", "ICD10CM/G40", "ICD10CM/R56"),
}


@dataclass(frozen=True)
class EmbeddingMap:
    """Positions of patients in two dimensions.

    Args:
        points (`NDArray[float]` of shape `(patients, 2)`): t-SNE of the patient embeddings.
        groups (`list[str]`): Disease group of each patient, `"other"` for none or several.
        silhouette (`float`): Mean silhouette of the groups in the embedding space itself, not in the picture; `None`
            when fewer than two groups have members.
    """

    points: NDArray[np.float64]
    groups: list[str]
    silhouette: float | None


def embed_patients(
    model: ClaimModel, tokenizer: ClaimTokenizer, patients: pa.Table, *, batch_size: int = 256
) -> NDArray[np.float32]:
    """The patient embedding of every row: the hidden state of slot 0 (Claim-PT, `pe`).

    Args:
        model (`ClaimModel`): A pretrained encoder.
        tokenizer (`ClaimTokenizer`): Its tokenizer.
        patients (`pa.Table`): Rows of the patients table or of a cohort.
        batch_size (`int`): Patients per forward pass.

    Returns:
        `NDArray[float32]` of shape `(patients, hidden)`.
    """
    collator = DataCollatorForClaimClassification(tokenizer)
    tokens = tokenizer.encode_table(patients)
    tokens = tokens.drop_columns([name for name in ("label",) if name in tokens.column_names])
    # Patients of similar length share a batch: the padding of the longest is then nearly nothing.
    order = np.argsort(-tokens["length"].to_numpy(), kind="stable")
    embedded = np.zeros((patients.num_rows, model.config.hidden_size), np.float32)
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = collator(tokens.take(pa.array(rows)))
            embedded[rows] = model(**batch).last_hidden_state[:, 0].float().numpy()
    return embedded


def disease_groups(patients: pa.Table, groups: Mapping[str, Sequence[str]] = FIGURE_3_GROUPS) -> list[str]:
    """The one disease group of each patient, by the codes on record.

    Args:
        patients (`pa.Table`): Rows with a `codes` column.
        groups (`dict[str, list[str]]`): `SYSTEM/PREFIX` entries of each group.

    Returns:
        `list[str]`: Name of the group, `"other"` for patients with none or more than one.

    Examples:
        >>> table = pa.table({"codes": [[["ICD9CM/49390"]], [["ICD9CM/49390"], ["ICD9CM/25001"]], []]})
        >>> disease_groups(table)
        ['asthma', 'other', 'other']
    """
    visits = patients["codes"].combine_chunks()
    visits_per_patient = pc.list_value_length(visits).to_numpy(zero_copy_only=False)
    per_visit = pc.list_flatten(visits)
    codes_per_visit = pc.list_value_length(per_visit).to_numpy(zero_copy_only=False)
    owner = np.repeat(np.repeat(np.arange(patients.num_rows), visits_per_patient), codes_per_visit)
    codes = pc.list_flatten(per_visit)
    member = np.zeros((patients.num_rows, len(groups)), bool)
    for column, prefixes in enumerate(groups.values()):
        hits = np.zeros(len(codes), bool)
        for prefix in prefixes:
            hits |= pc.starts_with(codes, prefix).to_numpy(zero_copy_only=False)
        member[owner[hits], column] = True
    names = np.array([*groups, "other"])
    choice = np.where(member.sum(axis=1) == 1, member.argmax(axis=1), len(groups))
    found: list[str] = names[choice].tolist()
    return found


def map_patients(
    model: ClaimModel, tokenizer: ClaimTokenizer, patients: pa.Table, *, most: int = 2000, seed: int = 0
) -> EmbeddingMap:
    """Embeds patients and lays them out by t-SNE, with a score that makes the picture a measurement.

    Args:
        model (`ClaimModel`): A pretrained encoder.
        tokenizer (`ClaimTokenizer`): Its tokenizer.
        patients (`pa.Table`): Rows of the patients table or of a cohort.
        most (`int`): Most patients drawn; t-SNE grows faster than linearly.
        seed (`int`): Seed of the draw and of t-SNE.

    Returns:
        `EmbeddingMap`: Positions, groups and silhouette.
    """
    from sklearn.manifold import TSNE
    from sklearn.metrics import silhouette_score

    if patients.num_rows > most:
        drawn = np.random.default_rng(seed).choice(patients.num_rows, most, replace=False)
        patients = patients.take(pa.array(np.sort(drawn)))
    embedded = embed_patients(model, tokenizer, patients)
    groups = disease_groups(patients)
    grouped = np.array(groups) != "other"
    silhouette = None
    if len(set(groups) - {"other"}) >= 2:
        silhouette = float(silhouette_score(embedded[grouped], np.array(groups)[grouped], metric="cosine"))
    perplexity = min(30.0, max(2.0, (len(embedded) - 1) / 4))
    points = TSNE(perplexity=perplexity, random_state=seed, init="pca", metric="cosine").fit_transform(embedded)
    return EmbeddingMap(np.asarray(points, np.float64), groups, silhouette)
