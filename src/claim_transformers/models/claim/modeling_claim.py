"""Models of the `claim` family: a transformer over visits, or over codes, of one patient's claims.

One stream of codes comes in (`input_ids`, with `visit_ids` naming the slot of each code). Slot 0 is the patient, slot
i the i-th visit. With `visit_pooling` of `"max"` or `"sum"` an embedding bag turns the stream into one position per
slot (Claim-PT); with `"none"` every code is a position. Column j of `visit_days` is slot j, so slots are padded on the
right; tokens may be padded on either side and stand in any order.

Shape letters: `B` patients, `V` slots, `T` code tokens, `L` positions (slots or tokens), `N` positions that are no
padding, `E` hidden, `H` heads, `D` head size, `K` vocabulary or labels, `G` categories, `P` pairs of a prediction and
its target.
"""

import os
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import MaskedLMOutput, SequenceClassifierOutput, TokenClassifierOutput
from transformers.utils.generic import can_return_tuple
from transformers.utils.output_capturing import capture_outputs

from .carried_code_claim import CarriesCode
from .classifier_claim import ClaimClassifier, ClaimCodeSkip, choose_classifier, classifier_dropout
from .configuration_claim import ClaimConfig
from .context_claim import (
    IGNORE_INDEX,
    checked_inputs,
    count_visits,
    dummy_patient,
    horizon_pairs,
    horizon_slots,
    next_visit_pairs,
    own_category_pairs,
    places_of,
    position_days,
    predicting_slots,
    time_buckets,
    visible_positions,
)
from .damage_claim import MODEL_FILES, load_checked, naming_damage
from .encoder_claim import (
    ClaimAttention,
    ClaimEmbeddings,
    ClaimHistorySkip,
    ClaimIndexGap,
    ClaimLayer,
    ClaimSegments,
    ClaimTimeBias,
    Packing,
    Positions,
)
from .losses_claim import amount_loss, checked_classes, classification_targets, multi_hot_bce
from .names_claim import is_misspelt, naming_alternatives, resolve_checkpoint
from .outputs_claim import ClaimForPreTrainingOutput, ClaimModelOutput
from .pooling_claim import pool_vectors
from .warm_start_claim import follow_tokenizer

# ---- Base model ----


class ClaimPreTrainedModel(CarriesCode, PreTrainedModel):
    """What all claim models share: loading by name, initial weights and how their losses are averaged.

    Examples:
        >>> ClaimPreTrainedModel.base_model_prefix
        'claim'
    """

    config: ClaimConfig
    config_class = ClaimConfig
    base_model_prefix = "claim"
    main_input_name = "input_ids"
    _input_embed_layer = "code_embeddings"
    supports_gradient_checkpointing = True
    # Losses are means unless a head says otherwise; Trainer must not scale them by its own count of labels.
    accepts_loss_kwargs = False
    # A head that the class does not have is no news: every fine-tuning starts from another head's checkpoint.
    _keys_to_ignore_on_load_unexpected = [r"^(nvp_decoder|cp_decoder|horizon_decoder|decoder|classifier|code_skip)\."]  # noqa: RUF012
    _no_split_modules = ["ClaimEmbeddings", "ClaimLayer"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    _can_record_outputs = {"hidden_states": ClaimLayer, "attentions": ClaimAttention}  # noqa: RUF012
    _load_pretrained_model = staticmethod(load_checked)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str] | None, *model_args: Any, **kwargs: Any
    ) -> Self:
        """Load a checkpoint from a folder, by a name such as `claim-pt-base`, or from the hub.

        Arguments are those of [`~transformers.PreTrainedModel`]; `None` takes `state_dict` and `config` instead.

        Raises:
            OSError: If there is no checkpoint under that name. The message names checkpoints that load offline.
            ValueError: If a file is damaged, or its tensors are those of another model or not finite. The message
                names the file.
        """
        name = pretrained_model_name_or_path
        if name is None:
            unnamed: Self = super().from_pretrained(None, *model_args, **kwargs)
            return unnamed
        if is_misspelt(name):
            kwargs["local_files_only"] = True
        # A pickle can run code.
        kwargs.setdefault("use_safetensors", True)
        folder = resolve_checkpoint(name, kwargs.get("revision"))
        with naming_alternatives(name), naming_damage(folder, MODEL_FILES, kwargs):
            model: Self = super().from_pretrained(folder, *model_args, **kwargs)
        return model

    @property
    def dummy_inputs(self) -> dict[str, Tensor]:
        """`dict[str, torch.LongTensor]`: A patient of two visits, for tools that trace a model."""
        return dummy_patient(self.config)

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
        tokenizer: Any = None,
    ) -> nn.Embedding:
        """Resize what has a row for each token; with the extended `tokenizer` new codes begin at the mean of theirs.

        That is the mean of its siblings and of its category; heads grow too. See [`ClaimTokenizer.extend`].
        """
        known = self.config.vocab_size
        if tokenizer is not None and new_num_tokens is None:
            # All new rows are written below.
            new_num_tokens, mean_resizing = len(tokenizer), False
        table: nn.Embedding = super().resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)
        follow_tokenizer(self, known, tokenizer)
        return table

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, ClaimClassifier):
            module.begin(self.config.initializer_range)
        elif isinstance(module, ClaimCodeSkip):
            module.begin()
        elif isinstance(module, ClaimTimeBias | ClaimIndexGap | ClaimSegments | ClaimHistorySkip):
            init.zeros_(module.weight)
        elif isinstance(module, _ClaimPresenceDecoder):
            init.constant_(module.bias, self.config.nvp_bias_init)


