import numpy as np
import pytest
import torch
from claim_batches import collate, random_patients, randomise
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from claim_transformers.models.claim import (
    ClaimConfig,
    ClaimForMaskedLM,
    ClaimForPreTraining,
    ClaimForSequenceClassification,
    ClaimForVisitClassification,
    ClaimModel,
    losses_claim,
    pooling_claim,
)

HEADS = [ClaimForPreTraining, ClaimForMaskedLM, ClaimForSequenceClassification, ClaimForVisitClassification]


def _config(**kwargs):
    sizes = {
        "vocab_size": 60,
        "num_categories": 7,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_attention_heads": 2,
    }
    return ClaimConfig(**{**sizes, "nvp_context": "none", **kwargs})


def _batch(visits=(4, 1, 6, 2), seed=0, **kwargs):
    return collate(random_patients(seed, visits), with_labels=True, **kwargs)


def _without_labels(batch):
    return {name: tensor for name, tensor in batch.items() if "label" not in name}


def _set(codes):
    return sorted({int(code) for code in codes if code >= 0})


def _softplus(values):
    return np.logaddexp(0.0, values)


# ---- Pretraining losses against numpy ----


@pytest.mark.parametrize("context", ["full", "none", "mixed"])
def test_nvp_and_cp_equal_a_numpy_transcription(context):
    """Claim-PT, Unsupervised Pre-training: the codes of the next visit, the categories of the visit itself."""
    model = randomise(ClaimForPreTraining(_config(nvp_context=context))).eval()
    batch = _batch()
    num_visits = (batch["visit_days"] >= 0).sum(dim=1) - 1
    cut = {"full": num_visits - 1, "none": num_visits * 0, "mixed": torch.tensor([2, 0, 4, 1])}[context]
    with torch.no_grad():
        outputs = model(**batch, cut=cut, return_logits=True)
    nvp_logits, category_logits = outputs.nvp_logits.double().numpy(), outputs.category_logits.double().numpy()

    nvp = cp = 0.0
    for row in range(len(cut)):
        n, c = int(num_visits[row]), int(cut[row])
        codes = {slot: _set(batch["labels"][row][batch["visit_ids"][row] == slot]) for slot in range(1, n + 1)}
        targets = {0: c + 1} | ({} if context == "full" else {slot: slot + 1 for slot in range(max(c, 1), n)})
        for slot, target in targets.items():
            if target <= n:
                logits = nvp_logits[row, slot]
                nvp += _softplus(logits).sum() - logits[codes[target]].sum()
        for slot in range(1, n + 1):
            logits = category_logits[row, slot]
            cp += _softplus(logits).sum() - logits[_set([code % 7 for code in codes[slot]])].sum()
    items = int((batch["labels"] >= 0).sum())
    assert outputs.nvp_loss.item() == pytest.approx(nvp / items, rel=1e-5)
    assert outputs.cp_loss.item() == pytest.approx(cp / items, rel=1e-5)
    assert outputs.loss.item() == pytest.approx((nvp + cp) / items, rel=1e-5)


def test_losses_of_an_uninformed_model_are_analytic():
    model = ClaimForPreTraining(_config(nvp_bias_init=0.0, initializer_range=1e-6)).eval()
    batch = _batch()
    outputs = model(**batch)
    items = int((batch["labels"] >= 0).sum())
    num_visits = int(((batch["visit_days"] >= 0).sum(dim=1) - 1).sum())
    # Causal: every visit is predicted once, and every visit predicts its own categories.
    assert outputs.nvp_loss.item() == pytest.approx(num_visits * 60 * np.log(2) / items, rel=1e-4)
    assert outputs.cp_loss.item() == pytest.approx(num_visits * 7 * np.log(2) / items, rel=1e-4)


def test_output_biases_begin_at_the_log_prior():
    model = ClaimForPreTraining(_config(nvp_bias_init=-7.5))
    assert model.nvp_decoder.bias.unique().tolist() == [-7.5]
    assert model.cp_decoder.bias.unique().tolist() == [-7.5]


