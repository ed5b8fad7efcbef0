"""Definition files of both kinds: what is refused, and how the refusal reads."""

import datetime as dt
from dataclasses import replace

import pytest

from claim_transformers.cohorts import EventDefinition, ReadmissionDefinition, built_in_cohorts, load_definition
from claim_transformers.cohorts.definition import Enrolment

BASE = """
name: mine
title: mine
source: me
codes: {asthma: [ICD9CM/493]}
index: {rule: fixed_date, dates: [2013-01-01]}
criteria: [{step: has asthma, rule: codes, codes: asthma}]
label: {codes: asthma, horizon_days: 30}
"""


def written(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def test_every_built_in_cohort_loads():
    assert built_in_cohorts() == [
        "asthma_exacerbation",
        "hospital_admission",
        "next_diagnoses",
        "next_year_cost",
        "readmission",
        "suicide_attempt",
    ]
    assert built_in_cohorts("event") == [name for name in built_in_cohorts() if name != "readmission"]
    assert [load_definition(name).name for name in built_in_cohorts()] == built_in_cohorts()


def test_a_file_of_ones_own_loads_with_a_date_that_yaml_reads_as_a_date(tmp_path):
    definition = load_definition(written(tmp_path, BASE))
    assert definition.index.dates == ("2013-01-01",)
    assert definition.codes["asthma"] == ("ICD9CM/493",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("horizon_days: 30", "horizon_day: 30", r"label: expected keys among .*, found \['horizon_day'\]"),
        ("codes: asthma, horizon_days", "codes: asma, horizon_days", r"code sets \['asthma'\], found 'asma'"),
        ("rule: fixed_date", "rule: fixed", "index: rule: expected 'fixed_date' or 'next_encounter', found 'fixed'"),
        ("dates: [2013-01-01]", "dates: [yesterday]", "expected an ISO date"),
        ("dates: [2013-01-01]", "dates: []", "expected at least one ISO date, found none"),
        ("label: {codes: asthma, horizon_days: 30}", "label: 30", "label: expected a mapping of keys, found int"),
        ("rule: codes, codes: asthma", "rule: codes", "asks for codes: expected 'codes', found none"),
        ("title: mine\n", "title: mine\ntrain: 1.0\n", "a rest for the test split"),
        ("horizon_days: 30", "horizon_days: year", "label: horizon_days: expected a whole number, found 'year'"),
        ("horizon_days: 30", "horizon_days: 0", "label.horizon_days: expected at least 1, found 0"),
        ("horizon_days: 30", "horizon_days: 30, death: never", "expected 'negative' or 'censored', found 'never'"),
        ("codes: asthma}]", "codes: asthma, minimum: one}]", "minimum: expected a number or nothing, found 'one'"),
        ("[ICD9CM/493]", "ICD9CM/493", r"codes: asthma: expected a list of SYSTEM/PREFIX"),
        ("[ICD9CM/493]", "[ICD9CM/493.9]", "SYSTEM/PREFIX such as .*, no dots"),
        ("[ICD9CM/493]", "[493]", "expected a list of SYSTEM/PREFIX"),
        ("[ICD9CM/493]", "[not ICD9CM/493]", "expected a list of SYSTEM/PREFIX"),
        ("[ICD9CM/493]", "['ICD9CM/493[']", "expected a list of SYSTEM/PREFIX"),
        ("horizon_days: 30", "horizon_days: 30, minimum_patients: 0", "label.minimum_patients: expected at least 1"),
        ("horizon_days: 30", "horizon_days: 30, rule: next_diagnoses", "expected none with 'next_diagnoses'"),
        ("codes: asthma, horizon_days", "rule: next_diagnoses, horizon_days", "needs index.rule 'next_encounter'"),
        ("title: mine\n", "title: mine\nsampling: {patients: 9}\n", "found sampling.patients"),
        ("title: mine\n", "title: mine\nhide_unpaid: maybe\n", "hide_unpaid: expected true or false, found 'maybe'"),
        ("title: mine\n", "title: mine\ntrain: half\n", "train: expected a number, found 'half'"),
        ("title: mine\n", "title: mine\nsampling: {cases: -3}\n", "sampling.cases: expected at least 1, found -3"),
        ("title: mine\n", "title: mine\nsampling: {controls_per_case: 0}\n", "expected more than 0, found 0"),
        ("title: mine\n", "title: [mine\n", "mine.yaml: expected YAML, found something else in line"),
        ("title: mine\n", "", r"mine.yaml: expected the keys .*, missing \['title'\]"),
    ],
)
def test_a_slip_in_the_file_is_named(tmp_path, old, new, message):
    assert old in BASE
    with pytest.raises(ValueError, match=message):
        load_definition(written(tmp_path, BASE.replace(old, new)))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Readmission", r"found 'Readmission', did you mean 'readmission'\?"),
        ("of/mine.yaml", "expected a file of a cohort's definition, at 'of/mine.yaml', found no such file"),
        ("xyz", r"'readmission', 'suicide_attempt'\], found 'xyz'\.$"),
    ],
)
def test_readmission_is_among_the_cohorts_that_are_suggested(name, message):
    with pytest.raises(ValueError, match=message):
        load_definition(name)


