"""Scores of a table: nothing beyond the date, any order, and the same as a plain forward pass."""

import datetime as dt

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from cohorts.patients_by_hand import day
from training.scoring.scored_people import AT, PATIENTS, members, model, pretrained, tokenizer

from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.cohorts.timelines import Timelines
from claim_transformers.models.claim import ClaimForm
from claim_transformers.models.recurrent import RecurrentConfig, RecurrentForSequenceClassification
from claim_transformers.training import Calibration, Scorer, score, score_table
from claim_transformers.training.collators import ClaimCollator
from claim_transformers.training.scoring import batches, scorer

DAY = day(AT.isoformat())
PEOPLE = members(60)
F32 = {"precision": "float32"}


def plain_logits(net, people: pa.Table, call) -> torch.Tensor:
    """One patient at a time, cut by the function of the cohorts."""
    timelines = Timelines(people, hide_unpaid=True)
    rows = timelines.before(np.ones(people.num_rows, bool), np.full(people.num_rows, DAY))
    encoded = tokenizer().encode_table(rows)
    collator = ClaimCollator(tokenizer())
    with torch.no_grad():
        return torch.cat([call(net, collator(encoded.slice(row, 1))) for row in range(people.num_rows)])


def enrolled(people: pa.Table) -> pa.Table:
    return people.filter(pa.array([row["enrollment_end_day"][-1] >= DAY for row in people.to_pylist()]))


def test_the_scores_are_those_of_a_plain_forward_pass():
    net, people = model(), enrolled(PEOPLE)
    logits = plain_logits(net, people, lambda net, inputs: net(**inputs).logits)
    expected = logits.softmax(dim=1)[:, 1].numpy()
    found = score_table(net, tokenizer(), PEOPLE, AT, batch_tokens=64, **F32)
    assert np.abs(found["score"].to_numpy() - expected).max() < 1e-5
    assert np.ptp(expected) > 0.1
    rounded = score_table(net, tokenizer(), PEOPLE, AT, precision="bfloat16")["score"].to_numpy()
    assert 0 < np.abs(rounded - expected).max() < 0.1


def test_a_pretrained_model_gives_the_likeliest_categories_of_the_next_visit():
    net, people = pretrained(), enrolled(PEOPLE)
    logits = plain_logits(net, people, lambda net, inputs: net.predict_next_visit(**inputs))
    values, order = torch.sigmoid(logits).topk(3, dim=1)
    found = score_table(net, tokenizer(), PEOPLE, AT, top_k=3, **F32)
    names = np.array(tokenizer().category_names)
    assert found["labels"].to_pylist() == names[order.numpy()].tolist()
    assert np.allclose(np.array(found["scores"].to_pylist()), values.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("num_labels", "problem_type", "expected"),
    [
        (1, "regression", lambda logits: logits),
        (3, "multi_label_classification", torch.sigmoid),
        (3, "single_label_classification", lambda logits: logits.softmax(dim=1)),
    ],
)
def test_each_kind_of_head_is_read_as_it_was_trained(num_labels, problem_type, expected):
    net, people = model(num_labels, problem_type), enrolled(PEOPLE)
    values = expected(plain_logits(net, people, lambda net, inputs: net(**inputs).logits)).sort(dim=1, descending=True)
    found = score_table(net, tokenizer(), PEOPLE, AT, **F32)
    scores = found["score"].to_numpy()[:, None] if num_labels == 1 else np.array(found["scores"].to_pylist())
    assert np.allclose(scores, values.values.numpy(), atol=1e-5)


def test_nothing_that_comes_after_the_date_or_is_unpaid_by_it_changes_a_score():
    rows = PEOPLE.to_pylist()
    changed = 0
    for row in rows:
        row["enrollment_end_day"] = [end if end < DAY else end + 400 for end in row["enrollment_end_day"]]
        for place, (end, paid) in enumerate(zip(row["visit_end_day"], row["visit_paid_day"], strict=True)):
            if max(end, paid) > DAY or end == DAY:
                changed += row["visit_day"][place] < DAY
                row["codes"][place] = ["ICD9CM/4010", "ICD9CM/4020"]
                row["visit_end_day"][place] = max(end, DAY)
                row["visit_paid_day"][place] = max(paid, DAY) + 30
        # An open stay shows its admission; a visit that is not over and is no stay shows nothing.
        later = [place for place, when in enumerate(row["visit_day"]) if when < DAY]
        for name in ("visit_day", "visit_type", "codes", "visit_end_day", "visit_paid_day"):
            row[name] = [row[name][place] for place in later]
        row["death_day"] = DAY + 1
    other = pa.Table.from_pylist(rows, schema=PATIENTS)
    assert changed > 5
    assert score_table(model(), tokenizer(), PEOPLE, AT).equals(score_table(model(), tokenizer(), other, str(AT)))


