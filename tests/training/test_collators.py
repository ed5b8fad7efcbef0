import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy import stats
from training.tokenized_rows import CATEGORIES, FIRST_CODE

from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer
from claim_transformers.training import (
    DataCollatorForClaimClassification,
    DataCollatorForClaimPretraining,
    DataCollatorForMaskedTokens,
    DataCollatorForVisitClassification,
    tokenize_dataset,
)

ALL_KINDS = [
    lambda tokenizer: DataCollatorForClaimPretraining(tokenizer, cp_mask_probability=0.3, seed=4),
    lambda tokenizer: DataCollatorForClaimPretraining(tokenizer, nvp_context="full", pad_to_multiple_of=8),
    lambda tokenizer: DataCollatorForMaskedTokens(tokenizer, seed=2),
    lambda tokenizer: DataCollatorForClaimClassification(tokenizer),
]


def with_rows(table, epoch=0):
    numbered = table.append_column("row", pa.array(np.arange(len(table))))
    return numbered.append_column("epoch", pa.array(np.full(len(table), epoch)))


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("make", ALL_KINDS)
@pytest.mark.parametrize("numbered", [True, False])
def test_a_table_and_a_list_of_dictionaries_give_the_same_batch(make, numbered, table, vocabulary):
    rows = (with_rows(table, epoch=2) if numbered else table).slice(10, 40)
    collator = make(vocabulary)
    assert equal(collator(rows), collator(rows.to_pylist()))


@pytest.mark.parametrize("make", ALL_KINDS)
def test_chunks_of_a_table_do_not_matter(make, table, vocabulary):
    pieces = pa.concat_tables([with_rows(table).slice(start, 7) for start in range(0, 70, 7)])
    collator = make(vocabulary)
    assert equal(collator(pieces), collator(with_rows(table).slice(0, 70).combine_chunks()))


def test_the_batch_is_the_tokens_and_padding_and_nothing_else(table, vocabulary):
    batch = DataCollatorForClaimPretraining(vocabulary, nvp_context="none")(table)
    for row, expected in enumerate(table.to_pylist()):
        tokens, slots = len(expected["input_ids"]), len(expected["visit_days"])
        assert batch["input_ids"][row, :tokens].tolist() == expected["input_ids"]
        assert batch["visit_ids"][row, :tokens].tolist() == expected["visit_ids"]
        assert batch["category_labels"][row, :tokens].tolist() == expected["category_ids"]
        assert batch["visit_days"][row, :slots].tolist() == expected["visit_days"]
        assert batch["attention_mask"][row].tolist() == [1] * tokens + [0] * (batch["input_ids"].shape[1] - tokens)
        labels = [code if code >= FIRST_CODE else -100 for code in expected["input_ids"]]
        assert batch["labels"][row, :tokens].tolist() == labels
        for name, fill in (("input_ids", 0), ("visit_ids", -1), ("labels", -100), ("category_labels", -100)):
            assert (batch[name][row, tokens:] == fill).all()
        assert (batch["visit_days"][row, slots:] == -1).all()
    assert batch["cut"].eq(0).all()


def test_cut_leaves_the_last_visit_as_target_in_full_context(table, vocabulary):
    batch = DataCollatorForClaimPretraining(vocabulary, nvp_context="full")(table)
    visits = np.array(table["length"]) - 1
    assert batch["cut"].tolist() == np.maximum(visits - 1, 0).tolist()


def test_mixed_cuts_are_half_causal_and_else_uniform(table, vocabulary):
    long = table.filter(np.array(table["length"]) == 8)
    row = long.slice(0, 1)
    many = pa.concat_tables([row] * 20_000).combine_chunks()
    cuts = DataCollatorForClaimPretraining(vocabulary, seed=1)(with_rows(many))["cut"].numpy()
    counts = np.bincount(cuts, minlength=7)
    assert len(counts) == 7
    assert stats.binomtest(int(counts[0]), len(cuts), 0.5).pvalue > 0.001
    assert stats.chisquare(counts[1:]).pvalue > 0.001


