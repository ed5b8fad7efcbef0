"""Readmission cohorts written as sequences, and what a form made of public tables does to codes."""

import shutil
from dataclasses import replace

import pyarrow as pa
import pytest
from cohorts.sequences_by_hand import random_stays, save_stays
from datasets import Dataset, load_from_disk
from task_runs import TasksHere

from claim_transformers.codes import CategoryRules, category_rules
from claim_transformers.codes.chapters import _code_chapter
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.codes.systems import SYSTEMS
from claim_transformers.codes.tables import listed_codes
from claim_transformers.models.claim import ClaimForm, ClaimTokenizer
from claim_transformers.models.claim.categories_claim import CodeCategories
from claim_transformers.models.claim.form_table_claim import FormWriter, decode_codes
from claim_transformers.models.claim.names_claim import resolve_checkpoint
from claim_transformers.training import sequences, tokenize_dataset
from claim_transformers.training.sequence_vocabulary import known_rows, vocabulary_rows
from claim_transformers.training.sequences import (
    find_form,
    find_rules,
    fit_bins,
    make_form,
    read_splits,
    write_sequences,
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return save_stays(tmp_path_factory.mktemp("cohort") / "stays")


def write(form: ClaimForm, table: pa.Table) -> pa.Table:
    return decode_codes(FormWriter(form).write(table))


def words(table: pa.Table) -> set[str]:
    return {code for row in table["codes"].to_pylist() for visit in row for code in visit}


def test_rows_visits_and_days_stay_as_they_are_and_codes_become_groups():
    stays = random_stays(40)
    written = write(fit_bins(make_form("chapter"), stays), stays)
    unchanged = [name for name in stays.column_names if name != "codes"]
    assert written.select(unchanged).equals(stays.select(unchanged))
    assert [len(row) for row in written["codes"].to_pylist()] == [len(row) for row in stays["codes"].to_pylist()]
    systems = {word.partition("/")[0] for word in words(written)}
    assert systems == {"ICD9CHAPTER", "HCPCSSECTION", "MDC", "DISP", "PAID", "LOS"}


def test_the_length_of_stay_stands_on_the_last_visit_alone_and_an_unknown_amount_nowhere():
    stays = random_stays(40)
    written = write(fit_bins(make_form("code"), stays), stays)
    for row in written["codes"].to_pylist():
        assert sum(code.startswith("LOS/") for code in row[-1]) == 1
        assert not any(code.startswith("LOS/") for visit in row[:-1] for code in visit)
        assert not any(code.startswith("PAID/") for code in row[-1])
        assert all(sum(code.startswith("PAID/") for code in visit) == 1 for visit in row[:-1])


def test_bins_are_learned_from_training_stays_alone(cohort, tmp_path):
    form = write_sequences(cohort, tmp_path / "out", make_form("category"))
    assert form.bins == fit_bins(make_form(), read_splits(cohort)["train"]).bins
    assert find_form(tmp_path / "out") == form


def test_sequences_keep_the_categories_that_they_are_written_in_and_refuse_others(cohort, tmp_path):
    write_sequences(cohort, tmp_path / "new", make_form("category"))
    form = find_form(tmp_path / "new")
    assert [form.group(code) for code in ("ICD9CM/49390", "ICD10CM/J45909", "ICD9PCS/3722")] == [
        "CCSR/RSP009", "CCSR/RSP009", "CCSPR/47",
    ]  # fmt: skip
    assert find_rules(tmp_path / "new")["form"] == form
    old = CategoryRules({"ICD9CM/493": "CCS/128", "ICD10CM/J45": "CCSR/RSP009"}, category_rules().prefix_lengths)
    write_sequences(cohort, tmp_path / "old", replace(make_form("category"), categories=CodeCategories.parse(old)))
    assert find_form(tmp_path / "old").group("ICD9CM/49390") == "CCS/128"
    assert CodeCategories.parse(find_rules(tmp_path / "old")["categories"]).category("ICD9CM/49390") == "CCS/128"
    with pytest.raises(ValueError, match="expected the categories in which 'old' is written, found others"):
        find_form(tmp_path / "old", category_rules())
    # Codes and chapters are the same whatever the categories are.
    write_sequences(cohort, tmp_path / "codes", replace(make_form("code"), categories=CodeCategories.parse(old)))
    assert find_form(tmp_path / "codes", category_rules()).group("ICD9CM/49390") == "ICD9CM/49390"


def test_categories_of_sequences_that_do_not_tell_theirs_are_not_guessed(cohort, tmp_path):
    for depth in ("category", "code"):
        write_sequences(cohort, tmp_path / depth, make_form(depth))
        (tmp_path / depth / "categories.json").unlink()
    with pytest.raises(ValueError, match=r"expected categories.json beside the form of 'category'.*from the cohort"):
        find_form(tmp_path / "category")
    assert find_form(tmp_path / "code").depth == "code"


@pytest.mark.parametrize("hidden", ["sex", "race", "disposition", "county"])
def test_what_is_hidden_is_gone_and_nothing_else(hidden):
    stays = random_stays(30)
    facts = [[*row, "COUNTY/RURAL-1"] for row in stays["patient_codes"].to_pylist()]
    place = stays.column_names.index("patient_codes")
    stays = stays.set_column(place, "patient_codes", pa.array(facts))
    plain, blind = (write(make_form("code", hide=hide), stays) for hide in ((), (hidden,)))
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
    write_sequences(cohort, tmp_path / "out", make_form("code"), overwrite=True)
    assert ClaimForm.load(tmp_path / "out").depth == "code"


def test_rows_written_in_tasks_are_those_of_one_process(cohort, tmp_path, monkeypatch):
    form = write_sequences(cohort, tmp_path / "one", make_form("category"))
    monkeypatch.setattr(sequences, "_ROWS_AT_A_TIME", 50)
    monkeypatch.chdir(cohort.parent)
    assert write_sequences(cohort.name, tmp_path / "many", make_form("category"), tasks=TasksHere()) == form
    one, many = load_from_disk(str(tmp_path / "one")), load_from_disk(str(tmp_path / "many"))
    assert {name: split[:] for name, split in many.items()} == {name: split[:] for name, split in one.items()}
    assert many["train"].features == load_from_disk(str(cohort))["train"].features
    assert sorted(path.name for path in tmp_path.iterdir()) == ["many", "one"]


def test_the_form_of_a_checkpoint_is_used_as_it_is(cohort, tmp_path):
    form = make_form("category", bins={"LOS": (2.0,)})
    assert write_sequences(cohort, tmp_path / "out", form) == form
    assert {word for word in words(read_splits(tmp_path / "out")["test"]) if word.startswith("LOS")} <= {
        "LOS/0",
        "LOS/1",
    }


def test_what_does_not_fit_is_refused(cohort, tmp_path):
    with pytest.raises(ValueError, match="expected to hide some of sex, race, county, disposition, found age"):
        make_form(hide=["age"])
    with pytest.raises(ValueError, match="expected one of the depths"):
        make_form("leaf")
    with pytest.raises(ValueError, match=r"expected form.json in the folder 'stays', found none"):
        ClaimForm.load(cohort)
    assert find_form(cohort) is None
    content = make_form("code").to_dict() | {"version": 99}
    with pytest.raises(ValueError, match="expected a form of version 2 or older, found 99"):
        ClaimForm.from_dict(content)
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
    write_sequences(cohort, tmp_path / "once", make_form("category"))
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
    with pytest.raises(ValueError, match=r"nowhere', found no such folder; give one that 'cohort'"):
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


@pytest.mark.parametrize("depth", ["code", "category", "chapter"])
def test_every_listed_code_has_the_group_of_its_tables(depth):
    codes = sorted(set().union(*(listed_codes(system) or () for system in SYSTEMS)))[::7]
    codes += [f"HCPCS/{text}" for text in ("99200", "99201", "99499", "99500", "0001A", "0042T", "1AA11", "J1885")]
    codes += [f"HCPCS/{number:05}" for number in range(0, 100_000, 97)] + [
        f"DRG/{number:03}" for number in range(1000)
    ]
    codes += ["ICD9PCS/V5866", "DRG/OTH", "NDC/00093014505", "REV/0450", "POS/11", "DISP/01", "DRUG/X"]
    rules, form = category_rules(), make_form(depth)

    def by_tables(code):
        system = code.partition("/")[0]
        if depth == "code":
            return code
        without_chapters = system in ("NDC", "DRUG", "REV", "POS", "DISP")
        group = rules.category(code) if depth == "category" or without_chapters else _code_chapter(code)
        return group or f"UNK/{system}"

    assert [form.group(code) for code in codes] == [by_tables(code) for code in codes]


def test_a_cohort_needs_no_sequences_for_the_tokenizer_of_a_checkpoint(cohort, tmp_path):
    tokenizer = ClaimTokenizer.from_pretrained("medicare-encoder-base")
    write_sequences(cohort, tmp_path / "out", find_form(resolve_checkpoint("medicare-encoder-base")))
    given, written = (
        tokenize_dataset(load_from_disk(str(folder)), tokenizer) for folder in (cohort, tmp_path / "out")
    )
    for name, split in given.items():
        assert split.with_format("arrow")[:].equals(written[name].with_format("arrow")[:])
        assert split.num_rows > 5


def test_the_depth_can_differ_between_systems_and_tokens_of_other_kinds_stay():
    form = make_form("code", {"ICD9CM": "chapter"})
    assert [form.group(code) for code in ("ICD9CM/49392", "ICD9PCS/8154", "LAB/3")] == [
        "ICD9CHAPTER/8",
        "ICD9PCS/8154",
        "LAB/3",
    ]


def test_measures_of_counties_are_written_in_the_bins_of_the_form(cohort, tmp_path):
    splits = load_from_disk(str(cohort))
    for split in splits:
        table = splits[split].with_format("arrow")[:]
        table = table.append_column("county_measures", pa.array([{"SVI": 0.3}] * table.num_rows))
        splits[split] = Dataset(table)
    splits.save_to_disk(str(tmp_path / "measured"))
    form = replace(make_form("code"), county_bins={"SVI": (0.1, 0.2)})
    assert write_sequences(tmp_path / "measured", tmp_path / "out", form).county_bins == {"SVI": (0.1, 0.2)}
    written = load_from_disk(str(tmp_path / "out"))["test"]
    assert all("COUNTY/SVI-2" in codes for codes in written["patient_codes"])
    assert "county_measures" not in written.column_names
