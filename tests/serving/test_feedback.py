"""Feedback: stored in whole lines before it is confirmed, whatever happens to the process."""

import json
import os
import signal
import subprocess
import sys

import pytest
from serving.served import MARK, PATH

from claim_transformers.serving.errors import ServiceError
from claim_transformers.serving.feedback import FeedbackLog

ACCEPTED = {"card": "c1", "outcome": "accepted", "acceptedSuggestions": [{"id": "s1"}],
            "outcomeTimestamp": "2024-06-01T10:00:00Z"}  # fmt: skip
REASON = {"reason": {"code": "patient-refuses", "system": "http://x"}, "userComment": "seen already"}
OVERRIDDEN = {"card": "c2", "outcome": "overridden", "overrideReason": REASON,
              "outcomeTimestamp": "2024-06-01T10:00:00.5+02:00"}  # fmt: skip


def body(*items):
    return json.dumps({"feedback": list(items)}).encode()


def test_feedback_of_several_cards_is_stored_as_it_came(client, tmp_path):
    answer = client.post(f"{PATH}/feedback", content=body(ACCEPTED, OVERRIDDEN))
    assert (answer.status_code, answer.json()) == (200, {"stored": 2})
    log = FeedbackLog(tmp_path / "feedback.jsonl")
    # Some clients write null where there is nothing.
    assert log.append(body(ACCEPTED, {**OVERRIDDEN, "acceptedSuggestions": None}), "claims-risk") == 2
    log.close()
    first, second = map(json.loads, (tmp_path / "feedback.jsonl").read_text().splitlines())
    assert ACCEPTED.items() <= first.items()
    assert first["service"] == "claims-risk"
    assert first["received"]
    assert second["overrideReason"] == REASON
    assert "acceptedSuggestions" not in second
    assert (tmp_path / "feedback.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "item",
    [
        {**ACCEPTED, "acceptedSuggestions": []},
        {**ACCEPTED, "outcome": "ignored"},
        {**ACCEPTED, "outcomeTimestamp": "yesterday"},
        {**ACCEPTED, "outcomeTimestamp": "2024-06-01T10:00:00"},
        {**ACCEPTED, "card": ""},
        {**ACCEPTED, "card": 7},
        {**ACCEPTED, "card": "x" * 300},
        {name: value for name, value in ACCEPTED.items() if name != "card"},
        MARK,
    ],
)
def test_what_is_no_feedback_is_refused_whole(client, tmp_path, item):
    answer = client.post(f"{PATH}/feedback", content=body(ACCEPTED, item))
    assert (answer.status_code, answer.json()["code"]) == (400, "E_FEEDBACK")
    assert MARK not in answer.text
    for other in (b"", b"{}", body()):
        assert client.post(f"{PATH}/feedback", content=other).json()["code"] == "E_FEEDBACK"


def test_half_a_line_of_a_killed_process_is_cut_off_and_whole_ones_stay(tmp_path):
    path = tmp_path / "feedback.jsonl"
    path.write_bytes(b'{"card":"a"}\n' + b'{"card":"' + b"b" * 9000)
    FeedbackLog(path).close()
    assert path.read_bytes() == b'{"card":"a"}\n'


def test_two_processes_write_whole_lines_into_one_file_and_cut_off_what_a_third_left(tmp_path):
    path = tmp_path / "feedback.jsonl"
    first, second = FeedbackLog(path), FeedbackLog(path)
    first.append(body(ACCEPTED), "s")
    with path.open("ab") as killed:
        killed.write(b'{"card":"half')
    second.append(body(OVERRIDDEN), "s")
    first.append(body(ACCEPTED, OVERRIDDEN), "s")
    assert [json.loads(line)["card"] for line in path.read_text().splitlines()] == ["c1", "c2", "c1", "c2"]
    first.close()
    second.close()


def test_a_full_disk_is_told_and_leaves_no_half_line(tmp_path, monkeypatch):
    log = FeedbackLog(tmp_path / "feedback.jsonl")
    log.append(body(ACCEPTED), "s")
    whole, write = (tmp_path / "feedback.jsonl").read_bytes(), os.write
    written = []

    def full(file, lines):
        if written:
            raise OSError(28, "No space left on device")
        written.append(write(file, lines[:10]))
        return written[0]

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ServiceError, match="E_WRITE"):
        log.append(body(OVERRIDDEN), "s")
    monkeypatch.undo()
    assert (tmp_path / "feedback.jsonl").read_bytes() == whole
    log.append(body(OVERRIDDEN), "s")
    assert len((tmp_path / "feedback.jsonl").read_text().splitlines()) == 2


WRITER = """
import json, sys
from claim_transformers.serving.feedback import FeedbackLog
log = FeedbackLog(sys.argv[1])
number = 0
while True:
    item = {"card": str(number), "outcome": "overridden", "outcomeTimestamp": "2024-06-01T10:00:00Z"}
    log.append(json.dumps({"feedback": [item]}).encode(), "s")
    print(number, flush=True)
    number += 1
"""


def test_what_was_confirmed_survives_a_kill(tmp_path):
    path = tmp_path / "feedback.jsonl"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True)
    confirmed = [int(writer.stdout.readline()) for _ in range(20)]
    writer.send_signal(signal.SIGKILL)
    rest, _ = writer.communicate()
    confirmed += [int(line) for line in rest.splitlines()]
    FeedbackLog(path).close()
    stored = [int(json.loads(line)["card"]) for line in path.read_text().splitlines()]
    assert stored[: len(confirmed)] == confirmed == list(range(len(confirmed)))