def test_mixed_cuts_leave_a_target_to_every_patient_with_a_visit(table, vocabulary):
    cuts = DataCollatorForClaimPretraining(vocabulary)(with_rows(table))["cut"].numpy()
    visits = np.array(table["length"]) - 1
    assert (cuts >= 0).all()
    assert (cuts <= np.maximum(visits - 1, 0)).all()


@pytest.mark.parametrize("make", ALL_KINDS[:3])
def test_what_is_random_depends_on_the_row_and_not_on_the_batch(make, table, vocabulary):
    collator = make(vocabulary)
    numbered = with_rows(table)
    whole, alone = collator(numbered), collator(numbered.slice(17, 1))
    for name, values in alone.items():
        width = values.shape[1] if values.ndim > 1 else None
        of_row = whole[name][17] if width is None else whole[name][17, :width]
        assert torch.equal(of_row, values[0])


def test_epochs_and_seeds_draw_afresh_and_repeat_themselves(table, vocabulary):
    def shown(seed, epoch):
        return DataCollatorForMaskedTokens(vocabulary, seed=seed)(with_rows(table, epoch))["labels"]

    assert torch.equal(shown(0, 0), shown(0, 0))
    assert not torch.equal(shown(0, 0), shown(0, 1))
    assert not torch.equal(shown(0, 0), shown(1, 0))


def test_rows_without_an_epoch_take_that_of_the_collator(table, vocabulary):
    collator = DataCollatorForMaskedTokens(vocabulary, epoch=3)
    without = with_rows(table).drop_columns(["epoch"])
    assert torch.equal(collator(without)["labels"], collator(with_rows(table, epoch=3))["labels"])


def test_fifteen_percent_of_codes_are_chosen_and_treated_as_in_bert(table, vocabulary):
    collator = DataCollatorForMaskedTokens(vocabulary, seed=1)
    batches = [collator(with_rows(table, epoch)) for epoch in range(20)]
    original = DataCollatorForClaimClassification(vocabulary)(table)["input_ids"]
    codes = (original >= FIRST_CODE).sum().item() * len(batches)
    chosen = sum((batch["labels"] != -100).sum().item() for batch in batches)
    assert chosen / codes == pytest.approx(0.15, abs=0.005)
    shares = np.zeros(3)
    for batch in batches:
        picked = batch["labels"] != -100
        assert torch.equal(batch["input_ids"][~picked], original[~picked])
        assert torch.equal(batch["labels"][picked], original[picked])
        now, before = batch["input_ids"][picked], original[picked]
        shares += [(now == 2).sum().item(), ((now != 2) & (now != before)).sum().item(), (now == before).sum().item()]
        assert ((now == 2) | (now >= FIRST_CODE)).all()
    # A random code is the old one once in 60 times.
    assert shares / chosen == pytest.approx([0.8, 0.1 * 59 / 60, 0.1 + 0.1 / 60], abs=0.01)


def test_category_labels_stay_only_where_codes_are_hidden(table, vocabulary):
    plain = DataCollatorForClaimPretraining(vocabulary)(with_rows(table))
    masked = DataCollatorForClaimPretraining(vocabulary, cp_mask_probability=0.4)(with_rows(table))
    hidden = masked["input_ids"] != plain["input_ids"]
    assert (masked["input_ids"][hidden] == 2).all()
    assert torch.equal(hidden, masked["category_labels"] != -100)
    assert torch.equal(masked["category_labels"][hidden], plain["category_labels"][hidden])
    assert torch.equal(masked["labels"], plain["labels"])
    with_category = (plain["category_labels"] != -100).sum().item()
    assert hidden.sum().item() / with_category == pytest.approx(0.4, abs=0.03)
    assert plain["category_labels"].max().item() == CATEGORIES - 1


def test_codes_of_the_patient_are_read_and_never_predicted(vocabulary):
    county = int(np.flatnonzero(vocabulary.target_mask)[0])
    row = {"input_ids": [county, county, county], "visit_ids": [0, 1, 2], "visit_days": [0, 0, 4]}
    batch = DataCollatorForClaimPretraining(vocabulary)([row])
    assert batch["labels"].tolist() == [[-100, county, county]]
    assert batch["input_ids"].tolist() == [[county, county, county]]


