"""Files of tables, found by the names of the tables."""

import re
from collections.abc import Iterable
from pathlib import Path

from claim_transformers.codes.errors import ClaimDataError

_ENDINGS = (".csv.gz", ".csv", ".zip", ".parquet")


def find_table_files(folder: Path, tables: Iterable[str], suffix: str = "") -> dict[str, list[Path]]:
    """Find the files of each table, in any case: `person.csv`, `PERSON_1.csv.gz`, `person/*.parquet`.

    With a suffix the name of each table ends with it.
    """
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    found: dict[str, list[Path]] = {}
    for table in tables:
        name = f"{table}{suffix}"
        pattern = re.compile(rf"{re.escape(name)}([-_.]?\d[\d_-]*)?", re.IGNORECASE)
        files = [file for file in entries if file.is_file() and pattern.fullmatch(_stem(file) or "")]
        for inner in (one for one in entries if one.is_dir() and one.name.lower() == name.lower()):
            below = sorted(file for file in inner.rglob("*") if file.is_file() and _stem(file) is not None)
            if deeper := sum(file.parent != inner for file in below):
                raise ClaimDataError(
                    "E_LAYOUT",
                    f"expected the files of a table in its folder {inner.name}, found {deeper} in folders below, as "
                    "partitions are: put them into the folder itself, with every column in the files",
                )
            files += below
        if files:
            found[table] = files
    return found


def _stem(file: Path) -> str | None:
    """Name of a file without its ending, `None` if it is of another kind."""
    ending = next((one for one in _ENDINGS if file.name.lower().endswith(one)), None)
    return None if ending is None else file.name[: -len(ending)]
