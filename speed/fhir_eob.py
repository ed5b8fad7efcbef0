"""ExplanationOfBenefit per second and core: read alone, ingested whole, and a bundle of one request in memory.

    OMP_NUM_THREADS=1 python -m speed.fhir_eob --claims 20000

The claims are made up, of about 27 kB each, as CMS sends them: most of it is what nobody reads. `json.loads` of the
same lines stands beside, which is what any reader in Python does first. Processor time is counted: on a machine that
others use too it is the steadier figure.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from claim_transformers import ingest, read_eob_bundle
from claim_transformers.claims.engine import connect
from claim_transformers.sources.formats.fhir_eob.source import read_fhir_eob
from speed.history import remember

_CODES = "https://bluebutton.cms.gov/fhir/CodeSystem/"
_CARIN = "http://hl7.org/fhir/us/carin-bb/CodeSystem/"
_ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
_BUNDLE = 40


def _coded(system: str, code: str, display: str = "") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def make_claim(number: int, facts: int = 30) -> dict[str, Any]:
    """A carrier or outpatient claim of CMS v3 with four lines, and so many facts that nobody reads."""
    kind = ("CARRIER", "OUTPATIENT")[number % 2]
    amounts = (
        "BENE_PMT",
        "CVRD_PD",
        "PRVDR_PMT",
        "ALOWD_CHRG",
        "SBMT_CHRG",
        "NCVRD_CHRG",
        "MDCR_DDCTBL",
        "BLOOD_DDCTBL",
    )
    adjudication = [
        {
            "category": _coded(f"{_CODES}Adjudication", f"CLM_LINE_{name}_AMT", f"Line {name} amount, as adjudicated"),
            "amount": {"value": number % 900 + 0.25, "currency": "USD"},
        }
        for name in amounts
    ]
    line = {
        "revenue": _coded(f"{_CODES}CLM-REV-CNTR-CD", "0636", "Drugs requiring detailed coding"),
        "servicedDate": "2024-03-03",
        "quantity": {"value": 1.0},
        "adjudication": adjudication,
    }
    info = [
        {
            "sequence": place,
            "category": _coded(
                f"{_CODES}Supporting-Information", f"CLM_FACT_{place}", "A fact that nobody reads " * 4
            ),
            "code": _coded(f"{_CODES}CLM-FACT-{place}-CD", "1", "What the code of the fact means, in many words " * 3),
        }
        for place in range(facts)
    ]
    return {
        "resourceType": "ExplanationOfBenefit",
        "meta": {"tag": [{"system": f"{_CODES}Final-Action", "code": "FinalAction"}]},
        "identifier": [{"type": _coded(f"{_CARIN}C4BBIdentifierType", "uc"), "value": f"C{number}"}],
        "status": "active",
        "type": _coded(f"{_CODES}EOB-TYPE", kind),
        "patient": {"reference": f"Patient/P{number // _BUNDLE}"},
        "billablePeriod": {"start": "2024-03-03", "end": "2024-03-04"},
        "created": "2024-03-20",
        "supportingInfo": info,
        "diagnosis": [
            {"sequence": place, "diagnosisCodeableConcept": _coded(_ICD10, f"E11.{place}", "Type 2 diabetes " * 3)}
            for place in range(1, 9)
        ],
        "item": [
            {**line, "sequence": place, "productOrService": _coded("http://www.ama-assn.org/go/cpt", f"9921{place}")}
            for place in range(1, 5)
        ],
    }


def processor_time(step: Callable[[], object]) -> float:
    before = time.process_time()
    step()
    return time.process_time() - before


def _parse(path: Path) -> None:
    with path.open("rb") as file:
        for line in file:
            json.loads(line)


def measure(folder: Path, claims: int) -> list[str]:
    """Lines that say how many claims a second each way reads."""
    path = folder / "raw" / "ExplanationOfBenefit.ndjson"
    path.parent.mkdir()
    with path.open("w", encoding="utf-8") as file:
        for number in range(claims):
            file.write(json.dumps(make_claim(number)) + "\n")
    (folder / "scratch").mkdir()
    connection = connect(threads=1)
    steps: dict[str, Callable[[], object]] = {
        "json.loads alone": lambda: _parse(path),
        "read to rows": lambda: read_fhir_eob(path, connection, scratch=folder / "scratch"),
        "ingested whole": lambda: ingest("fhir-eob", path, folder / "out", threads=1, progress=False),
    }
    spent: dict[str, float] = {}
    said = [f"{claims:,} claims of {path.stat().st_size / claims / 1000:.1f} kB"]
    for name, step in steps.items():
        seconds = spent[name] = processor_time(step)
        said.append(f"{name:20s} {seconds:7.2f} s  {claims / seconds:>8,.0f} claims a second and core")
    parsed = spent.pop("json.loads alone")
    remember(
        "fhir_eob", {f"CPU time of {name} : json.loads alone": of_step / parsed for name, of_step in spent.items()}
    )
    entries = [{"resource": make_claim(number)} for number in range(_BUNDLE)]
    text = json.dumps({"resourceType": "Bundle", "type": "searchset", "entry": entries}).encode()
    read_eob_bundle(text)
    times = sorted(processor_time(lambda: read_eob_bundle(text)) for _ in range(20))
    said.append(
        f"a bundle of {_BUNDLE} ({len(text) / 1e6:.1f} MB) in memory: {1000 * times[len(times) // 2]:.0f} ms (median)"
    )
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--claims", type=int, default=20_000, help="claims of the bulk file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        print("\n".join(measure(Path(name), arguments.claims)))


if __name__ == "__main__":
    main()