class ClaimModel(ClaimPreTrainedModel):
    """The encoder: codes of a patient's visits to one vector per visit (or per code) and one per patient.

    Examples:
        >>> model = ClaimModel(ClaimConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1)).eval()
        >>> outputs = model(
        ...     input_ids=torch.tensor([[3, 4, 9, 5, 9]]),
        ...     visit_ids=torch.tensor([[0, 1, 1, 2, 2]]),
        ...     visit_days=torch.tensor([[0, 0, 30]]),
        ... )
        >>> tuple(outputs.last_hidden_state.shape), tuple(outputs.pooler_output.shape)
        ((1, 3, 8), (1, 8))
    """

    def __init__(self, config: ClaimConfig) -> None:
        super().__init__(config)
        self.embeddings = ClaimEmbeddings(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.time_bias = ClaimTimeBias(config) if config.time_attention == "bucketed" else None
        self.index_gap = ClaimIndexGap(config) if config.index_gap else None
        self.segments = ClaimSegments(config) if config.segments else None
        self.history_skip = ClaimHistorySkip(config) if config.history_skip else None
        self.layers = nn.ModuleList(ClaimLayer(config, index) for index in range(config.num_hidden_layers))
        self.final_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) if config.norm_first else None
        self.post_init()

    @capture_outputs  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor | None = None,
        visit_ids: Tensor | None = None,
        visit_days: Tensor | None = None,
        attention_mask: Tensor | None = None,
        cut: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> ClaimModelOutput:
        """Encode patients.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch, tokens)`, *optional*):
                Code tokens. Either these or `inputs_embeds`.
            visit_ids (`torch.LongTensor` of shape `(batch, tokens)`):
                Slot of each token: 0 for the patient, 1 and up for visits, `-1` for padding.
            visit_days (`torch.LongTensor` of shape `(batch, slots)`):
                Days since the first visit in view, `-1` for padding. For the patient the index date, 0 without one.
            attention_mask (`torch.LongTensor` of shape `(batch, tokens)`, *optional*):
                1 for tokens to read, 0 for padding. Tokens with a slot below 0 are padding in any case.
            cut (`torch.LongTensor` of shape `(batch,)`, *optional*):
                Last slot that every position sees. `None` lets every position see all visits.
            inputs_embeds (`torch.FloatTensor` of shape `(batch, tokens, hidden)`, *optional*):
                Vectors instead of code tokens, for attribution.
            **kwargs: `output_hidden_states`, `output_attentions`, `return_dict`, and arguments of attention functions.

        Raises:
            ValueError: If an input is missing or its shape contradicts another one, if a token names a slot that does
                not exist, or if flash attention is asked for a cut or a time bias. The message names the input.
        """
        slots_BT, days_BV, valid_BT = checked_inputs(input_ids, inputs_embeds, visit_ids, visit_days, attention_mask)
        cut_B = _resolved_cut(cut, days_BV)
        states_BLE = self.embeddings(input_ids, slots_BT, valid_BT, days_BV.shape[1], inputs_embeds)
        if self.config.visit_pooling == "none":
            positions = Positions(slots_BT.clamp(min=0), valid_BT, cut_B)
        else:
            slots_BV = torch.arange(days_BV.shape[1], device=days_BV.device).expand_as(days_BV)
            positions = Positions(slots_BV, days_BV >= 0, cut_B)
        if self.index_gap is not None:
            states_BLE = self.index_gap(states_BLE, positions, days_BV)
        if self.segments is not None:
            states_BLE = self.segments(states_BLE, positions)
        mask = self._attention_mask(positions, days_BV, states_BLE.dtype, sees_all=cut is None)
        packing = self._packing(positions.valid, kwargs.get("output_hidden_states"))

        hidden = self.dropout(states_BLE if packing is None else packing.pack(states_BLE))
        for layer in self.layers:
            hidden = layer(hidden, mask, packing=packing, **kwargs)
        if self.final_norm is not None:
            hidden = self.final_norm(hidden)
        hidden_BLE = hidden * positions.valid[:, :, None] if packing is None else packing.unpack(hidden)
        history_BVE = None if self.history_skip is None else self.history_skip(states_BLE, positions, days_BV, packing)
        return ClaimModelOutput(
            last_hidden_state=hidden_BLE,
            pooler_output=self._pool_patient(hidden_BLE, positions, history_BVE),
            history_states=history_BVE,
        )

    def _packing(self, valid_BL: Tensor, output_hidden_states: bool | None) -> Packing | None:
        """Pack positions unless shapes must not depend on values, or padded hidden states are to be recorded."""
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        if output_hidden_states or torch.compiler.is_compiling():
            return None
        return Packing.of(valid_BL, is_rounded=not self.training)

    def _attention_mask(self, positions: Positions, days_BV: Tensor, dtype: torch.dtype, sees_all: bool) -> Tensor:
        """Write who sees whom, and the bias of time, as one tensor that is added to the attention scores."""
        if "flash" in (self.config._attn_implementation or ""):
            if not sees_all or self.time_bias is not None:
                raise ValueError(
                    "expected attn_implementation 'sdpa' or 'eager' for a cut or for time_attention='bucketed', found "
                    f"'{self.config._attn_implementation}', which takes no additive mask"
                )
            return positions.valid
        if self.time_bias is not None and self.config.visit_pooling == "none":
            return self.time_bias.mask_of_tokens(positions, days_BV, dtype)
        visible_BLL = visible_positions(*positions)
        bias = torch.zeros((), dtype=dtype, device=visible_BLL.device)
        if self.time_bias is not None:
            days_BL = position_days(positions.slots, days_BV, positions.cut)
            bias = self.time_bias(time_buckets(positions.slots, days_BL)).to(dtype)
        return torch.where(visible_BLL[:, None], bias, torch.finfo(dtype).min)

    def _pool_patient(self, hidden_BLE: Tensor, positions: Positions, history_BVE: Tensor | None) -> Tensor:
        """Represent each patient by one vector: with codes as positions, the patient is the mean of slot 0's codes."""
        pooling = self.config.classifier_pooling
        chosen_BL1 = positions.valid[:, :, None]
        if pooling == "patient":
            chosen_BL1 = chosen_BL1 & (positions.slots == 0)[:, :, None]
        if pooling == "max":
            lowest = torch.finfo(hidden_BLE.dtype).min
            pooled_BE = hidden_BLE.masked_fill(~chosen_BL1, lowest).amax(dim=1) * chosen_BL1.any(dim=1)
        else:
            pooled_BE = (hidden_BLE * chosen_BL1).sum(dim=1) / chosen_BL1.sum(dim=1).clamp(min=1)
        return pooled_BE if history_BVE is None else pooled_BE + history_BVE[:, 0]