def test_rows_without_categories_have_no_category_labels(table, vocabulary):
    batch = DataCollatorForClaimPretraining(vocabulary)(table.drop_columns(["category_ids"]))
    assert batch["category_labels"].eq(-100).all()


def test_widths_are_rounded_up(table, vocabulary):
    batch = DataCollatorForClaimPretraining(vocabulary, pad_to_multiple_of=16)(table)
    assert {batch[name].shape[1] % 16 for name in ("input_ids", "labels", "visit_days")} == {0}


def test_labels_of_one_class_of_many_and_of_none(table, vocabulary):
    collator = DataCollatorForClaimClassification(vocabulary)
    assert collator(table)["labels"].dtype == torch.int64
    assert "labels" not in collator(table.drop_columns(["label"]))
    several = table.drop_columns(["label"]).append_column("label", pa.array([[0, 1, 1]] * len(table)))
    assert collator(several)["labels"].shape == (len(table), 3)
    assert collator(several)["labels"].dtype == torch.float32
    assert equal(collator(several), collator(several.to_pylist()))
    probabilities = table.drop_columns(["label"]).append_column("label", pa.array([0.5] * len(table)))
    assert collator(probabilities)["labels"].dtype == torch.float32


def labelled_visits(table, hidden=0):
    """Label every visit by its number, with `hidden` visits before those in view."""
    labels = [list(range(-hidden, visits - 1)) for visits in table["length"].to_pylist()]
    return table.drop_columns(["label"]).append_column("label", pa.array(labels, pa.list_(pa.int64())))


def test_labels_of_visits_stand_at_their_slots(table, vocabulary):
    rows = labelled_visits(table)
    collator = DataCollatorForVisitClassification(vocabulary)
    batch = collator(rows)
    slots = torch.arange(batch["visit_days"].shape[1])
    is_visit = (batch["visit_days"] >= 0) & (slots > 0)
    assert torch.equal(batch["labels"], torch.where(is_visit, slots - 1, -100))
    assert equal(batch, collator(rows.to_pylist()))
    assert "labels" not in collator(rows.drop_columns(["label"]))
    wide = DataCollatorForVisitClassification(vocabulary, pad_to_multiple_of=16)(rows)
    assert wide["labels"].shape == wide["visit_days"].shape


def test_labels_of_visits_out_of_view_are_left_out(table, vocabulary):
    collator = DataCollatorForVisitClassification(vocabulary)
    assert equal(collator(labelled_visits(table, hidden=3)), collator(labelled_visits(table)))


def test_fewer_labels_than_visits_are_refused(vocabulary):
    row = {"input_ids": [3, 5, 5], "visit_ids": [0, 1, 2], "visit_days": [0, 0, 4]}
    with pytest.raises(ValueError, match="fewer labels than visits in <11 of <11 rows"):
        DataCollatorForVisitClassification(vocabulary)([{**row, "label": [1]}, {**row, "label": [1, 0]}])


def test_patients_without_a_visit_are_collated(vocabulary):
    row = {"input_ids": [3], "visit_ids": [0], "visit_days": [0], "category_ids": [-100]}
    for context in ("full", "none", "mixed"):
        assert DataCollatorForClaimPretraining(vocabulary, nvp_context=context)([row])["cut"].tolist() == [0]
    assert DataCollatorForVisitClassification(vocabulary)([{**row, "label": []}])["labels"].tolist() == [[-100]]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda table: table.drop_columns(["visit_ids"]), KeyError, "expected a column 'visit_ids'"),
        (lambda table: table.slice(0, 0), ValueError, "at least one tokenised row"),
        (
            lambda table: table.set_column(1, "visit_ids", pa.array([[0]] * len(table))),
            ValueError,
            "of one length per row",
        ),
        (
            lambda table: table.set_column(0, "input_ids", pa.array([None] * len(table), pa.list_(pa.int32()))),
            ValueError,
            "found 300 null rows",
        ),
        (
            lambda table: table.drop_columns(["label"]).append_column(
                "label", pa.array([None] * len(table), pa.int8())
            ),
            ValueError,
            "found 300 nulls",
        ),
        (
            lambda table: table.drop_columns(["label"]).append_column("label", pa.array([[1]] + [[1, 0]] * 299)),
            ValueError,
            "several lengths",
        ),
    ],
)
def test_rows_that_are_no_tokens_are_refused(change, error, message, table, vocabulary):
    with pytest.raises(error, match=message):
        DataCollatorForClaimClassification(vocabulary)(change(table))


