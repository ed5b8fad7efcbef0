"""Scores of a table of patients at a date: a pure function, which processes and partitions call alike."""

import copy
import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from claim_transformers.claims.small_cells import show_part_of
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.models.claim import ClaimTokenizer
from claim_transformers.models.claim.form_claim import NUMBER_COLUMNS
from claim_transformers.models.claim.names_claim import resolve_checkpoint
from claim_transformers.training.arguments import is_bf16_fast, leave_autocast
from claim_transformers.training.finite import require_finite_weights
from claim_transformers.training.scoring.batches import BATCH_TOKENS, length_batches
from claim_transformers.training.scoring.calibration import Calibration, read_calibration
from claim_transformers.training.scoring.heads import ScoreHead, head_of
from claim_transformers.training.scoring.patients import LEFT_OUT, KnownPatients, known_patients
from claim_transformers.training.tokenized_patients import tokenizer_digest

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

_LOOK_BACK_DAYS = 365
_TOP_K = 10
# Rows whose tokens are in memory at a time, and among which batches of equal length are found.
ROWS_AT_A_TIME = 5000
_EPOCH = dt.date(1970, 1, 1)
_COLUMNS = (
    "patient_id", "sex", "birth_day", "death_day", "enrollment_start_day", "enrollment_end_day", "visit_day",
    "visit_type", "codes",
)  # fmt: skip
# Of a configuration, what says nothing of the scores.
_NO_CHOICE = ("_name_or_path", "architectures", "transformers_version", "dtype")

_Precision = Literal["auto", "float32", "bfloat16"]


