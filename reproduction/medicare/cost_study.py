"""Cost of the next year: the cohort, every model of it, and the tables that set them beside each other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from claim_transformers.analysis import ResultTable, age_bands
from claim_transformers.analysis.result_table import Cell
from claim_transformers.analysis.rivals.features import ages_in_years
from claim_transformers.training import predictive_ratios, score_amounts
from reproduction.engine.steps import Workspace
from reproduction.medicare.populations import MedicarePlan, MedicarePopulations, read_examples

_NAME = "cost"
_CEILING = "Expected cost (ceiling)"
_SPLITS = ("validation", "test")
_FORMATS = {"mean absolute error": ",.0f"}


@dataclass(frozen=True)
class CostStudy:
    """A cohort of `next_year_cost` and everything that is asked of it.

    Args:
        workspace ([`Workspace`]): Where everything is kept.
        patients (`int`): Patients to simulate.
        seed (`int`): Seed of the population.
        index_date (`str`): First day of the horizon.
        checkpoint (`str`): Pretrained model that is fine-tuned.
        epochs (`int`): Epochs at most.
        losses (`list[str]`): What is fine-tuned, by `regression_loss`.
        lives (`int`): Lives behind each expected cost.
        replicates (`int`): Bootstrap replicates.
    """

    workspace: Workspace
    patients: int
    seed: int
    index_date: str
    checkpoint: str
    epochs: int
    losses: Sequence[str]
    lives: int
    replicates: int

    @property
    def populations(self) -> MedicarePopulations:
        """The population, in ICD-10."""
        plan = MedicarePlan(self.patients, self.seed, icd10_from="always")
        return MedicarePopulations(self.workspace, {_NAME: plan})

    @cached_property
    def cohort(self) -> Path:
        """The cohort on disk."""
        claims = self.populations.claims(_NAME)

        def build(folder: Path) -> None:
            from claim_transformers.cohorts import build_cohort, load_definition

            definition = load_definition("next_year_cost", "event").with_index_dates([self.index_date])
            build_cohort(definition, claims).save(folder, raw_counts=True)  # simulated people

        return self.workspace.folder_step(
            "prepare/cohort-cost", {"claims": claims.name, "index_date": self.index_date}, build
        )

    @cached_property
    def splits(self) -> dict[str, pa.Table]:
        """The examples."""
        return read_examples(self.cohort)

    def predicted(self) -> Iterator[tuple[str, dict[str, NDArray[np.float64]]]]:
        """Every model with what it predicts of validation and test patients."""
        from claim_transformers.analysis import fit_cost_boosting, fit_cost_regression, fit_hcc_score, fit_prior_cost
        from claim_transformers.codes import category_rules

        splits = self.splits
        rivals: dict[str, Callable[[], Any]] = {
            "Prior cost": lambda: fit_prior_cost(splits),
            "CMS-HCC score": lambda: fit_hcc_score(splits),
            "Ridge on counts and cost": lambda: fit_cost_regression(splits, kind="ridge"),
            "Tweedie GLM on counts and cost": lambda: fit_cost_regression(splits),
            "Gradient boosting on counts and cost": lambda: fit_cost_boosting(splits, rules=category_rules()),
        }
        for name, fit in rivals.items():
            try:
                yield name, self._step(name, {}, lambda fit=fit: fit().scores)  # type: ignore[misc]
            except ImportError:
                continue
        for loss in self.losses:
            parameters = {"checkpoint": self.checkpoint, "epochs": self.epochs, "loss": loss}
            name = f"Claim-PT, fine-tuned ({loss.replace('_', '-')})"
            yield name, self._step(name, parameters, lambda loss=loss: self._fine_tuned(loss))  # type: ignore[misc]
        yield _CEILING, self._step(_CEILING, {"lives": self.lives}, self._expected)

    def tables(self) -> dict[str, ResultTable]:
        """The table of metrics, and that of predictive ratios."""
        test = self.splits["test"]
        labels = test["label"].to_numpy()
        sexes = pc.fill_null(test["sex"], "unknown").to_numpy(zero_copy_only=False)
        ages = age_bands(ages_in_years(test))
        rows: list[dict[str, Cell]] = []
        ratios: list[dict[str, Cell]] = []
        for name, scores in self.predicted():
            found = scores["test"]
            rows.append({"model": name, **score_amounts(labels, found, replicates=self.replicates)})
            groups: dict[str, Any] = {}
            for attribute in (None, sexes, ages):
                groups |= predictive_ratios(labels, found, attribute, replicates=self.replicates)
            ratios.append({"model": name, **groups})
        about = (
            f"{len(labels):,} test patients of {sum(split.num_rows for split in self.splits.values()):,} in the "
            f"cohort `next_year_cost` at {self.index_date}; {self.patients:,} simulated Medicare patients, seed "
            f"{self.seed}, in ICD-10. Mean {labels.mean():,.0f}, median {np.median(labels):,.0f} US dollars. "
            "Intervals at 95 % over resampled patients."
        )
        notes = [about, *self._notes(rows)]
        return {
            "cost": ResultTable("Allowed amount within a year", rows, notes, formats=_FORMATS),
            "cost_ratios": ResultTable(
                "Predicted over actual cost by group",
                ratios,
                [about, "Tenths are of the model's own predictions, the lowest first; 1 is right."],
                formats=dict.fromkeys(ratios[0], ".2f"),
            ),
        }

    def _notes(self, rows: list[dict[str, Any]]) -> list[str]:
        notes = [
            f"The ceiling is the mean of {self.lives} simulated lives from the index date on. It knows the course of "
            "conditions and of hidden instability, which no claim tells; what it leaves is chance. As a mean of "
            f"{self.lives} lives it explains a little less than the expectation would.",
            "Truncated R2 cuts amounts and predictions at 100,000 dollars. The share of the most expensive 1 and 5 % "
            "found is among as many patients with the highest predictions.",
        ]
        if not any(row["model"] == "CMS-HCC score" for row in rows):
            notes.append("The score of CMS is left out: hccinfhir was not installed.")
        return notes

    def _step(self, name: str, parameters: dict[str, Any], fit: Callable[[], Any]) -> dict[str, NDArray[np.float64]]:
        """Predictions of a model, computed once."""
        asked = {"cohort": self.cohort.name, **parameters}

        def write(folder: Path) -> None:
            scores = fit()
            folder.mkdir(parents=True, exist_ok=True)
            for split in _SPLITS:
                pq.write_table(pa.table({"score": scores[split]}), folder / f"{split}.parquet")

        slug = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
        folder = self.workspace.folder_step(f"cost/{slug}", asked, write)
        return {split: pq.read_table(folder / f"{split}.parquet")["score"].to_numpy() for split in _SPLITS}

    def _fine_tuned(self, loss: Any) -> dict[str, NDArray[np.float64]]:
        from datasets import load_from_disk
        from transformers import set_seed

        from claim_transformers import FineTuning, fine_tune, start_from_amounts, tokenize_dataset

        set_seed(0)
        cohort = load_from_disk(str(self.cohort))
        model, tokenizer = start_from_amounts(self.checkpoint, cohort["train"], regression_loss=loss)
        settings = FineTuning(learning_rate=1e-4, epochs=self.epochs, patience=2)
        return dict(fine_tune(model, tokenizer, tokenize_dataset(cohort, tokenizer), settings).predictions)

    def _expected(self) -> dict[str, NDArray[np.float64]]:
        from claim_transformers.simulation.medicare import expected_costs

        costs = expected_costs(self.patients, self.seed, self.index_date, replicates=self.lives)
        ids = costs["patient_id"].combine_chunks()
        dollars = costs["allowed_amount"].combine_chunks()
        found = {}
        for split in _SPLITS:
            place = pc.index_in(self.splits[split]["patient_id"].cast(pa.string()), value_set=ids)
            found[split] = dollars.take(place.combine_chunks()).to_numpy()
        return found
