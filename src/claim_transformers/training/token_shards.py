"""Tokens of an ingested folder as parquet shards, written where the patients lie and read as a stream."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from claim_transformers.claims.files import publish_folder, replacing_file
from claim_transformers.cohorts.timelines import patient_files
from claim_transformers.models.claim.names_claim import name_for_others
from claim_transformers.training.tokenized_patients import encode_batch

if TYPE_CHECKING:
    from claim_transformers.claims.spark import SparkTasks

_ROWS_PER_BATCH = 1000


def tokenize_claims(
    tokenizer: str | Path, claims: str | Path, out: str | Path, *, tasks: SparkTasks | None = None
) -> int:
    """Tokenise the patients of an ingested folder, a shard of tokens for each of its files, and count them.

    `datasets.load_dataset("parquet", data_files=..., streaming=True)` reads the shards of a split as a stream, of
    which each process of a run reads shards of its own, if there are as many as processes.

    Args:
        tokenizer (`str` or `Path`): Folder or name of a tokenizer or checkpoint.
        claims (`str` or `Path`): Folder that `ingest` wrote.
        out (`str` or `Path`): Folder to make; it appears whole or not at all. It is patient data in clear.
        tasks ([`SparkTasks`], *optional*): Tokenise in tasks of Spark, for which the three folders lie on a file
            system that every executor shares.

    Raises:
        ClaimDataError: If the folder is not ingested, or `out` is there (`E_EXISTS`).
        OSError: If there is no tokenizer under that name.

    Examples:
        >>> tokenize_claims("claim-pt-base", "/nowhere", "tokens")
        Traceback (most recent call last):
        claim_transformers.codes.errors.ClaimDataError: E_NO_FOLDER: expected an ingested folder at /nowhere, ...
    """
    files = patient_files(claims)
    with publish_folder(Path(out).absolute()) as folder:
        encode = _EncodeFile(name_for_others(tokenizer), folder, uuid.uuid4().hex)
        return sum((map if tasks is None else tasks.run)(encode, files))


@dataclass(frozen=True)
class _EncodeFile:
    """Task that tokenises a file of patients, a few at a time."""

    tokenizer: str
    folder: Path
    # Told apart by it, a run never takes what an earlier one found under the same name.
    run: str

    def __call__(self, path: Path) -> int:
        tokenizer, writer = _load_tokenizer(self.tokenizer, self.run), None
        with replacing_file(self.folder / path.name) as temporary, pq.ParquetFile(path) as file:
            batches = (pa.Table.from_batches([batch]) for batch in file.iter_batches(_ROWS_PER_BATCH))
            for table in batches if file.metadata.num_rows else [file.schema_arrow.empty_table()]:
                tokens = encode_batch(table, tokenizer)
                writer = writer or pq.ParquetWriter(temporary, tokens.schema, compression="zstd")
                writer.write_table(tokens)
            if writer is not None:
                writer.close()
            return int(file.metadata.num_rows)


@lru_cache(maxsize=1)
def _load_tokenizer(name: str, run: str) -> Any:
    from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer

    return ClaimTokenizer.from_pretrained(name)
