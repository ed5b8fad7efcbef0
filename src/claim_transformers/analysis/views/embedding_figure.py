"""Figure 3 of Claim-PT: maps of codes and of patients, with scores against what needs no pretraining.

The rivals are the same network with its initial weights, and a truncated SVD of code counts of the same width (latent
semantic analysis), fitted on training patients. Scores are taken in the embeddings, not in the pictures.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from claim_transformers.analysis.views.clustering import NEIGHBOURS, compare_embeddings
from claim_transformers.analysis.views.embedding_map import (
    FIGURE_3_GROUPS,
    NO_GROUP,
    Groups,
    code_vectors,
    disease_groups,
    embed_patients,
    grouped_codes,
    hide_group_codes,
    lay_out,
)
from claim_transformers.analysis.views.plots import embedding_plot
from claim_transformers.claims.files import private_folder, to_json, write_file
from claim_transformers.models.claim import ClaimModel, ClaimPreTrainedModel, ClaimTokenizer
from claim_transformers.training.token_columns import ragged_column

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_PRETRAINED, _RANDOM, _COUNT_SVD = "pretrained", "random weights", "count SVD"
_FIGURE = "figure_3"
# Fewer patients are no cell to publish (CMS cell-size suppression policy); fewer codes are no group to measure.
_MIN_PATIENTS, _MIN_CODES = 11, 5


def write_embedding_figure(
    folder: str | Path,
    model: ClaimPreTrainedModel,
    tokenizer: ClaimTokenizer,
    patients: pa.Table,
    *,
    training_patients: pa.Table,
    groups: Groups = FIGURE_3_GROUPS,
    most_per_group: int = 250,
    replicates: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Write `figure_3_codes.svg`, `figure_3_patients.svg` and `figure_3.json`.

    Three things are scored: `codes`, the rows of the embedding table of the groups' codes; `patients`, patients with
    exactly one of the diseases; and `patients_without_group_codes`, the same patients after every code of the groups
    is taken out of their records, where only the rest of a record can tell the diseases apart. Groups with fewer than
    `_MIN_PATIENTS` patients or `_MIN_CODES` codes are left out there. Purity looks at ten neighbours, or at as many as
    the smallest group holds beside a point.

    Args:
        folder (`str` or `Path`): Folder for the files; made when absent.
        model (`ClaimPreTrainedModel`): A pretrained model.
        tokenizer (`ClaimTokenizer`): Its tokenizer.
        patients (`pa.Table`): Patients that pretraining has not seen.
        training_patients (`pa.Table`): Patients that the SVD of counts is fitted on, those of the pretraining.
        groups (`dict[str, list[str]]`, *optional*): `SYSTEM/PREFIX` entries of each group.
        most_per_group (`int`, *optional*, defaults to `250`): Patients drawn of each group.
        replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates of the intervals.
        seed (`int`, *optional*, defaults to `0`): Seed of the draw, the initial weights, the SVD, t-SNE and intervals.

    Returns:
        `dict`: The content of `figure_3.json`: for each of the three, what `compare_embeddings` returns; without the
            codes where the vocabulary has their categories alone.

    Raises:
        ValueError: If fewer than two groups have enough codes, or patients.
    """
    drawn, names = _draw_patients(patients, groups, most_per_group, seed)
    ids, code_names = _measured_codes(tokenizer, groups)
    encoders = _Encoders(model, tokenizer, training_patients, seed)
    scored = {"codes": (code_names, encoders.embed_codes(ids))} if code_names else {}
    scored |= {
        "patients": (names, encoders.embed_patients(drawn)),
        "patients_without_group_codes": (names, encoders.embed_patients(hide_group_codes(drawn, groups))),
    }
    content: dict[str, Any] = {"seed": seed}
    for what, (member, embeddings) in scored.items():
        k = min(NEIGHBOURS, min(map(member.count, set(member))) - 1)
        content[what] = compare_embeddings(member, embeddings, k=k, replicates=replicates, seed=seed)

    folder = private_folder(folder)
    for what, (member, embeddings) in list(scored.items())[:-1]:
        title = f"{what.capitalize()}, pretrained embedding"
        svg = embedding_plot(lay_out(embeddings[_PRETRAINED], seed=seed), member, title, note=_caption(content[what]))
        write_file(folder / f"{_FIGURE}_{what}.svg", svg)
    write_file(folder / f"{_FIGURE}.json", to_json(content, nan_to_null=True))
    return content


