"""Simulated claims, the folder that `simulate` writes: the layout of the Tuva input layer, with canonical claim types.

`drug_ingredients.parquet` beside the claims names what is in each product, as the NDC directory does of real ones;
`true_risk.parquet` is for evaluation and never read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from claim_transformers.sources.formats.tuva.source import read_tuva
from claim_transformers.sources.pipeline.contract import RawLocation, StagedSource

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend


def read_simulated(path: RawLocation, connection: Backend, *, scratch: Path) -> StagedSource:
    """Stage a simulation."""
    return read_tuva(path, connection, scratch=scratch, name="simulated")
