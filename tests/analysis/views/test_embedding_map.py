"""Groups of codes and patients, and maps that depend on the seed and nothing else."""

import numpy as np
import pyarrow as pa
import pytest

from claim_transformers.analysis import embed_patients, map_patients
from claim_transformers.analysis.rivals.features import count_codes
from claim_transformers.analysis.views.embedding_map import disease_groups, grouped_codes, hide_group_codes, lay_out
from claim_transformers.models.claim import ClaimModel

GROUPS = {f"condition {ten}": (f"ICD9CM/4{ten}",) for ten in range(4)}


def test_hiding_the_codes_of_groups_leaves_every_other_code_and_visit(patients):
    hidden = hide_group_codes(patients, GROUPS)
    for before, after in zip(patients["codes"].to_pylist(), hidden["codes"].to_pylist(), strict=True):
        assert after == [
            [code for code in visit if not code.startswith(("ICD9CM/40", "ICD9CM/41", "ICD9CM/42", "ICD9CM/43"))]
            for visit in before
        ]
    assert set(disease_groups(hidden, GROUPS)) == {"other"}
    assert hidden.drop_columns(["codes"]) == patients.drop_columns(["codes"])


def test_hiding_codes_works_on_a_slice(patients):
    part = hide_group_codes(patients.slice(30, 10), GROUPS)
    assert part["codes"].to_pylist() == hide_group_codes(patients, GROUPS)["codes"].to_pylist()[30:40]


def test_a_patient_has_the_group_of_which_alone_codes_are_on_record(patients):
    names = sorted({code for visits in patients["codes"].to_pylist() for visit in visits for code in visit})
    counts = count_codes(patients, names).matrix.toarray() > 0
    for row, found in enumerate(disease_groups(patients, GROUPS)):
        has = {
            name
            for name, (prefix,) in GROUPS.items()
            if counts[row, [column for column, code in enumerate(names) if code.startswith(prefix)]].any()
        }
        assert found == (has.pop() if len(has) == 1 else "other")


def test_grouped_codes_are_the_codes_of_the_vocabulary_that_begin_so(tokenizer):
    ids, codes, names = grouped_codes(tokenizer, {"first": ("ICD9CM/40",), "visits": ("HCPCS/9920",)})
    assert tokenizer.convert_ids_to_tokens(ids.tolist()) == codes
    assert codes == sorted(code for code in tokenizer.get_vocab() if code.startswith(("ICD9CM/40", "HCPCS/9920")))
    assert names == ["visits" if code.startswith("HCPCS") else "first" for code in codes]


def test_the_map_of_patients_depends_on_the_seed_alone(make_model, tokenizer, patients):
    model = make_model(ClaimModel)
    first, second = (map_patients(model, tokenizer, patients, most=60, seed=3) for _ in range(2))
    assert np.array_equal(first.points, second.points)
    assert first.groups == second.groups
    assert first.points.shape == (60, 2)


def test_an_embedding_does_not_depend_on_the_label_or_the_batch(make_model, tokenizer, patients):
    model = make_model(ClaimModel)
    whole = embed_patients(model, tokenizer, patients)
    flipped = patients.set_column(
        patients.column_names.index("label"), "label", pa.array(1 - patients["label"].to_numpy())
    )
    assert np.allclose(embed_patients(model, tokenizer, flipped, batch_size=5), whole, atol=1e-5)


def test_too_few_points_have_no_map():
    with pytest.raises(ValueError, match="expected at least three points for a map, found 2"):
        lay_out(np.eye(2))