@pytest.mark.parametrize("kind", ["event", "readmission"])
def test_both_kinds_say_what_they_do_without_enrolment(tmp_path, kind):
    text = BASE if kind == "event" else "kind: readmission\n"
    assert load_definition(written(tmp_path, text)).enrolment == Enrolment("insured", "excluded")
    found = load_definition(written(tmp_path, f"{text}enrolment: {{unknown: excluded, none: insured}}\n"))
    assert found.to_dict()["enrolment"] == {"unknown": "excluded", "none": "insured"}
    for part, message in (
        ("{unknown: kept}", "unknown: expected 'insured' or 'excluded', found 'kept'"),
        ("{null: insured}", "expected keys among"),
        ("insured", "expected a mapping of keys, found str"),
    ):
        with pytest.raises(ValueError, match=f"mine.yaml: enrolment: {message}"):
            load_definition(written(tmp_path, f"{text}enrolment: {part}\n"))


def test_the_readmission_that_ships_spells_out_the_defaults():
    assert load_definition("readmission") == ReadmissionDefinition()


def test_a_readmission_of_ones_own_states_what_differs(tmp_path):
    text = "kind: readmission\nrule: stays\ncode_columns: [diagnoses, rev]\nsplit: time\ntest_from: 2010-01-01\n"
    wanted = replace(ReadmissionDefinition("stays"), code_columns=("diagnoses", "rev"), split="time",
                     test_from=dt.date(2010, 1, 1))  # fmt: skip
    assert load_definition(written(tmp_path, text), "readmission") == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: death\n", "mine.yaml: kind: expected 'event' or 'readmission', found 'death'"),
        ("kind: [event]\n", r"mine.yaml: kind: expected 'event' or 'readmission', found \['event'\]"),
        ("kind: readmission\ncases: 3\n", r"mine.yaml: expected keys among .*, found \['cases'\]"),
        ("kind: readmission\nrule: any\n", "expected rule out of plain, stays, unplanned, found 'any'"),
        ("kind: readmission\ntest_from: soon\n", "test_from: expected an ISO date .* or nothing, found 'soon'"),
        ("kind: readmission\ntest_from: 2010-01-01 10:00:00\n", "test_from: expected an ISO date"),
        ("kind: readmission\ncode_columns: diagnoses\n", "code_columns: expected a list of texts"),
    ],
)
def test_a_slip_in_the_file_of_a_readmission_is_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        load_definition(written(tmp_path, text))


def test_a_file_of_the_other_kind_is_refused_where_one_kind_will_do(tmp_path):
    assert isinstance(load_definition(written(tmp_path, "kind: event" + BASE), "event"), EventDefinition)
    with pytest.raises(ValueError, match=r"mine.yaml: expected a definition of the kind 'readmission', found 'event'"):
        load_definition(written(tmp_path, BASE), "readmission")
    with pytest.raises(ValueError, match=r"expected a definition of the kind 'event', found 'readmission'"):
        load_definition("readmission", "event")


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a mapping of keys, found NoneType"):
        load_definition(written(tmp_path, ""))


def test_a_file_that_grows_and_a_message_that_does_not_end_are_cut_short(tmp_path):
    with pytest.raises(ValueError, match=r"mine\.yaml: expected no aliases"):
        load_definition(written(tmp_path, BASE + "a: &a [x]\nb: [*a, *a]\n"))
    keys = "".join(f"{'k' * 900}{number}: 1\n" for number in range(900))
    with pytest.raises(ValueError, match=r"mine\.yaml: expected keys among .*characters\)$") as raised:
        load_definition(written(tmp_path, BASE + keys))
    assert len(str(raised.value)) < 700
    with pytest.raises(ValueError, match="expected keys among"):
        load_definition(written(tmp_path, BASE + "1: 1\nx: 1\n"))