def _resolved_cut(cut: Tensor | None, days_BV: Tensor) -> Tensor:
    """Bring the cut into 0..number of visits, where `None` is the latter."""
    num_visits_B = count_visits(days_BV)
    return num_visits_B if cut is None else torch.minimum(cut.long().clamp(min=0), num_visits_B)


def _refuse_pooling(config: ClaimConfig, head: str, pooled: bool) -> None:
    """Refuse a head that cannot run on the positions which the configuration gives."""
    if (config.visit_pooling != "none") != pooled:
        expected = "'max' or 'sum'" if pooled else "'none'"
        raise ValueError(f"expected visit_pooling {expected} for {head}, found '{config.visit_pooling}'")


# ---- Heads ----


class _ClaimPresenceDecoder(nn.Linear):
    """A linear layer with one binary prediction per output, whose bias begins at the log prior."""


class ClaimForPreTraining(ClaimPreTrainedModel):
    """Pretraining of Claim-PT: next-visit prediction (NVP) and category prediction (CP); and horizon prediction.

    Every predicting position and every output is one binary prediction. The losses are sums divided by the number of
    labelled codes, `num_items_in_batch` when Trainer passes it, so that accumulation and several processes change
    nothing.

    Raises:
        ValueError: If `visit_pooling` is `"none"`; [`ClaimForMaskedLM`] pretrains such a model.

    Examples:
        >>> config = ClaimConfig(vocab_size=20, num_categories=5, hidden_size=8, nvp_context="none")
        >>> outputs = ClaimForPreTraining(config)(
        ...     input_ids=torch.tensor([[3, 4, 9, 5, 9]]),
        ...     visit_ids=torch.tensor([[0, 1, 1, 2, 2]]),
        ...     visit_days=torch.tensor([[0, 0, 30]]),
        ...     labels=torch.tensor([[-100, -100, 9, -100, 9]]),
        ...     category_labels=torch.tensor([[-100, -100, 1, -100, 1]]),
        ... )
        >>> bool(outputs.loss == outputs.nvp_loss + outputs.cp_loss), outputs.nvp_logits is None
        (True, True)
        >>> ClaimForPreTraining(ClaimConfig(visit_pooling="none"))
        Traceback (most recent call last):
        ValueError: expected visit_pooling 'max' or 'sum' for ClaimForPreTraining, found 'none'
    """

    accepts_loss_kwargs = True
    _tied_weights_keys = {"nvp_decoder.weight": "claim.embeddings.code_embeddings.weight"}  # noqa: RUF012

    def __init__(self, config: ClaimConfig) -> None:
        super().__init__(config)
        _refuse_pooling(config, type(self).__name__, pooled=True)
        self.claim = ClaimModel(config)
        outputs = config.vocab_size if config.nvp_target == "code" else config.num_categories
        self.nvp_decoder: nn.Linear = _ClaimPresenceDecoder(config.hidden_size, outputs)
        categories = config.num_categories
        self.cp_decoder = _ClaimPresenceDecoder(config.hidden_size, categories) if categories else None
        following = 2 * categories if config.horizon_days else 0
        self.horizon_decoder = _ClaimPresenceDecoder(config.hidden_size, following) if following else None
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear | None:
        """The decoder of codes, `None` when next-visit prediction predicts categories."""
        return self.nvp_decoder if self.config.nvp_target == "code" else None

    def set_output_embeddings(self, value: nn.Linear) -> None:
        """Replace the decoder of codes."""
        self.nvp_decoder = value

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor | None = None,
        visit_ids: Tensor | None = None,
        visit_days: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        category_labels: Tensor | None = None,
        cut: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        return_logits: bool | None = None,
        visit_categories: Tensor | None = None,
        horizon_targets: Tensor | None = None,
        horizon_known: Tensor | None = None,
        **kwargs: Any,
    ) -> ClaimForPreTrainingOutput:
        """Predict the codes of next visits and the categories of visits.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch, tokens)`, *optional*): As in [`ClaimModel`].
            visit_ids (`torch.LongTensor` of shape `(batch, tokens)`): As in [`ClaimModel`].
            visit_days (`torch.LongTensor` of shape `(batch, slots)`): As in [`ClaimModel`].
            attention_mask (`torch.LongTensor` of shape `(batch, tokens)`, *optional*): As in [`ClaimModel`].
            labels (`torch.LongTensor` of shape `(batch, tokens)`, *optional*):
                The code at each position that is a target, `-100` elsewhere. Which visits are predicted, and from
                where, follows from `cut`.
            category_labels (`torch.LongTensor` of shape `(batch, tokens)`, *optional*):
                The category at each position, `-100` where there is none. A visit without any is not predicted.
            cut (`torch.LongTensor` of shape `(batch,)`, *optional*):
                Last slot that every position sees. `None` with labels takes all visits but the last for
                `nvp_context="full"` and 0 for `"none"`. `None` without labels takes 0 for `"none"`, else all visits.
            inputs_embeds (`torch.FloatTensor` of shape `(batch, tokens, hidden)`, *optional*): As in [`ClaimModel`].
            num_items_in_batch (`torch.Tensor` or `int`, *optional*):
                Labelled codes that the loss is divided by. `None` counts those of this batch.
            return_logits (`bool`, *optional*):
                Whether to return logits of all slots. `None` returns them only when there are no labels.
            visit_categories (`torch.LongTensor` of shape `(batch, tokens)`, *optional*):
                Categories that `nvp_target="category"` predicts. `None` takes `category_labels`, which hold those of
                masked codes alone where codes are masked.
            horizon_targets (`torch.LongTensor` of shape `(batch, tokens)`, *optional*):
                The category at each position, plus `num_categories` on an inpatient visit, `-100` where there is none.
            horizon_known (`torch.BoolTensor` of shape `(batch, slots)`, *optional*):
                Whether the record covers the whole horizon from the day of a slot on; others predict nothing.
            **kwargs: As in [`ClaimModel`].

        Raises:
            ValueError: If labels come without a cut under `nvp_context="mixed"`, a label is no code of the vocabulary,
                or the inputs do not fit together.
        """
        has_labels = labels is not None or category_labels is not None
        slots_BT, days_BV, _ = checked_inputs(input_ids, inputs_embeds, visit_ids, visit_days, attention_mask)
        cut_B = _resolved_cut(self._default_cut(days_BV, has_labels) if cut is None else cut, days_BV)
        outputs = self.claim(input_ids, visit_ids, visit_days, attention_mask, cut_B, inputs_embeds, **kwargs)
        hidden_BVE, history_BVE = outputs.last_hidden_state, outputs.history_states
        informed_BVE = hidden_BVE if history_BVE is None else hidden_BVE + history_BVE

        next_categories = category_labels if visit_categories is None else visit_categories
        next_labels = labels if self.config.nvp_target == "code" else next_categories
        nvp_rows, cp_rows = self._targets(next_labels, category_labels, slots_BT, days_BV, cut_B)
        nvp_sum = None if nvp_rows is None else self._bce(self.nvp_decoder, informed_BVE, *nvp_rows)
        cp_sum = None
        if cp_rows is not None and self.cp_decoder is not None:
            cp_sum = self._bce(self.cp_decoder, hidden_BVE, *cp_rows)
        horizon_sum = None
        if self.horizon_decoder is not None and horizon_targets is not None and horizon_known is not None:
            patient_only = self.config.nvp_context == "full"
            predicts_BV = horizon_slots(horizon_known.bool() & (days_BV >= 0), cut_B, patient_only)
            pairs = horizon_pairs(predicts_BV, cut_B, days_BV, slots_BT, horizon_targets, self.config.horizon_days)
            horizon_sum = self._bce(self.horizon_decoder, informed_BVE, predicts_BV, *pairs)
        nvp_logits = category_logits = horizon_logits = None
        if return_logits or (return_logits is None and not has_labels):
            nvp_logits = self.nvp_decoder(informed_BVE)
            category_logits = None if self.cp_decoder is None else self.cp_decoder(hidden_BVE)
            horizon_logits = None if self.horizon_decoder is None else self.horizon_decoder(informed_BVE)
        counted = labels if labels is not None else category_labels
        sums = (nvp_sum, cp_sum, horizon_sum)
        nvp_loss, cp_loss, horizon_loss = (_per_item(total, counted, num_items_in_batch) for total in sums)
        config = self.config
        weighted = (config.nvp_weight, nvp_loss), (config.cp_weight, cp_loss), (config.horizon_weight, horizon_loss)
        return ClaimForPreTrainingOutput(
            loss=_weighted_sum(*weighted),
            nvp_loss=nvp_loss,
            cp_loss=cp_loss,
            horizon_loss=horizon_loss,
            nvp_logits=nvp_logits,
            category_logits=category_logits,
            horizon_logits=horizon_logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    @torch.no_grad()
    def predict_next_visit(
        self, input_ids: Tensor, visit_ids: Tensor, visit_days: Tensor, attention_mask: Tensor | None = None
    ) -> Tensor:
        """Score the codes (or categories) of the visit after the last one, reading the position trained for it.

        Returns:
            `torch.FloatTensor` of shape `(batch, vocabulary or categories)`: Logits. With `nvp_context="none"` they
            come from the last visit of a causal pass, otherwise from the patient, who sees all visits.

        Examples:
            >>> model = ClaimForPreTraining(ClaimConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1)).eval()
            >>> codes, slots, days = torch.tensor([[3, 4, 9]]), torch.tensor([[0, 1, 1]]), torch.tensor([[0, 0]])
            >>> tuple(model.predict_next_visit(codes, slots, days).shape)
            (1, 20)
        """
        num_visits_B = count_visits(visit_days)
        is_causal = self.config.nvp_context == "none"
        slot_B = num_visits_B if is_causal else torch.zeros_like(num_visits_B)
        cut_B = torch.zeros_like(num_visits_B) if is_causal else num_visits_B
        outputs = self.claim(input_ids, visit_ids, visit_days, attention_mask, cut_B)
        row_B = torch.arange(len(slot_B), device=slot_B.device)
        hidden_BE = outputs.last_hidden_state[row_B, slot_B]
        if outputs.history_states is not None:
            hidden_BE = hidden_BE + outputs.history_states[row_B, slot_B]
        logits_BK: Tensor = self.nvp_decoder(hidden_BE)
        return logits_BK

    def _default_cut(self, days_BV: Tensor, has_labels: bool) -> Tensor:
        """Choose the cut that `nvp_context` implies."""
        context, num_visits_B = self.config.nvp_context, count_visits(days_BV)
        if context == "none":
            return torch.zeros_like(num_visits_B)
        if not has_labels:
            return num_visits_B
        if context == "mixed":
            raise ValueError(
                "expected cut beside labels for nvp_context='mixed', found None; "
                "DataCollatorForClaimPretraining draws it"
            )
        return num_visits_B - 1

    def _targets(
        self,
        next_labels_BT: Tensor | None,
        category_labels_BT: Tensor | None,
        slots_BT: Tensor,
        days_BV: Tensor,
        cut_B: Tensor,
    ) -> tuple[tuple[Tensor, Tensor, Tensor] | None, tuple[Tensor, Tensor, Tensor] | None]:
        """Give predicting slots and pairs of both tasks, `None` for a task without labels."""
        nvp = cp = None
        if next_labels_BT is not None:
            predicts_BV = predicting_slots(days_BV, cut_B, patient_only=self.config.nvp_context == "full")
            nvp = (predicts_BV, *next_visit_pairs(predicts_BV, cut_B, slots_BT, next_labels_BT))
        if category_labels_BT is not None:
            cp = own_category_pairs(slots_BT, category_labels_BT, days_BV.shape[1])
        return nvp, cp

    def _bce(
        self, decoder: nn.Linear, states_BVE: Tensor, predicts_BV: Tensor, rows_P: Tensor, cols_P: Tensor
    ) -> Tensor:
        hidden_NE = states_BVE.flatten(0, 1).index_select(0, places_of(predicts_BV))
        return multi_hot_bce(hidden_NE, decoder.weight, decoder.bias, rows_P, cols_P)


class ClaimForMaskedLM(ClaimPreTrainedModel):
    """Masked-token learning of Lahlou et al.: every code is a position, and hidden codes are predicted.

    Raises:
        ValueError: If `visit_pooling` is not `"none"`; [`ClaimForPreTraining`] pretrains such a model.

    Examples:
        >>> config = ClaimConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, visit_pooling="none")
        >>> outputs = ClaimForMaskedLM(config).eval()(
        ...     input_ids=torch.tensor([[3, 4, 2]]),
        ...     visit_ids=torch.tensor([[0, 1, 1]]),
        ...     visit_days=torch.tensor([[0, 0]]),
        ... )
        >>> tuple(outputs.logits.shape)
        (1, 3, 20)
        >>> ClaimForMaskedLM(ClaimConfig())
        Traceback (most recent call last):
        ValueError: expected visit_pooling 'none' for ClaimForMaskedLM, found 'max'
    """

    accepts_loss_kwargs = True
    _tied_weights_keys = {"decoder.weight": "claim.embeddings.code_embeddings.weight"}  # noqa: RUF012

    def __init__(self, config: ClaimConfig) -> None:
        super().__init__(config)
        _refuse_pooling(config, type(self).__name__, pooled=False)
        self.claim = ClaimModel(config)
        self.decoder = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear:
        """The decoder of codes."""
        return self.decoder

    def set_output_embeddings(self, value: nn.Linear) -> None:
        """Replace the decoder of codes."""
        self.decoder = value

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor | None = None,
        visit_ids: Tensor | None = None,
        visit_days: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        cut: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        return_logits: bool | None = None,
        **kwargs: Any,
    ) -> MaskedLMOutput:
        """Predict hidden codes.

        Inputs are those of [`ClaimModel`]. `labels` hold the hidden code at each masked position, `-100` elsewhere;
        the loss is divided by `num_items_in_batch`, or by their number. Logits of all positions come back when asked
        for, or when there are no labels.

        Returns:
            `transformers.modeling_outputs.MaskedLMOutput`: Cross-entropy per masked code, and logits when asked for.

        Raises:
            ValueError: If the inputs do not fit together.
        """
        outputs = self.claim(input_ids, visit_ids, visit_days, attention_mask, cut, inputs_embeds, **kwargs)
        hidden_BTE = outputs.last_hidden_state
        loss = logits_BTK = None
        if labels is not None:
            masked_N = places_of(labels != IGNORE_INDEX)
            logits_NK = self.decoder(hidden_BTE.flatten(0, 1).index_select(0, masked_N)).float()
            labels_N = labels.flatten().index_select(0, masked_N).long()
            total = functional.cross_entropy(logits_NK, labels_N, reduction="sum")
            loss = _per_item(total, labels, num_items_in_batch)
        if return_logits or (return_logits is None and labels is None):
            logits_BTK = self.decoder(hidden_BTE)
        return MaskedLMOutput(
            loss=loss, logits=logits_BTK, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class ClaimForSequenceClassification(ClaimPreTrainedModel):
    """A prediction per patient: one of several labels, several labels at once, or a number.

    Args:
        config ([`ClaimConfig`]):
            Sizes and choices of the model. `num_labels` and `problem_type` choose the loss; without `problem_type` one
            output is a regression, whole-number labels of shape `(batch,)` are single labels, all else is multi-label.

    Examples:
        >>> config = ClaimConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_labels=2)
        >>> outputs = ClaimForSequenceClassification(config)(
        ...     input_ids=torch.tensor([[3, 4, 9]]),
        ...     visit_ids=torch.tensor([[0, 1, 1]]),
        ...     visit_days=torch.tensor([[0, 0]]),
        ...     labels=torch.tensor([1]),
        ... )
        >>> tuple(outputs.logits.shape), outputs.loss.dim()
        ((1, 2), 0)
    """

    def __init__(self, config: ClaimConfig) -> None:
        super().__init__(config)
        self.num_labels = len(config.id2label or {})
        config.classifier_rate, config.code_skip, config.code_skip_half_life_days = choose_classifier(
            config, type(self).__name__
        )
        self.claim = ClaimModel(config)
        self.classifier = ClaimClassifier(config, self.num_labels)
        self.code_skip = ClaimCodeSkip(config, self.num_labels) if config.code_skip else None
        if config.regression_loss != "squared":
            self.loss_function = amount_loss
        self.post_init()

    def fold_statistics(self) -> None:
        """Say the same without the means and variances of the patients that a classifier with a rate learned from.

        How often a code stands among a few hundred patients is nothing to give away. A model that is folded takes
        plain steps from then on (`classifier_rate=0`); a push folds what it sends.
        """
        if self.config.classifier_rate:
            self.classifier.fold()
            if self.code_skip is not None:
                self.classifier.bias.data += self.code_skip.fold()
            self.config.classifier_rate = 0

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor | None = None,
        visit_ids: Tensor | None = None,
        visit_days: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        cut: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Classify patients.

        Inputs are those of [`ClaimModel`]. `labels`, or targets of a regression, have the shape `(batch,)` or
        `(batch, num_labels)`.

        Raises:
            ValueError: If the inputs do not fit together.
        """
        outputs = self.claim(input_ids, visit_ids, visit_days, attention_mask, cut, inputs_embeds, **kwargs)
        logits_BK = self.classifier(outputs.pooler_output)
        if self.code_skip is not None:
            slots_BT, days_BV, _ = checked_inputs(input_ids, inputs_embeds, visit_ids, visit_days, attention_mask)
            logits_BK = logits_BK + self.code_skip(input_ids, slots_BT, days_BV, _resolved_cut(cut, days_BV))
        loss = None
        if labels is not None:
            targets = classification_targets(labels, self.config)
            loss = self.loss_function(labels=targets, pooled_logits=logits_BK.float(), config=self.config)
        return SequenceClassifierOutput(
            loss=loss, logits=logits_BK, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class ClaimForVisitClassification(ClaimPreTrainedModel):
    """A prediction per visit, read from the visit's own position.

    Examples:
        >>> config = ClaimConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_labels=3)
        >>> outputs = ClaimForVisitClassification(config)(
        ...     input_ids=torch.tensor([[3, 4, 9]]),
        ...     visit_ids=torch.tensor([[0, 1, 2]]),
        ...     visit_days=torch.tensor([[0, 0, 5]]),
        ...     labels=torch.tensor([[-100, 2, 0]]),
        ... )
        >>> tuple(outputs.logits.shape)
        (1, 3, 3)
    """

    def __init__(self, config: ClaimConfig) -> None:
        super().__init__(config)
        self.num_labels = len(config.id2label or {})
        self.claim = ClaimModel(config)
        self.dropout = nn.Dropout(classifier_dropout(config))
        self.classifier = nn.Linear(config.hidden_size, self.num_labels)
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor | None = None,
        visit_ids: Tensor | None = None,
        visit_days: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        cut: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> TokenClassifierOutput:
        """Classify visits.

        Inputs are those of [`ClaimModel`]; `labels` of shape `(batch, slots)` are `-100` where there is none: the
        patient slot, padding and visits not judged.

        Returns:
            `transformers.modeling_outputs.TokenClassifierOutput`: Mean cross-entropy of labelled visits, 0 if there
            are none, and logits of shape `(batch, slots, num_labels)`.

        Raises:
            ValueError: If the labels have another shape than `visit_days`, or the inputs do not fit together.
        """
        slots_BT, days_BV, valid_BT = checked_inputs(input_ids, inputs_embeds, visit_ids, visit_days, attention_mask)
        if labels is not None and labels.shape != days_BV.shape:
            raise ValueError(f"expected labels of shape {tuple(days_BV.shape)}, found {tuple(labels.shape)}")
        outputs = self.claim(input_ids, visit_ids, visit_days, attention_mask, cut, inputs_embeds, **kwargs)
        states_BVE = outputs.last_hidden_state
        if self.config.visit_pooling == "none":
            states_BVE = pool_vectors(states_BVE, slots_BT, valid_BT, days_BV.shape[1], "mean")
        if outputs.history_states is not None:
            states_BVE = states_BVE + outputs.history_states
        logits_BVK = self.classifier(self.dropout(states_BVE))
        loss = None
        if labels is not None:
            flat = logits_BVK.flatten(0, 1).float()
            classes = checked_classes(labels.flatten(), self.num_labels)
            total = functional.cross_entropy(flat, classes, ignore_index=IGNORE_INDEX, reduction="sum")
            loss = _per_item(total, labels, None)
        return TokenClassifierOutput(
            loss=loss, logits=logits_BVK, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


def _per_item(total: Tensor | None, labels: Tensor | None, num_items: Tensor | int | None) -> Tensor | None:
    """Divide a summed loss by the number of labels: Trainer's count over accumulated batches and ranks, or our own."""
    if total is None or labels is None:
        return None
    if num_items is None:
        num_items = (labels != IGNORE_INDEX).sum()
    count = torch.as_tensor(num_items, device=total.device).clamp(min=1)
    return total / count


def _weighted_sum(*terms: tuple[float, Tensor | None]) -> Tensor | None:
    """Add weighted losses, leaving out those that were not computed."""
    present = [weight * loss for weight, loss in terms if loss is not None]
    return torch.stack(present).sum() if present else None
