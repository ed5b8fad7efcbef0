"""Paths: what they find in the engine they find in memory, and what is no path is refused."""

import json
from typing import Any

import duckdb
import pytest
from sources.fhir_changes import damage, every_kind

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.formats.fhir_eob.mapping import read_dialects
from claim_transformers.sources.formats.fhir_eob.paths import Elements, Path, first_of, quote_text, to_structure
from claim_transformers.sources.formats.fhir_eob.systems import name_system

PREFIXES = {"x": "http://x/"}
RESOURCE: dict[str, Any] = {
    "id": "7",
    "link": [{"url": "http://x/a", "value": 1.5}, {"url": "http://x/b", "value": "two"}, "no object"],
    "kinds": [{"type": [{"coding": [{"code": "a"}, {"code": "b"}]}], "rank": 1}, {"type": [], "rank": 2}],
    "listed": ["http://y/z", "http://x/z"],
    "nested": {"deep": {"text": "it's"}},
    "whole": {"a": [1, True, None]},
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("id", "7"),
        ("nested.deep.text", "it's"),
        ("nested.deep.none", None),
        ("link[].value", "1.5"),
        ("link[url=x:b].value", "two"),
        ("link[url=x:c or x:b].value", "two"),
        ("link[url^=x:].value", "1.5"),
        ("link[url=x:a and value=two].value", None),
        ("kinds[type[].coding[].code=b].rank", "1"),
        ("kinds[type[].coding[].code=c].rank", None),
        ("listed[^=x:]", "http://x/z"),
        ("listed[=x:z or w]", "http://x/z"),
        ("nested[].text", None),
        ("link.value", None),
    ],
)
def test_a_path_finds_the_first_entry_that_fits_in_the_engine_and_in_memory(text: str, found: str | None) -> None:
    path, elements = Path(text, PREFIXES), Elements()
    path.add_to(elements)
    structure = json.dumps(to_structure(elements))
    sql = f"SELECT {path.to_sql('r')} FROM (SELECT json_transform(?::JSON, '{structure}') AS r)"
    assert duckdb.sql(sql, params=[json.dumps(RESOURCE)]).fetchall() == [(found,)]
    assert path.read(RESOURCE) == found


@pytest.mark.parametrize("text", ["a b", "a[", "a[b]", "a..b", "[x=1]"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ClaimDataError, match="E_LAYOUT_FILE"):
        Path(text, PREFIXES)


def test_every_path_of_the_dialects_gives_the_same_in_the_engine_and_in_memory() -> None:
    resources = [one for one in damage(every_kind(), seed=3) if one["resourceType"] == "ExplanationOfBenefit"]
    for dialect in read_dialects().values():
        structure = quote_text(json.dumps(to_structure(dialect.elements())))
        names = list(dialect.claim)
        columns = ", ".join(f"{dialect.claim[name].to_sql('r')} AS c{n}" for n, name in enumerate(names))
        table = {"text": [json.dumps(one) for one in resources], "n": list(range(len(resources)))}
        engine = duckdb.connect()
        engine.execute("CREATE TABLE texts AS SELECT unnest(?) AS text, unnest(?) AS n", [table["text"], table["n"]])
        sql = f"SELECT {columns} FROM (SELECT n, json_transform(text::JSON, {structure}) AS r FROM texts) ORDER BY n"
        expected = engine.execute(sql).fetchall()
        assert [tuple(dialect.claim[name].read(one) for name in names) for one in resources] == expected


def test_of_no_paths_the_first_is_null() -> None:
    assert duckdb.sql(f"SELECT {first_of([])} IS NULL").fetchall() == [(True,)]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("http://snomed.info/sct", "http://snomed.info/sct"),
        ("https://payer.example/CodeSystem/own-codes", "https://payer.example/CodeSystem/own-codes"),
        ("urn:oid:2.16.840.1.113883.6.238", "urn:oid:2.16.840.1.113883.6.238"),
        ("http://payer.example/member/123456", "other"),
        ("http://payer.example/x?id=7", "other"),
        ("ada@payer.example", "other"),
        ("Ada Lovelace", "other"),
        ("", "other"),
    ],
)
def test_only_addresses_of_code_systems_are_named(text: str, name: str) -> None:
    assert name_system(text) == name
