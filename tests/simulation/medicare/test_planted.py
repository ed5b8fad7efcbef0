import numpy as np
import pyarrow.compute as pc
import pytest
from simulation.medicare.lived_blocks import WINDOW, index_stays, live

from claim_transformers.simulation.medicare import PlantedBias, PlantedDrift, simulate_medicare_tables

SHORT = {"start": "2010-01-01", "end": "2011-12-31"}


@pytest.fixture(scope="module")
def plain():
    return simulate_medicare_tables(2500, 4, **SHORT)


@pytest.fixture(scope="module")
def unrecorded():
    return simulate_medicare_tables(2500, 4, planted_bias=PlantedBias("dual", unrecorded=0.5), **SHORT)


@pytest.fixture(scope="module")
def drifted():
    return simulate_medicare_tables(2500, 4, planted_drift=PlantedDrift(2011, 1.0), **SHORT)


def _members(claims, column="person_id", *, inside=True):
    spans = claims.eligibility
    is_dual = pc.not_equal(spans["dual_status_code"].cast("string"), "NA")
    names = pc.unique(spans.filter(is_dual)["person_id"].cast("string"))
    return lambda table: table.filter(
        pc.is_in(table[column].cast("string"), names) if inside else
        pc.invert(pc.is_in(table[column].cast("string"), names))
    )  # fmt: skip


def test_what_is_unrecorded_is_missing_in_the_subgroup_alone(plain, unrecorded):
    for inside, low, high in ((True, 0.4, 0.75), (False, 1.0, 1.0)):
        before = _members(plain, inside=inside)(plain.medical_claim)
        after = _members(plain, inside=inside)(unrecorded.medical_claim)
        assert low <= len(after) / len(before) <= high
        drugs = _members(plain, inside=inside)(unrecorded.pharmacy_claim)
        assert low <= len(drugs) / len(_members(plain, inside=inside)(plain.pharmacy_claim)) <= high


def test_stays_and_true_risks_are_recorded_for_everyone(plain, unrecorded):
    assert unrecorded.true_risk.equals(plain.true_risk)
    counts = [
        pc.count_distinct(claims.medical_claim.filter(pc.equal(claims.medical_claim["claim_type"], "IP"))["claim_id"])
        for claims in (plain, unrecorded)
    ]
    assert counts[0] == counts[1]


def test_a_hidden_bias_raises_readmissions_of_the_subgroup_and_the_true_risk_knows_it():
    blocks = [live(number, PlantedBias("gender=female", hidden=1.0)) for number in range(2)]
    honest = [live(number) for number in range(2)]
    biased, fair = index_stays(blocks), index_stays(honest)

    def female(lived, found):
        return np.concatenate(
            [~block.world.patients.male[found.patient[found.block == number]] for number, block in enumerate(lived)]
        )

    women = female(blocks, biased)
    assert biased.is_readmitted[women].mean() > fair.is_readmitted[female(honest, fair)].mean() * 1.25
    risk, happened = biased.risk_any[women], biased.is_readmitted[women]
    assert abs((happened.sum() - risk.sum()) / np.sqrt((risk * (1 - risk)).sum())) < 3.5


def test_a_drift_lowers_readmissions_from_its_year_on_and_the_true_risk_knows_it():
    blocks = [live(number, drift=PlantedDrift(2011, 1.0)) for number in range(3)]
    found = index_stays(blocks)
    discharge = np.concatenate(
        [block.stays.discharge[found.row[found.block == number]] for number, block in enumerate(blocks)]
    )
    late = discharge >= WINDOW.first + 3 * 365 + 1
    assert found.is_readmitted[late].mean() < found.is_readmitted[~late].mean() * 0.8
    for group in (late, ~late):
        risk, happened = found.risk_any[group], found.is_readmitted[group]
        assert abs((happened.sum() - risk.sum()) / np.sqrt((risk * (1 - risk)).sum())) < 3.5


def _new_products(table):
    """Products of labelers that only a drift brings, the third hundred of each page of labelers."""
    products = set(table["ndc_code"].cast("string").to_pylist())
    return {code for code in products if (int(code[:5]) - 90100) % 600 // 100 == 2}


def test_a_drift_moves_codes_products_and_volume(plain, drifted):
    year = []
    for claims in (plain, drifted):
        table = claims.medical_claim
        late = table.filter(pc.equal(pc.year(table["claim_start_date"]), 2011))
        office = late.filter(pc.equal(late["place_of_service_code"], "11"))
        codes = office["diagnosis_code_1"].cast("string").value_counts()
        year.append((len(office), {item["values"]: item["counts"] / len(office) for item in codes.to_pylist()}))
    assert year[1][0] < 0.8 * year[0][0]
    shares = [item[1] for item in year]
    distance = sum(abs(shares[0].get(code, 0) - shares[1].get(code, 0)) for code in shares[0] | shares[1]) / 2
    assert distance > 0.15
    assert not _new_products(plain.pharmacy_claim)
    assert _new_products(drifted.pharmacy_claim)


def test_no_new_product_is_dispensed_before_the_drift(drifted):
    table = drifted.pharmacy_claim
    early = table.filter(pc.equal(pc.year(table["dispensing_date"]), 2010))
    assert not _new_products(early)
