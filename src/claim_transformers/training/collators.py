"""Collators: pure functions from tokenised patients to the batch that the claim models take.

A batch is padded with a handful of numpy calls on flat Arrow buffers; no row is touched by Python. Everything random
is a function of (seed, epoch, row), see `keyed_random`, so a resumed run sees the batches of the first run.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from claim_transformers.claims.small_cells import show_part_of
from claim_transformers.training.keyed_random import Stream, UInt64Array, row_digests, row_keys, uniform_at
from claim_transformers.training.landmarks import Landmarks, age_at_landmark, horizon_targets, read_landmarks
from claim_transformers.training.token_columns import (
    Features,
    RaggedColumn,
    column_names,
    ragged_column,
    scalar_column,
)

if TYPE_CHECKING:
    from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer

_NvpContext = Literal["full", "none", "mixed"]

IGNORE_INDEX = -100
_PADDING_SLOT = -1
_OTHER_LABELS = "labels"
_MIXED_CAUSAL_PROBABILITY = (
    0.5  # half causal and dense, half a uniform prefix; the trained patient token needs the latter
)
MASK_PROBABILITY = 0.15  # Devlin et al., 2019, section 3.1
_MASK_TOKEN_SHARE, _RANDOM_TOKEN_SHARE = 0.8, 0.1  # of the masked positions; the rest keep their token. Same section


@dataclass
class ClaimCollator:
    """Pad tokenised patients into one batch; the base of the other collators.

    Accepts the `pa.Table` that [`TokenizedPatients`] returns, or a list of dictionaries such as the rows of a plain
    `datasets.Dataset` or outputs of the tokenizer. Both give identical batches.
    """

    tokenizer: "ClaimTokenizer"  # Gives the special tokens and says which tokens are clinical codes.
    # Round the number of tokens and of slots up to a multiple, for kernels that like fixed shapes.
    pad_to_multiple_of: int | None = None

    def __call__(self, features: Features) -> dict[str, torch.Tensor]:
        """Return the batch of `features`."""
        return {name: torch.from_numpy(values) for name, values in self.collate(features).items()}

    def collate(self, features: Features) -> dict[str, npt.NDArray[Any]]:
        """Pad the inputs of the model."""
        tokens, visits = ragged_column(features, "input_ids"), ragged_column(features, "visit_ids")
        if not np.array_equal(tokens.lengths, visits.lengths):
            raise ValueError("expected 'input_ids' and 'visit_ids' of one length per row, found different lengths")
        input_ids = self.pad(tokens, self.tokenizer.pad_token_id)
        return {
            "input_ids": input_ids,
            "visit_ids": self.pad(visits, _PADDING_SLOT),
            "visit_days": self.pad(ragged_column(features, "visit_days"), _PADDING_SLOT),
            "attention_mask": (np.arange(input_ids.shape[1]) < tokens.lengths[:, None]).astype(np.int64),
        }

    def pad(self, column: RaggedColumn, fill: int) -> npt.NDArray[np.int64]:
        """Pad a column to its longest row, rounded up to `pad_to_multiple_of`."""
        multiple = self.pad_to_multiple_of or 1
        return column.pad(fill, -(-int(column.lengths.max(initial=0)) // multiple) * multiple)


@dataclass
class _KeyedCollator(ClaimCollator):
    """A collator whose randomness is a pure function of (seed, epoch, row); the base of the pretraining collators."""

    seed: int = 0
    epoch: int = 0
    backoff_probability: float = 0.0

    def keys(self, features: Features, tokens: RaggedColumn, stream: Stream) -> UInt64Array:
        """Key the randomness of each row."""
        found = column_names(features)
        row = scalar_column(features, "row") if "row" in found else row_digests(tokens.values, tokens.lengths)
        epoch = scalar_column(features, "epoch") if "epoch" in found else np.full(len(row), self.epoch)
        return row_keys(self.seed, epoch, row, stream=stream)

    def back_off(self, features: Features, tokens: RaggedColumn, shown: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Write a share of the codes as codes that the vocabulary does not know: as one of their stand-ins."""
        if not self.backoff_probability:
            return shown
        stand_ins = self.tokenizer.vocabulary.stand_ins
        number = (stand_ins >= 0).sum(axis=1)[tokens.values]
        draws, steps = (
            uniform_at(self.keys(features, tokens, stream)[tokens.row], tokens.position)
            for stream in (Stream.BACKOFF, Stream.BACKOFF_STEP)
        )
        step = np.floor(steps * number).astype(np.int64)
        return np.where((draws < self.backoff_probability) & (number > 0), stand_ins[tokens.values, step], shown)

    def hide_principal(
        self, features: Features, tokens: RaggedColumn, hidden: npt.NDArray[np.bool_], shown: npt.NDArray[Any]
    ) -> npt.NDArray[np.int64]:
        """Hide the principal diagnoses of each visit in which a code is hidden, which would give it away."""
        principal = self.tokenizer.vocabulary.principal_ids
        if not len(principal):
            return shown
        visits = ragged_column(features, "visit_ids").values
        slot = tokens.row * (int(visits.max(initial=0)) + 1) + visits
        gives_away = np.isin(tokens.values, principal) & np.isin(slot, slot[hidden])
        return np.where(gives_away, self.tokenizer.mask_token_id, shown)


