"""Configuration of the `claim_recurrent` model family: DoctorAI, Dipole and RETAIN, the recurrent baselines.

One configuration for the three, because they read the same input and differ only in what stands between the sums of a
visit's codes and the vector of a patient. Every bound is checked before a tensor is allocated, because a `config.json`
can come from a stranger.
"""

import os
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .configuration_claim import RefusesStrangeContent, check_range
from .damage_claim import MODEL_FILES, naming_damage

# Largest accepted sizes: their purpose is to refuse a hostile or corrupted file, not to advise.
_MAX_VOCAB_SIZE = 10_000_000
_MAX_WIDTH = 16_384
_MAX_LAYERS = 64
_MAX_PARAMETERS = 2**32


@strict
class RecurrentConfig(RefusesStrangeContent, PreTrainedConfig):
    """Describe a recurrent model of a patient's visits.

    Args:
        architecture (`str`, *optional*, defaults to `"doctor_ai"`):
            `"doctor_ai"` (Choi et al., 2016, arXiv:1511.05942), `"dipole"` (Ma et al., 2017, arXiv:1706.05764) or
            `"retain"` (Choi et al., 2016, arXiv:1608.05745).
        attention (`str`, *optional*, defaults to `"location"`):
            How Dipole scores an earlier visit: `"location"`, `"general"` or `"concat"`. The other two architectures
            do not read it.
        vocab_size (`int`, *optional*, defaults to `512`): Number of code tokens, special tokens included.
        embedding_size (`int`, *optional*, defaults to `128`):
            Width of a code's vector, and of RETAIN's context vector.
        hidden_size (`int`, *optional*, defaults to `128`):
            Width of each GRU's state, and of Dipole's attentional state.
        attention_size (`int`, *optional*, defaults to `128`):
            Width of the layer that scores pairs of visits with `attention="concat"`.
        num_hidden_layers (`int`, *optional*, defaults to `1`):
            GRU layers on top of each other, in each direction. All three papers describe one; DoctorAI was also
            tried with two.
        patient_slot (`str`, *optional*, defaults to `"every_visit"`):
            How age and sex, the codes of slot 0, are read. `"first_step"` makes the patient slot the first step of
            the sequence. `"every_visit"` does so and adds its codes to the bag of every visit too, so that a long
            record does not have to remember them.
        gap_input (`bool`, *optional*):
            Whether `log(1 + days since the previous visit)` is appended to the input of the GRUs. `None` does what
            the papers do: `True` for DoctorAI, which reads the duration since the last visit, `False` for the others.
        hidden_dropout_prob (`float`, *optional*, defaults to `0.1`):
            Dropout of the vectors of visits and between GRU layers.
        classifier_dropout (`float`, *optional*): Dropout before a classifier. `None` takes `hidden_dropout_prob`.
        initializer_range (`float`, *optional*, defaults to `0.05`):
            Standard deviation of initial embeddings and linear weights. DoctorAI and RETAIN were published with
            uniform values in -0.1..0.1, whose standard deviation is near this one.
        pad_token_id (`int`, *optional*, defaults to `0`): Padding token.

    Raises:
        huggingface_hub.errors.StrictDataclassFieldValidationError: If a field has the wrong type or an unknown choice.
        huggingface_hub.errors.StrictDataclassClassValidationError: If a size is out of bounds. The message names the
            field, what was expected and what was found.
        ValueError: If `num_labels` is out of bounds.

    Examples:
        >>> config = RecurrentConfig(architecture="retain", vocab_size=1000, embedding_size=32)
        >>> config.patient_size, config.reads_gaps, config.num_labels
        (32, False, 2)
        >>> RecurrentConfig(hidden_size=0)
        Traceback (most recent call last):
        huggingface_hub.errors.StrictDataclassClassValidationError: ...expected hidden_size in 1..16384, found 0
    """

    model_type = "claim_recurrent"
    keys_to_ignore_at_inference = ["hidden_states", "attentions"]  # noqa: RUF012 - transformers reads this attribute.

    architecture: Literal["doctor_ai", "dipole", "retain"] = "doctor_ai"
    attention: Literal["location", "general", "concat"] = "location"
    vocab_size: int = 512
    embedding_size: int = 128
    hidden_size: int = 128
    attention_size: int = 128
    num_hidden_layers: int = 1
    patient_slot: Literal["first_step", "every_visit"] = "every_visit"
    gap_input: bool | None = None
    hidden_dropout_prob: float | int = 0.1
    classifier_dropout: float | int | None = None
    initializer_range: float | int = 0.05
    pad_token_id: int | None = 0

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """As in the base class; a damaged `config.json` is refused with its name."""
        name = os.fspath(pretrained_model_name_or_path)
        with naming_damage(name, MODEL_FILES[:1], kwargs):
            values: tuple[dict[str, Any], dict[str, Any]] = super().get_config_dict(name, **kwargs)
        return values

    @property
    def reads_gaps(self) -> bool:
        """Whether the GRUs read the days since the previous visit: `gap_input`, or what the paper does."""
        return self.architecture == "doctor_ai" if self.gap_input is None else self.gap_input

    @property
    def patient_size(self) -> int:
        """Width of the vector of a patient, which a classifier reads."""
        return self.embedding_size if self.architecture == "retain" else self.hidden_size

    def validate_sizes(self) -> None:
        """Refuse sizes that no recurrent claims model has, before anything is allocated."""
        bounds = {
            "vocab_size": (1, _MAX_VOCAB_SIZE),
            "embedding_size": (1, _MAX_WIDTH),
            "hidden_size": (1, _MAX_WIDTH),
            "attention_size": (1, _MAX_WIDTH),
            "num_hidden_layers": (1, _MAX_LAYERS),
        }
        for name, (low, high) in bounds.items():
            check_range(name, getattr(self, name), low, high)
        widest = max(self.embedding_size, self.hidden_size) + 1
        # Two GRUs of three gates, each with a matrix for its input and one for its state.
        total = self.vocab_size * self.embedding_size + self.num_hidden_layers * 2 * 6 * widest * self.hidden_size
        if total > _MAX_PARAMETERS:
            raise ValueError(f"expected at most {_MAX_PARAMETERS} parameters, found sizes that ask for {total}")

    def validate_numbers(self) -> None:
        """Refuse probabilities, scales and tokens that cannot train."""
        for name in ("hidden_dropout_prob", "classifier_dropout"):
            if (value := getattr(self, name)) is not None:
                check_range(name, value, 0, 1)
        check_range("initializer_range", self.initializer_range, 1e-12, 10)
        if self.pad_token_id is not None:
            check_range("pad_token_id", self.pad_token_id, 0, self.vocab_size - 1)
