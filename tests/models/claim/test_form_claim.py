"""The form of a tokenizer: both paths write the same, written claims pass, and claims of another form do not."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from claim_transformers.models.claim import ClaimForm, ClaimTokenizer
from claim_transformers.models.claim.form_table_claim import FormWriter, decode_codes

CATEGORIES = {
    "prefixes": {"ICD9CM/428": "CCS/108", "ICD9CM/401": "CCS/98", "ICD9CM/4019": "CCS/99"},
    "prefix_lengths": {"HCPCS": ["HCPCSGROUP", 3], "DRG": ["DRG", 3], "DISP": ["DISP", 2], "NDC": ["NDC9", 9]},
}
CHAPTERS = {
    "prefixes": {
        "ICD9CM/4": "ICD9CHAPTER/7",
        "HCPCS/9": "HCPCSSECTION/MEDICINE",
        "HCPCS/0": "HCPCSSECTION/ANESTHESIA",
    },
    "last_characters": {"HCPCS": {"T": "HCPCSSECTION/NEW"}},
}
FORM = ClaimForm(
    "category",
    bins={"PAID": (10.0, 13.770000457763672), "LOS": (2.0, 5.0)},
    county_bins={"RURAL": (1.0,), "SVI": (0.3, 0.6)},
    categories=CATEGORIES,
)
POOL = ["ICD9CM/4280", "ICD9CM/4281", "ICD9CM/4019", "ICD9CM/4011", "ICD9CM/990", "HCPCS/99213", "HCPCS/99214"]
POOL += ["DRG/291", "DISP/01", "NDC/00093014505", "LAB/3", "HCPCS/0042T", "POS/11"]
SCHEMA = pa.schema(
    {
        "sex": pa.string(),
        "visit_day": pa.list_(pa.int32()),
        "visit_type": pa.list_(pa.string()),
        "codes": pa.list_(pa.list_(pa.string())),
        "visit_amount": pa.list_(pa.float32()),
        "length_of_stay_days": pa.int32(),
        "patient_codes": pa.list_(pa.string()),
        "county_measures": pa.struct({"SVI": pa.float64(), "RURAL": pa.float64(), "OTHER": pa.float64()}),
    }
)


def random_claims(rows: int, seed: int = 0) -> pa.Table:
    """Patients with unknowns of every kind: no visits, null amounts, days and measures, counties in other bins."""
    random = np.random.default_rng(seed)

    def maybe(value):
        return None if random.random() < 0.3 else value

    found = []
    for _ in range(rows):
        visits = int(random.integers(0, 5))
        found.append(
            {
                "sex": maybe("F"),
                "visit_day": sorted(random.integers(0, 6, visits).tolist()),
                "visit_type": random.choice(["OP", "IP"], visits).tolist(),
                "codes": [random.choice([*POOL, ""], random.integers(0, 6)).tolist() for _ in range(visits)],
                "visit_amount": [maybe(random.choice([0.0, 9.99, 10.0, 13.77, 500.0])) for _ in range(visits)],
                "length_of_stay_days": maybe(int(random.integers(0, 8))),
                "patient_codes": maybe(["RACE/WHITE", "COUNTY/SVI-9"]),
                "county_measures": maybe({"SVI": maybe(random.random()), "RURAL": maybe(1.0), "OTHER": 3.0}),
            }
        )
    return pa.Table.from_pylist(found, SCHEMA)


def make_tokenizer(form: ClaimForm) -> ClaimTokenizer:
    return ClaimTokenizer.train_from_dataset(random_claims(300, seed=1), min_patients=1, form=form)


def write(form: ClaimForm, claims: pa.Table) -> pa.Table:
    return decode_codes(FormWriter(form).write(claims))


@pytest.mark.parametrize("depth", ["code", "category", "chapter"])
@pytest.mark.parametrize("hide", [(), ("sex", "race"), ("county", "disposition")])
def test_tables_and_single_patients_give_the_same_tokens(depth, hide):
    form = replace(FORM, depth=depth, hide=hide, chapters=CHAPTERS, depth_of_system={"NDC": "category"})
    tokenizer, claims = make_tokenizer(form), random_claims(200)
    table = tokenizer.encode_table(claims)
    for row, encoded in zip(claims.to_pylist(), table.to_pylist(), strict=True):
        one = tokenizer(row, return_category_ids=True)
        assert {name: one[name] for name in ("input_ids", "visit_ids", "visit_days", "category_ids")} == {
            name: encoded[name] for name in ("input_ids", "visit_ids", "visit_days", "category_ids")
        }
        visits = [
            {"day": day, "type": kind, "codes": codes, "amount": amount}
            for day, kind, codes, amount in zip(
                row["visit_day"], row["visit_type"], row["codes"], row["visit_amount"], strict=True
            )
        ]
        rest = {name: row[name] for name in ("sex", "length_of_stay_days", "patient_codes", "county_measures")}
        assert tokenizer({"visits": visits, **rest})["input_ids"] == encoded["input_ids"]


@pytest.mark.parametrize("depth", ["code", "category", "chapter"])
def test_writing_twice_changes_nothing_and_gives_the_same_tokens(depth):
    form = replace(FORM, depth=depth, chapters=CHAPTERS)
    tokenizer, claims = make_tokenizer(form), random_claims(100)
    once = write(form, claims)
    assert write(form, once).equals(once)
    assert tokenizer.encode_table(once).equals(tokenizer.encode_table(claims))
    assert tokenizer.count_backoffs(once) == tokenizer.count_backoffs(claims)
    trained = ClaimTokenizer.train_from_dataset(write(form, random_claims(300, seed=1)), min_patients=1, form=form)
    assert trained.get_vocab() == tokenizer.get_vocab()


def test_visits_hold_their_groups_sorted_and_their_numbers_after_them():
    claims = pa.table(
        {
            "codes": [[["HCPCS/99213", "ICD9CM/4280", "ICD9CM/4281"], []], [], None],
            "visit_amount": [[13.77, None], [], None],
            "length_of_stay_days": [5, 3, None],
        }
    )
    assert write(FORM, claims)["codes"].to_pylist() == [[["CCS/108", "HCPCSGROUP/992", "PAID/2"], ["LOS/2"]], [], []]
    chunks = pa.concat_tables([claims.slice(0, 1), claims.slice(1)])
    assert write(FORM, chunks)["codes"].to_pylist() == write(FORM, claims)["codes"].to_pylist()
    assert write(FORM, claims.slice(1))["codes"].to_pylist() == [[], []]
    assert write(FORM, claims.slice(0, 0)).num_rows == 0


@pytest.mark.parametrize(
    ("code", "form"),
    [
        ("ICD9CHAPTER/7", FORM),
        ("MDC/05", FORM),
        ("CCS/108", replace(FORM, depth="chapter", chapters=CHAPTERS)),
        ("NDC9/000930145", replace(FORM, depth_of_system={"NDC": "code"})),
        ("PAID/3", FORM),
        ("LOS/0", replace(FORM, bins={})),
    ],
)
def test_claims_in_another_form_are_refused_on_both_paths(code, form):
    claims = pa.table(
        {
            "visit_day": [[1]],
            "visit_type": [["OP"]],
            "codes": [[[code]]],
            "visit_amount": pa.array([[None]], pa.list_(pa.float32())),
            "length_of_stay_days": pa.array([None], pa.int32()),
        }
    )
    tokenizer = make_tokenizer(form)
    for encode in (tokenizer.encode_table, lambda table: tokenizer(table.to_pylist())):
        with pytest.raises(ValueError, match=f"found codes of {code.partition('/')[0]}: they are written in another"):
            encode(claims)


@pytest.mark.parametrize("bins", [{"PAID": (20.0,), "LOS": (2.0, 5.0)}, {"PAID": FORM.bins["PAID"], "LOS": (4.0,)}])
def test_other_bins_are_told_by_the_numbers_themselves(bins):
    tokenizer, claims = make_tokenizer(FORM), random_claims(50)
    written = write(replace(FORM, bins=bins), claims)
    with pytest.raises(ValueError, match=r"expected (PAID|LOS)/ codes in the bins of the tokenizer, found others"):
        tokenizer.encode_table(written)
    with pytest.raises(ValueError, match=r"expected (PAID|LOS)/ codes in the bins of the tokenizer, found others"):
        tokenizer(written.to_pylist())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "PAID/0 LOS/0 COUNTY/RURAL-0 COUNTY/SVI-0"),
        ({"visit_amount": [10.0]}, "PAID/1 LOS/0 COUNTY/RURAL-0 COUNTY/SVI-0"),
        # An edge is a value in single precision, and the amount is the same in both.
        ({"visit_amount": [13.77]}, "PAID/2 LOS/0 COUNTY/RURAL-0 COUNTY/SVI-0"),
        ({"length_of_stay_days": 2}, "PAID/0 LOS/1 COUNTY/RURAL-0 COUNTY/SVI-0"),
        ({"length_of_stay_days": 5}, "PAID/0 LOS/2 COUNTY/RURAL-0 COUNTY/SVI-0"),
        ({"county_measures": {"SVI": 0.3, "RURAL": 1.0, "OTHER": 1.0}}, "PAID/0 LOS/0 COUNTY/RURAL-1 COUNTY/SVI-1"),
    ],
)
def test_a_number_on_an_edge_lies_above_it_on_both_paths(change, expected):
    row = {"visit_day": [1], "visit_type": ["IP"], "codes": [[]], "visit_amount": [9.99], "length_of_stay_days": 1}
    row |= {"county_measures": {"SVI": 0.29, "RURAL": 0.99, "OTHER": 1.0}, "patient_codes": [], **change}
    table = write(FORM, pa.Table.from_pylist([row], SCHEMA))
    (codes,) = table["codes"][0].as_py()
    assert " ".join([*codes, *table["patient_codes"][0].as_py()]) == expected
    (one,) = FORM.write_visits(row["codes"], row["visit_amount"], row["length_of_stay_days"])
    assert " ".join([*one, *FORM.write_patient_codes([], row["county_measures"])]) == expected


def test_rolled_up_chapters_hold_for_any_depth_that_ends_there():
    form = replace(FORM, depth="chapter", chapters=CHAPTERS)
    assert [form.group(code) for code in ("NDC9/000930145", "NDC/00093014505", "HCPCS/0042T", "HCPCS/0042A")] == [
        "NDC9/000930145",
        "NDC9/000930145",
        "HCPCSSECTION/NEW",
        "UNK/HCPCS",
    ]


def test_a_table_without_the_columns_of_numbers_is_refused_and_a_patient_without_them_is_not():
    tokenizer, claims = make_tokenizer(FORM), random_claims(20)
    with pytest.raises(ValueError, match=r"expected the columns visit_amount, length_of_stay_days, .* where unknown"):
        tokenizer.encode_table(claims.drop_columns(["visit_amount", "length_of_stay_days"]))
    ids = tokenizer({"visits": [{"day": 1, "type": "OP", "codes": ["ICD9CM/4280"]}]})["input_ids"]
    assert "CCS/108" in tokenizer.convert_ids_to_tokens(ids)
    with pytest.raises(ValueError, match=r"expected county measures of all bins .*, found none of the name SVI"):
        tokenizer.encode_table(
            claims.drop_columns("county_measures").append_column("county_measures", pa.array([{"RURAL": 1.0}] * 20))
        )


def test_saving_and_loading_keeps_the_form_to_the_byte(tmp_path):
    tokenizer = make_tokenizer(replace(FORM, depth="chapter", chapters=CHAPTERS, hide=["race"]))
    tokenizer.save_pretrained(tmp_path / "once")
    loaded = ClaimTokenizer.from_pretrained(tmp_path / "once")
    loaded.save_pretrained(tmp_path / "twice")
    for path in (tmp_path / "once").iterdir():
        assert (tmp_path / "twice" / path.name).read_bytes() == path.read_bytes()
    assert loaded.form == tokenizer.form
    claims = random_claims(50)
    assert loaded.encode_table(claims).equals(tokenizer.encode_table(claims))
    assert pickle.loads(pickle.dumps(loaded)).encode_table(claims).equals(tokenizer.encode_table(claims))
    ClaimTokenizer({"SEX/F": 3}).save_pretrained(tmp_path / "once")
    assert ClaimTokenizer.from_pretrained(tmp_path / "once").form is None


@pytest.fixture
def old_folder(tmp_path):
    """A checkpoint's tokenizer as format version 1 wrote it: a form in two files beside it."""

    def save(depth="category", counties=True):
        tokenizer = make_tokenizer(replace(FORM, depth=depth, chapters=CHAPTERS))
        tokenizer.save_pretrained(tmp_path)
        (tmp_path / "form.json").unlink()
        options = json.loads((tmp_path / "tokenizer_config.json").read_text())
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(options | {"format_version": 1}))
        bins = {"version": 1, "edges": {name: list(edges) for name, edges in FORM.bins.items()}}
        form = {"version": 1, "depth": depth, "depth_of_system": {}, "bins": bins, "hide": []}
        (tmp_path / "sequence_form.json").write_text(json.dumps(form))
        if counties:
            edges = {name: list(edges) for name, edges in FORM.county_bins.items()}
            (tmp_path / "county_bins.json").write_text(json.dumps({"version": 1, "edges": edges}))
        return tokenizer

    return tmp_path, save