@dataclass
class DataCollatorForClaimPretraining(_KeyedCollator):
    """Make batches for next-visit prediction and category prediction, [`ClaimForPreTraining`].

    Args:
        tokenizer ([`ClaimTokenizer`]): Gives the special tokens and says which tokens are clinical codes.
        pad_to_multiple_of (`int`, *optional*): Round the number of tokens and of slots up to a multiple.
        seed (`int`, *optional*, defaults to `0`): Seed of cuts and masks.
        epoch (`int`, *optional*, defaults to `0`): Epoch of rows that carry none.
        backoff_probability (`float`, *optional*, defaults to `0.0`): Share of the codes of the input written as if the
            vocabulary did not know them, as a group of theirs or as unknown, so that these tokens are learned too;
            what is to be predicted stays.
        nvp_context (`str`, *optional*, defaults to `"mixed"`): How much of the record is context rather than target,
            as the `cut` of each row with n visits. `"full"`: n - 1, the last visit is the target (Zeng et al.);
            `"none"`: 0, every visit is predicted from those before it; `"mixed"`: 0 for half of the rows, else uniform
            in 1 to n - 1. Use the value of the model's configuration.
        cp_mask_probability (`float`, *optional*, defaults to `0.0`): Share of categorised codes replaced by `[MASK]`.
            Above 0, only masked positions keep their category label, so that category prediction is no copy task, and
            `visit_categories` holds those of all positions for `nvp_target="category"`; `PRINCIPAL/` tokens of the
            visits of masked positions become `[MASK]` too.
        horizon_days (`int`, *optional*, defaults to `0`): Horizon of horizon prediction; use the value of the model's
            configuration. Above 0 the cut of a row follows from a landmark, a day drawn from its record, on which the
            patient then stands (`visit_days[:, 0]`), and the batch has `horizon_targets` and `horizon_known` too.
        landmark_visit_share (`float`, *optional*, defaults to `0.0`): Share of landmarks on the day of a visit, which
            becomes the first one to predict; use the value of the model's configuration.

    Raises:
        ValueError: If `nvp_context` is unknown, a probability or share not in 0..1, or `horizon_days` negative.

    Examples:
        >>> from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer
        >>> tokenizer = ClaimTokenizer({"SEX/F": 3, "NDC/1": 4, "NDC/2": 5, "NDC/3": 6, "NDC/4": 7})
        >>> rows = [
        ...     {"input_ids": [3, 5, 6], "visit_ids": [0, 1, 2], "visit_days": [0, 0, 9], "category_ids": [-100, 1, 0]}
        ... ]
        >>> batch = DataCollatorForClaimPretraining(tokenizer, nvp_context="full")(rows)
        >>> batch["labels"].tolist(), batch["category_labels"].tolist(), batch["cut"].tolist()
        ([[-100, 5, 6]], [[-100, 1, 0]], [1])
    """

    nvp_context: _NvpContext = "mixed"
    cp_mask_probability: float = 0.0
    horizon_days: int = 0
    landmark_visit_share: float = 0.0

    def __post_init__(self) -> None:
        if self.nvp_context not in ("full", "none", "mixed"):
            raise ValueError(f"expected nvp_context 'full', 'none' or 'mixed', found {self.nvp_context!r}")
        for name in ("backoff_probability", "cp_mask_probability", "landmark_visit_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"expected {name} in [0, 1], found {getattr(self, name)}")
        if self.horizon_days < 0:
            raise ValueError(f"expected horizon_days of at least 0, found {self.horizon_days}")
        self._is_target = np.asarray(self.tokenizer.target_mask, dtype=bool)

    def collate(self, features: Features) -> dict[str, npt.NDArray[Any]]:
        """Pad the inputs and add `labels`, `category_labels` `(B, T)` and `cut` `(B,)`."""
        batch = super().collate(features)
        tokens = ragged_column(features, "input_ids")
        # Codes of the patient, such as a county, are no visit's: they are read and never predicted.
        in_visit = ragged_column(features, "visit_ids").values >= 1
        targets = np.where(self._is_target[tokens.values] & in_visit, tokens.values, IGNORE_INDEX)
        batch["labels"] = self.pad(RaggedColumn(targets, tokens.lengths), IGNORE_INDEX)

        categories, shown = np.full(len(tokens.values), IGNORE_INDEX), tokens.values
        if "category_ids" in column_names(features):
            categories = ragged_column(features, "category_ids").values
        batch["cut"] = self._cut(features, tokens)
        if self.horizon_days:
            shown = self._add_horizon(batch, features, tokens, categories)
        shown = self.back_off(features, tokens, shown)
        if self.cp_mask_probability > 0.0:
            batch["visit_categories"] = self.pad(RaggedColumn(categories, tokens.lengths), IGNORE_INDEX)
            draws = uniform_at(self.keys(features, tokens, Stream.CATEGORY_MASK)[tokens.row], tokens.position)
            masked = (categories != IGNORE_INDEX) & (draws < self.cp_mask_probability)
            categories = np.where(masked, categories, IGNORE_INDEX)
            shown = np.where(masked, self.tokenizer.mask_token_id, shown)
            shown = self.hide_principal(features, tokens, masked, shown)
        if self.horizon_days or self.cp_mask_probability > 0.0 or self.backoff_probability > 0.0:
            batch["input_ids"] = self.pad(RaggedColumn(shown, tokens.lengths), self.tokenizer.pad_token_id)
        batch["category_labels"] = self.pad(RaggedColumn(categories, tokens.lengths), IGNORE_INDEX)
        return batch

    def _add_horizon(
        self,
        batch: dict[str, npt.NDArray[Any]],
        features: Features,
        tokens: RaggedColumn,
        categories: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """Put rows that are not causal on a landmark, add what follows, and return the tokens with the age there."""
        landmarks: Landmarks = read_landmarks(features, batch["visit_days"], self.horizon_days)
        keys = self.keys(features, tokens, Stream.LANDMARK)
        day, at_visit = landmarks.draw(uniform_at(keys, 0)), landmarks.draw_visit(uniform_at(keys, 1))
        day = np.where((uniform_at(keys, 2) < self.landmark_visit_share) & (at_visit > 0), at_visit, day)
        visits_before = landmarks.visits_before(day)
        stands = (batch["cut"] > 0) & (visits_before > 0)
        day = np.where(stands, day, 0)
        batch["cut"] = np.where(stands, visits_before, batch["cut"])
        batch["visit_days"][:, 0] = day
        batch["horizon_known"] = landmarks.known(day)
        following = horizon_targets(tokens, ragged_column(features, "visit_ids"), categories, self.tokenizer)
        batch["horizon_targets"] = self.pad(RaggedColumn(following, tokens.lengths), IGNORE_INDEX)
        return age_at_landmark(features, tokens, day, self._age_ids())

    def _age_ids(self) -> npt.NDArray[np.int64]:
        """Token of each age in years, of none where the vocabulary lacks one of them."""
        names = [f"AGE/{age}" for age in range(self.tokenizer.max_age_years + 1)]
        ids = [self.tokenizer.get_vocab().get(name, -1) for name in names]
        return np.array(ids if min(ids) >= 0 else [], np.int64)

    def _cut(self, features: Features, tokens: RaggedColumn) -> npt.NDArray[np.int64]:
        """Number of visits that every position may read."""
        visits = ragged_column(features, "visit_days").lengths - 1
        if self.nvp_context == "none":
            return np.zeros_like(visits)
        longest = np.maximum(visits - 1, 0)
        if self.nvp_context == "full":
            return longest
        causal = uniform_at(self.keys(features, tokens, Stream.CUT_KIND), 0) < _MIXED_CAUSAL_PROBABILITY
        draws = uniform_at(self.keys(features, tokens, Stream.CUT_PLACE), 0)
        place = np.floor(draws * longest).astype(np.int64) + 1
        return np.where(causal, 0, np.minimum(place, longest))


@dataclass
class DataCollatorForMaskedTokens(_KeyedCollator):
    """Make batches for masked-token learning, [`ClaimForMaskedLM`] (Lahlou et al., after Devlin et al.).

    Of the clinical codes a share is chosen. Of the chosen, 80 % become `[MASK]`, 10 % a random clinical code and 10 %
    stay as they are; all of them are labels. The `PRINCIPAL/` tokens of their visits become `[MASK]` too.

    Args:
        tokenizer, pad_to_multiple_of, seed, epoch, backoff_probability: As in [`DataCollatorForClaimPretraining`].
        mask_probability (`float`, *optional*, defaults to `0.15`): Share of the clinical codes chosen.

    Raises:
        ValueError: If `mask_probability` or `backoff_probability` is no probability.

    Examples:
        >>> from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer
        >>> tokenizer = ClaimTokenizer({"SEX/F": 3, "NDC/1": 4, "NDC/2": 5, "NDC/3": 6, "NDC/4": 7})
        >>> rows = [{"input_ids": [3, 5, 6], "visit_ids": [0, 1, 2], "visit_days": [0, 0, 9]}]
        >>> DataCollatorForMaskedTokens(tokenizer, mask_probability=1.0)(rows)["labels"].tolist()
        [[-100, 5, 6]]
    """

    mask_probability: float = MASK_PROBABILITY

    def __post_init__(self) -> None:
        for name in ("backoff_probability", "mask_probability"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"expected {name} in [0, 1], found {getattr(self, name)}")
        self._is_target = np.asarray(self.tokenizer.target_mask, dtype=bool)
        self._clinical_ids = np.flatnonzero(self._is_target)

    def collate(self, features: Features) -> dict[str, npt.NDArray[Any]]:
        """Pad the inputs, mask them and add `labels` of shape `(B, T)`."""
        batch = super().collate(features)
        tokens = ragged_column(features, "input_ids")

        def draw(stream: Stream) -> npt.NDArray[np.float64]:
            return uniform_at(self.keys(features, tokens, stream)[tokens.row], tokens.position)

        chosen = self._is_target[tokens.values] & (draw(Stream.TOKEN_MASK) < self.mask_probability)
        replacement = draw(Stream.TOKEN_REPLACEMENT)
        picks = np.floor(draw(Stream.RANDOM_TOKEN) * len(self._clinical_ids)).astype(np.int64)
        as_mask = chosen & (replacement < _MASK_TOKEN_SHARE)
        as_random = chosen & ~as_mask & (replacement < _MASK_TOKEN_SHARE + _RANDOM_TOKEN_SHARE)
        shown = np.where(as_mask, self.tokenizer.mask_token_id, self.back_off(features, tokens, tokens.values))
        shown[as_random] = self._clinical_ids[picks[as_random]]
        shown = self.hide_principal(features, tokens, chosen, shown)
        batch["input_ids"] = self.pad(RaggedColumn(shown, tokens.lengths), self.tokenizer.pad_token_id)
        labels = np.where(chosen, tokens.values, IGNORE_INDEX)
        batch["labels"] = self.pad(RaggedColumn(labels, tokens.lengths), IGNORE_INDEX)
        return batch


@dataclass
class DataCollatorForClaimClassification(ClaimCollator):
    """Make batches for [`ClaimForSequenceClassification`] from labelled patients.

    Whole numbers and truth values become `(B,)` of `int64`, a list of labels per row becomes `(B, K)` of `float32`.
    Without a label column the batch has no labels, for prediction.

    Args:
        tokenizer, pad_to_multiple_of: As in [`DataCollatorForClaimPretraining`].
        label_column (`str`, *optional*, defaults to `"label"`): Column with the label; `labels` where it is absent.

    Examples:
        >>> from types import SimpleNamespace
        >>> rows = [{"input_ids": [5], "visit_ids": [0], "visit_days": [0], "label": 1}]
        >>> DataCollatorForClaimClassification(SimpleNamespace(pad_token_id=0))(rows)["labels"].tolist()
        [1]
    """

    label_column: str = "label"

    def collate(self, features: Features) -> dict[str, npt.NDArray[Any]]:
        """Pad the inputs and add `labels` where the rows carry one."""
        batch = super().collate(features)
        if (name := _label_column(features, self.label_column)) is not None:
            labels = scalar_column(features, name)
            is_class = labels.ndim == 1 and labels.dtype.kind in "iub"
            batch["labels"] = labels.astype(np.int64 if is_class else np.float32)
        return batch


@dataclass
class DataCollatorForVisitClassification(ClaimCollator):
    """Make batches for [`ClaimForVisitClassification`] from patients with a label per visit.

    A row of the label column holds one whole number per visit of the patient, in the order of the patients table, and
    -100 where a visit is not judged. The tokenizer keeps the most recent visits, so the last labels are those of the
    visits in view. Without a label column the batch has no labels, for prediction.

    Args:
        tokenizer, pad_to_multiple_of: As in [`DataCollatorForClaimPretraining`].
        label_column (`str`, *optional*, defaults to `"label"`): Column with the labels; `labels` where it is absent.

    Examples:
        >>> from types import SimpleNamespace
        >>> rows = [
        ...     {"input_ids": [5, 6, 6], "visit_ids": [0, 1, 2], "visit_days": [0, 0, 9], "label": [0, 2, 1]},
        ...     {"input_ids": [5, 6], "visit_ids": [0, 1], "visit_days": [0, 0], "label": [1]},
        ... ]
        >>> DataCollatorForVisitClassification(SimpleNamespace(pad_token_id=0))(rows)["labels"].tolist()
        [[-100, 2, 1], [-100, 1, -100]]
    """

    label_column: str = "label"

    def collate(self, features: Features) -> dict[str, npt.NDArray[Any]]:
        """Pad the inputs and add `labels` `(B, S)` where the rows carry them; slot 0, the patient, has none."""
        batch = super().collate(features)
        if (name := _label_column(features, self.label_column)) is not None:
            labels = ragged_column(features, name)
            visits = ragged_column(features, "visit_days").lengths - 1
            if (short := int((labels.lengths < visits).sum())) > 0:
                raise ValueError(
                    f"expected a label per visit in column '{name}', found fewer labels than visits in "
                    f"{show_part_of(short, len(visits))} rows; write -100 for a visit without one"
                )
            in_view = labels.position >= (labels.lengths - visits)[labels.row]
            padded = RaggedColumn(labels.values[in_view], visits).pad(IGNORE_INDEX, batch["visit_days"].shape[1] - 1)
            batch["labels"] = np.pad(padded, ((0, 0), (1, 0)), constant_values=IGNORE_INDEX)
        return batch


def _label_column(features: Features, asked: str) -> str | None:
    """The column that holds the labels: the one asked for, else the one that other data sets have."""
    found = column_names(features)
    return asked if asked in found else _OTHER_LABELS if _OTHER_LABELS in found else None
