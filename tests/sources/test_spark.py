"""The whole way of the data on Spark gives the rows of one machine, also where tasks are killed: `make test-spark`."""

import importlib.util
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from same_folders import assert_same_folders

from claim_transformers import (
    ClaimConfig,
    ClaimForSequenceClassification,
    ClaimTokenizer,
    build_cohort,
    ingest,
    ingest_on_spark,
    load_claims,
    load_definition,
    score_claims,
    simulate,
    simulate_medicare,
    tokenize_claims,
    tokenize_dataset,
)
from claim_transformers.claims.spark import SparkTasks, open_spark
from claim_transformers.cohorts.readmission import building
from claim_transformers.training.scoring import folders as scores_of_folders
from claim_transformers.training.sequences import read_splits, write_sequences

DATA = os.environ.get("CLAIMS_DATA_DIR")
HAS_SPARK = importlib.util.find_spec("pyspark") is not None and shutil.which("java") is not None
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not HAS_SPARK, reason="needs pyspark and Java 17: pip install 'claim-transformers[spark]'"),
]
NUM_PATIENTS = int(os.environ.get("SPARK_PATIENTS", "2000"))
ROWS_PER_BATCH = "spark.sql.execution.arrow.maxRecordsPerBatch"
ANYTHING = {"max_quarantine_share": 1.0, "max_reason_share": 1.0, "progress": False}
SOURCES = {
    "cms-rif": "cms_rif/rif-synthea",
    "fhir-eob": "fhir_eob/stu3_ndjson",
    "synpuf": "synpuf/sample1",
    "tuva": "tuva",
}


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkTasks]:
    from pyspark import cloudpickle
    from pyspark.sql import SparkSession

    # What tests define is sent to the workers by its code.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master("local[1,3]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("spark")))
    session = builder.config("spark.sql.shuffle.partitions", "2").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield SparkTasks(open_spark())
    session.stop()