def _draw_patients(patients: pa.Table, groups: Groups, most_per_group: int, seed: int) -> tuple[pa.Table, list[str]]:
    """Patients with exactly one of the diseases, equally many of each where there are enough."""
    member = np.array(disease_groups(patients, groups))
    generator = np.random.default_rng(seed)
    rows = [
        generator.permutation(np.flatnonzero(member == name))[:most_per_group]
        for name in _large_groups(member[member != NO_GROUP], _MIN_PATIENTS, "patients")
    ]
    drawn = np.sort(np.concatenate(rows))
    found: list[str] = member[drawn].tolist()
    return patients.take(pa.array(drawn)), found


def _measured_codes(tokenizer: ClaimTokenizer, groups: Groups) -> tuple[NDArray[np.int64], list[str]]:
    """Ids and groups of the codes of the groups that are large enough; none of a vocabulary of categories alone."""
    ids, _, names = grouped_codes(tokenizer, groups)
    if not names:
        return ids, []
    member = np.array(names)
    kept = np.isin(member, _large_groups(member, _MIN_CODES, "codes"))
    return ids[kept], member[kept].tolist()


def _large_groups(member: NDArray[Any], minimum: int, what: str) -> list[str]:
    """Names of the groups with enough members, sorted."""
    names, sizes = np.unique(member, return_counts=True)
    large: list[str] = names[sizes >= minimum].tolist()
    if len(large) < 2:
        raise ValueError(
            f"expected at least two groups of {minimum} {what}, found {len(large)}; take a larger population"
        )
    return large


class _Encoders:
    """The pretrained model and its rivals, on the same codes and patients."""

    def __init__(
        self, model: ClaimPreTrainedModel, tokenizer: ClaimTokenizer, training_patients: pa.Table, seed: int
    ) -> None:
        # The process-wide random state is left alone.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            untrained = ClaimModel(model.config)
        self._models: dict[str, ClaimPreTrainedModel] = {_PRETRAINED: model, _RANDOM: untrained}
        self._tokenizer = tokenizer
        self._counts = _CountSvd(tokenizer, training_patients, model.config.hidden_size, seed)

    def embed_codes(self, ids: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """Vectors of tokens by the name of the embedding."""
        tables = {name: code_vectors(model)[ids] for name, model in self._models.items()}
        return {**tables, _COUNT_SVD: self._counts.codes[ids]}

    def embed_patients(self, patients: pa.Table) -> dict[str, NDArray[Any]]:
        """Vectors of patients by the name of the embedding."""
        vectors = {name: embed_patients(model, self._tokenizer, patients) for name, model in self._models.items()}
        return {**vectors, _COUNT_SVD: self._counts.embed(patients)}


class _CountSvd:
    """Codes and patients by a truncated SVD of log counts of codes."""

    def __init__(self, tokenizer: ClaimTokenizer, patients: pa.Table, width: int, seed: int) -> None:
        from sklearn.decomposition import TruncatedSVD

        self._tokenizer = tokenizer
        counts = self._counts(patients)
        most = max(1, min(width, counts.shape[0] - 1, int(tokenizer.target_mask.sum()) - 1))
        self._svd = TruncatedSVD(n_components=most, random_state=seed).fit(counts)
        self.codes: NDArray[np.float64] = (self._svd.components_ * self._svd.singular_values_[:, None]).T

    def embed(self, patients: pa.Table) -> NDArray[np.float64]:
        """Vectors of patients, of shape `(patients, width)`."""
        vectors: NDArray[np.float64] = self._svd.transform(self._counts(patients))
        return vectors

    def _counts(self, patients: pa.Table) -> "csr_matrix":
        """Log of one plus the visits with each clinical token, of shape `(patients, vocabulary)`."""
        from scipy.sparse import csr_matrix

        tokens = ragged_column(self._tokenizer.encode_table(patients, keep_columns=[]), "input_ids")
        clinical = self._tokenizer.target_mask[tokens.values]
        cells = (tokens.row[clinical], tokens.values[clinical])
        shape = (len(tokens.lengths), len(self._tokenizer))
        counts = csr_matrix((np.ones(int(clinical.sum())), cells), shape=shape)
        counts.sum_duplicates()
        counts.data = np.log1p(counts.data)
        return counts


def _caption(content: Mapping[str, Any]) -> str:
    """The scores below a map."""
    found = content["scores"]
    parts = [
        f"{name}: silhouette {scores['silhouette']['value']:.2f}, purity {scores['purity']['value']:.2f}"
        for name, scores in found.items()
    ]
    return "\n".join([*parts, f"purity by chance: {content['chance_purity']:.2f}"])
