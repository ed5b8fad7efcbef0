import pytest
from serving.served import Keys, config_of, save_checkpoint, serving

from claim_transformers.serving import Assessor


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("served") / "checkpoint")


@pytest.fixture(scope="session")
def assessor(checkpoint):
    return Assessor(checkpoint, "Readmission within 30 days")


@pytest.fixture(scope="session")
def keys():
    return Keys()


@pytest.fixture(scope="module")
def client(assessor, tmp_path_factory):
    with serving(config_of(tmp_path_factory.mktemp("service")), assessor) as found:
        yield found
