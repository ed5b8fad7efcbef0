"""The tables that every population is written in, one block of patients at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass
class BlockTables:
    """Arrow tables of one block, in the schemas of its population."""

    medical_claim: pa.Table  # One row per claim line.
    pharmacy_claim: pa.Table  # One row per fill.
    eligibility: pa.Table  # One row per span of coverage; every patient has one.
    true_risk: pa.Table  # Risks for evaluation only.

    def by_name(self) -> dict[str, pa.Table]:
        """Every table by its name, which is also that of its file."""
        return {name: getattr(self, name) for name in BlockTables.__annotations__}

    def of_first_patients(self, kept: int) -> "BlockTables":
        """Keep the rows of the first patients of the block; rows stay in their order."""
        # Spans of coverage are in order of patient, so their dictionary is too.
        names = self.eligibility["person_id"].combine_chunks().dictionary[:kept]
        cut = {}
        for name, table in self.by_name().items():
            column = table.column("patient_id" if name == "true_risk" else "person_id").combine_chunks()
            is_kept = pc.is_in(column.dictionary, value_set=names).to_numpy(zero_copy_only=False)
            cut[name] = table.take(pa.array(np.flatnonzero(is_kept[column.indices.to_numpy()])))
        return BlockTables(**cut)


def join_blocks(blocks: Sequence[BlockTables]) -> dict[str, pa.Table]:
    """Put the tables of blocks after each other."""
    return {
        name: pa.concat_tables([block.by_name()[name] for block in blocks]).unify_dictionaries()
        for name in blocks[0].by_name()
    }