@pytest.fixture(scope="module")
def folders(tasks: SparkTasks, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Simulated claims, ingested on one machine and, with tasks that are killed, on Spark."""
    place = tmp_path_factory.mktemp("folders")
    simulate(place / "raw", patients=NUM_PATIENTS, seed=7, dirt="typical")
    one, other = place / "one", place / "other"
    ingest("simulated", place / "raw", one, **ANYTHING)
    killing = KillingTasks(tasks.session, place)
    ingest_on_spark("simulated", place / "raw", other, spark=killing, num_parts=2, **ANYTHING)
    assert len(list(place.glob("killed-*"))) == 3
    return one, other


@dataclass(frozen=True)
class KilledOnce:
    """A task whose process is killed the first time, when it has done half or all of its work."""

    function: Any
    marker: Path
    after: bool = False

    def __call__(self, *given: Any) -> Any:
        if self.after:
            answer = self.function(*given)
        if not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return answer if self.after else self.function(*given)


class KillingTasks(SparkTasks):
    """Tasks of which one of each kind is killed."""

    def __init__(self, session: Any, place: Path) -> None:
        super().__init__(session)
        self.place = place

    def run(self, function: Any, items: Any) -> Iterator[Any]:
        return super().run(KilledOnce(function, self.place / "killed-run", after=True), items)

    def exchange(self, cut: Any, items: Any, take: Any, num_places: int) -> Iterator[Any]:
        cut = KilledOnce(cut, self.place / "killed-cut")
        return super().exchange(cut, items, KilledOnce(take, self.place / "killed-take", after=True), num_places)


def test_simulated_claims_are_the_same_where_tasks_were_killed(folders: tuple[Path, Path]) -> None:
    assert_same_folders(*folders)


@pytest.mark.skipif(not DATA, reason="CLAIMS_DATA_DIR is not set")
@pytest.mark.parametrize("source", SOURCES)
def test_real_files_give_the_same_rows(source: str, tasks: SparkTasks, tmp_path: Path) -> None:
    raw = Path(str(DATA), SOURCES[source])
    ingest(source, raw, tmp_path / "one", **ANYTHING)
    ingest_on_spark(source, raw, tmp_path / "other", spark=tasks, num_parts=2, **ANYTHING)
    assert_same_folders(tmp_path / "one", tmp_path / "other")


@pytest.fixture(scope="module")
def medicare(tasks: SparkTasks, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Simulated claims of Medicare, ingested on one machine and on Spark."""
    place = tmp_path_factory.mktemp("medicare")
    simulate_medicare(place / "raw", patients=NUM_PATIENTS // 10, seed=7)
    ingest("simulated", place / "raw", place / "one", progress=False)
    ingest_on_spark("simulated", place / "raw", place / "other", spark=tasks, num_parts=2, progress=False)
    return place / "one", place / "other"


def test_simulated_medicare_claims_give_the_same_rows(medicare: tuple[Path, Path]) -> None:
    assert_same_folders(*medicare)


def test_readmissions_and_their_sequences_are_the_same_where_tasks_were_killed(
    medicare: tuple[Path, Path], tasks: SparkTasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "count_parts", lambda *_: 3)
    killing = KillingTasks(tasks.session, tmp_path)
    definition = replace(load_definition("readmission", "readmission"), rule="unplanned")
    rows = []
    for name, claims, used in (("one", medicare[0], None), ("other", medicare[1], killing)):
        cohort = build_cohort(definition, claims, tasks=used)
        cohort.save(tmp_path / name)
        form = write_sequences(tmp_path / name, tmp_path / f"sequences of {name}", tasks=used)
        splits = read_splits(tmp_path / f"sequences of {name}")
        sequences = {split: table.to_pylist() for split, table in splits.items()}
        facts = cohort.attrition, cohort.shown_facts(raw_counts=True), form
        rows.append((cohort.examples.to_pylist(), facts, sequences))
    assert rows[0] == rows[1]
    assert len(list(tmp_path.glob("killed-*"))) == 3
    assert ROWS_PER_BATCH not in tasks.session.conf.getAll


def test_cohorts_tokens_and_scores_are_the_same(
    folders: tuple[Path, Path], tasks: SparkTasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = folders
    definition = load_definition("hospital_admission", "event").with_index_dates(["2012-01-01"])
    cohorts = [build_cohort(definition, one), build_cohort(definition, other, tasks=tasks)]
    assert (
        cohorts[0].examples.sort_by("patient_id").to_pylist() == cohorts[1].examples.sort_by("patient_id").to_pylist()
    )
    assert cohorts[0].attrition == cohorts[1].attrition

    splits = load_claims("claims", one)
    tokenizer = ClaimTokenizer.train_from_dataset(splits["train"])
    config = ClaimConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    checkpoint = tmp_path / "checkpoint"
    ClaimForSequenceClassification(config).save_pretrained(checkpoint)
    tokenizer.save_pretrained(checkpoint)

    tokens = tokenize_dataset(splits["train"], tokenizer).with_format("arrow")[:]
    num_patients = tokenize_claims(checkpoint, other, tmp_path / "tokens", tasks=tasks)
    assert num_patients == sum(split.num_rows for split in splits.values())
    shards = pa.concat_tables(pq.read_table(path) for path in sorted((tmp_path / "tokens").glob("train-*")))
    by_patient = [rows.sort_by("patient_digest").to_pylist() for rows in (tokens, shards.select(tokens.column_names))]
    assert by_patient[0] == by_patient[1]

    monkeypatch.setattr(scores_of_folders, "count_parts", lambda *_: 2)
    killing = KillingTasks(tasks.session, tmp_path)
    expected = score_claims(checkpoint, one, tmp_path / "scores", at="2012-01-01", precision="float32")
    found = score_claims(checkpoint, other, tmp_path / "others", at="2012-01-01", precision="float32", tasks=killing)
    assert (found.members, found.left_out, found.parts_kept) == (expected.members, expected.left_out, 0)
    assert found.members > num_patients
    assert len(list(tmp_path.glob("killed-*"))) == 3
    scores = [
        pa.concat_tables(map(pq.read_table, sorted((tmp_path / name).glob("*.parquet"))))
        for name in ("scores", "others")
    ]
    ids = [rows.sort_by("patient_id")["patient_id"].to_pylist() for rows in scores]
    assert ids[0] == ids[1]
    assert len(ids[0]) == expected.scored
    values = [rows.sort_by("patient_id")["score"].to_numpy() for rows in scores]
    # Patients stand in other batches, whose sums are added in another order.
    assert abs(values[0] - values[1]).max() < 1e-5