def test_the_two_files_of_the_old_format_are_the_form_of_the_tokenizer(old_folder, tmp_path_factory):
    folder, save = old_folder
    tokenizer = save()
    loaded = ClaimTokenizer.from_pretrained(folder)
    assert loaded.form == FORM
    claims = random_claims(50)
    assert loaded.encode_table(claims).equals(tokenizer.encode_table(claims))
    new = tmp_path_factory.mktemp("new")
    loaded.save_pretrained(new)
    names = {path.name for path in new.iterdir()}
    assert names == {"form.json", "vocab.json", "categories.json", "tokenizer_config.json"}
    assert ClaimTokenizer.from_pretrained(new).form == FORM


def test_a_form_of_the_old_format_may_have_no_counties_and_lacks_the_table_of_chapters(old_folder):
    folder, save = old_folder
    tokenizer = save("chapter", counties=False)
    loaded = ClaimTokenizer.from_pretrained(folder)
    assert loaded.form.county_bins == {}
    claims = random_claims(20).drop_columns(["county_measures"])
    written = write(tokenizer.form, claims)
    assert loaded.encode_table(written).equals(tokenizer.encode_table(claims))
    with pytest.raises(ValueError, match=r"expected a form with the chapters of .* the tokenizer is of an old format"):
        loaded.encode_table(claims)


def test_files_of_an_old_form_beside_a_new_tokenizer_are_not_read(old_folder):
    folder, save = old_folder
    save()
    ClaimTokenizer({"SEX/F": 3}).save_pretrained(folder)
    assert ClaimTokenizer.from_pretrained(folder).form is None


def test_damaged_forms_are_refused(tmp_path):
    for content, message in (
        ({"version": 3}, "expected a form of version 2 or older, found 3"),
        ({"version": 2, "depth": "code"}, "expected a form with depth, bins and hide"),
        (FORM.to_dict() | {"bins": {"PAID": [2.0, 1.0]}}, "expected ascending edges"),
        (FORM.to_dict() | {"bins": {"AGE": [2.0]}}, "expected bins of PAID, LOS, found AGE"),
        (FORM.to_dict() | {"depth": "leaf"}, "expected one of the depths"),
        (FORM.to_dict() | {"depth_of_system": {"SNOMED": "code"}}, "expected one of the code systems"),
    ):
        (tmp_path / "form.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match=message):
            ClaimForm.load(tmp_path)
