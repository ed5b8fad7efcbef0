import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from claim_transformers.simulation.engine.schemas import ELIGIBILITY_SCHEMA, PHARMACY_SCHEMA
from claim_transformers.simulation.pediatric.schemas import DIAGNOSIS_COLUMNS, MEDICAL_SCHEMA


def _days(column):
    return pc.fill_null(column.cast("int32"), -1).to_numpy()


def _texts(column):
    return pc.fill_null(column.cast("string"), "").to_numpy(zero_copy_only=False).astype(str)


@pytest.fixture(scope="module")
def visits(claims):
    """One row per claim."""
    return claims.medical_claim.filter(pc.equal(claims.medical_claim["claim_line_number"], 1))


@pytest.fixture(scope="module")
def person_years(claims):
    spans = claims.eligibility
    return (_days(spans["enrollment_end_date"]) - _days(spans["enrollment_start_date"]) + 1).sum() / 365.25


@pytest.fixture(scope="module")
def ages(claims, visits):
    births = dict(zip(_texts(claims.eligibility["person_id"]), _days(claims.eligibility["birth_date"]), strict=True))
    born = np.array([births[name] for name in _texts(visits["person_id"])])
    return (_days(visits["claim_start_date"]) - born) / 365.25


def _has(visits, pattern):
    """Claims with a diagnosis that starts like this."""
    found = np.zeros(len(visits), dtype=bool)
    for name in DIAGNOSIS_COLUMNS:
        codes = pc.fill_null(visits[name].cast("string"), "")
        found |= pc.match_substring_regex(codes, "^(" + pattern + ")").to_numpy(zero_copy_only=False)
    return found


def test_tables_have_the_columns_of_the_tuva_input_layer(claims):
    assert claims.medical_claim.schema == MEDICAL_SCHEMA
    assert claims.pharmacy_claim.schema == PHARMACY_SCHEMA
    assert claims.eligibility.schema == ELIGIBILITY_SCHEMA


def test_no_service_lies_outside_coverage(claims):
    spans = claims.eligibility
    first, last = _days(spans["enrollment_start_date"]), _days(spans["enrollment_end_date"])
    death = _days(spans["death_date"])
    assert np.all(first <= last)
    assert np.all(first >= _days(spans["birth_date"]))
    assert np.all((death < 0) | (last <= death))
    by_patient = {}
    for name, start, end in zip(_texts(spans["person_id"]), first, last, strict=True):
        by_patient.setdefault(name, []).append((start, end))
    for table, columns in (
        (claims.medical_claim, ("claim_start_date", "claim_line_end_date", "claim_end_date")),
        (claims.pharmacy_claim, ("dispensing_date",)),
    ):
        names = _texts(table["person_id"])
        for column in columns:
            for name, day in set(zip(names, _days(table[column]), strict=True)):
                assert any(start <= day <= end for start, end in by_patient[name])


def test_spans_of_a_patient_do_not_touch(claims):
    spans = claims.eligibility
    names, first, last = (
        _texts(spans["person_id"]),
        _days(spans["enrollment_start_date"]),
        _days(spans["enrollment_end_date"]),
    )
    same = names[1:] == names[:-1]
    assert np.all(first[1:][same] > last[:-1][same] + 1)


def test_stays_end_after_they_begin_and_do_not_overlap(visits):
    stays = visits.filter(pc.equal(visits["claim_type"].cast("string"), "IP"))
    admission, discharge = _days(stays["admission_date"]), _days(stays["discharge_date"])
    assert np.all(admission <= discharge)
    names = _texts(stays["person_id"])
    same = names[1:] == names[:-1]
    assert np.all(discharge[:-1][same] <= admission[1:][same])


def test_outpatient_claims_have_no_admission(visits):
    outpatient = visits.filter(pc.equal(visits["claim_type"].cast("string"), "OP"))
    for name in ("admission_date", "discharge_date", "drg_code", "discharge_disposition_code", "procedure_code_1"):
        assert outpatient[name].null_count == len(outpatient)


