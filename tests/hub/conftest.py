import os

import pytest
from hub.client_process import client_process, run_step
from hub.loopback_hub import TOKEN, LoopbackHub


@pytest.fixture(scope="session")
def hub_server():
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture
def hub(hub_server):
    """The hub on 127.0.0.1, empty and without faults."""
    hub_server.forget()
    return hub_server


@pytest.fixture(scope="session")
def client_environment(hub_server, tmp_path_factory):
    """The environment of a user of that hub; the client reads most of it only once, at import."""
    return {
        **os.environ,
        "HF_ENDPOINT": hub_server.url,
        "HF_TOKEN": TOKEN,
        "HF_HOME": str(tmp_path_factory.mktemp("hf_home")),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_DATASETS_OFFLINE": "0",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="session")
def client(client_environment):
    """Run a function of `hub_client` in a process that talks to the loopback hub: `client(function_name, *args)`."""
    with client_process(client_environment) as pool:
        yield lambda name, *args, **options: pool.submit(run_step, name, args, options).result()
