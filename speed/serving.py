"""A card for 40 claims in the request, on the loopback: how long one client waits, and each of four at once.

    python -m speed.serving --requests 100

The service is the command `serve` in a process of its own, with a checkpoint of width 128 and claims of 1.4 MB as CMS
sends them. Beside the waits stands the processor time of a request, which a busy machine moves less. The exit code is
1 when a gate is missed.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import numpy as np

from claim_transformers import ClaimConfig, ClaimForSequenceClassification, ClaimTokenizer
from speed.fhir_eob import make_claim

_CLAIMS, _FACTS = 40, 47  # 1.4 MB
# Milliseconds at the 99th percentile by the number of clients, on two cores with nobody else.
_GATES = {1: 250.0, 4: 500.0}
_SERVE = "from claim_transformers.cli import main; main()"
_PATH = "/cds-services/claims-risk"


def save_checkpoint(folder: Path) -> None:
    """A classifier that knows the codes of the claims among thousands."""
    names = ["SEX/F", "SEX/M", "TYPE/OP", "TYPE/CAR", *(f"AGE/{age}" for age in range(91)), "REV/0636"]
    names += [f"ICD10CM/E11{digit}" for digit in range(10)] + [f"HCPCS/{code}" for code in range(99000, 99999)]
    tokenizer = ClaimTokenizer({name: number for number, name in enumerate(names, 3)}, time_tokens="none")
    config = ClaimConfig(  # type: ignore[call-arg]  # num_labels is of PreTrainedConfig
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=512,
        visit_pooling="sum",
        num_labels=2,
    )
    ClaimForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_request() -> bytes:
    """A request with all that it needs."""
    entries = [{"resource": make_claim(number, _FACTS)} for number in range(_CLAIMS)]
    patient = {"resourceType": "Patient", "id": "P0", "gender": "female", "birthDate": "1950-01-01"}
    coverage = {"resourceType": "Coverage", "beneficiary": {"reference": "Patient/P0"}, "status": "active"}
    prefetch: dict[str, Any] = {"patient": patient, "coverage": coverage | {"period": {"start": "2020-01-01"}}}
    prefetch["claims"] = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
    context = {"userId": "Practitioner/1", "patientId": "P0"}
    return msgspec.json.encode({"hook": "patient-view", "hookInstance": "1", "context": context, "prefetch": prefetch})


def wait_for(base: str) -> None:
    """Wait until the checkpoint is loaded."""
    for _ in range(600):
        try:
            if httpx2.get(f"{base}/readyz", trust_env=False).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.5)
    raise RuntimeError("expected a service that is ready, found none after five minutes")


def waits(base: str, body: bytes, clients: int, requests: int) -> np.ndarray:
    """Milliseconds of each request of some clients that ask one after the other."""

    def ask(_: int) -> list[float]:
        found = []
        with httpx2.Client(base_url=base, timeout=60, trust_env=False) as client:
            for _ in range(requests // clients):
                begin = time.perf_counter()
                answer = client.post(_PATH, content=body)
                found.append(1000 * (time.perf_counter() - begin))
                if answer.status_code != 200 or "no estimate" in answer.text:
                    raise RuntimeError(f"expected a card with a risk, found status {answer.status_code}")
        return found

    with ThreadPoolExecutor(clients) as people:
        return np.concatenate(list(people.map(ask, range(clients))))


def processor_seconds(process: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(folder: Path, requests: int) -> bool:
    """Serve, ask, and say whether the gates hold."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    config = {"base_url": base, "port": port, "outcome": "Readmission", "feedback_file": "feedback.jsonl"}
    config |= {"allow_unsigned": True, "speak": {"newest_claim_days": 40_000, "unknown_code_share": 1.0}}
    (folder / "serve.yaml").write_bytes(msgspec.yaml.encode(config))
    save_checkpoint(folder / "checkpoint")
    body = make_request()
    command = [sys.executable, "-c", _SERVE, "serve", str(folder / "checkpoint"), "--config", f"{folder}/serve.yaml"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(base)
            waits(base, body, 1, 5)
            holds = True
            for clients, gate in _GATES.items():
                before = processor_seconds(process.pid)
                found = waits(base, body, clients, requests)
                cost = 1000 * (processor_seconds(process.pid) - before) / len(found)
                middle, high = np.percentile(found, (50, 99))
                print(
                    f"  {clients} clients, {len(body) / 1e6:.1f} MB: p50 {middle:.0f} ms, p99 {high:.0f} ms (gate "
                    f"{gate:.0f}), {cost:.0f} ms of the processor a request"
                )
                holds = holds and bool(high <= gate)
        finally:
            process.terminate()
    return holds


def main() -> int:
    """Run the measurement and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100, help="requests for each number of clients")
    with tempfile.TemporaryDirectory() as folder:
        holds = measure(Path(folder), parser.parse_args().requests)
    print("the gates hold" if holds else "a gate is missed")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
