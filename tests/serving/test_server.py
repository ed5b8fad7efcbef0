"""The process: it starts from the command line, answers, and ends at SIGTERM with what it took."""

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
import time

import httpx2
import msgspec
import pytest
from serving.served import MARK, PATH, hook, prefetch

RUN = "from claim_transformers.cli import main; main()"


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start(folder, checkpoint, **changes):
    port = free_port()
    config = {"base_url": f"http://127.0.0.1:{port}", "outcome": "Death", "feedback_file": "feedback.jsonl"}
    config |= {"allow_unsigned": True, "port": port, "speak": {"newest_claim_days": 40_000}, **changes}
    (folder / "serve.yaml").write_bytes(msgspec.yaml.encode(config))
    command = [sys.executable, "-W", "ignore", "-c", RUN, "serve", checkpoint, "--config", folder / "serve.yaml"]
    # A pipe that nobody empties would stop the service.
    with (folder / "log").open("w") as log:
        return subprocess.Popen(list(map(str, command)), stderr=log), config["base_url"]


def test_a_checkpoint_that_is_none_or_a_configuration_ends_with_one_line(tmp_path, monkeypatch):
    import typer.testing

    from claim_transformers.cli.serve import app

    (tmp_path / "serve.yaml").write_text("base_url: http://example.org")
    done = typer.testing.CliRunner().invoke(app, [str(tmp_path), "--config", str(tmp_path / "serve.yaml")])
    assert done.exit_code == 1
    assert "serve.yaml" in str(done.exception)
    monkeypatch.setitem(sys.modules, "claim_transformers.serving.server", None)
    done = typer.testing.CliRunner().invoke(app, [str(tmp_path), "--config", str(tmp_path / "serve.yaml")])
    assert "claim-transformers[serve]" in str(done.exception)


@pytest.mark.slow
def test_the_command_serves_and_ends_at_sigterm(tmp_path, checkpoint):
    process, base = start(tmp_path, checkpoint)
    deadline = time.monotonic() + 300
    with httpx2.Client(base_url=base, timeout=60, trust_env=False) as client:
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx2.TransportError):
                if client.get("/readyz").status_code == 200:
                    break
            time.sleep(0.2)
        answer = client.post(PATH, json=hook(prefetch=prefetch()))
        late = http.client.HTTPConnection(base.removeprefix("http://"), timeout=60)
        body = json.dumps(hook(prefetch=prefetch())).encode()
        late.putrequest("POST", PATH)
        late.putheader("Content-Length", str(len(body)))
        late.endheaders(body[:100])
        assert client.get("/cds-services").status_code == 200
        item = {"card": "1", "outcome": "overridden", "outcomeTimestamp": "2024-06-01T10:00:00Z"}
        stored = client.post(f"{PATH}/feedback", json={"feedback": [item]})
    process.send_signal(signal.SIGTERM)
    while "Shutting down" not in (tmp_path / "log").read_text():
        time.sleep(0.02)
    late.send(body[100:])
    assert late.getresponse().status == 200
    process.wait(timeout=60)
    told = (tmp_path / "log").read_text()
    assert (answer.status_code, stored.status_code) == (200, 200), told
    assert answer.json()["cards"][0]["summary"].startswith("Death: ")
    assert process.returncode in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
    assert json.loads((tmp_path / "feedback.jsonl").read_text())["card"] == "1"
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    assert {"ready", "answer"} <= {line.get("event") for line in lines}
    assert MARK not in told


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_loaded_ends_the_process(tmp_path):
    process, _ = start(tmp_path, tmp_path)
    process.wait(timeout=300)
    assert process.returncode == 1
    assert (tmp_path / "log").read_text().splitlines()[-1].startswith("error: ")
