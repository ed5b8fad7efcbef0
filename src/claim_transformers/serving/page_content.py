"""What the page shows of an assessment: numbers as texts, and places in its drawings."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from claim_transformers.analysis.rivals.charlson import CHARLSON_WEIGHTS, charlson_scores, comorbidities_of
from claim_transformers.analysis.views.attention_view import SEX_TITLES
from claim_transformers.analysis.views.code_names import code_name, system_title
from claim_transformers.claims.ages import whole_years
from claim_transformers.serving.assessment import Assessment
from claim_transformers.serving.cards import cover_sentences, days, how_sure, percent, span
from claim_transformers.serving.interventions import Intervention, choose_interventions
from claim_transformers.serving.reasons import VISIT_KINDS, Reason

if TYPE_CHECKING:
    from claim_transformers.analysis.explanation.explanation import Explanation

_EPOCH = dt.date(1970, 1, 1)
_MOST_GROUPS, _MOST_INTERVENTIONS, _MOST_VISITS, _MOST_NAMES = 8, 5, 60, 3
_DIAGNOSES = ("ICD10CM/", "ICD9CM/")
# ICD-10-CM, chapter 21: persons with potential health hazards related to socioeconomic and psychosocial circumstances.
_SOCIAL = tuple(f"ICD10CM/Z{number}" for number in range(55, 66))
# CMS, original reason for entitlement, and dual status: 01 to 06 and 08 are of people with Medicaid beside Medicare.
_ENTITLEMENTS = {"0": "age", "1": "disability", "2": "kidney failure", "3": "disability and kidney failure"}
_WITH_MEDICAID = ("01", "02", "03", "04", "05", "06", "08")
_STEPS_DAYS = (30, 90, 180, 365, 730, 1825)
_MOST_STEPS, _LEAST_SPAN = 6, 30
_WIDTH, _LEFT, _RIGHT, _LANE = 760, 140, 24, 30


def page_content(
    assessment: Assessment,
    explanation: "Explanation | None",
    groups: Sequence[Reason],
    table: tuple[Intervention, ...],
    person: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """All that the template is given; where the model must not speak, that and nothing else."""
    content: dict[str, Any] = {"outcome": assessment.outcome, "person": None if person is None else _banner(person)}
    if assessment.risk is None or explanation is None:
        silence = assessment.cannot_speak
        return content | {"kind": "silence", "message": "" if silence is None else silence.sentence}
    (record,) = assessment.record.to_pylist()
    day = (assessment.index_date - _EPOCH).days
    shown = tuple(groups[:_MOST_GROUPS])
    return content | {
        "kind": "risk",
        "date": _date(assessment.index_date),
        "patient": _patient(record, day),
        "risk": percent(assessment.risk),
        "scale": _scale(assessment),
        "how_sure": how_sure(assessment),
        "contributions": _contributions(explanation, shown, groups[_MOST_GROUPS:]),
        "comorbidities": _comorbidities(record, day),
        "time_line": _time_line(record, day),
        "visits": _visits(record, day),
        "num_visits": len(record["visit_day"]),
        "social": _social(record, day),
        "interventions": [one.action for one in choose_interventions(table, shown, _MOST_INTERVENTIONS)],
        "cover": cover_sentences(assessment),
        "left_out": sorted(assessment.left_out.items()),
        "unknown_codes": percent(assessment.unknown_code_share or 0.0),
        "checkpoint": assessment.checkpoint[:12],
    }


def _banner(person: Mapping[str, Any]) -> str:
    """Name and day of birth, where the record shows no banner of its own."""
    names = person.get("name")
    name = names[0] if isinstance(names, list) and names and isinstance(names[0], Mapping) else {}
    given = name.get("given")
    parts = [*(given if isinstance(given, list) else []), name.get("family")]
    text = name.get("text") or " ".join(part for part in parts if isinstance(part, str))
    return ", ".join(
        filter(None, [str(text or "name unknown"), f"born {person.get('birthDate') or 'on an unknown day'}"])
    )


def _patient(record: Mapping[str, Any], day: int) -> str:
    sex = SEX_TITLES.get(record.get("sex") or "U", "sex unknown")
    birth = record.get("birth_day")
    return f"{sex}, age unknown" if birth is None else f"{sex}, {int(whole_years(birth, day))} years"


# ---- Risk and contributions ----


def _scale(assessment: Assessment) -> dict[str, Any]:
    """Places on a scale from 0 to 100, and the interval in words."""
    interval = assessment.interval
    return {
        "text": None if interval is None else f"95 % interval {span(interval.low, interval.high)}",
        "risk": round(100 * (assessment.risk or 0.0), 1),
        "low": None if interval is None else round(100 * interval.low, 1),
        "width": None if interval is None else round(max(100 * (interval.high - interval.low), 0.5), 1),
    }


def _contributions(explanation: "Explanation", shown: Sequence[Reason], others: Sequence[Reason]) -> dict[str, Any]:
    """Groups as rows that add up, from the base to the prediction."""
    rows = [(one.name, one.points, _when(one)) for one in shown]
    if others:
        rows.append((f"{len(others)} other groups", sum(one.points for one in others), ""))
    # Of the numbers as they are shown, so that those add up.
    shown_points = sum(round(points, 1) for points in (explanation.base, *(points for _, points, _ in rows)))
    rows.append(
        ("Time, unknown codes and rounding", round(round(explanation.prediction, 1) - shown_points, 1) + 0.0, "")
    )
    total = sum(abs(points) for _, points, _ in rows) or 1.0
    largest = max(abs(points) for _, points, _ in rows) or 1.0
    return {
        "base": f"{explanation.base:.1f}",
        "prediction": f"{explanation.prediction:.1f}",
        "rows": [
            {
                "name": name,
                "when": when,
                "points": f"{points:+.1f}".replace("-", "\N{MINUS SIGN}"),
                "raises": points > 0,
                "share": f"about {percent(abs(points) / total)}".replace("about below", "below"),
                "x": round(50 + min(0.0, 50 * points / largest), 1),
                "width": round(50 * abs(points) / largest, 1),
            }
            for name, points, when in rows
        ],
    }


def _when(reason: Reason) -> str:
    if not reason.num_visits or reason.days_before is None:
        return "of the patient"
    visits = "1 visit," if reason.num_visits == 1 else f"{reason.num_visits} visits, the last"
    return f"{visits} {days(reason.days_before)} before"


# ---- History ----


def _comorbidities(record: Mapping[str, Any], day: int) -> dict[str, Any]:
    """Charlson's conditions in the codes of all visits in view."""
    pairs = [(code, visit) for visit, codes in enumerate(record["codes"]) for code in codes]
    flags = comorbidities_of(pa.array([code for code, _ in pairs], pa.string()))
    rows = []
    for column, (name, weight) in enumerate(CHARLSON_WEIGHTS.items()):
        visits = {visit for (_, visit), found in zip(pairs, flags[:, column], strict=True) if found}
        if visits:
            last = max(record["visit_day"][visit] for visit in visits)
            rows.append({"name": name, "weight": weight, "visits": len(visits), "last": _before(last, day)})
    return {"rows": rows, "score": int(charlson_scores(np.array([flags.any(axis=0)]))[0])}


