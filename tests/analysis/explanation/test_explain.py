"""Reasons: they add up, agree with slower ways to find them, and depend on nothing that a prediction does not."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch

from claim_transformers.analysis import explain, explain_patients
from claim_transformers.analysis.explanation import integration
from claim_transformers.analysis.explanation.average_codes import average_rows, token_kinds
from claim_transformers.analysis.explanation.explanation import REASONS_SCHEMA, Explanation
from claim_transformers.models.claim import (
    ClaimConfig,
    ClaimForPreTraining,
    ClaimForSequenceClassification,
    ClaimTokenizer,
)
from claim_transformers.models.claim.losses_claim import amounts_of_logits
from claim_transformers.training import Calibration

HISTORY = {"history_skip": True, "history_half_lives_days": [90], "index_gap": True, "time_attention": "bucketed"}
KINDS_OF_MODELS = [
    {"visit_pooling": "sum", "norm_first": True, "code_skip": True, "code_skip_half_life_days": 120, **HISTORY},
    {"visit_pooling": "none", "segments": True},
    {"visit_pooling": "none", "code_skip": True, "classifier_pooling": "mean"},
    {"visit_pooling": "max", "code_skip": True, "code_skip_half_life_days": 60, "classifier_rate": 9},
]


@pytest.fixture
def make_classifier(make_model):
    def make(seed=0, **options):
        model = make_model(ClaimForSequenceClassification, seed=seed, **{"visit_pooling": "sum", **options})
        # Large random weights of a vector saturate a probability, and then no code adds anything to it.
        with torch.no_grad():
            model.claim.embeddings.code_embeddings.weight.mul_(0.5)
            model.classifier.weight.mul_(0.5)
            for skip in filter(None, (model.code_skip, model.claim.history_skip)):
                skip.weight.mul_(0.1)
        return model

    return make


@pytest.fixture(scope="module")
def rows(patients):
    return [row for row in patients.to_pylist() if 3 <= len(row["visit_day"]) <= 9][:4]


def predicted(model, tokenizer, row):
    with torch.no_grad():
        return model(**tokenizer(row, return_tensors="pt")).logits[0].double()


def contributions(found):
    return np.array(found.reasons["contribution"])


@pytest.mark.parametrize("options", KINDS_OF_MODELS, ids=str)
def test_base_and_contributions_add_up_to_what_the_model_predicts(make_classifier, tokenizer, rows, options):
    model = make_classifier(**options)
    for row, found in zip(rows, explain_patients(model, tokenizer, rows, steps=64), strict=True):
        assert found.prediction == pytest.approx(100 * float(predicted(model, tokenizer, row).softmax(0)[1]), abs=1e-3)
        assert abs(found.unexplained) <= 0.05 * np.abs(contributions(found)).sum()
        assert abs(found.unexplained) <= 0.1


@pytest.mark.parametrize("options", KINDS_OF_MODELS[:3], ids=str)
def test_the_contributions_are_those_of_tables_that_move_bit_by_bit(make_classifier, tokenizer, rows, options):
    """The oracle knows of no gates and no vectors: it changes the tables of the model and asks it for patients."""
    row, steps, width = rows[0], 8, 1e-4
    model = make_classifier(**options).double()
    found = explain(model, tokenizer, row, steps=steps, most_steps=steps, tolerance=1.0)
    tables = [model.claim.embeddings.code_embeddings.weight] + ([model.code_skip.weight] if model.code_skip else [])
    own = [table.detach().clone() for table in tables]
    averages = [average_by_hand(table, tokenizer) for table in own]
    codes = [*found.codes["code"].to_pylist()[:1], *found.patient["code"].to_pylist()[:1]]
    for code in codes:
        token, total = tokenizer.convert_tokens_to_ids(code), 0.0
        for step in range(steps):
            ends = []
            for side in (-width, width):
                place = torch.full((len(own[0]), 1), (step + 0.5) / steps, dtype=torch.float64)
                place[token] += side
                with torch.no_grad():
                    for table, at_one, at_zero in zip(tables, own, averages, strict=True):
                        table.copy_(at_zero + place * (at_one - at_zero))
                ends.append(float(predicted(model, tokenizer, row).softmax(0)[1]))
            total += 100 * (ends[1] - ends[0]) / (2 * width) / steps
        of_code = found.reasons.filter(pc.equal(found.reasons["code"], code))
        assert pc.sum(of_code["contribution"]).as_py() == pytest.approx(total, abs=1e-5)


def average_by_hand(table, tokenizer):
    """Each row replaced by the mean of the tokens that are of its kind."""
    kinds = token_kinds(tokenizer)
    means = table.clone()
    for token, kind in enumerate(kinds):
        alike = [other for other, its in enumerate(kinds) if its == kind]
        if kind is None or len(alike) == 1:
            alike = [other for other, its in enumerate(kinds) if its is not None]
        means[token] = table[alike].mean(dim=0)
    return means


@pytest.mark.parametrize("options", [KINDS_OF_MODELS[1], {"history_skip": True}], ids=str)
def test_the_contributions_are_those_that_captum_finds(make_classifier, tokenizer, rows, options):
    captum = pytest.importorskip("captum.attr")
    model = make_classifier(**options).double()
    table = model.claim.embeddings.code_embeddings.weight.detach()
    inputs = tokenizer(rows[0], return_tensors="pt")
    visits = {name: inputs[name] for name in ("visit_ids", "visit_days")}

    def outcome(embeddings):
        many = {name: tensor.expand(len(embeddings), -1) for name, tensor in visits.items()}
        many["inputs_embeds"] = embeddings
        return model.classifier(model.claim(**many).pooler_output).softmax(-1)[:, 1]

    vectors, averages = (rows_of[inputs["input_ids"]] for rows_of in (table, average_by_hand(table, tokenizer)))
    expected = captum.IntegratedGradients(outcome).attribute(vectors, averages, n_steps=32, method="riemann_middle")
    found = explain(model, tokenizer, rows[0], steps=32, most_steps=32, tolerance=1.0)
    np.testing.assert_allclose(contributions(found), 100 * expected.sum(-1)[0].numpy(), atol=1e-6)


def test_counts_of_codes_alone_give_their_exact_share(make_classifier, tokenizer, rows):
    model = make_classifier(code_skip=True, num_labels=1, problem_type="regression")
    with torch.no_grad():
        model.classifier.weight.zero_()
    weight = model.code_skip.weight.detach()
    change = (weight - average_rows(weight, token_kinds(tokenizer)))[:, 0]
    found = explain(model, tokenizer, rows[0], steps=1)
    codes = found.reasons["code"].to_pylist()
    expected = [
        float(change[token]) * np.log1p(codes.count(code)) / codes.count(code)
        for code, token in zip(codes, tokenizer.convert_tokens_to_ids(codes), strict=True)
    ]
    assert max(map(codes.count, codes)) > 1
    np.testing.assert_allclose(contributions(found), expected, atol=1e-5)
    assert found.unit == "units of the outcome"


def test_a_code_that_no_table_tells_from_the_average_gets_nothing(make_classifier, tokenizer, rows):
    model = make_classifier(code_skip=True)
    code = explain(model, tokenizer, rows[0]).codes["code"][0].as_py()
    token = tokenizer.convert_tokens_to_ids(code)
    others = torch.tensor([kind == "codes" for kind in token_kinds(tokenizer)])
    others[token] = False
    with torch.no_grad():
        for table in (model.claim.embeddings.code_embeddings.weight, model.code_skip.weight):
            table[token] = table[others].mean(dim=0)
    found = explain(model, tokenizer, rows[0])
    is_code = np.array(found.reasons["code"].to_pylist()) == code
    assert np.abs(contributions(found)[is_code]).max() < 1e-4
    assert np.abs(contributions(found)[~is_code]).max() > 0.1


def test_neither_the_order_of_visits_codes_and_patients_nor_company_nor_memory_changes_a_reason(
    make_classifier, tokenizer, rows, monkeypatch
):
    model = make_classifier(code_skip=True, **HISTORY)
    alone = [explain(model, tokenizer, row) for row in rows]
    turned = [
        row
        | {name: [one[::-1] if name == "codes" else one for one in row[name][::-1]] for name in LISTS if name in row}
        for row in rows[::-1]
    ]
    monkeypatch.setattr(integration, "_MOST_NUMBERS", 1)
    for one, other in zip(alone, explain_patients(model, tokenizer, turned)[::-1], strict=True):
        assert one.reasons.drop_columns(["contribution"]) == other.reasons.drop_columns(["contribution"])
        np.testing.assert_allclose(contributions(one), contributions(other), atol=2e-3)
        assert one.base == pytest.approx(other.base, abs=1e-3)


LISTS = ("visit_day", "visit_type", "codes", "visit_end_day", "principal_codes")


def test_one_patient_is_a_mapping_and_no_table(make_classifier, tokenizer, rows):
    with pytest.raises(ValueError, match="expected one patient as a mapping, found list; explain_patients"):
        explain(make_classifier(), tokenizer, rows)


def test_a_table_of_patients_gives_what_its_rows_give(make_classifier, tokenizer, patients):
    model, few = make_classifier(), patients.slice(5, 3)
    for one, other in zip(
        explain_patients(model, tokenizer, few), explain_patients(model, tokenizer, few.to_pylist()), strict=True
    ):
        np.testing.assert_allclose(contributions(one), contributions(other), atol=1e-4)


def test_the_tokens_of_a_visit_add_up_to_the_visit(make_classifier, tokenizer, rows):
    found = explain(make_classifier(), tokenizer, rows[0])
    values, slots = contributions(found), np.array(found.reasons["visit"])
    visits = found.visits
    assert visits["visit"].to_pylist() == list(range(1, len(rows[0]["visit_day"]) + 1))
    np.testing.assert_allclose(visits["contribution"], np.bincount(slots, values)[1:], atol=1e-9)
    last, days = rows[0]["visit_day"][-1], np.array(rows[0]["visit_day"])
    end = max(last, rows[0].get("index_day") or last)
    assert visits["days_before_index"].to_pylist() == (end - days).tolist()
    total = sum(sum(part["contribution"].to_pylist()) for part in (found.codes, found.patient))
    others = [kind in ("time", "visit type") for kind in found.reasons["kind"].to_pylist()]
    assert total + values[others].sum() == pytest.approx(values.sum())


# ---- What is shown ----


@pytest.mark.parametrize("options", KINDS_OF_MODELS, ids=str)
def test_a_code_that_is_left_out_changes_the_prediction_as_a_record_without_it(
    make_classifier, tokenizer, rows, options
):
    model = make_classifier(**options)
    for row, found in zip(rows, explain_patients(model, tokenizer, rows, tolerance=1.0), strict=True):
        inputs = tokenizer(row, return_tensors="pt")
        total = sum(abs(code["contribution"]) for code in found.codes.to_pylist())
        large = {code["code"] for code in found.codes.to_pylist() if abs(code["contribution"]) > 0.15 * total}
        assert set(found.left_out) == large
        for code, change in found.left_out.items():
            stays = (inputs["input_ids"] != tokenizer.convert_tokens_to_ids(code)) | (inputs["visit_ids"] == 0)
            less = {name: inputs[name][stays][None] for name in ("input_ids", "visit_ids")}
            with torch.no_grad():
                without = model(**less, visit_days=inputs["visit_days"]).logits[0].double().softmax(0)[1]
            assert found.prediction - change == pytest.approx(100 * float(without), abs=1e-3)


def test_only_what_is_large_and_moves_the_prediction_alike_when_left_out_is_shown():
    names = ["HCPCS/1", "HCPCS/2", "HCPCS/3", "HCPCS/4"]
    rows = [("code", name, name, 1, 9, value) for name, value in zip(names, (9, 8, -7, 2), strict=True)]
    rows.append(("visit type", "TYPE/OP", "outpatient", 1, 9, -7.0))
    rows.append(("visit type", "TYPE/IP", "inpatient", 2, 3, 0.5))
    columns = zip(*rows, strict=True)
    arrays = [pa.array(one, field.type) for one, field in zip(columns, REASONS_SCHEMA, strict=True)]
    reasons = pa.table(arrays, REASONS_SCHEMA)
    left_out = {"HCPCS/1": 6.0, "HCPCS/2": -6.0, "HCPCS/3": -6.0, "HCPCS/4": 2.0}
    found = Explanation("ill", "percentage points", 46.0, 50.0, 16, "none", reasons, left_out)
    assert found.codes["shown"].to_pylist() == [True, False, True, False]
    assert found.visits["shown"].to_pylist() == [True, False]
    lines = found.to_table().splitlines()
    assert [line.split()[0] for line in lines if "HCPCS" in line] == ["HCPCS/1", "HCPCS/3"]
    sums = {line.strip().rsplit(None, 1)[0]: float(line.rsplit(None, 1)[1]) for line in lines if line.startswith("  ")}
    assert (sums["other codes"], sums["other visits"]) == (10.0, 0.5)
    shown = found.to_arrow().select(["kind", "shown"]).to_pylist()
    assert [row["shown"] for row in shown] == [True, False, True, False, None, None, True, False]


# ---- Calibrated probabilities ----

CALIBRATIONS = [
    Calibration({"method": "platt", "intercept": -2.0, "slope": 0.7}),
    Calibration({"method": "prior", "training_share": 0.5, "true_share": 0.02}),
    Calibration({"method": "isotonic", "knots": [0.1, 0.4, 0.400001, 0.9], "values": [0.0, 0.1, 0.3, 1.0]}),
]


@pytest.mark.parametrize("calibration", CALIBRATIONS, ids=lambda one: one.method)
def test_calibrated_contributions_add_up_from_the_calibrated_base_to_the_calibrated_risk(
    make_classifier, tokenizer, rows, calibration
):
    model = make_classifier()
    own = explain_patients(model, tokenizer, rows)
    for one, other in zip(own, explain_patients(model, tokenizer, rows, calibration=calibration), strict=True):
        expected = 100 * calibration([one.base / 100, one.prediction / 100])
        np.testing.assert_allclose([other.base, other.prediction], expected, atol=1e-4)
        stretch = (expected[1] - expected[0]) / (one.prediction - one.base)
        np.testing.assert_allclose(contributions(other), stretch * contributions(one), rtol=1e-3, atol=1e-6)
        assert abs(other.unexplained) <= 0.1 * max(1.0, stretch) + 1e-3
        assert calibration.method in other.to_table()
        assert {one.calibration, *other.to_arrow()["calibration"].to_pylist()} == {"none", calibration.method}


def test_where_base_and_prediction_are_one_the_slope_of_the_calibration_stretches():
    half = torch.tensor([0.5, 0.5], dtype=torch.float64)
    own = integration.Contributions(half, half, torch.tensor([[0.2, -0.2]] * 2, dtype=torch.float64), half.long())
    line = Calibration({"method": "isotonic", "knots": [0.0, 1.0], "values": [0.1, 0.6]})
    np.testing.assert_allclose(own.calibrated(line).tokens, [[0.1, -0.1]] * 2)


def test_a_calibration_of_another_outcome_is_refused(make_classifier, tokenizer, rows):
    for model, target in ((make_classifier(), 0), (make_classifier(num_labels=3), 1)):
        with pytest.raises(ValueError, match="one outcome alone"):
            explain(model, tokenizer, rows[0], target=target, calibration=CALIBRATIONS[0])


# ---- A code that decides ----


@pytest.fixture(scope="module")
def planted():
    """Patients with a few visits, a model that learned that one code decides, and its tokenizer."""
    codes = [f"HCPCS/992{number:02}" for number in range(40)]
    tokens = ["SEX/F", "SEX/M", "TYPE/OP", "TYPE/IP", *codes]
    tokenizer = ClaimTokenizer({token: number for number, token in enumerate(tokens, 3)})
    random = np.random.default_rng(0)
    patients = [
        {
            "sex": "FM"[int(random.integers(2))],
            "visits": [
                {"day": 40 * day, "type": "OP", "codes": random.choice(codes[1:], 2, replace=False).tolist()}
                for day in range(4)
            ],
        }
        for _ in range(384)
    ]
    for patient in patients[::2]:
        patient["visits"][int(random.integers(4))]["codes"].append(codes[0])
    torch.manual_seed(0)
    config = ClaimConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, intermediate_size=32, visit_pooling="sum",
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    model = ClaimForSequenceClassification(config)
    batch = tokenizer(patients, padding=True, return_tensors="pt")
    labels = torch.arange(len(patients)) % 2 == 0
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        loss = model(**batch, labels=labels.long()).loss
        # Nearer to 0 and 1 nothing moves a risk.
        if loss < 0.1:
            break
        loss.backward()
        optimizer.step()
    return patients, model.eval(), tokenizer, codes[0]


def test_a_visit_with_the_code_that_decides_raises_the_risk_as_its_removal_lowers_it(planted):
    patients, model, tokenizer, code = planted
    cases = patients[:16:2]
    for patient, found in zip(cases, explain_patients(model, tokenizer, cases), strict=True):
        largest = found.codes.slice(0, 1).to_pylist()[0]
        assert (largest["code"], largest["contribution"] > 20, largest["shown"]) == (code, True, True)
        (place,) = [number for number, visit in enumerate(patient["visits"]) if code in visit["codes"]]
        without = patient | {"visits": [visit for number, visit in enumerate(patient["visits"]) if number != place]}
        removed = 100 * float(predicted(model, tokenizer, without).softmax(0)[1])
        assert np.argmax(found.visits["contribution"]) == place
        assert found.prediction - removed > 20


def test_the_fast_form_finds_the_same_code_and_does_not_pretend_to_add_up(planted):
    patients, model, tokenizer, code = planted
    found = explain(model, tokenizer, patients[0], method="gradient")
    assert found.codes["code"][0].as_py() == code
    assert found.steps == 0
    assert found.prediction - found.base - contributions(found).sum() == pytest.approx(found.unexplained)


# ---- Targets ----


@pytest.mark.parametrize("kind", ["single_label_classification", "multi_label_classification", "regression"])
def test_each_of_several_outputs_can_be_asked_for(make_classifier, tokenizer, rows, kind):
    model = make_classifier(num_labels=3, problem_type=kind)
    logits = predicted(model, tokenizer, rows[0])
    expected = {"single_label_classification": 100 * logits.softmax(0), "regression": logits}.get(
        kind, 100 * logits.sigmoid()
    )
    for number in range(3):
        found = explain(model, tokenizer, rows[0], target=f"LABEL_{number}")
        assert (found.target, found.prediction) == (
            f"LABEL_{number}",
            pytest.approx(float(expected[number]), abs=1e-3),
        )
        assert abs(found.unexplained) <= 0.1


@pytest.mark.parametrize(("loss", "outputs"), [("tweedie", 1), ("two_part", 2), ("log", 1)])
def test_an_amount_is_explained_in_dollars_as_it_is_scored(make_classifier, tokenizer, rows, loss, outputs):
    facts = {"regression_loss": loss, "amount_scale": 7000.0}
    model = make_classifier(num_labels=outputs, problem_type="regression", **facts)
    found = explain(model, tokenizer, rows[0])
    expected = float(amounts_of_logits(predicted(model, tokenizer, rows[0])[None], model.config)[0])
    assert (found.unit, found.prediction) == ("US dollars", pytest.approx(expected, rel=1e-4))
    assert expected > 10
    assert found.base + contributions(found).sum() == pytest.approx(expected, rel=0.01)


def test_the_classes_of_a_patient_take_from_each_other_what_they_gain(make_classifier, tokenizer, rows):
    model = make_classifier(num_labels=3)
    parts = [contributions(explain(model, tokenizer, rows[0], target=number, steps=32)) for number in range(3)]
    np.testing.assert_allclose(np.sum(parts, axis=0), 0, atol=1e-3)


# ---- What is refused, and what stays as it was ----


def test_contributions_that_do_not_add_up_are_an_error_that_names_the_cure(make_classifier, tokenizer, rows):
    with pytest.raises(ValueError, match=r"found <11 patients where they miss it, .* raise steps and most_steps to 4"):
        explain(make_classifier(), tokenizer, rows[0], steps=1, most_steps=1, tolerance=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 2}, r"one of 2 labels \(LABEL_0, LABEL_1\), found 2"),
        ({"target": "ill"}, "found 'ill'"),
        ({"method": "attention"}, "integrated, gradient, found 'attention'"),
        ({"steps": 0}, "found 0 and 256"),
        ({"tolerance": 0}, "above 0"),
    ],
)
def test_an_option_out_of_range_is_refused(make_classifier, tokenizer, rows, options, message):
    with pytest.raises(ValueError, match=message):
        explain(make_classifier(), tokenizer, rows[0], **options)


def test_a_model_of_three_classes_needs_a_target_and_another_head_is_refused(
    make_classifier, make_model, tokenizer, rows
):
    with pytest.raises(ValueError, match="3 labels"):
        explain(make_classifier(num_labels=3), tokenizer, rows[0])
    with pytest.raises(ValueError, match="found ClaimForPreTraining"):
        explain(make_model(ClaimForPreTraining), tokenizer, rows[0])
    with pytest.raises(ValueError, match="E_VOCAB_SIZE"):
        explain(make_classifier(vocab_size=len(tokenizer) + 1), tokenizer, rows[0])


def test_the_model_is_left_as_it_was(make_classifier, tokenizer, rows):
    model = make_classifier().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    explain(model, tokenizer, rows[0])
    assert model.training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_model_in_bf16_is_explained_in_float32(make_classifier, tokenizer, rows):
    model = make_classifier().to(torch.bfloat16)
    found, exact = explain(model, tokenizer, rows[0]), explain(make_classifier_copy(model), tokenizer, rows[0])
    assert model.dtype == torch.bfloat16
    np.testing.assert_array_equal(contributions(found), contributions(exact))


def test_the_autocast_that_a_trainer_leaves_around_a_model_changes_no_reason(make_classifier, tokenizer, rows):
    model = make_classifier()
    exact = explain(model, tokenizer, rows[0])
    model.forward = torch.autocast("cpu", torch.bfloat16)(model.forward)
    found = explain(model, tokenizer, rows[0])
    assert found.prediction == exact.prediction
    assert found.codes == exact.codes


def make_classifier_copy(model):
    copy = ClaimForSequenceClassification(model.config).eval()
    copy.load_state_dict({name: tensor.float() for name, tensor in model.state_dict().items()})
    return copy


def test_a_patient_without_visits_is_explained_by_age_and_sex(make_classifier, tokenizer, rows):
    found = explain(make_classifier(), tokenizer, {"sex": "F", "age": 9, "visits": []})
    assert set(found.reasons["kind"].to_pylist()) == {"patient"}
    assert found.visits.num_rows == found.codes.num_rows == 0
    assert abs(found.unexplained) <= 0.1
    assert len(found.to_table().splitlines()) == 6


# ---- Forms ----


def test_what_a_reader_sees_adds_up_and_json_takes_it(make_classifier, tokenizer, rows):
    found = explain(make_classifier(), tokenizer, rows[0])
    top, bottom = found.to_table(3).split("the same by visit:")
    lines = top.splitlines()[1:]
    *parts, end = [float(line.split()[-1]) for line in lines]
    assert sum(parts) == pytest.approx(end, abs=0.001 * len(parts))
    by_visit = [float(line.split()[-1]) for line in bottom.strip().splitlines()]
    assert sum(by_visit) == pytest.approx(sum(found.visits["contribution"].to_pylist()), abs=0.01)
    content = json.loads(json.dumps(found.to_dict()))
    assert sum(one["contribution"] for one in content["reasons"]) + content["base"] == pytest.approx(
        content["prediction"] - content["unexplained"]
    )
    table = found.to_arrow()
    of_visits = pc.equal(table["kind"], "visit")
    assert pc.sum(table.filter(of_visits)["contribution"]).as_py() == pytest.approx(
        sum(one["contribution"] for one in content["visits"])
    )
