"""Models of the `claim_recurrent` family: DoctorAI, Dipole and RETAIN over the visits of one patient's claims.

The input is that of the `claim` family: a stream of codes (`input_ids`) with the slot of each (`visit_ids`; slot 0 is
the patient, -1 is padding) and the day of each slot (`visit_days`), so that the tokenizer, the collators and the
trainer are the same. The codes of a visit are summed, which is the product of a multi-hot vector and an embedding
matrix that all three papers begin with. The papers read codes of visits only; age and sex, the codes of slot 0, are
read as `RecurrentConfig.patient_slot` says. All three predict at every visit; here the prediction is that of the last.

Shape letters: `B` patients, `V` slots or steps, `T` code tokens, `E` embedding, `H` GRU state (of both directions for
Dipole), `K` vocabulary or labels.
"""

import os
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils.generic import ModelOutput, can_return_tuple

from .configuration_recurrent import RecurrentConfig
from .context_claim import checked_inputs
from .damage_claim import MODEL_FILES, load_checked, naming_damage
from .encoder_recurrent import ENCODERS, DipoleEncoder, DoctorAIEncoder, RecurrentEmbeddings, Steps
from .losses_claim import classification_targets


@dataclass
class RecurrentModelOutput(ModelOutput):
    """What [`RecurrentModel`] returns.

    Args:
        last_hidden_state (`torch.FloatTensor` of shape `(batch, slots, width)`):
            One vector per slot, zero where it is padding: the GRU's state (DoctorAI), the states of both directions
            (Dipole), or what the slot adds to the patient's vector (RETAIN).
        pooler_output (`torch.FloatTensor` of shape `(batch, config.patient_size)`):
            The patient vector that classification reads.
        visit_weights (`torch.FloatTensor` of shape `(batch, slots)`, *optional*):
            Dipole's and RETAIN's attention to each slot.
        variable_weights (`torch.FloatTensor` of shape `(batch, slots, embedding)`, *optional*):
            RETAIN's beta: the weight of each coordinate of a slot's vector.
    """

    last_hidden_state: Tensor | None = None
    pooler_output: Tensor | None = None
    visit_weights: Tensor | None = None
    variable_weights: Tensor | None = None


# ---- Base model ----


class RecurrentPreTrainedModel(PreTrainedModel):
    """What all recurrent models share: the configuration and initial weights.

    Examples:
        >>> RecurrentPreTrainedModel.base_model_prefix
        'recurrent'
    """

    config: RecurrentConfig
    config_class = RecurrentConfig
    base_model_prefix = "recurrent"
    main_input_name = "input_ids"
    _input_embed_layer = "code_embeddings"
    # Losses are means; Trainer must not scale them by its own count of labels.
    accepts_loss_kwargs = False
    _no_split_modules = ["RecurrentEmbeddings"]  # noqa: RUF012
    _load_pretrained_model = staticmethod(load_checked)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str] | None, *model_args: Any, **kwargs: Any
    ) -> Self:
        """As in the base class; weights are no pickles, and a damaged file is a `ValueError` with its name."""
        kwargs.setdefault("use_safetensors", True)
        with naming_damage(pretrained_model_name_or_path, MODEL_FILES, kwargs):
            model: Self = super().from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)
        return model

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.GRU):
            for name, parameter in module.named_parameters():
                if name.startswith("bias"):
                    init.zeros_(parameter)
                else:
                    bound = module.hidden_size**-0.5
                    init.uniform_(parameter, -bound, bound)
        elif isinstance(module, DoctorAIEncoder | DipoleEncoder):
            init.zeros_(module.embedding_bias)


class RecurrentModel(RecurrentPreTrainedModel):
    """The encoder: codes of a patient's visits to one vector per slot and one per patient.

    Examples:
        >>> config = RecurrentConfig(architecture="retain", vocab_size=20, embedding_size=8, hidden_size=4)
        >>> outputs = RecurrentModel(config).eval()(
        ...     input_ids=torch.tensor([[3, 4, 9, 5, 9]]),
        ...     visit_ids=torch.tensor([[0, 1, 1, 2, 2]]),
        ...     visit_days=torch.tensor([[0, 0, 30]]),
        ... )
        >>> tuple(outputs.pooler_output.shape), round(outputs.visit_weights.sum().item(), 4)
        ((1, 8), 1.0)
    """

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        self.embeddings = RecurrentEmbeddings(config)
        self.encoder = ENCODERS[config.architecture](config)
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor,
        visit_ids: Tensor | None = None,
        visit_days: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> RecurrentModelOutput:
        """Encode patients.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch, tokens)`): Code tokens.
            visit_ids (`torch.LongTensor` of shape `(batch, tokens)`):
                Slot of each token: 0 for the patient, 1 and up for visits, `-1` for padding.
            visit_days (`torch.LongTensor` of shape `(batch, slots)`):
                Days since the first visit in view, 0 for the patient, `-1` for padding, which stands on the right.
            attention_mask (`torch.LongTensor` of shape `(batch, tokens)`, *optional*):
                1 for tokens to read, 0 for padding. Tokens with a slot below 0 are padding in any case.
            **kwargs: `return_dict`; others are ignored.

        Raises:
            ValueError: If an input is missing or its shape contradicts another one, or a token names a slot that does
                not exist. The message names the input.
        """
        slots_BT, days_BV, _ = checked_inputs(input_ids, None, visit_ids, visit_days, attention_mask)
        steps: Steps = self.embeddings(input_ids, slots_BT, days_BV)
        encoded = self.encoder(steps)
        return RecurrentModelOutput(
            last_hidden_state=encoded.states,
            pooler_output=encoded.patient,
            visit_weights=encoded.visit_weights,
            variable_weights=encoded.variable_weights,
        )


