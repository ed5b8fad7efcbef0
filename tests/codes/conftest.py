import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def claims_data_dir() -> Path:
    if "CLAIMS_DATA_DIR" not in os.environ:
        pytest.skip("CLAIMS_DATA_DIR is not set")
    return Path(os.environ["CLAIMS_DATA_DIR"])