def test_a_visit_that_is_known_at_the_date_changes_a_score():
    rows = PEOPLE.slice(0, 1).to_pylist()
    rows[0] |= {"visit_day": [DAY - 9], "visit_type": ["OP"], "codes": [["ICD9CM/4011"]]}
    rows[0] |= {"visit_end_day": [DAY - 9], "visit_paid_day": [DAY]}
    paid = score_table(model(), tokenizer(), pa.Table.from_pylist(rows, schema=PATIENTS), AT)
    rows[0]["visit_paid_day"] = [DAY + 1]
    unpaid = score_table(model(), tokenizer(), pa.Table.from_pylist(rows, schema=PATIENTS), AT)
    assert paid["score"] != unpaid["score"]
    assert (paid["last_visit_date"][0].as_py(), unpaid["last_visit_date"][0].as_py()) == (dt.date(2012, 12, 23), None)


def test_the_order_of_the_rows_and_how_they_are_cut_change_nothing(monkeypatch):
    found = score_table(model(), tokenizer(), PEOPLE, AT)
    order = np.random.default_rng(1).permutation(PEOPLE.num_rows)
    shuffled = score_table(model(), tokenizer(), PEOPLE.take(pa.array(order)), AT)
    assert shuffled.sort_by("patient_id").equals(found)
    monkeypatch.setattr(scorer, "ROWS_AT_A_TIME", 7)
    parts = score_table(model(), tokenizer(), PEOPLE, AT, **F32)["score"].to_numpy()
    monkeypatch.undo()
    assert np.abs(parts - score_table(model(), tokenizer(), PEOPLE, AT, **F32)["score"].to_numpy()).max() < 1e-5


def test_who_is_not_enrolled_not_born_or_dead_is_counted_and_left_out():
    rows = PEOPLE.slice(0, 10).to_pylist()
    rows[0]["death_day"], rows[1]["birth_day"] = DAY - 1, DAY + 1
    rows[2] |= {"enrollment_start_day": [], "enrollment_end_day": []}
    rows[3] |= {"enrollment_start_day": None, "enrollment_end_day": None}
    rows[5]["death_day"] = DAY
    table = pa.Table.from_pylist(rows, schema=PATIENTS)
    found, left_out = Scorer(model(), tokenizer()).score(table, AT)
    assert list(left_out.values()) == [1, 1, 1, 2]
    assert found.num_rows + sum(left_out.values()) == 10
    everyone, rest = Scorer(model(), tokenizer(), everyone=True).score(table, AT)
    assert (everyone.num_rows, sum(rest.values())) == (8, 2)
    # Of unknown enrolment: insured, and nobody knows for how long.
    assert dict(zip(*(found[name].to_pylist() for name in ("patient_id", "enrolled_days")), strict=True)) == {
        **{f"member-0-{place:05d}": 365 for place in (5, 6, 7, 8)},
        "member-0-00003": None,
    }


def test_identifiers_and_dates_are_those_of_the_caller():
    found = score_table(model(), tokenizer(), PEOPLE, AT, look_back_days=90)
    people = enrolled(PEOPLE)
    assert found["patient_id"].equals(people["patient_id"])
    assert pc.unique(found["index_date"]).to_pylist() == [AT]
    assert pc.unique(found["enrolled_days"]).to_pylist() == [90]
    known = Timelines(people, hide_unpaid=True).before(np.ones(people.num_rows, bool), np.full(people.num_rows, DAY))
    last = [max(days, default=None) for days in known["visit_day"].to_pylist()]
    assert found["last_visit_date"].cast(pa.int32()).to_pylist() == last
    assert len(pc.unique(found["checkpoint"])) == 1


def test_another_weight_or_another_tokenizer_is_another_checkpoint():
    net = model()
    first = Scorer(net, tokenizer()).checkpoint
    assert Scorer(net, tokenizer(), precision="float32", top_k=3).checkpoint == first
    with torch.no_grad():
        net.classifier.bias[0] += 1e-3
    assert Scorer(net, tokenizer()).checkpoint != first


def test_the_model_of_the_caller_stays_as_it_was():
    net = model().train()
    score(net, tokenizer(), PEOPLE.slice(0, 3), at="2013-01-01", precision="bfloat16")
    assert net.training
    assert next(net.parameters()).dtype == torch.float32


def test_the_autocast_that_a_trainer_leaves_around_a_model_changes_no_score():
    net = model()
    expected = score_table(net, tokenizer(), PEOPLE, AT, **F32)
    net.forward = torch.autocast("cpu", torch.bfloat16)(net.forward)
    assert score_table(net, tokenizer(), PEOPLE, AT, **F32) == expected


