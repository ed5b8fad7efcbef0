"""Fills by their ingredient: the table that names drugs, from a file or fetched once, and what it names."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from claim_transformers.claims.files import private_folder
from claim_transformers.claims.inputs import check_file
from claim_transformers.claims.small_cells import show_count, show_part_of
from claim_transformers.claims.store import DRUG_NAMES
from claim_transformers.codes.drugs import read_drug_ingredients
from claim_transformers.codes.ndc_directory import read_ndc_directory
from claim_transformers.codes.normalize import normalize_code
from claim_transformers.sources.pipeline.downloads import fetch_zip

_FDA_URL = "https://www.accessdata.fda.gov/cder/ndctext.zip"
_MAX_BYTES = 200_000_000  # The directory has about 10 MB.
_FETCH = "-"
NO_DRUG_NAMES = "none"
_TABLES = (".csv", ".parquet")
_PRODUCT_LENGTH = 9


@dataclass(frozen=True)
class DrugNames:
    """Names of drugs by labeler and product, and the digest of the file that they come from."""

    names: Mapping[str, str]
    sha256: str


def read_drug_names(location: str | Path) -> DrugNames:
    """Read the FDA's NDC directory, or a table of `ndc9` and `ingredient`; fetch what is an address, once.

    `-` is the address of the FDA.
    """
    text = _FDA_URL if str(location) == _FETCH else str(location)
    path = _fetch(text) if text.startswith(("http://", "https://")) else Path(text)
    check_file(path, "products and their ingredients, a table or the NDC directory")
    if path.suffix in _TABLES:
        table = read_drug_ingredients(path)
        names = {ndc[:_PRODUCT_LENGTH]: normalize_code("DRUG", name) for ndc, name in table.items()}
    else:
        names = dict(read_ndc_directory(path).ingredients)
    return DrugNames(names, hashlib.sha256(path.read_bytes()).hexdigest())


def _fetch(url: str) -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = private_folder(Path(home).expanduser() / "claim_transformers" / "ndc")
    target = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.zip"
    fetch_zip(url, target, max_bytes=_MAX_BYTES, cure="Fetch the file with a browser and pass its path")
    return target


def write_drug_names(folder: Path, drugs: DrugNames | None) -> None:
    """Keep the names of the products that the fills of an ingested folder hold, beside its tables."""
    if drugs is None:
        return
    products = {code[:_PRODUCT_LENGTH] for code in _count_products(folder)}
    named = sorted((product, drugs.names[product]) for product in products & drugs.names.keys())
    if named:
        target = folder / DRUG_NAMES
        target.mkdir()
        columns = {"ndc9": [product for product, _ in named], "ingredient": [name for _, name in named]}
        pq.write_table(pa.table(columns), target / "part-0.parquet")


def _count_products(folder: Path) -> Counter[str]:
    """How often each NDC was filled."""
    counts: Counter[str] = Counter()
    for path in sorted(folder.glob("rx_claim/*.parquet")):
        codes = pq.read_table(path, columns=["ndc_code"], read_dictionary=["ndc_code"])["ndc_code"]
        counts.update({row["values"]: row["counts"] for row in pc.value_counts(codes.drop_null()).to_pylist()})
    return counts


def count_drugs(folder: Path, drugs: DrugNames | None) -> dict[str, Any] | None:
    """Count the fills of an ingested folder and those whose drug is named; `None` without any."""
    counts = _count_products(folder)
    if not counts:
        return None
    names = {} if drugs is None else drugs.names
    named = {code for code in counts if code[:_PRODUCT_LENGTH] in names}
    return {
        "fills": counts.total(),
        "products": len({code[:_PRODUCT_LENGTH] for code in counts}),
        "named_fills": sum(counts[code] for code in named),
        "directory_sha256": None if drugs is None else drugs.sha256,
    }


def describe_drugs(drugs: Mapping[str, Any]) -> str:
    """Say how many fills are named, or what a table would bring.

    Examples:
        >>> describe_drugs({"fills": 90, "products": 5, "named_fills": 60, "directory_sha256": "ab"})
        '60 of 90 fills stand as their ingredient; the others keep their NDC'
    """
    if drugs["directory_sha256"] is None:
        fills, products = show_count(drugs["fills"]), show_count(drugs["products"])
        return (
            f"{fills} fills of {products} products stand as their NDC; with the NDC directory of the FDA "
            "(--ndc-directory FILE, or - to fetch it) those that it lists stand as their ingredient"
        )
    named = show_part_of(drugs["named_fills"], drugs["fills"])
    return f"{named} fills stand as their ingredient; the others keep their NDC"
