"""Groups for the audit: every state in one region, every token in its group, unknown where nothing is known."""

import pkgutil

import pyarrow as pa
import pytest

from claim_transformers.analysis.audit.subgroup_attributes import (
    _REGIONS,
    audit_attributes,
    census_regions,
    entitlement_names,
    patient_token,
    race_names,
)
from claim_transformers.claims.ages import birthday

ATTRIBUTES = ["sex", "age", "race", "entitlement", "dual status", "region", "place"]


def make_examples(**changes):
    columns = {
        "sex": ["F", "M", None],
        "birth_day": pa.array([0, 0, None], pa.int32()),
        "index_day": pa.array([29_402, 23_700, 15000], pa.int32()),
        "patient_codes": [["RACE/BLACK", "ENTITLEMENT/2", "COUNTY/X-1"], ["ENTITLEMENT/1", "DUAL/02"], []],
        "county_fips": ["48201", "17031", None],
        "county_measures": [{"IS_RURAL": 1.0}, {"IS_RURAL": 0.0}, {"IS_RURAL": None}],
    }
    return pa.table(columns | changes)


def test_every_example_has_its_groups():
    assert {name: groups.tolist() for name, groups in audit_attributes(make_examples()).items()} == {
        "sex": ["F", "M", "unknown"],
        "age": ["75 to 84", "under 65", "unknown"],
        "race": ["black", "unknown", "unknown"],
        "entitlement": ["renal disease", "disability", "unknown"],
        "dual status": ["unknown", "dual", "unknown"],
        "region": ["South", "Midwest", "unknown"],
        "place": ["rural", "urban", "unknown"],
    }
    assert list(audit_attributes(make_examples())) == ATTRIBUTES


@pytest.mark.parametrize(
    ("code", "status"),
    [(code, "dual") for code in ("01", "02", "03", "04", "05", "06", "08")]
    + [("00", "not dual"), ("NA", "not dual"), ("09", "unknown"), ("99", "unknown")],
)
def test_a_dual_status_is_one_of_two_or_unknown(code, status):
    examples = make_examples(patient_codes=[[f"DUAL/{code}"]] * 3)
    assert set(audit_attributes(examples)["dual status"].tolist()) == {status}


def test_places_are_audited_where_counties_say_which_are_rural():
    without = make_examples().drop_columns("county_measures")
    assert list(audit_attributes(without)) == [name for name in ATTRIBUTES if name != "place"]
    other = make_examples(county_measures=[{"DEPRIVATION_INDEX": 0.5}] * 3)
    assert "place" not in audit_attributes(other)


def test_groups_do_not_depend_on_how_a_table_is_chunked():
    whole = make_examples()
    parts = pa.concat_tables([whole.slice(0, 1), whole.slice(1, 2)])
    assert parts["patient_codes"].num_chunks == 2
    for name, groups in audit_attributes(parts).items():
        assert groups.tolist() == audit_attributes(whole)[name].tolist()


@pytest.mark.parametrize(
    ("years", "days", "band"),
    [(65, -1, "under 65"), (65, 0, "65 to 74"), (85, -1, "75 to 84"), (85, 0, "85 and over")],
)
def test_ages_are_those_at_the_index_date(years, days, band):
    examples = make_examples(birth_day=pa.array([5000] * 3, pa.int32()))
    index_day = birthday(5000, years).item() + days
    examples = examples.set_column(2, "index_day", pa.array([index_day] * 3, pa.int32()))
    assert set(audit_attributes(examples)["age"].tolist()) == {band}


def test_the_fifty_states_and_the_capital_are_in_one_region_each():
    states = " ".join(_REGIONS.values()).split()
    assert len(states) == len(set(states)) == 51
    assert {name: len(codes.split()) for name, codes in _REGIONS.items()} == {
        "Northeast": 9,
        "Midwest": 12,
        "South": 17,
        "West": 13,
    }
    assert census_regions(pa.array(["11001", "02020", "23005", "78010", None])).tolist() == [
        "South",
        "West",
        "Northeast",
        "territory",
        "unknown",
    ]


def test_the_simulated_population_has_no_group_without_a_name():
    from claim_transformers.simulation.medicare.counties import _county_codes
    from claim_transformers.simulation.medicare.population import RACES

    assert set(census_regions(pa.array(_county_codes())).tolist()) == set(_REGIONS)
    assert "north american native" in race_names(pa.array(RACES))
    assert set(entitlement_names(pa.array(["0", "1", "2", "3"])).tolist()) == {"age", "disability", "renal disease"}


def test_a_token_is_found_wherever_it_stands_and_only_by_its_own_name():
    table = pa.table({"patient_codes": [["A/1", "AB/2"], ["AB/3"], ["AB/4", "A/5"], None]})
    assert patient_token(table, "A").to_pylist() == ["1", None, "5", None]
    assert patient_token(table, "AB").to_pylist() == ["2", "3", "4", None]


def test_groups_are_texts_of_the_length_of_the_table():
    for groups in audit_attributes(make_examples()).values():
        assert groups.shape == (3,)
        assert groups.dtype.kind == "U"
    assert all(len(groups) == 0 for groups in audit_attributes(make_examples().slice(0, 0)).values())


def test_the_public_name_is_the_function_and_no_public_name_is_that_of_a_file():
    from claim_transformers import analysis

    assert analysis.audit_attributes is audit_attributes
    assert not set(analysis.__all__) & {module.name for module in pkgutil.iter_modules(analysis.__path__)}