def test_settings_that_mean_nothing_are_refused(vocabulary):
    with pytest.raises(ValueError, match="'full', 'none' or 'mixed'"):
        DataCollatorForClaimPretraining(vocabulary, nvp_context="half")
    with pytest.raises(ValueError, match="cp_mask_probability in"):
        DataCollatorForClaimPretraining(vocabulary, cp_mask_probability=15)
    with pytest.raises(ValueError, match="mask_probability in"):
        DataCollatorForMaskedTokens(vocabulary, mask_probability=-0.1)


# ---- Codes written as one of their groups ----
BACKING = [
    lambda tokenizer, share: DataCollatorForClaimPretraining(tokenizer, backoff_probability=share, seed=3),
    lambda tokenizer, share: DataCollatorForMaskedTokens(
        tokenizer, backoff_probability=share, mask_probability=0.0, seed=3
    ),
]


@pytest.fixture(scope="module")
def backing(patients):
    """A tokenizer whose codes have groups, and tokens of it."""
    rules = {
        "prefixes": {f"ICD9CM/{ten}": f"CCS/{ten}" for ten in range(10, 100)},
        "wider": {"CCS/*": "BODYSYSTEM/ALL"},
    }
    tokenizer = ClaimTokenizer.train_from_dataset(patients["train"], categories=rules, keep_groups=True)
    return tokenizer, with_rows(tokenize_dataset(patients["train"], tokenizer).with_format("arrow")[:])


@pytest.mark.parametrize("make", BACKING)
def test_a_share_of_the_codes_is_written_as_each_of_their_groups_equally_often(make, backing):
    tokenizer, rows = backing
    plain, shown = (make(tokenizer, share)(rows) for share in (0.0, 0.3))
    before, after = plain.pop("input_ids").numpy().ravel(), shown.pop("input_ids").numpy().ravel()
    number = (tokenizer.vocabulary.stand_ins >= 0).sum(axis=1)[before]
    assert (before == after)[number == 0].all()
    moved = before != after
    assert moved[number > 0].mean() == pytest.approx(0.3, abs=0.02)
    steps = tokenizer.vocabulary.stand_ins[before[moved]] == after[moved, None]
    assert (steps.sum(axis=1) == 1).all()
    most = number[moved] == number[moved].max()
    assert stats.chisquare(steps[most].sum(axis=0)[: number.max()]).pvalue > 0.001
    # What is to be predicted stays, and so does everything else.
    assert equal(plain, shown)


@pytest.mark.parametrize("make", BACKING)
def test_which_codes_are_written_as_a_group_is_a_hash_of_seed_epoch_and_row(make, backing):
    tokenizer, rows = backing
    collator = make(tokenizer, 0.5)
    whole, alone = collator(rows)["input_ids"], collator(rows.slice(17, 1))["input_ids"]
    assert torch.equal(whole[17, : alone.shape[1]], alone[0])
    assert torch.equal(collator(rows)["input_ids"], whole)
    later = rows.set_column(rows.column_names.index("epoch"), "epoch", pa.array(np.ones(len(rows), np.int64)))
    assert not torch.equal(collator(later)["input_ids"], whole)


@pytest.mark.parametrize("make", BACKING)
def test_a_share_that_is_none_is_refused(make, backing):
    with pytest.raises(ValueError, match=r"expected backoff_probability in \[0, 1\], found 1.5"):
        make(backing[0], 1.5)


def test_a_code_that_is_hidden_is_hidden_whatever_stands_for_it(backing):
    tokenizer, rows = backing
    collator = DataCollatorForClaimPretraining(tokenizer, backoff_probability=1.0, cp_mask_probability=0.5)
    batch = collator(rows)
    hidden = batch["category_labels"] != -100
    assert hidden.any()
    assert (batch["input_ids"][hidden] == tokenizer.mask_token_id).all()