def test_num_items_in_batch_is_what_the_loss_is_divided_by():
    model, batch = ClaimForPreTraining(_config()).eval(), _batch()
    items = (batch["labels"] >= 0).sum()
    by_batch = model(**batch).loss
    torch.testing.assert_close(model(**batch, num_items_in_batch=4 * items).loss, by_batch / 4)
    torch.testing.assert_close(model(**batch, num_items_in_batch=int(4 * items)).loss, by_batch / 4)


def test_loss_weights_are_applied():
    batch = _batch()
    outputs = ClaimForPreTraining(_config(nvp_weight=2.0, cp_weight=0.5)).eval()(**batch)
    torch.testing.assert_close(outputs.loss, 2 * outputs.nvp_loss + 0.5 * outputs.cp_loss)


def test_category_targets_predict_the_categories_of_the_next_visit():
    model = randomise(ClaimForPreTraining(_config(nvp_target="category"))).eval()
    batch = _batch(visits=(2,))
    outputs = model(**batch, return_logits=True)
    assert model.nvp_decoder.out_features == 7
    total = 0.0
    for slot in range(2):
        logits = outputs.nvp_logits[0, slot].detach().double().numpy()
        cols = _set(batch["category_labels"][0][batch["visit_ids"][0] == slot + 1])
        total += _softplus(logits).sum() - logits[cols].sum()
    assert outputs.nvp_loss.item() == pytest.approx(total / int((batch["labels"] >= 0).sum()), rel=1e-5)


def test_training_returns_no_logits_and_inference_returns_them():
    model, batch = ClaimForPreTraining(_config()).eval(), _batch()
    trained = model(**batch)
    assert trained.nvp_logits is None
    assert trained.category_logits is None
    inferred = model(**_without_labels(batch))
    assert inferred.loss is None
    assert inferred.nvp_logits.shape == (4, 7, 60)
    assert inferred.category_logits.shape == (4, 7, 7)


@pytest.mark.parametrize("context", ["full", "none", "mixed"])
def test_predict_next_visit_reads_the_trained_position(context):
    model = randomise(ClaimForPreTraining(_config(nvp_context=context, history_skip=True))).eval()
    batch = _without_labels(_batch())
    logits = model(**batch).nvp_logits
    num_visits = (batch["visit_days"] >= 0).sum(dim=1) - 1
    slots = num_visits if context == "none" else num_visits * 0
    torch.testing.assert_close(model.predict_next_visit(**batch), logits[torch.arange(4), slots])


def test_labels_without_a_cut_are_refused_under_mixed_context():
    with pytest.raises(ValueError, match="expected cut beside labels for nvp_context='mixed'"):
        ClaimForPreTraining(_config(nvp_context="mixed"))(**_batch())


def test_a_label_outside_the_vocabulary_is_refused():
    batch = _batch()
    batch["labels"][0, -8:] = 60
    batch["visit_ids"][0, -8:] = 2
    batch["attention_mask"][0, -8:] = 1
    with pytest.raises(ValueError, match=r"expected targets in 0\.\.59, found 60"):
        ClaimForPreTraining(_config())(**batch)


# ---- Encoder against numpy ----


def test_history_skip_adds_the_running_sum_of_the_visits_in_view():
    model = randomise(ClaimModel(_config(history_skip=True))).eval()
    batch = _without_labels(_batch(visits=(4, 2)))
    cut = torch.tensor([2, 0])
    with torch.no_grad():
        history = model(**batch, cut=cut).history_states.numpy()
    table, weight = (
        model.embeddings.code_embeddings.weight.detach().numpy(),
        model.history_skip.weight.detach().numpy(),
    )
    for row, num_visits in enumerate((4, 2)):
        bags = [
            table[batch["input_ids"][row][batch["visit_ids"][row] == slot].numpy()].max(axis=0)
            for slot in range(num_visits + 1)
        ]
        for slot in range(num_visits + 1):
            seen = range(1, max(slot, int(cut[row])) + 1)
            expected = weight @ sum((bags[visit] for visit in seen), np.zeros(16))
            np.testing.assert_allclose(history[row, slot], expected, atol=1e-5)