class Scorer:
    """A model and its tokenizer, ready to score tables of patients.

    Args:
        model (`torch.nn.Module`): A classifier or regression of patients, or a model with pretraining heads, which
            gives the likeliest categories of the next visit. A copy is made: the model stays as it is.
        tokenizer ([`ClaimTokenizer`]): Its tokenizer.
        precision (`str`, *optional*, defaults to `"auto"`): `"float32"`, `"bfloat16"`, or the latter where the device
            computes it in hardware.
        calibration ([`Calibration`], *optional*): Of probabilities of one outcome, which are the model's own without.
        look_back_days (`int`, *optional*, defaults to `365`): Days before the date whose enrolment is counted.
        everyone (`bool`, *optional*, defaults to `False`): Whether who is not enrolled at the date is scored too.
        top_k (`int`, *optional*, defaults to `10`): Labels of each patient, where there are many.
        batch_tokens (`int`, *optional*, defaults to `8192`): Positions of a batch at most.
        device (`str`, *optional*): Where to compute; where the model is if not given.

    Raises:
        ValueError: If model and tokenizer do not fit, the model predicts nothing of patients, or an option is out of
            range.
        ClaimDataError: `E_NONFINITE` if a weight is not finite.

    Examples:
        >>> from claim_transformers.models.claim import ClaimConfig, ClaimForSequenceClassification, ClaimTokenizer
        >>> tokenizer = ClaimTokenizer({"SEX/F": 3, "TYPE/OP": 4, "NDC/1": 5})
        >>> config = ClaimConfig(vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=1, num_labels=2)
        >>> scorer = Scorer(ClaimForSequenceClassification(config), tokenizer)
        >>> scorer.head.kind, scorer.calibration, len(scorer.checkpoint)
        ('probability', None, 64)
    """

    def __init__(
        self,
        model: torch.nn.Module,
        tokenizer: ClaimTokenizer,
        *,
        precision: _Precision = "auto",
        calibration: Calibration | None = None,
        look_back_days: int = _LOOK_BACK_DAYS,
        everyone: bool = False,
        top_k: int = _TOP_K,
        batch_tokens: int = BATCH_TOKENS,
        device: str | None = None,
    ) -> None:
        config: Any = model.config
        tokenizer.check_vocabulary(config)
        require_finite_weights(model.named_parameters())
        if look_back_days < 1 or batch_tokens < 1:
            raise ValueError(
                f"expected look_back_days and batch_tokens of at least 1, found {look_back_days} and {batch_tokens}"
            )
        self.tokenizer = tokenizer
        self.head: ScoreHead = head_of(model, tokenizer, top_k)
        if calibration is not None and self.head.kind != "probability":
            raise ValueError("expected a calibration with probabilities of one outcome alone, found another model")
        self.calibration = calibration
        self.look_back_days, self.everyone, self.batch_tokens = look_back_days, everyone, batch_tokens
        self.checkpoint = _checkpoint_digest(model, tokenizer)
        self.device = torch.device(device) if device is not None else next(model.parameters()).device
        self.precision = _precision(precision, self.device, is_recurrent=config.model_type != "claim")
        self._model = copy.deepcopy(model).eval().to(self.device)
        leave_autocast(self._model)
        _set_precision(self._model, self.precision)
        self._positions = "input_ids" if getattr(config, "visit_pooling", "sum") == "none" else "visit_days"

    @classmethod
    def from_pretrained(cls, checkpoint: str | Path, **options: Any) -> "Scorer":
        """Load a checkpoint with its tokenizer and, where it has one, its calibration.

        Args:
            checkpoint (`str` or `Path`): Folder or name of a checkpoint.
            **options: As of [`Scorer`].

        Raises:
            OSError: If there is no checkpoint under that name.
            ValueError: If it predicts nothing of patients, or a file is damaged.
        """
        from transformers import AutoConfig

        from claim_transformers.models.claim import ClaimForPreTraining, ClaimForSequenceClassification
        from claim_transformers.models.recurrent import RecurrentForSequenceClassification

        classes = (ClaimForPreTraining, ClaimForSequenceClassification, RecurrentForSequenceClassification)
        tokenizer = ClaimTokenizer.from_pretrained(checkpoint)
        folder = resolve_checkpoint(checkpoint)
        names = AutoConfig.from_pretrained(folder).architectures or []
        found: Any = next((one for one in classes if one.__name__ in names), None)
        if found is None:
            raise ValueError(
                f"expected a checkpoint of {', '.join(one.__name__ for one in classes)}, found "
                f"{', '.join(names) or 'none of them'}: fine-tune it first"
            )
        model = found.from_pretrained(folder)
        if "calibration" not in options:
            options["calibration"] = read_calibration(folder)
        return cls(model, tokenizer, **options)

    @property
    def options(self) -> dict[str, Any]:
        """What decides scores beside patients and date, as plain values."""
        return {
            "checkpoint": self.checkpoint,
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
            "precision": self.precision,
            "device": self.device.type,
            "look_back_days": self.look_back_days,
            "everyone": self.everyone,
            "kind": self.head.kind,
            "top_k": self.head.top_k,
            "batch_tokens": self.batch_tokens,
        }

    def score(self, patients: "pa.Table", at: dt.date | str) -> "tuple[pa.Table, dict[str, int]]":
        """Score a table of patients at a date.

        Args:
            patients (`pa.Table`): Rows of the patients table.
            at (`datetime.date` or `str`): The date. Nothing of that day is seen but a payment.

        Returns:
            `tuple`: Scores as [`score_table`] gives them, and the number of patients left out by reason.

        Raises:
            ValueError: If the table is no patients table.
            ClaimDataError: `E_NONFINITE` if a score is not finite.
        """
        import pyarrow as pa

        self._require_columns(patients)
        day = (date_of(at) - _EPOCH).days
        tables, left_out = [], dict.fromkeys(LEFT_OUT, 0)
        for begin in range(0, max(patients.num_rows, 1), ROWS_AT_A_TIME):
            rows = patients.slice(begin, ROWS_AT_A_TIME)
            known = known_patients(rows, day, look_back_days=self.look_back_days, everyone=self.everyone)
            tables.append(self.score_known(known))
            left_out = {reason: count + known.left_out[reason] for reason, count in left_out.items()}
        return pa.concat_tables(tables), left_out

    def _require_columns(self, patients: "pa.Table") -> None:
        """Refuse what is no table of patients, or patients without a number that the form of the tokenizer writes."""
        bins = () if self.tokenizer.form is None else self.tokenizer.form.bins
        found = getattr(patients, "column_names", None)
        if found is None:
            raise ValueError(f"expected a table or a data set of patients, found {type(patients).__name__}")
        if missing := [name for name in _COLUMNS if name not in found]:
            raise ValueError(
                f"expected rows of the patients table, as load_claims gives them, found no {', '.join(missing)}"
                + (
                    "; patients of a cohort are cut at their index dates already: pipeline takes them"
                    * ("label" in found)
                )
            )
        missing = [column for name, column in NUMBER_COLUMNS.items() if name in bins and column not in found]
        if missing:
            raise ValueError(
                f"expected patients with {' and '.join(missing)}, which the checkpoint reads, found none: ingest the "
                "claims again where amounts are missing; a checkpoint of readmissions predicts at a discharge, of "
                "which a date knows nothing, and its cohort is scored by 'finetune', its new discharges by 'serve'"
            )

    def score_known(self, known: KnownPatients) -> "pa.Table":
        """Score patients that are cut to what was known at their index dates already.

        Args:
            known ([`KnownPatients`]): The patients.

        Raises:
            ClaimDataError: `E_NONFINITE` if a score is not finite.
        """
        import pyarrow as pa

        examples, num_rows = known.examples, known.examples.num_rows
        encoded = self.tokenizer.encode_table(examples, keep_columns=[])
        width = self.head.top_k if self.head.kind in ("labels", "classes") else 1
        scores, labels = np.zeros((num_rows, width), np.float32), np.zeros((num_rows, width), np.int64)
        batches = length_batches(
            encoded, examples["patient_id"], self.tokenizer, positions=self._positions, most=self.batch_tokens
        )
        for rows, logits in self._logits(batches):
            scores[rows], labels[rows] = self.head.read(logits)
        bad = int(np.count_nonzero(~np.isfinite(scores).all(axis=1)))
        if bad:
            raise ClaimDataError(
                "E_NONFINITE",
                f"expected finite scores, found others for {show_part_of(bad, num_rows)} patients: score in float32, "
                "or go back to a checkpoint whose weights are sound",
            )
        probabilities = scores if self.calibration is None else self.calibration(scores)
        method = "none" if self.calibration is None else self.calibration.method
        columns: dict[str, Any] = {
            "patient_id": examples["patient_id"],
            "index_date": examples["index_day"].cast(pa.int32()).cast(pa.date32()),
            **self.head.columns(probabilities, labels),
            "calibration": _constant(method, num_rows),
            "enrolled_days": known.enrolled_days,
            "last_visit_date": known.last_visit_day.cast(pa.date32()),
            "checkpoint": _constant(self.checkpoint, num_rows),
        }
        return pa.table(columns)

    @torch.inference_mode()
    def _logits(self, batches: Iterator[tuple[Any, dict[str, torch.Tensor]]]) -> Iterator[tuple[Any, torch.Tensor]]:
        """Run the model over batches."""
        model: Any = self._model
        is_pretrained = hasattr(model, "predict_next_visit")
        for rows, inputs in batches:
            placed = {name: tensor.to(self.device) for name, tensor in inputs.items()}
            logits = model.predict_next_visit(**placed) if is_pretrained else model(**placed).logits
            yield rows, logits.float().cpu()


