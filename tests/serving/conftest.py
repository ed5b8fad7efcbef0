import pytest
from serving.served import Keys, config_of, save_checkpoint, serving

from claim_transformers.analysis.views import code_names
from claim_transformers.serving import Assessor


@pytest.fixture(scope="module", autouse=True)
def no_lists_of_codes():
    """The lists of ICD take seconds to load; names of categories ship."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(code_names, "_is_installed", lambda: False)
        yield
    code_names._texts.cache_clear()


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
