"""Bounded work: beyond its capacity the service says so, and finishes what it took."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from types import SimpleNamespace

from serving.served import PATH, TODAY, config_of, hook, serving

from claim_transformers.serving import Assessment, Silence
from claim_transformers.serving.config import Limits
from claim_transformers.serving.limits import Gate


class Blocked:
    """An assessor that waits until it is let go."""

    checkpoint = "none"

    def __init__(self):
        self.go, self.done = threading.Event(), 0

    def warm_up(self):
        pass

    def assess(self, *_, **__):
        assert self.go.wait(60)
        self.done += 1
        return Assessment("Death", TODAY, cannot_speak=Silence("S_NO_CLAIMS", "None."))


def test_four_times_the_capacity_is_told_to_come_again_and_what_was_taken_is_answered(tmp_path):
    assessor, limits = Blocked(), Limits(concurrency=1, waiting=1)
    with serving(config_of(tmp_path, limits=limits), assessor) as client, ThreadPoolExecutor(8) as people:
        asked = [people.submit(client.post, PATH, json=hook()) for _ in range(8)]
        try:
            # One works and one waits until it is let go; whoever is answered before was told so.
            answered = as_completed(asked, timeout=60)
            others = [next(answered).result() for _ in range(6)]
            health = client.get("/healthz"), client.get("/readyz")
            feedback = client.post(f"{PATH}/feedback", content=b"")
        finally:
            assessor.go.set()
        taken = [future.result().status_code for future in answered]
    assert [(answer.status_code, answer.json()["code"]) for answer in others] == [(503, "E_BUSY")] * 6
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in others)
    assert [answer.status_code for answer in (*health, feedback)] == [200, 200, 400]
    assert taken == [200, 200]
    assert assessor.done == 2


def test_a_gate_that_closes_waits_for_what_it_took():
    go, done = threading.Event(), []

    async def work():
        gate = Gate(1, 0)
        async with gate:
            taken = asyncio.create_task(gate.run(lambda: done.append(go.wait(60))))
            await asyncio.sleep(0)
            threading.Timer(0.05, go.set).start()
            await asyncio.to_thread(gate.close)
            assert done == [True]
            await taken

    asyncio.run(work())


def test_it_is_alive_and_not_ready_while_the_checkpoint_is_loaded(tmp_path):
    from starlette.testclient import TestClient

    from claim_transformers.serving import create_app

    go = threading.Event()

    def load():
        assert go.wait(60)
        return SimpleNamespace(checkpoint="abc", warm_up=lambda: None)

    with TestClient(create_app(config_of(tmp_path), load)) as client:
        early = [client.get("/healthz"), client.get("/readyz"), client.post(PATH, json=hook())]
        go.set()
        while client.get("/readyz").status_code != 200:
            pass
    assert [answer.status_code for answer in early] == [200, 503, 503]
    assert early[1].json()["code"] == "E_STARTING"
    assert early[2].headers["retry-after"]
