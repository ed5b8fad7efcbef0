"""Readmission cohorts in the words of the encoder."""

import shutil

import pyarrow as pa
import pytest
from cohorts.sequences_by_hand import random_stays, save_stays
from datasets import load_from_disk

from claim_transformers.claims.number_bins import NumberBins
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts.readmission.sequence_vocabulary import known_rows, vocabulary_rows
from claim_transformers.cohorts.readmission.sequences import SequenceForm, read_splits, write_sequences


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return save_stays(tmp_path_factory.mktemp("cohort") / "stays")


def words(table: pa.Table) -> set[str]:
    return {code for row in table["codes"].to_pylist() for visit in row for code in visit}


def test_rows_visits_and_days_stay_as_they_are_and_codes_become_groups():
    stays = random_stays(40)
    written = SequenceForm("chapter").fit(stays).write(stays)
    unchanged = [name for name in stays.column_names if name != "codes"]
    assert written.select(unchanged).equals(stays.select(unchanged))
    assert [len(row) for row in written["codes"].to_pylist()] == [len(row) for row in stays["codes"].to_pylist()]
    systems = {word.partition("/")[0] for word in words(written)}
    assert systems == {"ICD9CHAPTER", "HCPCSSECTION", "MDC", "DISP", "PAID", "LOS"}


def test_the_length_of_stay_stands_on_the_last_visit_alone_and_an_unknown_amount_nowhere():
    stays = random_stays(40)
    written = SequenceForm("code").fit(stays).write(stays)
    for row in written["codes"].to_pylist():
        assert sum(code.startswith("LOS/") for code in row[-1]) == 1
        assert not any(code.startswith("LOS/") for visit in row[:-1] for code in visit)
        assert not any(code.startswith("PAID/") for code in row[-1])
        assert all(sum(code.startswith("PAID/") for code in visit) == 1 for visit in row[:-1])


def test_bins_are_learned_from_training_stays_alone(cohort, tmp_path):
    form = write_sequences(cohort, tmp_path / "out", SequenceForm("category"))
    assert form.bins == SequenceForm().fit(read_splits(cohort)["train"]).bins
    assert SequenceForm.load(tmp_path / "out") == form


@pytest.mark.parametrize("hidden", ["sex", "race", "disposition", "county"])
def test_what_is_hidden_is_gone_and_nothing_else(hidden):
    stays = random_stays(30)
    facts = [[*row, "COUNTY/RURAL-1"] for row in stays["patient_codes"].to_pylist()]
    place = stays.column_names.index("patient_codes")
    stays = stays.set_column(place, "patient_codes", pa.array(facts))
    plain, blind = (SequenceForm("code", hide=hide).write(stays) for hide in ((), (hidden,)))
    prefix = {"race": "RACE/", "disposition": "DISP/", "county": "COUNTY/"}.get(hidden, "none")
    kept = [
        [[code for code in visit if not code.startswith(prefix)] for visit in row]
        for row in plain["codes"].to_pylist()
    ]
    assert blind["codes"].to_pylist() == kept
    facts = [[code for code in row if not code.startswith(prefix)] for row in facts]
    assert blind["patient_codes"].to_pylist() == facts
    assert blind["sex"].null_count == (30 and blind.num_rows if hidden == "sex" else 0)


def test_sequences_are_a_cohort_still_and_keep_its_papers(cohort, tmp_path):
    write_sequences(cohort, tmp_path / "out")
    assert (tmp_path / "out" / "cohort.json").read_text() == (cohort / "cohort.json").read_text()
    before, after = load_from_disk(str(cohort)), load_from_disk(str(tmp_path / "out"))
    assert {name: split["label"][:] for name, split in after.items()} == {
        name: split["label"][:] for name, split in before.items()
    }
    with pytest.raises(ClaimDataError, match="E_EXISTS"):
        write_sequences(cohort, tmp_path / "out")
    write_sequences(cohort, tmp_path / "out", SequenceForm("code"), overwrite=True)
    assert SequenceForm.load(tmp_path / "out").depth == "code"