def test_a_calibration_moves_the_risks_and_is_named():
    plain = score_table(model(), tokenizer(), PEOPLE, AT, **F32)
    rare = Calibration({"method": "prior", "training_share": 0.5, "true_share": 0.01})
    found = score_table(model(), tokenizer(), PEOPLE, AT, calibration=rare, **F32)
    assert found["score"].to_numpy() == pytest.approx(rare(plain["score"].to_numpy()), abs=1e-6)
    assert [pc.unique(table["calibration"]).to_pylist() for table in (plain, found)] == [["none"], ["prior"]]
    with pytest.raises(ValueError, match="expected a calibration with probabilities of one outcome alone"):
        Scorer(model(3), tokenizer(), calibration=rare)


@pytest.mark.parametrize("architecture", ["doctor_ai", "dipole", "retain"])
def test_recurrent_models_score_too(architecture):
    config = RecurrentConfig(  # type: ignore[call-arg]  # num_labels is of PreTrainedConfig
        architecture=architecture, vocab_size=len(tokenizer()), embedding_size=8, hidden_size=4, num_labels=2
    )
    found = score_table(RecurrentForSequenceClassification(config), tokenizer(), PEOPLE, AT)
    assert (found["score"].null_count, found.num_rows) == (0, 48)
    with pytest.raises(ValueError, match="expected precision 'float32' for a recurrent model"):
        Scorer(RecurrentForSequenceClassification(config), tokenizer(), precision="bfloat16")


def test_what_does_not_fit_is_refused_without_a_person_in_the_message():
    with pytest.raises(ValueError, match="expected a model with a prediction per patient"):
        Scorer(model().claim, tokenizer())
    with pytest.raises(ValueError, match="expected problem_type in the configuration of a model with 3 labels"):
        Scorer(model(3, None), tokenizer())
    with pytest.raises(ValueError, match="expected one number per patient of a regression, found 2"):
        Scorer(model(2, "regression"), tokenizer())
    with pytest.raises(ValueError, match="E_VOCAB_SIZE"):
        Scorer(model(), type(tokenizer())({"SEX/F": 3}))
    for options in ({"top_k": 0}, {"batch_tokens": 0}, {"look_back_days": 0}, {"precision": "int8"}):
        with pytest.raises(ValueError, match="expected"):
            Scorer(pretrained(), tokenizer(), **options)
    net = model()
    with torch.no_grad():
        net.claim.embeddings.code_embeddings.weight.fill_(3e38)
    with pytest.raises(ClaimDataError, match="E_NONFINITE: expected finite scores") as refused:
        score_table(net, tokenizer(), PEOPLE, AT, **F32)
    assert "member" not in str(refused.value)


def test_a_checkpoint_that_stands_on_a_discharge_is_refused_with_the_way_on():
    words = tokenizer()
    words.take_form(ClaimForm("code", bins={"LOS": (3.0,)}))
    with pytest.raises(ValueError, match=r"length_of_stay_days.*predicts at a discharge.*'finetune'"):
        score_table(model(), words, PEOPLE, AT)


def test_batches_are_bounded_and_hold_every_row_once():
    lengths = np.sort(np.random.default_rng(0).integers(1, 300, 500))
    cuts = list(batches._cuts(lengths, 1000))
    assert [begin for begin, _ in cuts[1:]] == [end for _, end in cuts[:-1]]
    assert (cuts[0][0], cuts[-1][1]) == (0, 500)
    assert all((end - begin) * lengths[end - 1] <= 1000 or end - begin == 1 for begin, end in cuts)
    assert all((end - begin) * lengths[end - 1] ** 2 <= 128_000 or end - begin == 1 for begin, end in cuts)


@pytest.mark.parametrize(
    ("patients", "at", "message"),
    [
        (PEOPLE.drop_columns(["codes", "sex"]), AT, "found no sex, codes$"),
        (
            PEOPLE.drop_columns(["death_day"]).append_column("label", [[0] * PEOPLE.num_rows]),
            AT,
            "pipeline takes them",
        ),
        (PEOPLE.to_pylist(), AT, "expected a table or a data set of patients, found list"),
        (datasets.DatasetDict(test=datasets.Dataset(PEOPLE)), AT, r"score each, such as patients\['test'\]"),
        (PEOPLE, dt.datetime(2013, 1, 1, 12), "found datetime"),
        (PEOPLE, 20130101, "found int"),
    ],
)
def test_what_is_no_table_of_patients_or_no_date_is_refused_with_what_is(patients, at, message):
    with pytest.raises(ValueError, match=message):
        score(model(), tokenizer(), patients, at=at)


def test_a_frame_of_pandas_is_refused_by_a_scorer_too():
    with pytest.raises(ValueError, match="expected a table or a data set of patients, found DataFrame"):
        score_table(model(), tokenizer(), PEOPLE.to_pandas(), AT)