def score_table(
    model: torch.nn.Module, tokenizer: ClaimTokenizer, table: "pa.Table", at: dt.date | str, **options: Any
) -> "pa.Table":
    """Score the patients of a table who are enrolled at a date, without labels and without looking beyond it.

    A pure function of its arguments, which several processes, or the partitions of a cluster, may call at once; who
    scores many tables makes one [`Scorer`].

    Args:
        model (`torch.nn.Module`): As of [`Scorer`].
        tokenizer ([`ClaimTokenizer`]): Its tokenizer.
        table (`pa.Table`): Rows of the patients table, in any order.
        at (`datetime.date` or `str`): The date. Nothing of that day is seen but a payment.
        **options: As of [`Scorer`].

    Returns:
        `pa.Table`: In the order of the table `patient_id` as it was given, `index_date`, `score` (or, where there are
        many, the likeliest `labels` and their `scores`), `calibration` (its method, `none` for the model's own
        probability), `enrolled_days` (within the look-back; null where enrolment is unknown), `last_visit_date` (of
        the last visit known) and `checkpoint`, a digest of weights, configuration and tokenizer.

    Raises:
        ValueError: If model, tokenizer, table or an option does not fit.
        ClaimDataError: `E_NONFINITE` if a weight or a score is not finite.

    Examples:
        >>> import pyarrow as pa
        >>> from claim_transformers.claims.patient_files import PATIENTS_SCHEMA
        >>> from claim_transformers.models.claim import ClaimConfig, ClaimForSequenceClassification
        >>> tokenizer = ClaimTokenizer({"SEX/F": 3, "TYPE/OP": 4, "NDC/1": 5})
        >>> config = ClaimConfig(vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=1, num_labels=2)
        >>> patient = {"patient_id": "a", "sex": "F", "enrollment_start_day": [9000], "enrollment_end_day": [20000]}
        >>> patient |= {"visit_day": [9100], "visit_end_day": [9100], "visit_type": ["OP"], "codes": [["NDC/1"]]}
        >>> table = pa.Table.from_pylist([patient], PATIENTS_SCHEMA)
        >>> scores = score_table(ClaimForSequenceClassification(config), tokenizer, table, dt.date(1995, 1, 1))
        >>> scores["enrolled_days"].to_pylist(), scores["last_visit_date"].to_pylist()
        ([131], [datetime.date(1994, 12, 1)])
    """
    return Scorer(model, tokenizer, **options).score(table, at)[0]


