"""Code systems that no dialect file knows: counted by address, so that what is not read is seen."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

_OTHER = "other"
_MAX_NAMED = 50
# An address of a code system, and nothing that could be a number of somebody: no query, no user, no long number.
_ADDRESS = re.compile(
    r"https?://[A-Za-z0-9][A-Za-z0-9.-]{1,80}(/[A-Za-z0-9._-]{1,60}){0,8}/?|urn:oid:[0-9]+(\.[0-9]+){2,20}"
)
_LONG_NUMBER = re.compile(r"[0-9]{5,}")


def name_system(text: str) -> str:
    """Give a code system by its address, or `other` for what is no address of one."""
    is_plain = _ADDRESS.fullmatch(text) is not None
    return text if is_plain and (text.startswith("urn:oid:") or not _LONG_NUMBER.search(text)) else _OTHER


def count_systems(connection: Backend, staged: str) -> dict[str, Counter[str]]:
    """Count the codings of unknown systems by raw file."""
    found = connection.raw_sql(
        "SELECT source_file, system, count(*) FROM "
        f'(SELECT source_file, unnest(unknown_systems) AS system FROM "{staged}") '
        "GROUP BY ALL ORDER BY count(*) DESC, system"
    ).fetchall()
    counts: dict[str, Counter[str]] = {}
    for source_file, text, number in found:
        of_file = counts.setdefault(source_file, Counter())
        name = name_system(text)
        of_file[name if name in of_file or len(of_file) < _MAX_NAMED else _OTHER] += int(number)
    return counts
