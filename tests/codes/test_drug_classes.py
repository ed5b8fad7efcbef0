"""Classes of ingredients: their spelling, and how many of the simulated fills have one."""

import re
from collections import Counter
from difflib import SequenceMatcher
from itertools import combinations

import pyarrow.parquet as pq
import pytest
from simulation.written_files import GENERATORS

from claim_transformers.codes import (
    ClaimDataError,
    backoff_chain,
    category_rules,
    normalize_code,
    read_drug_classes,
)
from claim_transformers.hub.token_grammar import is_token


def are_one_class_spelt_twice(first, second):
    # What the FDA numbers apart, such as antagonists of histamine-1 and histamine-2, is no misspelling.
    if re.findall("[0-9]", first) != re.findall("[0-9]", second):
        return False
    if re.sub("[_-]", "", first) == re.sub("[_-]", "", second):
        return True
    words, others = first.split("_"), second.split("_")
    pairs = [pair for pair in zip(words, others, strict=False) if pair[0] != pair[1]]
    if len(words) != len(others) or len(pairs) != 1 or min(map(len, pairs[0])) < 5:
        return False
    return SequenceMatcher(None, *pairs[0]).ratio() > 0.9


def test_every_name_and_class_is_in_canonical_form():
    classes = read_drug_classes()
    assert len(classes) >= 300
    assert [name for name in classes if normalize_code("DRUG", name) != name] == []
    assert [name for name in classes if "-".join(sorted(name.split("-"))) != name] == []
    assert [group for group in classes.values() if not is_token(f"EPC/{group}")] == []


def test_no_class_is_spelt_twice():
    assert are_one_class_spelt_twice("HMG-COA_REDUCTASE_INHIBITOR", "HMG-COA_REDUCTASE_INHIBITORS")
    assert are_one_class_spelt_twice("ANTI-COAGULANT", "ANTICOAGULANT")
    assert not are_one_class_spelt_twice("BETA2-ADRENERGIC_AGONIST", "BETA3-ADRENERGIC_AGONIST")
    groups = sorted(set(read_drug_classes().values()))
    # Two classes in truth.
    apart = ("ATYPICAL_ANTIPSYCHOTIC", "TYPICAL_ANTIPSYCHOTIC")
    assert [pair for pair in combinations(groups, 2) if are_one_class_spelt_twice(*pair)] == [apart]


def test_a_combination_has_a_class_of_its_ingredients_where_they_have_one():
    classes = read_drug_classes()
    # A part that no product holds alone has no class of its own here.
    parts = {name: name.split("-") for name in classes if "-" in name}
    known = {name for name, of in parts.items() if all(part in classes for part in of)}
    assert len(known) > 40
    assert [name for name in known if classes[name] not in {classes[part] for part in parts[name]}] == []


@pytest.mark.parametrize(("population", "version", "patients"), [("pediatric", 2, 300), ("medicare", 3, 60)])
def test_most_fills_of_a_population_have_a_class(tmp_path, population, version, patients):
    generator = GENERATORS[population]
    out = generator.write(
        tmp_path / "claims", patients=patients, seed=5, simulation_version=version, **generator.window
    ).path
    names = pq.read_table(out / "drug_ingredients.parquet").to_pydict()
    ingredient_of = dict(zip(names["ndc9"], names["ingredient"], strict=True))
    codes = pq.read_table(out / "pharmacy_claim.parquet")["ndc_code"].cast("string").to_pylist()
    fills = Counter(ingredient_of.get(code[:9], "") for code in codes if code)
    assert fills.total() > 400
    classes = read_drug_classes()
    assert sum(count for name, count in fills.items() if name in classes) >= 0.95 * fills.total()


def test_an_ingredient_backs_off_to_its_class():
    rules = category_rules(systems=["DRUG"], drug_classes=read_drug_classes())
    assert backoff_chain("DRUG/METFORMIN", rules) == ("DRUG/METFORMIN", "EPC/BIGUANIDE", "UNK/DRUG")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("ingredient\nMETFORMIN\n", "expected the columns"),
        ("ingredient,class\nMETFORMIN,BIGUANIDE\nMETFORMIN,BIGUANIDE\n", "line 3"),
        ("ingredient,class\nmetformin,BIGUANIDE\n", "line 2"),
        ("ingredient,class\nMETFORMIN,Biguanide [EPC]\n", "line 2"),
        ("ingredient,class\nMETFORMIN,\n", "line 2"),
        ("ingredient,class\n|,BIGUANIDE\n", "line 2"),
        ("ingredient,class\nMETFORMIN\n", "line 2"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, monkeypatch, text, place):
    (tmp_path / "drug_classes.csv").write_text(text)
    monkeypatch.setattr("claim_transformers.codes.drugs.resources.files", lambda package: tmp_path)
    with pytest.raises(ClaimDataError, match=f"E_LAYOUT.*{place}"):
        read_drug_classes.__wrapped__()
