"""The readmission study: cohorts in the words of the encoder, and what every model says of their stays."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from claim_transformers.cohorts.readmission.definition import STAYS, ReadmissionDefinition
from reproduction.engine.steps import StepResult, Workspace
from reproduction.medicare.encoders import (
    Encoder,
    fine_tune_encoder,
    pretrain_encoder,
    scores_table,
)
from reproduction.medicare.populations import MedicarePopulations, example_patients, read_examples
from reproduction.medicare.profiles import PRETRAINING, STUDY, MaskedTraining, MedicareProfile

FloatArray = NDArray[np.float64]
MOST_WITHOUT_RISK = 0.01
MORE_PASSES = 4
COUNTS, ENCODER, SCORE, CEILING = "counts", "encoder", "clinical score", "ceiling"


@dataclass(frozen=True)
class ModelScores:
    """What one model says of the validation and test stays of a cohort.

    Args:
        slug (`str`): Short name.
        name (`str`): Name for tables.
        group (`str`): `"counts"`, `"clinical score"`, `"encoder"` or `"ceiling"`.
        validation (`NDArray[float]` of shape `(stays,)`): Risks.
        test (`NDArray[float]` of shape `(stays,)`): Risks.
        details (`dict`, *optional*): What was chosen, for JSON.
    """

    slug: str
    name: str
    group: str
    validation: FloatArray
    test: FloatArray
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class StudyCohort:
    """A readmission cohort and its sequences.

    Args:
        folder (`Path`): The cohort; its name is a digest of its content.
        sequences (`Path`): The same stays in the words of the encoder.
        raw (`Path`, *optional*): The simulation, for true risks.
    """

    folder: Path
    sequences: Path
    raw: Path | None = None

    @cached_property
    def examples(self) -> dict[str, pa.Table]:
        """The stays by split."""
        return read_examples(self.folder)

    def labels(self, split: str) -> NDArray[np.int64]:
        """Readmitted or not."""
        found: NDArray[np.int64] = self.examples[split]["label"].to_numpy().astype(np.int64)
        return found

    def patients(self, split: str) -> NDArray[np.int64]:
        """A number per patient, for clustered intervals."""
        return example_patients(self.examples[split])


@dataclass(frozen=True)
class ReadmissionStudy:
    """The models of the Medicare benchmark on the stays of a population.

    Args:
        workspace ([`Workspace`]): Where steps are kept.
        profile ([`MedicareProfile`]): Sizes.
    """

    workspace: Workspace
    profile: MedicareProfile

    @property
    def populations(self) -> MedicarePopulations:
        """The people."""
        return MedicarePopulations(self.workspace, self.profile.populations)

    def cohort(
        self,
        population: str = STUDY,
        definition: ReadmissionDefinition | None = None,
        *,
        depth: str | None = None,
        hide: Collection[str] = (),
    ) -> StudyCohort:
        """A cohort of a population."""
        folder = self.populations.cohort(population, definition or ReadmissionDefinition(STAYS))
        return StudyCohort(folder, self.sequences(folder, depth=depth, hide=hide), self.populations.raw(population))

    def sequences(self, cohort: Path, *, depth: str | None = None, hide: Collection[str] = ()) -> Path:
        """Write a cohort in the words of the encoder, once.

        Bins of numbers are those of the pretraining population, as a user of the checkpoint would have them.
        """
        from claim_transformers.training import fit_bins, make_form, write_sequences

        depth = depth or self.profile.depth
        source = self.populations.cohort(PRETRAINING, ReadmissionDefinition(STAYS))
        parameters = {"cohort": cohort.name, "depth": depth, "hide": sorted(hide), "bins": source.name}

        def write(folder: Path) -> None:
            fitted = fit_bins(make_form(depth, hide=hide), read_examples(source)["train"])
            write_sequences(cohort, folder, fitted)

        return self.workspace.folder_step("prepare/sequences", parameters, write)

    def checkpoint(self, encoder: Encoder, plan: MaskedTraining | None = None, *, depth: str | None = None) -> Path:
        """Pretrain an encoder on the pretraining population, once."""
        sequences = self.cohort(PRETRAINING, depth=depth).sequences
        return pretrain_encoder(self.workspace, sequences, encoder, plan or self.profile.pretraining)

    # ---- Models ----
    def encoder_scores(
        self, cohort: StudyCohort, encoder: Encoder, checkpoint: Path, *, stays: int | None = None
    ) -> ModelScores:
        """Fine-tune an encoder on a cohort."""
        settings = replace(self.profile.fine_tuning, **encoder.fine_tuning)
        if stays is not None:
            # A pass over few stays is few steps, so a small sample gets more passes, and as many more to wait.
            more = {name: MORE_PASSES * getattr(settings, name) for name in ("epochs", "patience")}
            settings = replace(settings, **more)
        result = fine_tune_encoder(
            self.workspace,
            cohort.sequences,
            checkpoint,
            settings,
            slug=encoder.slug,
            is_pretrained=encoder.is_pretrained,
            stays=stays,
        )
        return model_scores(encoder.slug, encoder.name, ENCODER, result)

    def count_scores(
        self,
        cohort: StudyCohort,
        kind: Literal["lr", "gb"],
        *,
        drop: Collection[str] = (),
        stays: int | None = None,
    ) -> ModelScores:
        """Fit logistic regression or boosted trees on counts of codes."""
        from reproduction.medicare.count_models import fit_count_model

        name = {"lr": "LR on counts", "gb": "Gradient boosting"}[kind]
        parameters = {"cohort": cohort.folder.name, "kind": kind, "drop": sorted(drop), "stays": stays}

        def fit() -> StepResult:
            train = cohort.examples["train"]
            train = train if stays is None else _first_stays(train, stays)
            model = fit_count_model(kind, train, cohort.examples["validation"], drop=drop)
            scores = {split: model.predict(cohort.examples[split]) for split in ("validation", "test")}
            return StepResult({"train_stays": train.num_rows}, scores_table(scores))

        size = [] if stays is None else [f"stays-{stays}"]
        result = self.workspace.step("/".join(["counts", kind, *size]), parameters, fit)
        return model_scores(kind, name, COUNTS, result)

    def lace_scores(self, cohort: StudyCohort, population: str = STUDY) -> ModelScores:
        """Score stays by the LACE index, recalibrated on validation.

        Args:
            cohort ([`StudyCohort`]): Stays under the rule `"stays"`.
            population (`str`, *optional*, defaults to `"study"`): Their population.

        Returns:
            [`ModelScores`]: Its risks.

        Raises:
            ValueError: If the stays of the index are others.
        """
        from reproduction.medicare.lace_model import LaceModel, check_same_stays, lace_definition

        wide = read_examples(self.populations.cohort(population, lace_definition(ReadmissionDefinition(STAYS))))
        for split in ("validation", "test"):
            check_same_stays(cohort.examples[split], wide[split])
        model = LaceModel.fit(wide["validation"])
        return ModelScores(
            model.slug, model.name, SCORE, model.predict(wide["validation"]), model.predict(wide["test"])
        )

    def true_risk(self, cohort: StudyCohort, outcome: str = "readmission_any") -> ModelScores:
        """The simulator's risk of every stay: the ceiling.

        Args:
            cohort ([`StudyCohort`]): The stays of a simulated population.
            outcome (`str`, *optional*, defaults to `"readmission_any"`): Or `"readmission_unplanned"`.

        Returns:
            [`ModelScores`]: True risks.

        Raises:
            ValueError: If the cohort is not simulated, or more than one stay in a hundred has no true risk.
        """
        from claim_transformers.analysis.rivals.true_risk import stay_risk_scores

        if cohort.raw is None:
            raise ValueError("expected a simulated cohort, found one without true risks")
        risks = pq.read_table(cohort.raw / "true_risk.parquet")
        validation, test = (
            known_risks(stay_risk_scores(cohort.examples[split], risks, outcome=outcome, missing="nan"))
            for split in ("validation", "test")
        )
        return ModelScores("true-risk", "True risk", CEILING, validation, test)


def known_risks(risks: FloatArray) -> FloatArray:
    """Give stays without a true risk the mean of the others.

    A cohort knows a stay by its claims, the simulator by what happened: a stay in a thousand is an index stay of the
    one alone.

    Args:
        risks (`NDArray[float]` of shape `(stays,)`): True risks, NaN where there is none.

    Returns:
        `NDArray[float]` of shape `(stays,)`: Finite risks.

    Raises:
        ValueError: If more than one in a hundred is missing.

    Examples:
        >>> known_risks(np.array([np.nan, *[0.2] * 100]))[0].round(6)
        np.float64(0.2)
        >>> known_risks(np.array([np.nan, 0.2]))
        Traceback (most recent call last):
            ...
        ValueError: expected a true risk of almost every stay, found none for 1 of 2
    """
    missing = np.isnan(risks)
    if missing.sum() > MOST_WITHOUT_RISK * len(risks):
        raise ValueError(f"expected a true risk of almost every stay, found none for {missing.sum()} of {len(risks)}")
    return np.where(missing, np.nanmean(risks), risks)


def model_scores(slug: str, name: str, group: str, result: StepResult) -> ModelScores:
    """Read the scores of a model from the step that fitted it."""
    import pyarrow.compute as pc

    assert result.table is not None  # every step of a model writes its scores
    validation, test = (
        result.table.filter(pc.equal(result.table["split"], split)).sort_by("row")["score"].to_numpy()
        for split in ("validation", "test")
    )
    return ModelScores(slug, name, group, validation, test, result.value)


def _first_stays(train: pa.Table, stays: int) -> pa.Table:
    """The training stays that an encoder of the same size learns from."""
    import datasets

    from reproduction.medicare.encoders import limit_stays

    limited = limit_stays(datasets.DatasetDict({"train": datasets.Dataset(train)}), stays)["train"]
    return limited.with_format("arrow")[:]