# ---- Head ----


class RecurrentForSequenceClassification(RecurrentPreTrainedModel):
    """A prediction per patient: one of several labels, several labels at once, or a number.

    Args:
        config ([`RecurrentConfig`]):
            Architecture and sizes. `num_labels` and `problem_type` choose the loss as they do for
            `ClaimForSequenceClassification`: without `problem_type` one output is a regression, whole-number labels of
            shape `(batch,)` are single labels, all else is multi-label.

    Examples:
        >>> config = RecurrentConfig(architecture="dipole", vocab_size=20, embedding_size=8, hidden_size=4)
        >>> outputs = RecurrentForSequenceClassification(config)(
        ...     input_ids=torch.tensor([[3, 4, 9]]),
        ...     visit_ids=torch.tensor([[0, 1, 1]]),
        ...     visit_days=torch.tensor([[0, 0]]),
        ...     labels=torch.tensor([1]),
        ... )
        >>> tuple(outputs.logits.shape), outputs.loss.dim()
        ((1, 2), 0)
    """

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        self.num_labels = len(config.id2label or {})
        self.recurrent = RecurrentModel(config)
        dropout = config.classifier_dropout
        self.dropout = nn.Dropout(float(config.hidden_dropout_prob if dropout is None else dropout))
        self.classifier = nn.Linear(config.patient_size, self.num_labels)
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor,
        visit_ids: Tensor | None = None,
        visit_days: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Classify patients.

        Inputs are those of [`RecurrentModel`]. `labels`, or targets of a regression, have the shape `(batch,)` or
        `(batch, num_labels)`.

        Raises:
            ValueError: If the inputs do not fit together.
        """
        outputs = self.recurrent(input_ids, visit_ids, visit_days, attention_mask, return_dict=True)
        logits_BK = self.classifier(self.dropout(outputs.pooler_output))
        loss = None
        if labels is not None:
            targets = classification_targets(labels, self.config)
            loss = self.loss_function(labels=targets, pooled_logits=logits_BK.float(), config=self.config)
        return SequenceClassifierOutput(loss=loss, logits=logits_BK)

    @torch.no_grad()
    def code_contributions(
        self, input_ids: Tensor, visit_ids: Tensor, visit_days: Tensor, attention_mask: Tensor | None = None
    ) -> Tensor:
        """Split the logits of RETAIN over the codes that were read (Choi et al., 2016, section 2.4).

        The contribution of code k in visit j is `alpha_j W (beta_j * W_emb[:, k])`. A code of the patient slot that is
        read in every visit (`patient_slot="every_visit"`) contributes the sum over the visits.

        Returns:
            `torch.FloatTensor` of shape `(batch, tokens, num_labels)`: Contributions, zero where padded. Their sum
            over the tokens and the bias of the classifier are the logits.

        Raises:
            ValueError: If the architecture is not RETAIN, or the model is in training mode, where dropout would make
                contributions that belong to no prediction.

        Examples:
            >>> config = RecurrentConfig(architecture="retain", vocab_size=20, embedding_size=8, hidden_size=4)
            >>> model = RecurrentForSequenceClassification(config).eval()
            >>> patient = torch.tensor([[3, 4, 9]]), torch.tensor([[0, 1, 1]]), torch.tensor([[0, 0]])
            >>> contributions = model.code_contributions(*patient)
            >>> torch.allclose(contributions.sum(dim=1) + model.classifier.bias, model(*patient).logits, atol=1e-6)
            True
        """
        if self.config.architecture != "retain":
            raise ValueError(
                f"expected architecture 'retain' for contributions of codes, found '{self.config.architecture}'"
            )
        if self.training:
            raise ValueError("expected a model in evaluation mode for contributions of codes: call model.eval() first")
        slots_BT, _, _ = checked_inputs(input_ids, None, visit_ids, visit_days, attention_mask)
        outputs = self.recurrent(input_ids, visit_ids, visit_days, attention_mask, return_dict=True)
        weights_BVE = outputs.visit_weights[:, :, None] * outputs.variable_weights
        if self.config.patient_slot == "every_visit":
            weights_BVE[:, 0] = weights_BVE.sum(dim=1)
        index_BTE = slots_BT.clamp(min=0)[:, :, None].expand(-1, -1, weights_BVE.shape[2])
        vectors_BTE = self.get_input_embeddings()(input_ids) * (slots_BT >= 0)[:, :, None]
        contributions_BTK: Tensor = (weights_BVE.gather(1, index_BTE) * vectors_BTE) @ self.classifier.weight.T
        return contributions_BTK
