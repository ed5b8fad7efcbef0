"""The form of sequences travels with a model, and a cohort in another one is refused."""

import logging

import pyarrow as pa
import pytest

from claim_transformers import resolve_checkpoint
from claim_transformers.claims.number_bins import NumberBins
from claim_transformers.cohorts.readmission.sequences import SequenceForm
from claim_transformers.models.claim import ClaimTokenizer
from claim_transformers.training import carry_sequence_papers, check_sequence_form, describe_backoffs

BINS = NumberBins({"LOS": (3.0,)})


@pytest.fixture
def folders(tmp_path):
    """A cohort, and a checkpoint in the form of categories."""
    cohort, checkpoint = tmp_path / "cohort", tmp_path / "checkpoint"
    for folder in (cohort, checkpoint):
        folder.mkdir()
    (checkpoint / "config.json").write_text("{}")
    SequenceForm("category", bins=BINS).save(checkpoint)
    return cohort, checkpoint


def test_both_papers_are_carried_and_nothing_else(folders, tmp_path):
    cohort, _ = folders
    assert carry_sequence_papers(cohort, tmp_path / "model") == []
    SequenceForm("category", bins=BINS, hide=["race"]).save(cohort)
    BINS.save(cohort / "county_bins.json")
    (cohort / "cohort.json").write_text("{}")
    assert carry_sequence_papers(cohort, tmp_path / "model") == ["sequence_form.json", "county_bins.json"]
    for path in (tmp_path / "model").iterdir():
        assert path.read_bytes() == (cohort / path.name).read_bytes()


def test_the_form_of_the_checkpoint_passes_in_silence(folders, caplog):
    cohort, checkpoint = folders
    SequenceForm.load(checkpoint).save(cohort)
    BINS.save(cohort / "county_bins.json")
    check_sequence_form(cohort, checkpoint)
    assert not caplog.records


@pytest.mark.parametrize(
    ("form", "found"),
    [
        (None, "a cohort without a form"),
        (SequenceForm("chapter", bins=BINS), "depth chapter in place of category"),
        (SequenceForm("category", {"NDC": "code"}, BINS), "other depths of single systems"),
        (SequenceForm("category", bins=NumberBins({"LOS": (4.0,)})), "other bins of numbers"),
        (SequenceForm("category", hide=["sex"]), "other bins of numbers"),
    ],
)
def test_another_form_is_refused_with_the_command_that_mends_it(form, found, folders):
    cohort, checkpoint = folders
    if form is not None:
        form.save(cohort)
    with pytest.raises(ValueError, match=found) as caught:
        check_sequence_form(cohort, checkpoint)
    assert f"claim-transformers sequences COHORT OUT --form-of {checkpoint}" in str(caught.value)


def test_what_is_hidden_and_other_bins_of_counties_are_said_and_allowed(folders, caplog):
    cohort, checkpoint = folders
    SequenceForm("category", bins=BINS, hide=["sex", "race"]).save(cohort)
    for number, folder in enumerate(folders):
        NumberBins({"SVI": (0.1 + number,)}).save(folder / "county_bins.json")
    with caplog.at_level(logging.WARNING):
        check_sequence_form(cohort, checkpoint)
    hidden, counties = (record.getMessage() for record in caplog.records)
    assert "leave out race, sex; those of the checkpoint left out nothing" in hidden
    assert "bins of county measures are not those of the checkpoint" in counties


def test_names_of_the_package_are_resolved_and_models_without_a_form_take_any_cohort(folders):
    cohort, _ = folders
    check_sequence_form(cohort, "claim-pt-base")
    check_sequence_form(cohort, "organisation/on-the-hub")
    with pytest.raises(ValueError, match="--form-of medicare-encoder-base"):
        check_sequence_form(cohort, "medicare-encoder-base")
    SequenceForm.load(resolve_checkpoint("medicare-encoder-base")).save(cohort)
    check_sequence_form(cohort, "medicare-encoder-base")


def test_chapters_are_unknown_to_a_tokenizer_of_categories():
    tokenizer = ClaimTokenizer.from_pretrained("medicare-encoder-base")
    codes = [[["CCS/108", "ICD9CHAPTER/7", "MDC/05", "LOS/1"]]]
    line = describe_backoffs(tokenizer, pa.table({"visit_day": [[0]], "visit_type": [["IP"]], "codes": codes}))
    assert line.startswith("4 codes: 50.00 % known, 0.00 % backed off")
    assert line.endswith("50.00 % unknown")


def test_no_codes_are_no_error():
    codes = pa.array([[[]]], pa.list_(pa.list_(pa.string())))
    table = pa.table({"visit_day": [[0]], "visit_type": [["IP"]], "codes": codes})
    assert describe_backoffs(ClaimTokenizer({"A/1": 3}), table).startswith("0 codes: 0.00 % known")
