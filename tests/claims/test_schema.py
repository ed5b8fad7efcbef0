"""The canonical tables and the check that a table is one of them."""

import pyarrow as pa
import pytest

from claim_transformers.claims.schema import _CLAIM_LINE_SCHEMA, SCHEMAS, _check_table
from claim_transformers.claims.store import _conform
from claim_transformers.codes.errors import ClaimDataError


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_canonical_table_passes_its_own_check(name: str) -> None:
    _check_table(name, SCHEMAS[name].empty_table())


def test_plain_strings_pass_where_the_schema_has_a_dictionary() -> None:
    table = _CLAIM_LINE_SCHEMA.empty_table()
    position = _CLAIM_LINE_SCHEMA.get_field_index("hcpcs_code")
    _check_table("claim_line", table.set_column(position, "hcpcs_code", pa.array([], pa.string())))


def test_missing_and_unknown_columns_are_named() -> None:
    table = _CLAIM_LINE_SCHEMA.empty_table().rename_columns(
        ["bene" if name == "patient_id" else name for name in _CLAIM_LINE_SCHEMA.names]
    )
    with pytest.raises(
        ClaimDataError, match=r"E_COLUMN.*missing columns \['patient_id'\].*unknown columns \['bene'\]"
    ):
        _check_table("claim_line", table)


def test_a_wrong_type_is_named_with_both_types() -> None:
    position = _CLAIM_LINE_SCHEMA.get_field_index("claim_id")
    table = _CLAIM_LINE_SCHEMA.empty_table().set_column(position, "claim_id", pa.array([], pa.int64()))
    with pytest.raises(ClaimDataError, match=r"E_SCHEMA.*claim_id: expected string, found int64"):
        _check_table("claim_line", table)


def test_another_order_of_columns_is_refused() -> None:
    names = _CLAIM_LINE_SCHEMA.names[::-1]
    with pytest.raises(ClaimDataError, match=r"E_SCHEMA.*order"):
        _check_table("claim_line", _CLAIM_LINE_SCHEMA.empty_table().select(names))


def test_an_unknown_table_lists_the_known_ones() -> None:
    with pytest.raises(KeyError, match="claim_line"):
        _check_table("encounters", _CLAIM_LINE_SCHEMA)


def test_conform_refuses_a_null_where_none_may_be() -> None:
    schema = pa.schema([pa.field("patient_id", pa.string(), nullable=False)])
    with pytest.raises(ClaimDataError, match=r"E_SCHEMA.*patient_id, found 1"):
        _conform(pa.table({"patient_id": ["a", None]}), schema)
