"""Configuration of the `claim` model family: what a checkpoint writes to `config.json`.

The fields describe one family that covers two papers: Claim-PT (Zeng, Lin and Liu, 2021), where a position of the
transformer is a visit (`visit_pooling="max"` or `"sum"`), and the Medicare encoder of Lahlou et al. (2021), where it
is a single code (`visit_pooling="none"`). Every bound is checked before a tensor is allocated, because a `config.json`
can come from a stranger.
"""

import math
import os
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .damage_claim import MODEL_FILES, naming_config, naming_damage
from .names_claim import is_misspelt, naming_alternatives, resolve_checkpoint

# Largest accepted sizes. They are an order of magnitude above any claims model known, and their purpose is to refuse a
# hostile or corrupted file, not to advise.
_MAX_VOCAB_SIZE = 10_000_000
_MAX_HIDDEN_SIZE = 16_384
_MAX_LAYERS = 256
_MAX_LABELS = 1_000_000
_MAX_VISITS = 1_000_000
_MAX_HORIZON_DAYS = 36_525
_MAX_PARAMETERS = 2**32


class RefusesStrangeContent:
    """What the configurations of both families refuse, before anything of it is built."""

    def __post_init__(self, **kwargs: Any) -> None:
        # The base class builds one dictionary entry per label before any validator runs.
        num_labels = kwargs.get("num_labels")
        if num_labels is not None and not 1 <= num_labels <= _MAX_LABELS:
            raise ValueError(f"expected num_labels in 1..{_MAX_LABELS}, found {num_labels}; correct config.json")
        super().__post_init__(**kwargs)  # type: ignore[misc]  # of PreTrainedConfig

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As in the base class; content that is refused, for whatever reason, is a `ValueError` with the file."""
        with naming_config(cls, config_dict):
            return super().from_dict(config_dict, **kwargs)  # type: ignore[misc]


@strict
class ClaimConfig(RefusesStrangeContent, PreTrainedConfig):
    """Describe a claim model: sizes, how codes become visits, what a position may see, and what pretraining predicts.

    Args:
        vocab_size (`int`, *optional*, defaults to `512`): Number of code tokens, special tokens included.
        num_categories (`int`, *optional*, defaults to `0`):
            Number of code categories (CCS, CCSR, drug groups...). `0` builds no category-prediction head.
        hidden_size (`int`, *optional*, defaults to `128`):
            Width of embeddings and hidden states, a multiple of `num_attention_heads`.
        num_hidden_layers (`int`, *optional*, defaults to `2`): Number of transformer layers.
        num_attention_heads (`int`, *optional*, defaults to `4`): Number of attention heads.
        intermediate_size (`int`, *optional*, defaults to `512`): Width of the feed-forward layers.
        hidden_act (`str`, *optional*, defaults to `"gelu"`):
            Activation of the feed-forward layers: `"gelu"`, `"gelu_new"`, `"relu"` or `"silu"`.
        hidden_dropout_prob (`float`, *optional*, defaults to `0.1`):
            Dropout after embeddings, attention and feed-forward layers.
        attention_probs_dropout_prob (`float`, *optional*, defaults to `0.1`): Dropout on attention weights.
        classifier_dropout (`float`, *optional*): Dropout before a classifier. `None` takes `hidden_dropout_prob`.
        initializer_range (`float`, *optional*, defaults to `0.02`): Standard deviation of initial weights.
        layer_norm_eps (`float`, *optional*, defaults to `1e-05`): Epsilon of the layer norms.
        norm_first (`bool`, *optional*, defaults to `False`):
            Whether layers normalise their input (pre-norm) rather than their output. Claim-PT normalises the output
            ("skip-connect normalization layer", Framework), which is also the better choice at one or two layers;
            pre-norm is there for deep models, which train without warm-up only that way.
        visit_pooling (`str`, *optional*, defaults to `"max"`):
            How the codes of a visit become one position: `"max"` (Claim-PT, equation of e_t), `"sum"` (the authors'
            published code), or `"none"`, where every code is a position of its own (Lahlou et al.).
        time_attention (`str`, *optional*, defaults to `"none"`):
            `"bucketed"` adds a learned bias per head to the attention scores, one value per bucket of the signed
            number of days between two positions. The biases begin at zero.
        history_skip (`bool`, *optional*, defaults to `False`):
            Whether a zero-initialised linear map of the running sum of the visits in view is added to the hidden state
            before next-visit prediction and classification, so that a model can fall back on counts of past codes.
            Needs `visit_pooling` of `"max"` or `"sum"`.
        history_half_lives_days (`list[int]`, *optional*):
            Half-lives of further running sums for the history skip, in which a visit counts half after so many days.
            What was recent and what is long ago then reach a prediction separately. Needs `history_skip`.
        nvp_context (`str`, *optional*, defaults to `"mixed"`):
            What next-visit prediction sees: `"full"` (all visits but the last predict the last one, from the patient
            position: Claim-PT), `"none"` (causal, every visit predicts the next), `"mixed"` (drawn per patient).
        nvp_target (`str`, *optional*, defaults to `"code"`):
            What next-visit prediction predicts: `"code"` (the text of the paper) or `"category"` (the authors' code).
        horizon_days (`int`, *optional*, defaults to `0`):
            Length of horizon prediction: which categories of codes follow within so many days, on inpatient visits and
            on all others apart. `0` leaves that head out. It is not in Claim-PT; it asks the question of a risk cohort
            of every patient without a label.
        landmark_visit_share (`float`, *optional*, defaults to `0.0`):
            Share of the days from which horizon prediction asks that are days of a visit: the question of a cohort
            whose index date is an encounter. The others are drawn from the calendar.
        index_gap (`bool`, *optional*, defaults to `False`):
            Whether an embedding of the days from the last visit in view to the day on which the patient stands, in
            logarithmic buckets, is added to the patient. Attention weights alone cannot tell it of a single visit.
        segments (`bool`, *optional*, defaults to `False`):
            Whether a vector is added to every position that tells the patient, earlier visits and the last visit in
            view apart: the segments of Lahlou et al. (section 3.1.3), where the last visit is the index claim.
        nvp_weight (`float`, *optional*, defaults to `1.0`): Weight of next-visit prediction in the pretraining loss.
        cp_weight (`float`, *optional*, defaults to `1.0`): Weight of category prediction in the pretraining loss.
        horizon_weight (`float`, *optional*, defaults to `0.1`):
            Weight of horizon prediction in the pretraining loss. A code is a target of every visit within the horizon
            before it, so this loss is several times as large as the others per code.
        nvp_bias_init (`float`, *optional*, defaults to `-6.0`):
            Initial output bias of the pretraining heads, a log prior: most codes are absent from most visits, and
            training that begins at zero spends its first steps on learning that.
        tie_word_embeddings (`bool`, *optional*, defaults to `False`):
            Whether next-visit prediction or masked-token learning shares the embedding table. Untied is faithful to
            max pooling, where an embedding is no average of its uses.
        pad_token_id (`int`, *optional*, defaults to `0`): Padding token.
        mask_token_id (`int`, *optional*, defaults to `2`): Token that replaces a masked code.
        max_visits (`int`, *optional*, defaults to `256`):
            Most recent visits that the tokenizer keeps. The model itself has no position table and no such limit.
        code_skip (`bool`, *optional*, defaults to `False`):
            Whether [`ClaimForSequenceClassification`] adds a linear term of log counts of codes to its logits, zero at
            the start: logistic regression on counts beside the network. A new classifier with a rate has one.
        code_skip_half_life_days (`int`, *optional*):
            Half-life of the counts of `code_skip`: a code that was so many days ago counts half. `None` chooses one
            where `classifier_rate` chooses a rate.
        classifier_rate (`float`, *optional*):
            How many times as long as elsewhere the steps of the classifier of [`ClaimForSequenceClassification`] are,
            which then reads patient vectors in units of the patients that it has learned from, has counts beside it
            and begins at zero. `0` is a plain linear layer. `None` chooses a rate where an encoder that was pretrained
            gets a new classifier; a classifier that was saved without it, and one of a fresh model, are plain.
        classifier_pooling (`str`, *optional*, defaults to `"patient"`):
            What represents a patient: the `"patient"` position (Claim-PT, pe), or the `"mean"` or `"max"` of all
            positions (Claim-PT Pool).
        regression_loss (`str`, *optional*, defaults to `"squared"`):
            What `problem_type="regression"` minimises. Amounts of money are skewed and often 0: `"log"` is the squared
            error of their logarithm, `"tweedie"` the deviance of a compound Poisson distribution, `"two_part"` (with
            `num_labels=2`) the chance of any amount and the gamma deviance of those above 0.
        tweedie_power (`float`, *optional*, defaults to `1.5`):
            Power of the variance of `"tweedie"`, above 1 and below 2.
        amount_scale (`float`, *optional*, defaults to `1.0`):
            Amount that a logit of 0 stands for, such as the mean of the training patients.
        smearing_factor (`float`, *optional*, defaults to `1.0`):
            Of `"log"`, what turns the exponential of a mean logarithm into a mean (Duan, 1983).

    Raises:
        huggingface_hub.errors.StrictDataclassFieldValidationError: If a field has the wrong type or an unknown choice.
        huggingface_hub.errors.StrictDataclassClassValidationError: If sizes are out of bounds or fields contradict
            each other. The message names the field, what was expected and what was found.
        ValueError: If `num_labels` is out of bounds.

    Examples:
        >>> config = ClaimConfig(vocab_size=1000, hidden_size=32, num_attention_heads=4, visit_pooling="sum")
        >>> config.visit_pooling, config.nvp_context, config.num_labels
        ('sum', 'mixed', 2)
        >>> ClaimConfig(hidden_size=30, num_attention_heads=4)
        Traceback (most recent call last):
        huggingface_hub.errors.StrictDataclassClassValidationError: ...expected hidden_size to be a multiple of...
    """

    model_type = "claim"
    keys_to_ignore_at_inference = [  # noqa: RUF012 - transformers reads a plain class attribute.
        "nvp_loss",
        "cp_loss",
        "horizon_loss",
        "nvp_logits",
        "category_logits",
        "horizon_logits",
        "history_states",
        "hidden_states",
        "attentions",
    ]

    vocab_size: int = 512
    num_categories: int = 0
    hidden_size: int = 128
    num_hidden_layers: int = 2
    num_attention_heads: int = 4
    intermediate_size: int = 512
    hidden_act: Literal["gelu", "gelu_new", "relu", "silu"] = "gelu"
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    classifier_dropout: float | int | None = None
    initializer_range: float | int = 0.02
    layer_norm_eps: float | int = 1e-5
    norm_first: bool = False
    visit_pooling: Literal["max", "sum", "none"] = "max"
    time_attention: Literal["none", "bucketed"] = "none"
    history_skip: bool = False
    history_half_lives_days: list[int] | None = None
    nvp_context: Literal["full", "none", "mixed"] = "mixed"
    nvp_target: Literal["code", "category"] = "code"
    horizon_days: int = 0
    landmark_visit_share: float | int = 0.0
    index_gap: bool = False
    segments: bool = False
    nvp_weight: float | int = 1.0
    cp_weight: float | int = 1.0
    horizon_weight: float | int = 0.1
    nvp_bias_init: float | int = -6.0
    tie_word_embeddings: bool = False
    pad_token_id: int | None = 0
    mask_token_id: int | None = 2
    max_visits: int = 256
    code_skip: bool = False
    code_skip_half_life_days: int | None = None
    classifier_rate: float | int | None = None
    classifier_pooling: Literal["patient", "mean", "max"] = "patient"
    regression_loss: Literal["squared", "log", "tweedie", "two_part"] = "squared"
    tweedie_power: float | int = 1.5
    amount_scale: float | int = 1.0
    smearing_factor: float | int = 1.0

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read `config.json`, resolving names such as `claim-pt-base` on the way.

        Raises:
            OSError: If there is no configuration under that name. The message names checkpoints that load offline.
            ValueError: If the file is damaged. The message names it.
        """
        name = pretrained_model_name_or_path
        if is_misspelt(name):
            kwargs["local_files_only"] = True
        folder = resolve_checkpoint(name, kwargs.get("revision"))
        with naming_alternatives(name), naming_damage(folder, MODEL_FILES[:1], kwargs):
            values: tuple[dict[str, Any], dict[str, Any]] = super().get_config_dict(folder, **kwargs)
        return values

    def validate_sizes(self) -> None:
        """Refuse sizes that no claims model has, before anything is allocated."""
        bounds = {
            "vocab_size": (1, _MAX_VOCAB_SIZE),
            "num_categories": (0, _MAX_LABELS),
            "hidden_size": (1, _MAX_HIDDEN_SIZE),
            "num_hidden_layers": (1, _MAX_LAYERS),
            "num_attention_heads": (1, _MAX_HIDDEN_SIZE),
            "intermediate_size": (1, 8 * _MAX_HIDDEN_SIZE),
            "max_visits": (1, _MAX_VISITS),
            "horizon_days": (0, _MAX_HORIZON_DAYS),
        }
        for name, (low, high) in bounds.items():
            check_range(name, getattr(self, name), low, high)
        layer = 4 * self.hidden_size * self.hidden_size + 2 * self.hidden_size * self.intermediate_size
        tables = (2 * self.vocab_size + 3 * self.num_categories + len(self.id2label or ())) * self.hidden_size
        if (total := self.num_hidden_layers * layer + tables) > _MAX_PARAMETERS:
            raise ValueError(f"expected at most {_MAX_PARAMETERS} parameters, found sizes that ask for {total}")

    def validate_heads(self) -> None:
        """Refuse a width that the attention heads cannot share."""
        if self.hidden_size % max(self.num_attention_heads, 1):
            raise ValueError(
                "expected hidden_size to be a multiple of num_attention_heads, found "
                f"hidden_size={self.hidden_size} and num_attention_heads={self.num_attention_heads}"
            )

    def validate_numbers(self) -> None:
        """Refuse probabilities, scales and weights that cannot train."""
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"):
            if (value := getattr(self, name)) is not None:
                check_range(name, value, 0, 1)
        check_range("landmark_visit_share", self.landmark_visit_share, 0, 1)
        check_range("initializer_range", self.initializer_range, 1e-12, 10)
        check_range("layer_norm_eps", self.layer_norm_eps, 1e-12, 1)
        check_range("nvp_bias_init", self.nvp_bias_init, -50, 50)
        weights = ("nvp_weight", "cp_weight", "horizon_weight")
        for name in weights:
            check_range(name, getattr(self, name), 0, 1e6)
        if not any(getattr(self, name) for name in (weights if self.horizon_days else weights[:2])):
            raise ValueError(f"expected one of {', '.join(weights)} above 0, found all 0: there is nothing to learn")
        for half_life_days in self.history_half_lives_days or ():
            check_range("history_half_lives_days", half_life_days, 1, _MAX_HORIZON_DAYS)
        if self.classifier_rate is not None:
            check_range("classifier_rate", self.classifier_rate, 0, 1e6)
        if self.code_skip_half_life_days is not None:
            check_range("code_skip_half_life_days", self.code_skip_half_life_days, 1, _MAX_HORIZON_DAYS)

    def validate_amounts(self) -> None:
        """Refuse a regression of amounts that cannot be fitted."""
        check_range("tweedie_power", self.tweedie_power, 1.01, 1.99)
        check_range("amount_scale", self.amount_scale, 1e-9, 1e12)
        check_range("smearing_factor", self.smearing_factor, 1e-6, 1e6)
        if self.regression_loss == "squared":
            return
        outputs = 2 if self.regression_loss == "two_part" else 1
        if self.problem_type != "regression" or len(self.id2label or ()) != outputs:
            raise ValueError(
                f"expected problem_type='regression' and num_labels={outputs} for "
                f"regression_loss={self.regression_loss!r}, found {self.problem_type!r} and {len(self.id2label or ())}"
            )

    def validate_special_tokens(self) -> None:
        """Refuse special tokens outside the vocabulary."""
        for name in ("pad_token_id", "mask_token_id"):
            if (token := getattr(self, name)) is not None:
                check_range(name, token, 0, self.vocab_size - 1)

    def validate_objectives(self) -> None:
        """Refuse fields that contradict each other."""
        if self.nvp_target == "category" and self.num_categories == 0:
            raise ValueError("expected num_categories above 0 for nvp_target='category', found 0")
        if self.nvp_target == "category" and self.tie_word_embeddings:
            raise ValueError(
                "expected tie_word_embeddings=False for nvp_target='category', whose decoder has no codes"
            )
        if self.horizon_days and self.num_categories == 0:
            raise ValueError(f"expected num_categories above 0 for horizon_days={self.horizon_days}, found 0")
        if self.history_half_lives_days and not self.history_skip:
            raise ValueError("expected history_skip=True beside history_half_lives_days, found False")
        if self.history_skip and self.visit_pooling == "none":
            raise ValueError("expected visit_pooling 'max' or 'sum' for history_skip=True, found 'none'")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise when a value is not finite or lies outside `low..high`."""
    if not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"expected {name} in {low}..{high}, found {value}")
