"""Steps behind the tables of reasons: true changes of the cohort, a classifier of each split, its reasons measured."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from claim_transformers.analysis import fit_platt
from claim_transformers.models.claim import ClaimForSequenceClassification, ClaimTokenizer
from claim_transformers.training import save_calibration
from claim_transformers.training.scoring.calibration import read_calibration
from reproduction.claim_pt.benchmark import ClaimPTBenchmark
from reproduction.claim_pt.neural_models import FINE_TUNING_GRID, FineTuned
from reproduction.claim_pt.reasons_study import Classifier, measure_reasons
from reproduction.claim_pt.removed_causes import CAUSES, true_changes
from reproduction.engine.checkpoints import checkpoint_digest, load_tokenizer
from reproduction.engine.steps import StepResult
from reproduction.engine.tasks import BenchmarkCohort, Task

_POPULATION, _COHORT = "icd10", "asthma_exacerbation"
# Fine-tuning begins at the pretraining head: the best epoch of most splits is among these.
_EPOCHS, _SETTING = 3, FINE_TUNING_GRID[1]
PATIENTS = 50


def measured_reasons(benchmark: ClaimPTBenchmark) -> list[tuple[pa.Table, pa.Table]]:
    """Measure reasons on each split of the profile, and on one more for the choice of a rule.

    Args:
        benchmark ([`ClaimPTBenchmark`]): With a population `"icd10"` and the cohort of asthma.

    Returns:
        `list[tuple[pa.Table, pa.Table]]`: What [`measure_reasons`] gives for each split. The last one is for the rule,
        and none of its test patients is in the others.
    """
    populations, repeats = benchmark.populations, benchmark.profile.repeats
    folder = populations.cohort_folder(_COHORT, _POPULATION)
    cohort = BenchmarkCohort.load(folder, name=f"twins-{_COHORT.replace('_', '-')}")
    plan = benchmark.profile.populations[_POPULATION]
    examples = cohort.examples.select(["patient_id", "index_day"])
    asked = {"cohort": cohort.key, "causes": list(CAUSES)}
    truth = benchmark.workspace.step("reasons/truth", asked, lambda: StepResult({}, true_changes(plan, examples)))
    tasks = [cohort.task(repeat) for repeat in range(repeats + 1)]
    of_rule = tasks[-1].splits["test"]["patient"].combine_chunks()
    found = []
    for task in tasks:
        test = task.splits["test"]
        if task is not tasks[-1]:
            test = test.filter(pc.invert(pc.is_in(test["patient"], value_set=of_rule)))
        chosen = np.random.Generator(np.random.Philox(task.repeat.number)).permutation(test.num_rows)[:PATIENTS]
        found.append(_measure(benchmark, _classifier(benchmark, task), test.take(pa.array(np.sort(chosen))), truth))
    return found


def _classifier(benchmark: ClaimPTBenchmark, task: Task) -> Path:
    """Fine-tune and calibrate on one split, once."""
    checkpoint, seed = str(benchmark.checkpoint()), task.repeat.number

    def fit(folder: Path) -> None:
        model, fitted = FineTuned(checkpoint, _EPOCHS).train(task, _SETTING, seed)
        assert isinstance(model, ClaimForSequenceClassification)
        model.save_pretrained(folder)
        load_tokenizer(checkpoint).save_pretrained(folder)
        save_calibration(folder, fit_platt(task.labels("validation"), fitted.predictions["validation"]))

    digest = checkpoint_digest(checkpoint)
    asked = {"task": task.key(), "checkpoint": digest, "epochs": _EPOCHS, "setting": dict(_SETTING)}
    return benchmark.workspace.folder_step(f"reasons/classifier-{seed}", asked, fit)


def _measure(
    benchmark: ClaimPTBenchmark, classifier: Path, examples: pa.Table, truth: StepResult
) -> tuple[pa.Table, pa.Table]:
    """Reasons of examples, and what leaving visits out does, once."""
    assert truth.table is not None  # the step gave one
    changes = truth.table.take(examples["row"].combine_chunks())
    names = ("reasons.parquet", "erased.parquet")

    def run(folder: Path) -> None:
        calibration = read_calibration(classifier)
        assert calibration is not None  # saved beside the weights
        model = ClaimForSequenceClassification.from_pretrained(classifier)
        given = Classifier(model, ClaimTokenizer.from_pretrained(classifier), calibration)
        folder.mkdir(parents=True)
        for name, table in zip(names, measure_reasons(given, examples, changes), strict=True):
            pq.write_table(table, folder / name)

    asked = {"classifier": classifier.name, "truth": truth.key, "rows": examples["row"].to_pylist()}
    seed = classifier.name.split("-")[1]
    folder = benchmark.workspace.folder_step(f"reasons/measured-{seed}", asked, run)
    reasons, erased = (pq.read_table(folder / name) for name in names)
    return reasons, erased
