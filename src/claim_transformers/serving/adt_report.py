"""The population at discharge: every stay of an ADT feed with its risk, and one page about all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from claim_transformers.claims.files import publish_folder, to_json, write_file
from claim_transformers.claims.small_cells import Shown, show, show_counts
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.serving.adt_scores import ASSESSED, SILENCES, StayScorer
from claim_transformers.serving.adt_stays import DISCHARGED, AdtFeed, read_adt
from claim_transformers.serving.config import SpeakRules
from claim_transformers.version import __version__

_PAGE, _FACTS = "report.html", "report.json"
_TEMPLATE = Path(__file__).parent / "adt_report.html"
_BANDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
_TAIL = 0.025
_NEGLIGIBLE = 1e-18
_NO_FACILITY = "not named"

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AdtSummary:
    """What a report says, as it may be shown.

    Args:
        counts (`Mapping[str, int | str]`): Messages, visits and stays, 1 to 10 and what gives them away hidden.
        expected (`float`, *optional*): Readmissions that the risks add up to, none where it may not be shown.

    Examples:
        >>> print(AdtSummary({"discharged": 120, "assessed": 90}, 9.6))
        120 stays that ended, 90 assessed; 9.6 readmissions expected
    """

    counts: Mapping[str, Shown]
    expected: float | None

    def __str__(self) -> str:
        stays, assessed = (show(self.counts[name]) for name in (DISCHARGED, ASSESSED))
        expected = "hidden" if self.expected is None else f"{self.expected:.1f}"
        return f"{stays} stays that ended, {assessed} assessed; {expected} readmissions expected"


def report_adt(
    feed: str | Path,
    claims: str | Path,
    checkpoint: str | Path,
    out: str | Path,
    *,
    id_type: str | None = None,
    rules: SpeakRules | None = None,
    overwrite: bool = False,
    raw_counts: bool = False,
) -> AdtSummary:
    """Score every stay of an ADT feed at its discharge, and report risks, facilities and who could not be assessed.

    The stay comes from the messages, the history from claims that were known at the discharge, as for cards.

    Args:
        feed (`str` or `Path`): A file of HL7 v2 messages, or a folder of such files.
        claims (`str` or `Path`): Folder that `ingest` wrote.
        checkpoint (`str` or `Path`): Name or folder of a fine-tuned classifier of one outcome.
        out (`str` or `Path`): Folder to make: `stays.parquet` (highest risks first, for those who may see patients),
            `quarantine.parquet` (places of messages that could not be used), `report.html` and `report.json`.
        id_type (`str`, *optional*): Type (PID-3.5) of the identifier that the claims have; the first one if not given.
        rules (`SpeakRules`, *optional*): When the model may speak.
        overwrite (`bool`, *optional*, defaults to `False`): Whether a report at `out` may be replaced.
        raw_counts (`bool`, *optional*, defaults to `False`): Whether the page shows counts of 1 to 10.

    Raises:
        OSError: If there is no checkpoint under that name.
        ValueError: If it has not one outcome.
        ClaimDataError: `E_NO_FILE` or `E_LAYOUT` if the feed is none, `E_EXISTS` if `out` is there, and what a folder
            of claims is refused for.

    Source:
        Lahlou et al. (2021), section 5.1.

    Examples:
        >>> report_adt("feed.hl7", "claims", "/nowhere", "out")
        Traceback (most recent call last):
        OSError: ...
    """
    scorer = StayScorer(checkpoint, rules or SpeakRules())
    found = read_adt(feed, id_type=id_type)
    ended = pc.equal(found.stays["state"], DISCHARGED)
    stays = scorer.score(found.stays.filter(ended), claims)
    content = _content(found, stays, raw=raw_counts)
    trust = {"has_intervals": scorer.has_intervals, "is_calibrated": scorer.scorer.calibration is not None}
    page = _render({**content, **trust, "checkpoint": scorer.scorer.checkpoint})
    with publish_folder(out, check=_check if overwrite else None) as folder:
        pq.write_table(stays, folder / "stays.parquet", compression="zstd")
        pq.write_table(found.quarantine, folder / "quarantine.parquet", compression="zstd")
        write_file(folder / _PAGE, page)
        facts = {"checkpoint": scorer.scorer.checkpoint, "version": __version__, **content}
        write_file(folder / _FACTS, to_json(facts))
    return AdtSummary({**content["messages"], **content["counts"]}, content["expected"])


def readmission_interval(risks: npt.ArrayLike) -> tuple[int, int]:
    """Find the central 95 % interval of a number of readmissions that have these risks, each on its own.

    Args:
        risks (array of shape `(N,)`): Probabilities.

    Returns:
        `tuple[int, int]`: Lowest and highest number. It holds chance alone: not that the risks may be wrong.

    Raises:
        ValueError: If a probability is out of range.

    Source:
        The Poisson binomial distribution, exact, by convolution.

    Examples:
        >>> readmission_interval([0.5] * 100), readmission_interval([])
        ((40, 60), (0, 0))
    """
    values = np.asarray(risks, np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("expected probabilities from 0 to 1, found others")
    parts = [(0, np.array([1.0 - risk, risk])) for risk in values] or [(0, np.array([1.0]))]
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        parts = [_joined(*pair) for pair in pairs] + parts[len(parts) - len(parts) % 2 :]
    first, shares = parts[0]
    cumulated = np.cumsum(shares)
    low, high = np.searchsorted(cumulated, [_TAIL, 1 - _TAIL])
    return first + int(low), first + int(min(high, len(shares) - 1))


def _joined(one: tuple[int, _Floats], other: tuple[int, _Floats]) -> tuple[int, _Floats]:
    """The distribution of a sum, without what is too rare to matter, so that it stays narrow."""
    shares = np.convolve(one[1], other[1])
    kept = np.flatnonzero(shares > _NEGLIGIBLE)
    return one[0] + other[0] + int(kept[0]), shares[kept[0] : kept[-1] + 1]


def _content(found: AdtFeed, stays: pa.Table, *, raw: bool) -> dict[str, Any]:
    """All that the page says, counts as they may be shown."""
    states = _counts(found.stays["state"])
    assessments = _counts(stays["assessment"])
    assessed = stays.filter(pc.equal(stays["assessment"], ASSESSED))
    risks = assessed["risk"].to_numpy()
    bands = np.searchsorted(_BANDS, risks, side="right")
    facilities = pc.dictionary_encode(pc.fill_null(assessed["facility"], _NO_FACILITY)).combine_chunks()
    names, owner = facilities.dictionary.to_pylist(), facilities.indices.to_numpy(zero_copy_only=False)
    of_facility = np.bincount(owner, minlength=len(names))
    groups = {("facility", number): int(count) for number, count in enumerate(of_facility)}
    groups |= {("band", number): int((bands == number).sum()) for number in range(len(_BANDS) + 1)}
    counts: dict[Any, int] = {"stays": found.stays.num_rows, DISCHARGED: 0, ASSESSED: 0, **states, **assessments}
    sums: list[tuple[Any, Sequence[Any]]] = [
        ("stays", list(dict.fromkeys([*states, DISCHARGED]))),
        (DISCHARGED, list(dict.fromkeys([*assessments, ASSESSED]))),
        *((ASSESSED, [key for key in groups if key[0] == kind]) for kind in ("facility", "band")),
    ]
    shown = show_counts({**counts, **groups}, [one for one in sums if one[1]], raw=raw)
    places = sorted(range(len(names)), key=lambda number: -of_facility[number])
    return {
        "counts": {name: cell for name, cell in shown.items() if isinstance(name, str)},
        "messages": show_counts(found.messages, [("read", [one for one in found.messages if one != "read"])], raw=raw),
        "expected": _group(shown[ASSESSED], risks)["expected"],
        "facilities": [
            {"name": names[number], **_group(shown["facility", number], risks[owner == number])} for number in places
        ],
        "bands": [
            {"name": _band_name(number), **_group(shown["band", number], risks[bands == number])}
            for number in reversed(range(len(_BANDS) + 1))
        ],
    }


def _group(count: Shown, risks: _Floats) -> dict[str, Any]:
    """Readmissions expected of a group; none where its size may not be shown, which they would tell."""
    if isinstance(count, str):
        return {"stays": count, "expected": None, "low": None, "high": None}
    low, high = readmission_interval(risks)
    return {"stays": count, "expected": float(risks.sum()), "low": low, "high": high}


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    return {row["values"]: row["counts"] for row in pc.value_counts(column).to_pylist()}


def _band_name(number: int) -> str:
    edges = (0.0, *_BANDS, 1.0)
    return f"{edges[number]:.0%} to {edges[number + 1]:.0%}"


def _render(content: Mapping[str, Any]) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    page: str = template.render(show=show, silences=SILENCES, version=__version__, **content)
    return page


def _check(out: Path) -> None:
    """Refuse to replace what is no report."""
    if out.exists() and not (out / _FACTS).is_file():
        raise ClaimDataError("E_EXISTS", f"expected a report to replace at {out}, found something else")
