"""How much of the codes of ingested claims a checkpoint knows, by code system."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from claim_transformers.claims.small_cells import HIDDEN, Shown, show, show_counts
from claim_transformers.claims.store import open_folder
from claim_transformers.codes.systems import SYSTEMS
from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer
from claim_transformers.models.claim.vocabulary_claim import LEVELS

_LEVELS = ("known", "parent", "category", "wider", "unknown")
_LEVEL_OF = dict(zip(LEVELS, (*_LEVELS, "unknown"), strict=True))
_ALL = "all"


@dataclass(frozen=True)
class CheckpointCoverage:
    """How the codes of claims become tokens of a checkpoint.

    Args:
        occurrences (`Mapping[str, Mapping[str, int]]`):
            Code system, `all` last, to level to the number of codes on visits. Levels: `known` as they are, by
            `parent` (a shorter code), by `category`, by what is `wider` than that, and `unknown`.
        codes (`Mapping[str, Mapping[str, int]]`): The same of distinct codes.

    Examples:
        >>> levels = {"known": 11, "parent": 11, "category": 22, "wider": 0, "unknown": 0}
        >>> CheckpointCoverage({"all": levels}, {"all": levels}).to_dict()["systems"][0]["shares"]["category"]
        0.5
    """

    occurrences: Mapping[str, Mapping[str, int]]
    codes: Mapping[str, Mapping[str, int]]

    def to_dict(self, *, raw: bool = False) -> dict[str, Any]:
        """Return the counts and shares in a form for JSON.

        Args:
            raw (`bool`, *optional*, defaults to `False`): Show counts of 1 to 10 too, and what gives them away.

        Returns:
            `dict[str, Any]`: `systems`, a list with `system`, `num_occurrences`, `num_codes`, and by level
            `occurrences`, `codes` and `shares` (of occurrences, 0 to 1). What may not be shown is a mark.
        """
        shown, rows = self._shown(raw), []
        for system, codes in self.codes.items():
            total, occurrences = shown[system, _ALL], {level: shown[system, level] for level in _LEVELS}
            row = {"system": system, "num_occurrences": total, "num_codes": sum(codes.values())}
            shares = {level: _share(occurrences, level, total) for level in _LEVELS}
            rows.append({**row, "occurrences": occurrences, "codes": dict(codes), "shares": shares})
        return {"systems": rows}

    def to_table(self, *, raw: bool = False) -> str:
        """Return the shares as text for a terminal, one line per system under a header.

        Args:
            raw (`bool`, *optional*, defaults to `False`): Show counts of 1 to 10 too, and what gives them away.

        Examples:
            >>> levels = {"known": 11, "parent": 11, "category": 22, "wider": 0, "unknown": 0}
            >>> print(CheckpointCoverage({"all": levels}, {"all": levels}).to_table())
            system    occurrences    codes     known    parent  category     wider   unknown
            all                44       44   25.00 %   25.00 %   50.00 %    0.00 %    0.00 %
        """
        lines = [f"{'system':<9}{'occurrences':>12}{'codes':>9}" + "".join(f"{level:>10}" for level in _LEVELS)]
        for row in self.to_dict(raw=raw)["systems"]:
            found = [share if isinstance(share, str) else f"{100 * share:.2f} %" for share in row["shares"].values()]
            shares = "".join(f"{share:>10}" for share in found)
            lines.append(f"{row['system']:<9}{show(row['num_occurrences']):>12}{row['num_codes']:>9,}{shares}")
        return "\n".join(lines)

    def _shown(self, raw: bool) -> dict[tuple[str, str], Shown]:
        """What may be shown of the occurrences of each system and level, and of their sums, `all`."""
        cells = (_ALL, *_LEVELS)
        counts = {
            (system, level): sum(found.values()) if level == _ALL else found[level]
            for system, found in reversed(list(self.occurrences.items()))
            for level in cells
        }
        parts = [system for system in self.occurrences if system != _ALL]
        sums = [((system, _ALL), [(system, level) for level in _LEVELS]) for system in self.occurrences]
        sums += [((_ALL, level), [(system, level) for system in parts]) for level in cells if parts]
        return show_counts(counts, sums, raw=raw)


def _share(found: Mapping[str, Shown], level: str, whole: Shown) -> Shown | float:
    """A part of a whole, or the mark of what may not be shown."""
    part = found[level]
    # What is none or all follows from the zeros, which may be shown.
    if not part or not any(found[other] for other in found.keys() - {level}):
        return float(bool(part))
    if isinstance(part, str):
        return part
    return HIDDEN if isinstance(whole, str) else part / whole


def coverage(checkpoint: ClaimTokenizer | str | Path, claims: str | Path) -> CheckpointCoverage:
    """Count how the codes of ingested claims become tokens of a checkpoint.

    All visits of all patients count, in view of the tokenizer or not, and each code of a visit once. Where the
    tokenizer has a form that rolls a code up, what stands for it is its category.

    Args:
        checkpoint ([`ClaimTokenizer`], `str` or `Path`): Tokenizer, or the name or folder of a checkpoint.
        claims (`str` or `Path`): Ingested folder.

    Returns:
        [`CheckpointCoverage`]: Counts of codes, none of patients.

    Raises:
        ClaimDataError: If the folder is not ingested, or holds no code (`E_NO_PATIENTS`).

    Examples:
        >>> coverage("claim-pt-base", "/nowhere")
        Traceback (most recent call last):
        claim_transformers.codes.errors.ClaimDataError: ...
    """
    counts = _count_codes(claims)
    tokenizer = checkpoint if isinstance(checkpoint, ClaimTokenizer) else ClaimTokenizer.from_pretrained(checkpoint)
    level_of = level_finder(tokenizer)
    systems = {code.partition("/")[0] for code in counts}
    order = [*(name for name in SYSTEMS if name in systems), *sorted(systems - set(SYSTEMS)), _ALL]
    occurrences: dict[str, Counter[str]] = {name: Counter(dict.fromkeys(_LEVELS, 0)) for name in order}
    codes: dict[str, Counter[str]] = {name: Counter(dict.fromkeys(_LEVELS, 0)) for name in order}
    for code, count in counts.items():
        if (level := level_of(code)) is not None:
            for system in (code.partition("/")[0], _ALL):
                occurrences[system][level] += count
                codes[system][level] += 1
    kept = [name for name in order if sum(codes[name].values())]
    return CheckpointCoverage({name: occurrences[name] for name in kept}, {name: codes[name] for name in kept})


def level_finder(tokenizer: ClaimTokenizer) -> Callable[[str], str | None]:
    """How a code is found, `unknown` where it is not; `None` where the form leaves it out."""

    def level_of(code: str) -> str | None:
        written = code if tokenizer.form is None else tokenizer.form.group(code)
        if written is None:
            return None
        level = _LEVEL_OF[tokenizer.vocabulary.resolve(written)[1]]
        return "category" if level == "known" and written != code else level

    return level_of


def _count_codes(claims: str | Path) -> Counter[str]:
    """How often each code stands on a visit."""
    counts: Counter[str] = Counter()
    for batch in _batches(claims):
        codes = pc.list_flatten(batch.column("codes"), recursive=True)
        counts.update({row["values"]: row["counts"] for row in pc.value_counts(codes.drop_null()).to_pylist()})
    return counts


def _batches(claims: str | Path) -> Iterator[Any]:
    for path in open_folder(claims).table_files("patients"):
        yield from pq.ParquetFile(path).iter_batches(columns=["codes"])
