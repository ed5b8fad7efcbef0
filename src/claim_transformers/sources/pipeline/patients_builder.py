"""Patients table as a `datasets` builder: memory-mapped Arrow, or a stream of parquet files.

The builder is a plain class that `load_claims` uses directly; `datasets` no longer runs loading scripts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datasets.builder import Key

from claim_transformers.claims.patient_files import PATIENTS_SCHEMA
from claim_transformers.claims.splits import SPLITS, split_numbers


@dataclass(frozen=True)
class HashSplit:
    """How to draw other splits than those stored."""

    salt: str
    train: float
    validation: float

    def numbers(self, patient_ids: pa.Array | pa.ChunkedArray) -> Any:
        """Position in `SPLITS` of each patient."""
        return split_numbers(patient_ids, self.salt, self.train, self.validation)


@dataclass
class _PatientsConfig(datasets.BuilderConfig):  # type: ignore[misc]
    """What the builder reads."""

    files: dict[str, list[str]] = field(default_factory=dict)
    splits: tuple[str, ...] = SPLITS
    hash_split: HashSplit | None = None
    schema: pa.Schema = PATIENTS_SCHEMA


class PatientsBuilder(datasets.ArrowBasedBuilder):  # type: ignore[misc]
    """Read the files of the patients table, a row group at a time."""

    BUILDER_CONFIG_CLASS = _PatientsConfig

    def _info(self) -> datasets.DatasetInfo:
        features = datasets.Features.from_arrow_schema(self.config.schema)
        return datasets.DatasetInfo(features=features, description="One row per patient, visits in order.")

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        generators = []
        for split in self.config.splits:
            if self.config.hash_split is None:
                files = list(self.config.files.get(split, []))
            else:
                files = [path for stored in SPLITS for path in self.config.files.get(stored, [])]
            generators.append(datasets.SplitGenerator(name=split, gen_kwargs={"files": files, "split": split}))
        return generators

    def _generate_tables(self, files: list[str], split: str) -> Iterator[tuple[Key, pa.Table]]:
        schema = self.config.schema
        for file_number, path in enumerate(files):
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group).select(schema.names).cast(schema)
                    if self.config.hash_split is not None:
                        numbers = self.config.hash_split.numbers(table["patient_id"])
                        table = table.filter(pa.array(numbers == SPLITS.index(split)))
                    if table.num_rows:
                        yield Key(file_number, group), table
