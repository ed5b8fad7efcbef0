"""Pipelines of transformers over patients: a class, what the next visit holds, a vector.

`pipeline("claim-classification", model=...)` takes a patient as a dictionary, rows of the patients table, a table, a
data set or a stream of any of these, tokenised or not, and text that a tokenizer decoded.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import AutoModel, AutoModelForPreTraining, AutoModelForSequenceClassification
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.pipelines.base import Pipeline

from claim_transformers.codes.tables import category_name
from claim_transformers.models.claim.canonical_claim import patients_of
from claim_transformers.models.claim.losses_claim import amounts_of_logits
from claim_transformers.training.collators import ClaimCollator
from claim_transformers.training.scoring.calibration import calibration_of
from claim_transformers.training.scoring.heads import head_of

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_SIZE = 32
_TOP_CATEGORIES = 10


class _ClaimPipeline(Pipeline):
    """What the pipelines over patients share: how patients become batches."""

    _load_tokenizer: Any = True
    tokenizer: Any
    model: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tokenizer.check_vocabulary(self.model.config)
        # A model that comes from a training has its dropout on.
        self.model.eval()

    def __call__(self, inputs: Any, *_: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        """Answer for one patient, for each of a list or table, or, over a stream, for one after the other.

        A patient is a dictionary, a row of the patients table or of `tokenize_dataset`, or the text that
        `tokenizer.decode` writes. There are 32 at a time unless `batch_size` says otherwise.
        """
        if not (hasattr(inputs, "__iter__") or hasattr(inputs, "column_names")):
            raise ValueError(f"expected a patient, or patients, found {type(inputs).__name__}")
        size = batch_size or self._batch_size or _BATCH_SIZE
        _, _, asked = self._sanitize_parameters(**kwargs)
        given = {**self._postprocess_params, **asked}
        is_one = isinstance(inputs, str) or (isinstance(inputs, Mapping) and not _is_batch(inputs))
        batches = _batches([inputs] if is_one else inputs, size)
        answers = (
            answer for batch in batches for answer in self.postprocess(self.forward(self.preprocess(batch)), **given)
        )
        if is_one:
            return next(answers)
        return list(answers) if hasattr(inputs, "__len__") else answers

    def preprocess(self, input_: Any, **_: Any) -> dict[str, Any]:
        """Write patients as one padded batch of tensors."""
        collator = ClaimCollator(self.tokenizer)
        if isinstance(input_, list):
            if isinstance(input_[0], Mapping) and "input_ids" in input_[0]:
                return dict(collator(input_))
            return dict(self.tokenizer(input_, padding=True, return_tensors="pt"))
        is_tokenized = "input_ids" in input_.column_names
        return dict(collator(input_ if is_tokenized else self.tokenizer.encode_table(input_, keep_columns=[])))

    def _forward(self, input_tensors: dict[str, Any], **_: Any) -> Any:
        return self.model(**input_tensors)


class ClaimClassificationPipeline(_ClaimPipeline):
    """`"claim-classification"`: the labels of a patient with their scores.

    Args:
        top_k (`int`, *optional*, defaults to `1`):
            Labels to give, the likeliest first; `None` for all. With 1 the answer is `{"label", "score"}`, else a list
            of these.
        function_to_apply (`"softmax"`, `"sigmoid"` or `"none"`, *optional*):
            What makes scores of logits. Without it `problem_type` of the model decides: several labels at once take
            the sigmoid, a regression nothing (one of amounts gives US dollars), all else the softmax; the calibration
            of the checkpoint, where it has one, then holds as it does for [`Scorer`]. With it scores are the model's
            own.

    Raises:
        ValueError: If the checkpoint has a calibration and no probability of one outcome.

    Examples:
        >>> import claim_transformers
        >>> from transformers import pipeline
        >>> from claim_transformers import ClaimConfig, ClaimForSequenceClassification, ClaimTokenizer
        >>> tokenizer = ClaimTokenizer({"SEX/F": 3, "TYPE/OP": 4, "ICD9CM/493": 5})
        >>> model = ClaimForSequenceClassification(ClaimConfig(vocab_size=6, num_hidden_layers=1, num_labels=2))
        >>> classify = pipeline("claim-classification", model=model, tokenizer=tokenizer)
        >>> patient = {"sex": "F", "visits": [{"day": 3, "type": "OP", "codes": ["ICD9CM/49392"]}]}
        >>> sorted(classify(patient)), len(classify([patient] * 3, top_k=None)[0])
        (['label', 'score'], 2)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._calibration = calibration_of(self.model)
        if self._calibration is not None and (kind := head_of(self.model, self.tokenizer, 1).kind) != "probability":
            raise ValueError(
                f"expected a calibration with probabilities of one outcome alone, found one with {kind}: remove it"
            )

    def _sanitize_parameters(self, **given: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return {}, {}, _only(given, "top_k", "function_to_apply")

    def postprocess(  # type: ignore[override]
        self, model_outputs: Any, top_k: int | None = 1, function_to_apply: str | None = None
    ) -> list[Any]:
        """Labels and scores of every patient of a batch."""
        scores_BK = _scores(model_outputs["logits"].float(), self.model.config, function_to_apply)
        if function_to_apply is None and self._calibration is not None:
            risks_B = self._calibration(scores_BK[:, -1])
            scores_BK = np.stack([1.0 - risks_B, risks_B], axis=1)[:, -scores_BK.shape[1] :]
        names = self.model.config.id2label
        order_BK = np.argsort(-scores_BK, axis=1, kind="stable")[:, :top_k]
        answers = [
            [{"label": names[label], "score": float(scores[label])} for label in order]
            for scores, order in zip(scores_BK, order_BK.tolist(), strict=True)
        ]
        return [answer[0] for answer in answers] if top_k == 1 else answers


class ClaimNextVisitPipeline(_ClaimPipeline):
    """`"claim-next-visit"`: what a pretrained model expects of the next visit, with titles where they are known.

    Args:
        top_k (`int`, *optional*, defaults to `10`): Categories, or codes, to give, the likeliest first.

    Examples:
        >>> import claim_transformers
        >>> from transformers import pipeline
        >>> expect = pipeline("claim-next-visit", model="claim-pt-base")
        >>> patient = {"age": 9, "sex": "F", "visits": [{"day": 3, "type": "OP", "codes": ["ICD9CM/49392"]}]}
        >>> sorted(expect(patient, top_k=3)[0])
        ['category', 'name', 'score']
    """

    def _sanitize_parameters(self, **given: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return {}, {}, _only(given, "top_k")

    def _forward(self, input_tensors: dict[str, Any], **_: Any) -> Any:
        if not hasattr(self.model, "predict_next_visit"):
            raise ValueError(
                f"expected a model pretrained on next visits for 'claim-next-visit', found "
                f"{type(self.model).__name__}; claim-pt-base is one"
            )
        return {"logits": self.model.predict_next_visit(**input_tensors)}

    def postprocess(self, model_outputs: Any, top_k: int = _TOP_CATEGORIES) -> list[Any]:  # type: ignore[override]
        """Categories, or codes with their category, of every patient of a batch."""
        scores_BK = torch.sigmoid(model_outputs["logits"].float()).numpy()
        of_codes = self.model.config.nvp_target == "code"
        if of_codes:
            # Ages, gaps and the like are tokens too, and nothing that a visit holds.
            scores_BK = np.where(self.tokenizer.target_mask, scores_BK, -1.0)
        top = min(top_k, int((scores_BK >= 0).sum(axis=1).min()))
        order_BK = np.argsort(-scores_BK, axis=1, kind="stable")[:, :top]
        describe = self._describe_code if of_codes else self._describe_category
        return [
            [{**describe(entry), "score": float(scores[entry])} for entry in order]
            for scores, order in zip(scores_BK, order_BK.tolist(), strict=True)
        ]

    def _describe_category(self, number: int) -> dict[str, Any]:
        if number < 0:
            return {"category": None, "name": None}
        category = self.tokenizer.category_names[number]
        return {"category": category, "name": category_name(category)}

    def _describe_code(self, token: int) -> dict[str, Any]:
        category = self._describe_category(int(self.tokenizer.category_of_token[token]))
        return {"code": self.tokenizer.convert_ids_to_tokens(token), **category}


class ClaimEmbeddingPipeline(_ClaimPipeline):
    """`"claim-embedding"`: one vector per patient, the one that classification reads.

    Examples:
        >>> import claim_transformers
        >>> from transformers import pipeline
        >>> embed = pipeline("claim-embedding", model="claim-pt-base")
        >>> embed({"age": 9, "sex": "F", "visits": []}).shape
        (96,)
    """

    def _sanitize_parameters(self, **given: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return {}, {}, _only(given)

    def postprocess(self, model_outputs: Any) -> list[Any]:  # type: ignore[override]
        """Vectors of a batch, as arrays of float32."""
        if model_outputs.get("pooler_output") is None:
            raise ValueError(
                f"expected a model without a head for 'claim-embedding', found {type(self.model).__name__}; load it "
                "with AutoModel"
            )
        return list(model_outputs["pooler_output"].float().numpy())


def _only(given: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The parameters of a pipeline, and no other."""
    if unknown := sorted(set(given) - set(names)):
        expected = ", ".join(("batch_size", *names))
        raise TypeError(f"expected parameters out of {expected}, found {', '.join(unknown)}")
    return dict(given)


def _is_batch(columns: Mapping[str, Any]) -> bool:
    """Whether a mapping holds columns of many rows and not one patient."""
    if "input_ids" in columns:
        return False
    found = patients_of(columns)
    return found is not None and found[1]


def _batches(inputs: Any, size: int) -> Iterator["list[Any] | pa.Table"]:
    """Cut what a caller holds into lists and tables of at most `size` rows."""
    if isinstance(inputs, Mapping):
        inputs = patients_of(inputs)[0]  # type: ignore[index]  # only batches come here
    if hasattr(inputs, "with_format") and hasattr(inputs, "__len__"):
        inputs = inputs.with_format("arrow")
        for start in range(0, len(inputs), size):
            yield inputs[start : start + size]
    elif hasattr(inputs, "column_names") and hasattr(inputs, "slice"):
        for start in range(0, len(inputs), size):
            yield inputs.slice(start, size)
    else:
        rows = iter(inputs)
        while batch := list(islice(rows, size)):
            yield batch


def _scores(logits_BK: torch.Tensor, config: Any, function: str | None) -> np.ndarray:
    """Scores of logits by the kind of problem."""
    if function is None:
        is_number = config.problem_type == "regression" or (config.problem_type is None and logits_BK.shape[1] == 1)
        if getattr(config, "regression_loss", "squared") != "squared":
            return amounts_of_logits(logits_BK, config)[:, None].numpy()
        is_several = config.problem_type == "multi_label_classification"
        function = "none" if is_number else "sigmoid" if is_several else "softmax"
    if function not in ("softmax", "sigmoid", "none"):
        raise ValueError(f"expected function_to_apply 'softmax', 'sigmoid' or 'none', found {function!r}")
    if function == "sigmoid":
        return torch.sigmoid(logits_BK).numpy()
    return (torch.softmax(logits_BK, dim=1) if function == "softmax" else logits_BK).numpy()


# At the end of the module, which is imported when transformers has loaded its own pipelines.
for _task, _class, _auto_class in (
    ("claim-classification", ClaimClassificationPipeline, AutoModelForSequenceClassification),
    ("claim-next-visit", ClaimNextVisitPipeline, AutoModelForPreTraining),
    ("claim-embedding", ClaimEmbeddingPipeline, AutoModel),
):
    PIPELINE_REGISTRY.register_pipeline(_task, pipeline_class=_class, pt_model=_auto_class, type="text")