def test_decayed_history_counts_a_visit_half_after_each_half_life():
    half_lives_days = [5, 60]
    model = randomise(ClaimModel(_config(history_skip=True, history_half_lives_days=half_lives_days))).eval()
    batch = _without_labels(_batch(visits=(4, 2)))
    batch["visit_days"][:, 0] = batch["visit_days"].max(dim=1).values + 9
    cut = torch.tensor([4, 0])
    with torch.no_grad():
        history = model(**batch, cut=cut).history_states.numpy()
    table, weight = (
        model.embeddings.code_embeddings.weight.detach().numpy(),
        model.history_skip.weight.detach().numpy(),
    )
    for row, num_visits in enumerate((4, 2)):
        days = batch["visit_days"][row].tolist()
        bags = [
            table[batch["input_ids"][row][batch["visit_ids"][row] == slot].numpy()].max(axis=0)
            for slot in range(num_visits + 1)
        ]
        for slot in range(num_visits + 1):
            today = max(days[0], days[int(cut[row])]) if slot == 0 else days[slot]
            sums = np.zeros((3, 16))
            for visit in range(1, max(slot, int(cut[row])) + 1):
                ago = max(today - days[visit], 0)
                for number, share in enumerate([1.0, *(0.5 ** (ago / days_) for days_ in half_lives_days)]):
                    sums[number] += share * bags[visit]
            np.testing.assert_allclose(history[row, slot], weight @ sums.flatten(), atol=1e-5)


def test_horizon_prediction_is_binary_cross_entropy_over_what_follows():
    config = _config(horizon_days=40, num_categories=7, nvp_context="mixed", horizon_weight=0.25, visit_pooling="sum")
    model = randomise(ClaimForPreTraining(config)).eval()
    batch = _batch()
    cut = torch.tensor([0, 1, 2, 3])[: len(batch["input_ids"])]
    known = batch["visit_days"] >= 0
    targets = batch["category_labels"]
    outputs = model(**batch, cut=cut, horizon_targets=targets, horizon_known=known, return_logits=True)
    expected = 0.0
    for row, days in enumerate(batch["visit_days"].tolist()):
        visits = sum(day >= 0 for day in days) - 1
        seen = min(int(cut[row]), visits)
        for slot in ([0] if seen else []) + list(range(max(seen, 1), visits + 1)):
            today = days[seen] if slot == 0 else days[slot]
            truth = torch.zeros(14)
            for visit in range(max(slot, seen) + 1, visits + 1):
                if days[visit] <= today + 40:
                    truth[targets[row][(batch["visit_ids"][row] == visit) & (targets[row] >= 0)]] = 1
            logits = outputs.horizon_logits[row, slot]
            expected += torch.nn.functional.binary_cross_entropy_with_logits(logits, truth, reduction="sum").item()
    codes = int((batch["labels"] >= 0).sum())
    assert outputs.horizon_loss.item() == pytest.approx(expected / codes, rel=1e-5)
    whole = outputs.nvp_loss + outputs.cp_loss + 0.25 * outputs.horizon_loss
    torch.testing.assert_close(outputs.loss, whole)


def test_category_targets_of_next_visits_are_not_those_of_hidden_codes():
    model = randomise(ClaimForPreTraining(_config(nvp_target="category", nvp_context="none"))).eval()
    batch = _batch()
    masked = batch["category_labels"].where(torch.arange(batch["input_ids"].shape[1]) % 2 == 0, -100)
    hidden = model(**{**batch, "category_labels": masked}, visit_categories=batch["category_labels"])
    torch.testing.assert_close(hidden.nvp_loss, model(**batch).nvp_loss)
    assert not torch.equal(hidden.cp_loss, model(**batch).cp_loss)