def score(
    model: torch.nn.Module,
    tokenizer: ClaimTokenizer,
    patients: "pa.Table | datasets.Dataset",
    *,
    at: dt.date | str,
    **options: Any,
) -> "pa.Table":
    """Score patients who are enrolled at a date: the same as [`score_table`] for what holds the patients of a split.

    Arguments and errors are those of [`score_table`]; the date may be written as `"2024-12-31"`, and a data set of
    rows of the patients table is taken too.

    Examples:
        >>> score(None, None, None, at="yesterday")
        Traceback (most recent call last):
        ValueError: expected a date, or an ISO text such as 2024-12-31, found another text
    """
    day = date_of(at)
    if isinstance(patients, dict):
        raise ValueError(f"expected one split, found {len(patients)}: score each, such as patients['test']")
    table = patients.with_format("arrow")[:] if hasattr(patients, "with_format") else patients
    return score_table(model, tokenizer, table, day, **options)


def date_of(at: dt.date | str) -> dt.date:
    """Read a date that may be written as ISO."""
    try:
        day = dt.date.fromisoformat(at) if isinstance(at, str) else at
    except ValueError as error:
        raise ValueError("expected a date, or an ISO text such as 2024-12-31, found another text") from error
    if isinstance(day, dt.datetime) or not isinstance(day, dt.date):
        raise ValueError(f"expected a date, or an ISO text such as 2024-12-31, found {type(day).__name__}")
    return day


def _checkpoint_digest(model: torch.nn.Module, tokenizer: ClaimTokenizer) -> str:
    """Digest weights, configuration and tokenizer: all that decides what a model says; SHA-256 in hexadecimal."""
    config: Any = model.config
    content = {name: value for name, value in config.to_dict().items() if name not in _NO_CHOICE}
    named = {"model": type(model).__name__, "config": content}
    digest = hashlib.sha256(json.dumps(named, sort_keys=True, default=str).encode())
    digest.update(tokenizer_digest(tokenizer).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _precision(asked: _Precision, device: torch.device, *, is_recurrent: bool) -> _Precision:
    if asked not in ("auto", "float32", "bfloat16"):
        raise ValueError(f"expected precision 'auto', 'float32' or 'bfloat16', found {asked!r}")
    if is_recurrent and asked == "bfloat16":
        raise ValueError(
            "expected precision 'float32' for a recurrent model, whose cells have no other, found 'bfloat16'"
        )
    if asked != "auto" or is_recurrent:
        return "float32" if is_recurrent else asked
    return "bfloat16" if is_bf16_fast(use_cpu=device.type == "cpu") else "float32"


def _set_precision(model: torch.nn.Module, precision: _Precision) -> None:
    """Convert the weights; what makes the logits stays in float32, or scores would tie and counts end at 256."""
    model.to(torch.float32 if precision == "float32" else torch.bfloat16)
    for name in ("classifier", "code_skip"):
        part = getattr(model, name, None)
        if part is not None:
            part.to(torch.float32)
    classifier = getattr(model, "classifier", None)
    if classifier is not None and precision == "bfloat16":
        classifier.register_forward_pre_hook(_in_float32)


def _in_float32(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(tensor.float() for tensor in inputs)


def _constant(value: str, num_rows: int) -> "pa.Array":
    import pyarrow as pa

    return pa.repeat(pa.scalar(value), num_rows)