def _time_line(record: Mapping[str, Any], day: int) -> dict[str, Any]:
    """Lanes of visits by type; visits that would lie on each other are drawn once, which bounds the drawing."""
    starts, ends, kinds = record["visit_day"], record["visit_end_day"], record["visit_type"]
    counts = Counter(kinds)
    lanes = {kind: row for row, kind in enumerate(sorted(counts, key=lambda kind: (-counts[kind], kind)))}
    num_days: int = max(day - min(starts), _LEAST_SPAN)
    reach = _WIDTH - _LEFT - _RIGHT

    def place(when: int) -> int:
        return _LEFT + round(reach * (when - (day - num_days)) / num_days)

    marks = {
        (lanes[kind], place(start), max(place(start if end is None else min(end, day)) - place(start), 0))
        for start, end, kind in zip(starts, ends, kinds, strict=True)
    }
    step = next((step for step in _STEPS_DAYS if num_days / step <= _MOST_STEPS), _STEPS_DAYS[-1])
    ticks = [{"x": place(day - before), "label": str(before)} for before in range(0, num_days + 1, step)]
    height = _LANE * len(lanes)
    return {
        "width": _WIDTH,
        "height": height + 40,
        "foot": height + 6,
        "left": _LEFT,
        "lanes": [
            {"y": _LANE * row + _LANE // 2 + 4, "name": VISIT_KINDS.get(kind, kind), "count": counts[kind]}
            for kind, row in lanes.items()
        ],
        "marks": [
            {"x": x - 4, "y": _LANE * row + _LANE // 2 - 1, "width": width + 8} for row, x, width in sorted(marks)
        ],
        "ticks": ticks,
    }


def _visits(record: Mapping[str, Any], day: int) -> list[dict[str, str]]:
    """The latest visits, the last first."""
    names = ("visit_day", "visit_type", "codes")
    rows = list(zip(*(record[name] for name in names), strict=True))[-_MOST_VISITS:]
    return [
        {
            "date": _date(_EPOCH + dt.timedelta(days=start)),
            "before": _before(start, day),
            "kind": VISIT_KINDS.get(kind, kind),
            "codes": _code_texts(codes),
        }
        for start, kind, codes in reversed(rows)
    ]


def _code_texts(codes: Sequence[str]) -> str:
    """Diagnoses first, and how many codes stand beside those that are named."""
    ordered = sorted(dict.fromkeys(codes), key=lambda code: not code.startswith(_DIAGNOSES))
    more = len(ordered) - _MOST_NAMES
    texts = [_code_text(code) for code in ordered[:_MOST_NAMES]]
    return "; ".join([*texts, *([f"{more} more"] if more > 0 else [])]) or "no codes"


def _code_text(code: str) -> str:
    return code_name(code) or f"{system_title(code)} {code.partition('/')[2]}"


def _social(record: Mapping[str, Any], day: int) -> list[str]:
    """What codes and enrolment say about the circumstances of the patient."""
    last: dict[str, int] = {}
    for start, codes in zip(record["visit_day"], record["codes"], strict=True):
        last |= {code: start for code in codes if code.startswith(_SOCIAL)}
    texts = [f"{_code_text(code)} ({_before(start, day)})" for code, start in last.items()]
    for token in record.get("patient_codes") or []:
        system, _, bare = token.partition("/")
        match system:
            case "DUAL" if bare in _WITH_MEDICAID:
                texts.append("Medicaid beside Medicare")
            case "ENTITLEMENT" if bare in _ENTITLEMENTS:
                texts.append(f"entitled to Medicare first by {_ENTITLEMENTS[bare]}")
    return texts


def _before(when: int, day: int) -> str:
    return f"{days(day - when)} before"


def _date(date: dt.date) -> str:
    return f"{date.day} {date:%B %Y}"