def test_time_bias_and_history_skip_begin_without_effect():
    torch.manual_seed(0)
    plain = ClaimModel(_config()).eval()
    extended = ClaimModel(_config(time_attention="bucketed", history_skip=True)).eval()
    missing = extended.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert sorted(missing) == ["history_skip.weight", "time_bias.weight"]
    batch = _without_labels(_batch())
    torch.testing.assert_close(extended(**batch).pooler_output, plain(**batch).pooler_output)


@pytest.mark.parametrize("pooling", ["patient", "mean", "max"])
@pytest.mark.parametrize("visit_pooling", ["max", "none"])
def test_the_patient_vector_pools_real_positions(pooling, visit_pooling):
    model = randomise(ClaimModel(_config(classifier_pooling=pooling, visit_pooling=visit_pooling))).eval()
    batch = _without_labels(_batch())
    outputs = model(**batch)
    slots = batch["visit_ids"] if visit_pooling == "none" else torch.arange(7).where(batch["visit_days"] >= 0, -1)
    for row in range(4):
        states = outputs.last_hidden_state[row]
        chosen = states[slots[row] == 0] if pooling == "patient" else states[slots[row] >= 0]
        expected = chosen.amax(dim=0) if pooling == "max" else chosen.mean(dim=0)
        torch.testing.assert_close(outputs.pooler_output[row], expected)


# ---- Heads ----


def test_single_label_classification_is_cross_entropy():
    model, batch = ClaimForSequenceClassification(_config(num_labels=3)).eval(), _without_labels(_batch())
    labels = torch.tensor([0, 2, 1, 2], dtype=torch.int32)
    outputs = model(**batch, labels=labels)
    torch.testing.assert_close(outputs.loss, functional.cross_entropy(outputs.logits, labels.long()))
    assert model.config.problem_type == "single_label_classification"


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_multi_label_classification_is_binary_cross_entropy(dtype):
    model, batch = ClaimForSequenceClassification(_config(num_labels=3)).eval(), _without_labels(_batch())
    labels = torch.tensor([[0, 1, 1], [0, 0, 0], [1, 1, 1], [1, 0, 0]], dtype=dtype)
    outputs = model(**batch, labels=labels)
    expected = functional.binary_cross_entropy_with_logits(outputs.logits, labels.float())
    torch.testing.assert_close(outputs.loss, expected)
    assert model.config.problem_type == "multi_label_classification"


def test_regression_is_squared_error():
    model, batch = ClaimForSequenceClassification(_config(num_labels=1)).eval(), _without_labels(_batch())
    labels = torch.tensor([0.5, -1.0, 2.0, 3.0])
    outputs = model(**batch, labels=labels)
    torch.testing.assert_close(outputs.loss, functional.mse_loss(outputs.logits[:, 0], labels))
    assert model.config.problem_type == "regression"


@pytest.mark.parametrize("visit_pooling", ["sum", "none"])
def test_visit_classification_ignores_unlabelled_slots(visit_pooling):
    model = ClaimForVisitClassification(_config(num_labels=3, visit_pooling=visit_pooling)).eval()
    batch = _without_labels(_batch(visits=(2, 4)))
    labels = torch.full((2, 5), -100)
    labels[0, 2], labels[1, 4] = 1, 2
    outputs = model(**batch, labels=labels)
    assert outputs.logits.shape == (2, 5, 3)
    chosen = torch.stack([outputs.logits[0, 2], outputs.logits[1, 4]])
    torch.testing.assert_close(outputs.loss, functional.cross_entropy(chosen, torch.tensor([1, 2])))
    assert model(**batch, labels=torch.full((2, 5), -100)).loss == 0