def test_claim_numbers_are_unique_and_lines_count_from_one(claims, visits):
    assert pc.count_distinct(visits["claim_id"]).as_py() == len(visits)
    assert pc.count_distinct(claims.pharmacy_claim["claim_id"]).as_py() == len(claims.pharmacy_claim)
    numbers = claims.medical_claim["claim_line_number"].to_numpy()
    steps = np.diff(numbers)
    assert np.all((steps == 1) | (numbers[1:] == 1))


def test_diagnoses_fill_from_the_left_without_repeats(visits):
    codes = np.stack([_texts(visits[name]) for name in DIAGNOSIS_COLUMNS])
    assert np.all(codes[0] != "")
    assert np.all((codes[:-1] != "") | (codes[1:] == ""))
    for left in range(len(codes)):
        for right in range(left):
            assert not np.any((codes[left] == codes[right]) & (codes[left] != ""))


def test_visits_and_fills_per_year_are_those_of_medicaid_children(claims, visits, person_years):
    assert 4.5 <= len(visits) / person_years <= 7.5
    assert 2.5 <= len(claims.pharmacy_claim) / person_years <= 6.0
    place = _texts(visits["place_of_service_code"])
    assert 0.35 <= (place == "23").sum() / person_years <= 0.75
    born = _has(visits, "V3|65|66|765")
    assert 0.02 <= ((place == "21") & ~born).sum() / person_years <= 0.06


def test_infants_are_seen_most_often(visits, ages, claims, person_years):
    infants, children = (ages < 1).sum(), ((ages >= 6) & (ages < 12)).sum()
    spans = claims.eligibility
    start = (_days(spans["enrollment_start_date"]) - _days(spans["birth_date"])) / 365.25
    end = (_days(spans["enrollment_end_date"]) - _days(spans["birth_date"])) / 365.25
    years = [np.clip(np.minimum(end, high) - np.maximum(start, low), 0, None).sum() for low, high in ((0, 1), (6, 12))]
    assert infants / years[0] > 1.6 * children / years[1]


def _by_month(visits, chosen):
    dates = visits["claim_start_date"].filter(pa.array(chosen)).to_numpy().astype("datetime64[M]")
    return np.bincount(dates.astype(int) % 12, minlength=12) / chosen.sum()


def test_bronchiolitis_is_a_winter_and_injury_a_summer_illness(visits):
    bronchiolitis = _by_month(visits, _has(visits, "4661"))
    assert bronchiolitis[[11, 0, 1]].sum() > 4 * bronchiolitis[[5, 6, 7]].sum()
    wounds = _by_month(visits, _has(visits, "87|88|89"))
    assert wounds[[5, 6, 7]].sum() > 1.3 * wounds[[11, 0, 1]].sum()


def test_asthma_emergencies_peak_in_autumn(visits):
    reason = np.char.startswith(_texts(visits["diagnosis_code_1"]), "493")
    months = _by_month(visits, (_texts(visits["place_of_service_code"]) == "23") & reason)
    assert months[[8, 9]].sum() > 1.5 * months[[6, 7]].sum()


def test_codes_have_a_long_tail(visits):
    codes = np.concatenate([_texts(visits[name]) for name in DIAGNOSIS_COLUMNS])
    _, counts = np.unique(codes[codes != ""], return_counts=True)
    shares = counts / counts.sum()
    assert len(shares) > 2000
    assert (shares < 1e-4).mean() > 0.6
    assert shares.max() < 0.08
    assert shares[shares < 1e-4].sum() > 0.05


def test_a_patient_comes_back_under_the_same_code(visits):
    reason = _texts(visits["diagnosis_code_1"])
    names = _texts(visits["person_id"])
    asthma = np.char.startswith(reason, "493")
    codes, owner = reason[asthma], names[asthma]
    same = owner[1:] == owner[:-1]
    repeats = (codes[1:] == codes[:-1])[same].mean()
    _, counts = np.unique(codes, return_counts=True)
    assert repeats > 1.5 * ((counts / counts.sum()) ** 2).sum()