def test_the_form_of_a_checkpoint_is_used_as_it_is(cohort, tmp_path):
    form = SequenceForm("category", bins=NumberBins({"LOS": (2.0,)}))
    assert write_sequences(cohort, tmp_path / "out", form) == form
    assert {word for word in words(read_splits(tmp_path / "out")["test"]) if word.startswith("LOS")} <= {
        "LOS/0",
        "LOS/1",
    }


def test_what_does_not_fit_is_refused(cohort, tmp_path):
    with pytest.raises(ValueError, match="expected to hide some of sex, race, county, disposition, found age"):
        SequenceForm(hide=["age"])
    with pytest.raises(ValueError, match="expected one of the depths"):
        SequenceForm("leaf")
    with pytest.raises(ValueError, match=r"expected sequence_form.json in the folder 'stays', found none"):
        SequenceForm.load(cohort)
    content = SequenceForm().to_dict() | {"version": 99}
    with pytest.raises(ValueError, match="expected a sequence form of version 1"):
        SequenceForm.from_dict(content)
    other = load_from_disk(str(cohort)).remove_columns(["visit_amount"])
    other.save_to_disk(str(tmp_path / "other"))
    with pytest.raises(ValueError, match=r"without the columns \['visit_amount'\]"):
        write_sequences(tmp_path / "other", tmp_path / "out")


def test_the_vocabulary_counts_patients_and_not_stays():
    train = pa.table({"patient_id": ["a", "a", "b"], "codes": [[["CCS/1"]], [["CCS/1"]], [["CCS/2", "LOS/0"]]]})
    test = pa.table({"patient_id": ["c"], "codes": [[["CCS/1", "CCS/2", "CCS/3", "LOS/0"]]]})
    rows = {row["system"]: row for row in vocabulary_rows({"train": train, "test": test}, min_patients=1)}
    assert (rows["CCS"]["different"], rows["CCS"]["kept"], rows["CCS"]["covered"]) == (2, 2, pytest.approx(2 / 3))
    rows = {row["system"]: row for row in vocabulary_rows({"train": train, "test": test}, min_patients=2)}
    assert (rows["all"]["kept"], rows["all"]["covered"]) == (0, 0.0)


def test_sequences_are_no_cohort_to_write_sequences_from(cohort, tmp_path):
    write_sequences(cohort, tmp_path / "once", SequenceForm("category"))
    with pytest.raises(ValueError, match=r"expected a cohort in the folder 'once', found sequences"):
        write_sequences(tmp_path / "once", tmp_path / "twice")
    assert not (tmp_path / "twice").exists()


@pytest.mark.parametrize("out", ["stays", "stays/inside", ".", "link"])
def test_a_cohort_is_never_replaced_by_its_own_sequences(cohort, tmp_path, out):
    copy = shutil.copytree(cohort, tmp_path / "study" / "stays")
    shutil.copy(cohort / "cohort.json", tmp_path / "study")  # so that the folder around it may be replaced
    (tmp_path / "study" / "link").symlink_to(copy, target_is_directory=True)
    with pytest.raises(ValueError, match="expected a folder apart from the cohort 'stays'"):
        write_sequences(copy, tmp_path / "study" / out, overwrite=True)
    assert read_splits(copy)["train"].equals(read_splits(cohort)["train"])


def test_a_folder_without_a_cohort_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere', found no such folder; see claim-transformers cohort"):
        write_sequences(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "claims").mkdir()
    with pytest.raises(ValueError, match=r"expected a cohort in .*claims', found a folder without dataset_dict.json"):
        write_sequences(tmp_path / "claims", tmp_path / "out")


def test_what_a_tokenizer_knows_is_counted_by_occurrence_and_system():
    table = pa.table(
        {
            "codes": [[["CCS/1", "CCS/2"], ["CCS/1"]], [["CCSR/END002"]]],
            "patient_codes": [["COUNTY/A-1"], ["COUNTY/A-1"]],
        }
    )
    rows = known_rows(table, {"CCS/1", "COUNTY/A-1"}.__contains__)
    found = {row["system"]: (row["codes"], row["known"]) for row in rows}
    assert found == {"CCS": (3, pytest.approx(2 / 3)), "CCSR": (1, 0.0), "COUNTY": (2, 1.0), "all": (6, 4 / 6)}
    assert known_rows(table.slice(0, 0), bool) == [{"system": "all", "codes": 0, "known": None}]