def test_masked_lm_is_cross_entropy_at_masked_codes():
    model = randomise(ClaimForMaskedLM(_config(visit_pooling="none"))).eval()
    batch = _without_labels(_batch())
    labels = torch.full_like(batch["input_ids"], -100)
    labels[:, 3] = batch["input_ids"][:, 3]
    batch["input_ids"][:, 3] = 2
    outputs = model(**batch, labels=labels, return_logits=True)
    expected = functional.cross_entropy(outputs.logits[:, 3], labels[:, 3])
    torch.testing.assert_close(outputs.loss, expected)
    torch.testing.assert_close(model(**batch, labels=labels, num_items_in_batch=8).loss, expected / 2)
    assert model(**batch, labels=labels).logits is None


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.__name__)
def test_only_heads_that_divide_by_the_label_count_accept_it(head):
    assert head.accepts_loss_kwargs is (head in (ClaimForPreTraining, ClaimForMaskedLM))


@pytest.mark.parametrize(
    ("head", "pooling", "expected"),
    [(ClaimForMaskedLM, "max", "'none'"), (ClaimForPreTraining, "none", "'max' or 'sum'")],
)
def test_a_head_refuses_positions_it_cannot_use(head, pooling, expected):
    with pytest.raises(ValueError, match=f"expected visit_pooling {expected} for {head.__name__}, found '{pooling}'"):
        head(_config(visit_pooling=pooling))


def test_every_parameter_gets_a_gradient_when_both_pretraining_heads_run():
    # DDP with find_unused_parameters=False waits forever for a gradient that never comes.
    config = _config(time_attention="bucketed", history_skip=True, norm_first=True)
    model, batch = randomise(ClaimForPreTraining(config)), _batch()
    model(**batch).loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    model.zero_grad()
    unlabelled = torch.full_like(batch["labels"], -100)
    model(**{**batch, "labels": unlabelled, "category_labels": unlabelled}).loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


# ---- Embeddings ----


@pytest.mark.parametrize(
    ("head", "pooling", "decoder"),
    [(ClaimForPreTraining, "sum", "nvp_decoder"), (ClaimForMaskedLM, "none", "decoder")],
)
def test_tied_embeddings_are_one_tensor_also_after_loading(head, pooling, decoder, tmp_path):
    model = head(_config(visit_pooling=pooling, tie_word_embeddings=True))
    assert getattr(model, decoder).weight is model.get_input_embeddings().weight
    model.save_pretrained(tmp_path)
    loaded = head.from_pretrained(tmp_path)
    assert getattr(loaded, decoder).weight is loaded.get_input_embeddings().weight
    untied = head(_config(visit_pooling=pooling))
    assert getattr(untied, decoder).weight is not untied.get_input_embeddings().weight


def test_resized_vocabulary_reaches_table_decoder_and_configuration():
    model, batch = ClaimForPreTraining(_config()), _batch()
    before = model.get_input_embeddings().weight[:60].clone()
    model.resize_token_embeddings(65)
    assert torch.equal(model.get_input_embeddings().weight[:60], before)
    assert model.nvp_decoder.out_features == model.config.vocab_size == 65
    assert torch.isfinite(model(**batch).loss)


def test_resizing_leaves_a_category_decoder_alone():
    model = ClaimForPreTraining(_config(nvp_target="category"))
    model.resize_token_embeddings(65)
    assert model.nvp_decoder.out_features == 7


# ---- Inputs ----


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_ids": None}, "expected either input_ids or inputs_embeds"),
        ({"visit_ids": None}, "expected visit_ids and visit_days beside the codes"),
        ({"visit_days": None}, "expected visit_ids and visit_days beside the codes"),
        ({"visit_ids": torch.zeros(4, 2)}, "expected visit_ids of shape"),
        ({"attention_mask": torch.zeros(4, 2)}, "expected attention_mask of shape"),
        ({"visit_days": torch.zeros(3, 7)}, r"expected visit_days of shape \(4, slots\), found \(3, 7\)"),
        ({"visit_days": torch.zeros(4, 3, dtype=torch.long)}, r"expected visit_ids in 0\.\.2"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ClaimModel(_config())(**{**_without_labels(_batch()), **changes})


def test_flash_attention_refuses_a_cut_and_takes_a_padding_mask(monkeypatch):
    model, batch = ClaimModel(_config()).eval(), _without_labels(_batch())
    seen = {}

    def attend(module, query, key, value, attention_mask, **kwargs):
        seen["mask"] = attention_mask
        return query.transpose(1, 2).contiguous(), None

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, "flash_attention_2", attend)
    monkeypatch.setattr(model.config, "_attn_implementation_internal", "flash_attention_2")
    model(**batch)
    assert torch.equal(seen["mask"], batch["visit_days"] >= 0)
    with pytest.raises(ValueError, match="expected attn_implementation 'sdpa' or 'eager' for a cut"):
        model(**batch, cut=torch.zeros(4, dtype=torch.long))