def test_fills_follow_conditions(claims, visits):
    ingredient_of = dict(
        zip(_texts(claims.drug_ingredients["ndc9"]), _texts(claims.drug_ingredients["ingredient"]), strict=True)
    )
    filled = np.array([ingredient_of[ndc[:9]] for ndc in _texts(claims.pharmacy_claim["ndc_code"])])
    names = _texts(claims.pharmacy_claim["person_id"])
    owners = _texts(visits["person_id"])
    everyone = len(set(owners))
    for ingredients, pattern in (
        ({"FLUTICASONE", "MONTELUKAST", "BUDESONIDE"}, "493"),
        ({"SERTRALINE", "FLUOXETINE"}, "296|311|300"),
        ({"METHYLPHENIDATE", "LISDEXAMFETAMINE"}, "314"),
        ({"INSULIN_ASPART", "INSULIN_LISPRO", "INSULIN_GLARGINE"}, "250"),
    ):
        taking = set(names[np.isin(filled, list(ingredients))])
        coded = set(owners[_has(visits, pattern)])
        assert len(taking & coded) / len(taking) > 3 * len(coded) / everyone or len(taking & coded) / len(taking) > 0.8


def test_products_have_eleven_digits_and_one_ingredient(claims):
    products = _texts(claims.pharmacy_claim["ndc_code"])
    assert all(re.fullmatch(r"9\d{10}", product) for product in set(products))
    ndc9 = _texts(claims.drug_ingredients["ndc9"])
    assert len(set(ndc9)) == len(ndc9)
    assert set(np.char.ljust(products, 9).astype("<U9")) <= set(ndc9)


def test_self_harm_codes_appear_with_attempts_alone(visits, ages):
    harmed = _has(visits, "E95")
    assert harmed.sum() > 5
    assert ages[harmed].min() >= 9.9
    assert set(_texts(visits["place_of_service_code"])[harmed]) <= {"23", "21"}
    reasons = _texts(visits["diagnosis_code_1"])[harmed]
    assert not np.any(np.char.startswith(reasons, "E"))


def test_a_stay_that_names_asthma_is_a_stay_for_asthma(visits):
    stay = _texts(visits["claim_type"]) == "IP"
    named, reason = _has(visits, "493"), _texts(visits["diagnosis_code_1"])
    assert np.all(np.char.startswith(reason[stay & named], "493"))


def test_psychotherapy_codes_change_in_2013(claims):
    lines = claims.medical_claim
    year = pc.year(lines["claim_start_date"]).to_numpy()
    service = _texts(lines["hcpcs_code"])
    assert not np.any((service == "90806") & (year >= 2013))
    assert not np.any((service == "90834") & (year < 2013))
    assert (service == "90806").sum() > 10


def test_paid_dates_follow_services(claims):
    lines = claims.medical_claim
    assert np.all(_days(lines["paid_date"]) > _days(lines["claim_end_date"]))


def test_the_risk_table_ranks_those_with_an_asthma_stay_above_the_others(claims, visits):
    risk, new_year = claims.true_risk, np.datetime64("2012-01-01", "D").astype(int)
    outcome, horizon = _texts(risk["outcome"]), risk["horizon_days"].to_numpy()
    rows = (outcome == "asthma_hospitalization") & (horizon == 365) & (_days(risk["index_date"]) == new_year)
    names, values = _texts(risk["patient_id"])[rows], risk["risk"].to_numpy()[rows]
    stay = (_texts(visits["claim_type"]) == "IP") & _has(visits, "493")
    day = _days(visits["claim_start_date"])
    admitted = set(_texts(visits["person_id"])[stay & (day >= new_year) & (day < new_year + 365)])
    hit = np.isin(names, list(admitted))
    assert admitted & set(names)
    assert values[hit].mean() > 2 * values[~hit].mean()
