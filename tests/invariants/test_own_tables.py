"""Relations hold for the layout of Tuva read by a mapping too."""

import json
from pathlib import Path

import pytest
import yaml
from invariants.clean_worlds import clean_world
from invariants.ingest_worlds import NOBODY, Outcome, difference, ingest_worlds
from invariants.raw_files import LAYOUTS, World
from invariants.relations import RELATIONS, Relation
from invariants.test_relations import SEED, changed_world

pytestmark = pytest.mark.slow

MAPPING = Path(__file__).parents[1] / "sources" / "formats" / "tables" / "tuva.yaml"
# What a mapping could spoil; how files are read is the same code as for the others.
NAMES = (
    *("rows_are_permuted", "rows_are_delivered_twice", "rows_are_delivered_again_in_another_writing"),
    *("the_header_is_in_another_case", "codes_are_padded_with_blanks", "ids_are_padded_with_no_break_spaces"),
    *("codes_are_in_another_case", "words_are_in_another_case", "diagnoses_are_dotted", "drugs_are_hyphenated"),
    *("amounts_are_in_another_writing", "numbers_are_in_another_writing", "empty_dates_are_null_words"),
    *("rows_of_nobody_are_added", "claims_are_renamed", "patients_are_renamed"),
    *("another_payer_uses_the_same_claim_numbers", "a_patient_has_one_claim_number_at_two_payers"),
)
TUVA = [one for one in RELATIONS if one.name in NAMES]


def mapping() -> str:
    """The mapping of the layout, for folders of files that lack what they do not need."""
    content = yaml.safe_load(MAPPING.read_text(encoding="utf-8").replace("_25", "_4"))
    for name, table in content["tables"].items():
        table["files"] = f"{name}/*"
        needed = LAYOUTS["tuva"][name].required
        columns = {column for one in table["fields"].values() for column in _columns(one)} - {*needed}
        table["optional"] = sorted(columns)
    return json.dumps(content)


def _columns(field: object) -> list[str]:
    if isinstance(field, str):
        return [field]
    assert isinstance(field, dict)
    system = field.get("system", {}).get("column")
    names = (field.get("column"), field.get("columns"), field.get("dates"), field.get("present_on_admission"), system)
    return [name for name in names if name]


@pytest.fixture(scope="module")
def loaded() -> tuple[dict[int, World], dict[int, Outcome]]:
    worlds = {place: changed_world(relation, "tuva", SEED, place) for place, relation in enumerate(TUVA, start=1)}
    worlds[0] = clean_world("tuva", SEED, 0)
    return worlds, ingest_worlds("tuva", worlds, mapping=mapping())


@pytest.mark.parametrize("relation", TUVA, ids=lambda relation: relation.name)
def test_the_tables_timelines_and_labels_of_own_tables_are_the_same_when(relation: Relation, loaded) -> None:
    place = TUVA.index(relation) + 1
    world, outcomes = loaded[0][place], loaded[1]
    assert len(TUVA) == len(NAMES)
    found = outcomes[place]
    assert found.error is None
    assert outcomes[0].tables["patients"]
    pair = (relation.expected(outcomes[0].tables), relation.undo(found.tables))
    assert not difference(*(relation.view("tuva", world, tables) for tables in pair))
    assert not found.counts[NOBODY]
    assert relation.counts("tuva", world, found)