def test_bf16_training_on_a_cpu_attends_in_plain_operations(monkeypatch):
    from claim_transformers.models.claim import encoder_claim

    calls = []
    plain = encoder_claim._eager_attention_forward

    def attend(*args, **kwargs):
        calls.append(1)
        return plain(*args, **kwargs)

    monkeypatch.setattr(encoder_claim, "_eager_attention_forward", attend)
    model, batch = ClaimModel(_config(attn_implementation="sdpa")).train(), _without_labels(_batch())
    model(**batch)
    assert not calls
    with torch.autocast("cpu", torch.bfloat16):
        model(**batch)
        assert len(calls) == 2
        with torch.no_grad():
            model(**batch)
    assert len(calls) == 2


def test_integer_types_of_the_tokenizer_are_accepted():
    model, batch = ClaimModel(_config()).eval(), _without_labels(_batch())
    narrow = {
        "input_ids": batch["input_ids"].int(),
        "visit_ids": batch["visit_ids"].short(),
        "visit_days": batch["visit_days"].int(),
        "attention_mask": batch["attention_mask"].bool(),
    }
    assert torch.equal(model(**narrow).last_hidden_state, model(**batch).last_hidden_state)


@pytest.mark.parametrize("half_life_days", [None, 20])
def test_the_code_skip_adds_log_counts_of_codes(half_life_days):
    config = _config(code_skip=True, code_skip_half_life_days=half_life_days, num_labels=3)
    model = randomise(ClaimForSequenceClassification(config)).eval()
    batch = _without_labels(_batch())
    batch["input_ids"][0, 5] = batch["input_ids"][0, 4]  # one code twice
    batch["visit_days"][:, 0] = batch["visit_days"].max(dim=1).values + 3
    weight = model.code_skip.weight.detach().clone()
    with torch.no_grad():
        whole = model(**batch).logits
        model.code_skip.weight.zero_()
        network = model(**batch).logits
    for row, days in enumerate(batch["visit_days"].tolist()):
        counts = torch.zeros(len(weight))
        for code, slot in zip(batch["input_ids"][row].tolist(), batch["visit_ids"][row].tolist(), strict=True):
            if slot >= 0:
                ago_days = days[0] - days[slot] if slot else 0
                counts[code] += 1.0 if half_life_days is None else 0.5 ** (ago_days / half_life_days)
        torch.testing.assert_close(whole[row] - network[row], counts.log1p() @ weight, atol=1e-4, rtol=1e-4)


def test_the_code_skip_begins_without_effect_and_cannot_count_vectors(tmp_path):
    model = ClaimForSequenceClassification(_config()).eval()
    model.save_pretrained(tmp_path)
    skipping = ClaimForSequenceClassification.from_pretrained(tmp_path, code_skip=True)
    batch = _without_labels(_batch())
    torch.testing.assert_close(skipping(**batch).logits, model(**batch).logits)
    vectors = skipping.get_input_embeddings()(batch.pop("input_ids"))
    with pytest.raises(ValueError, match="expected input_ids for code_skip=True, found inputs_embeds"):
        skipping(**batch, inputs_embeds=vectors)


