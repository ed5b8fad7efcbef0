"""Cohort files: what is refused, and how the refusal reads."""

import pytest

from claim_transformers.cohorts import built_in_cohorts, load_definition

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
    assert built_in_cohorts() == ["asthma_exacerbation", "hospital_admission", "suicide_attempt"]
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
        ("rule: fixed_date", "rule: fixed", "index.rule: expected 'fixed_date' or 'next_encounter', found 'fixed'"),
        ("dates: [2013-01-01]", "dates: [yesterday]", "expected an ISO date"),
        ("dates: [2013-01-01]", "dates: []", "expected at least one ISO date, found none"),
        ("label: {codes: asthma, horizon_days: 30}", "label: 30", "label: expected a mapping of keys, found int"),
        ("rule: codes, codes: asthma", "rule: codes", "asks for codes: expected 'codes', found none"),
        ("title: mine\n", "title: mine\ntrain: 1.0\n", "a rest for the test split"),
        ("title: mine\n", "", r"mine.yaml: expected the keys .*, missing \['title'\]"),
    ],
)
def test_a_slip_in_the_file_is_named(tmp_path, old, new, message):
    assert old in BASE
    with pytest.raises(ValueError, match=message):
        load_definition(written(tmp_path, BASE.replace(old, new)))


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a mapping of keys, found NoneType"):
        load_definition(written(tmp_path, ""))
