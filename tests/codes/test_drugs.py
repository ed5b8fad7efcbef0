"""Tables of drug ingredients that a user brings."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from claim_transformers.codes import ClaimDataError, category_of, category_rules, read_drug_ingredients


def test_a_parquet_table_reaches_the_categories(tmp_path):
    pq.write_table(pa.table({"ndc9": ["000930145"], "ingredient": ["ALBUTEROL"]}), tmp_path / "drugs.parquet")
    rules = category_rules(systems=["NDC"], drug_ingredients=read_drug_ingredients(tmp_path / "drugs.parquet"))
    assert category_of(["NDC/00093014501"], rules).to_pylist() == ["DRUG/ALBUTEROL"]


def test_leading_zeros_of_a_csv_survive(tmp_path):
    (tmp_path / "drugs.csv").write_text("ingredient,ndc9\nALBUTEROL,000930145\n")
    assert read_drug_ingredients(tmp_path / "drugs.csv") == {"000930145": "ALBUTEROL"}


def test_a_missing_column_is_named(tmp_path):
    (tmp_path / "drugs.csv").write_text("ndc9,name\n000930145,ALBUTEROL\n")
    with pytest.raises(ClaimDataError, match=r"missing \['ingredient'\]"):
        read_drug_ingredients(tmp_path / "drugs.csv")
