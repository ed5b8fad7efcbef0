"""Claims ceiling: how much of the true risk of readmission boosted trees read off claims when it teaches them.

The trees learn the risk, not the outcome, of the stays of the pretraining population, none of which a table is about.
What they reach bounds from below what claims can tell. It is a yardstick and never a model, because nobody has true
risks of real patients.
"""

from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from claim_transformers.analysis.rivals.true_risk import stay_risk_scores
from claim_transformers.claims.splits import SPLITS, assert_disjoint
from claim_transformers.cohorts.readmission.definition import STAYS, ReadmissionDefinition
from reproduction.engine.claims_ceiling import Lessons, TeachingOptions, teach
from reproduction.engine.steps import StepResult
from reproduction.medicare.count_features import CountFeatures
from reproduction.medicare.count_models import dense_reader
from reproduction.medicare.encoders import scores_table
from reproduction.medicare.populations import read_examples
from reproduction.medicare.profiles import PRETRAINING
from reproduction.medicare.readmission_study import (
    CEILING,
    ModelScores,
    ReadmissionStudy,
    StudyCohort,
    model_scores,
)

# Of each of the four blocks of codes and categories: three times what trees are given that learn from fewer stays.
MOST_OF_A_BLOCK = 300


def ceiling_scores(
    study: ReadmissionStudy, cohort: StudyCohort, options: TeachingOptions | None = None
) -> ModelScores:
    """Teach trees the true risk of the stays of the pretraining population, and score a cohort.

    Args:
        study ([`ReadmissionStudy`]): Populations.
        cohort ([`StudyCohort`]): Stays joined, of another population.
        options ([`TeachingOptions`], *optional*): Sizes of the trees.

    Returns:
        [`ModelScores`]: Risks; the stays that taught, columns and trees as details.

    Raises:
        ClaimDataError: `E_SPLIT_OVERLAP` if a patient of the cohort were among those who teach.
    """
    options = options or TeachingOptions()
    folder = study.populations.cohort(PRETRAINING, ReadmissionDefinition(STAYS))
    raw = study.populations.raw(PRETRAINING)
    parameters = {"cohort": cohort.folder.name, "teachers": folder.name, "options": asdict(options)}

    def score() -> StepResult:
        splits = read_examples(folder)
        teachers = pa.concat_tables([splits[split] for split in SPLITS])
        assert_disjoint({"teaching": teachers["patient_id"], "cohort": cohort.examples["test"]["patient_id"]})
        risk = stay_risk_scores(teachers, pq.read_table(raw / "true_risk.parquet"), missing="nan")
        known = ~np.isnan(risk)
        teachers, risk = teachers.filter(pa.array(known)), risk[known]
        read = dense_reader(CountFeatures.fit(teachers, most=MOST_OF_A_BLOCK), teachers)
        scored = {split: cohort.examples[split] for split in ("validation", "test")}
        lessons = Lessons(teachers["patient_id"], read(teachers), risk)
        taught, details = teach(lessons, np.concatenate([read(table) for table in scored.values()]), options)
        parts = np.split(taught, [scored["validation"].num_rows])
        value = {"stays": details["rows"], "features": details["features"], "trees": details["trees"]}
        return StepResult(value, scores_table(dict(zip(scored, parts, strict=True))))

    result = study.workspace.step("counts/claims-ceiling", parameters | {"most_of_a_block": MOST_OF_A_BLOCK}, score)
    name = f"Claims ceiling (taught by the true risk of {result.value['stays']:,} other stays)"
    return model_scores("claims-ceiling", name, CEILING, result)