@pytest.mark.parametrize("visit_pooling", ["sum", "none"])
def test_the_gap_to_the_index_date_is_added_to_the_patient_alone(visit_pooling):
    config = _config(visit_pooling=visit_pooling, index_gap=True)
    model = randomise(ClaimModel(config)).eval()
    batch = _without_labels(_batch(visits=(4, 2)))
    last_days = batch["visit_days"].max(dim=1).values
    batch["visit_days"][:, 0] = last_days + torch.tensor([5, 0])
    embedded = []
    model.layers[0].register_forward_pre_hook(lambda module, given: embedded.append(given[0].detach().clone()))
    with torch.no_grad():
        model(**batch, output_hidden_states=True)
        model.index_gap.weight.zero_()
        model(**batch, output_hidden_states=True)
    difference = embedded[0] - embedded[1]
    torch.manual_seed(0)
    weight = randomise(ClaimModel(config)).index_gap.weight.detach()
    slots = batch["visit_ids"] if visit_pooling == "none" else torch.arange(difference.shape[1]).expand(2, -1)
    for row, bucket in enumerate((3, 0)):  # 4 to 7 days, the same day
        patient = slots[row] == 0
        assert torch.allclose(difference[row][patient], weight[bucket].expand(int(patient.sum()), -1), atol=1e-6)
        assert not difference[row][~patient].any()


@pytest.mark.parametrize("visit_pooling", ["sum", "none"])
def test_segments_tell_the_patient_earlier_visits_and_the_last_one_in_view_apart(visit_pooling):
    config = _config(visit_pooling=visit_pooling, segments=True)
    model = randomise(ClaimModel(config)).eval()
    weight = model.segments.weight.detach().clone()
    batch = _without_labels(_batch(visits=(4, 2)))
    embedded = []
    model.layers[0].register_forward_pre_hook(lambda module, given: embedded.append(given[0].detach().clone()))
    with torch.no_grad():
        model(**batch, output_hidden_states=True)
        model.segments.weight.zero_()
        model(**batch, output_hidden_states=True)
    difference = embedded[0] - embedded[1]
    slots = batch["visit_ids"] if visit_pooling == "none" else torch.arange(difference.shape[1]).expand(2, -1)
    for row, visits in enumerate((4, 2)):
        for slot in range(-1, visits + 1):
            expected = weight[0 if slot == 0 else 2 if slot == visits else 1] if slot >= 0 else torch.zeros(1)
            found = difference[row][slots[row] == slot]
            assert torch.allclose(found, expected.expand_as(found), atol=1e-6)


# ---- Waiting for an accelerator ----


class _Waits(TorchDispatchMode):
    """Count operations whose result the host has to know, for which it waits until an accelerator is done."""

    NAMES = ("nonzero", "_local_scalar_dense", "_unique2", "unique_dim", "bincount", "masked_select", "equal")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        by_mask = name in ("index", "index_put_", "_index_put_impl_") and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        self.count += by_mask or name in self.NAMES
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("horizon_days", "waits"), [(0, 6), (365, 9)])
def test_a_step_waits_for_an_accelerator_a_few_times(monkeypatch, horizon_days, waits):
    # Tokens and positions that are no padding, pairs of each task and what predicts them are counted. CUDA checks the
    # ranges itself, and on a CPU alone each head looks whether its loss is finite.
    for module in (losses_claim, pooling_claim):
        monkeypatch.setattr(module, "check_below", lambda *_: None)
    model = ClaimForPreTraining(_config(horizon_days=horizon_days))
    batch = _batch()
    if horizon_days:
        batch |= {"horizon_targets": batch["category_labels"], "horizon_known": batch["visit_days"] >= 0}
    with _Waits() as forward:
        outputs = model(**batch)
    with _Waits() as backward:
        outputs.loss.backward()
    num_heads = sum(loss is not None for loss in (outputs.nvp_loss, outputs.cp_loss, outputs.horizon_loss))
    assert (forward.count - num_heads, backward.count) == (waits, 0)
