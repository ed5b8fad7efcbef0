"""`torch.compile` without graph breaks, `torch.export` and ONNX with dynamic sizes, through the padded path."""

import numpy as np
import pytest
import torch
from claim_batches import collate, random_patients
from torch.export import Dim

from claim_transformers.models.claim import ClaimConfig, ClaimForSequenceClassification, ClaimModel

CONFIGS = [
    {"visit_pooling": "max", "history_skip": True, "code_skip": True, "classifier_rate": 30.0},
    {"visit_pooling": "sum", "time_attention": "bucketed"},
    {"visit_pooling": "none", "time_attention": "bucketed"},
]


def _config(**kwargs):
    return ClaimConfig(vocab_size=60, hidden_size=16, intermediate_size=32, num_attention_heads=2, **kwargs)


def _batch(visits, seed=0):
    return collate(random_patients(seed, visits))


@pytest.mark.parametrize("choices", CONFIGS, ids=str)
def test_the_encoder_trains_compiled_without_graph_breaks(choices):
    # float64: traced kernels add in another order, which rounds differently from one processor to the next.
    model = ClaimModel(_config(**choices, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)).double()
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="eager")
    for visits in ((3, 1, 4), (2, 5)):
        batch = _batch(visits)
        gradients = []
        for form in (model, compiled):
            model.zero_grad()
            outputs = form(**batch)
            outputs.pooler_output.square().sum().backward()
            gradients.append(
                [outputs.last_hidden_state.detach(), *(parameter.grad for parameter in model.parameters())]
            )
        torch.testing.assert_close(*gradients, atol=1e-12, rtol=1e-10)


def test_a_classifier_trains_compiled_without_graph_breaks():
    model = ClaimForSequenceClassification(_config(num_labels=2, hidden_dropout_prob=0.0)).double().eval()
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="eager")
    batch = {**_batch((3, 1, 4)), "labels": torch.tensor([0, 1, 1])}
    torch.testing.assert_close(compiled(**batch).loss, model(**batch).loss, atol=1e-12, rtol=1e-10)
    compiled(**batch).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("choices", CONFIGS, ids=str)
def test_an_exported_model_takes_other_numbers_of_patients_tokens_and_visits(choices):
    model = ClaimForSequenceClassification(_config(**choices)).double().eval()
    with torch.no_grad():
        for weight in (model.classifier.weight, *(model.code_skip.parameters() if model.code_skip else ())):
            weight.normal_()
    batch = _batch((3, 1, 4))
    rows, tokens, slots = Dim("rows", min=2), Dim("tokens", min=2), Dim("slots", min=2)
    names = {"input_ids": tokens, "visit_ids": tokens, "visit_days": slots, "attention_mask": tokens}
    exported = torch.export.export(
        model, (), kwargs=batch, dynamic_shapes={name: {0: rows, 1: size} for name, size in names.items()}
    ).module()
    for visits in ((3, 1, 4), (2, 9), (1, 1, 1, 1, 12)):
        other = _batch(visits, seed=1)
        with torch.no_grad():
            torch.testing.assert_close(exported(**other).logits, model(**other).logits, atol=1e-12, rtol=1e-10)


@pytest.mark.slow
def test_onnx_of_the_default_attention_gives_the_logits_of_torch_at_other_sizes():
    onnx = pytest.importorskip("onnx.reference")
    pytest.importorskip("onnxscript")
    # A learned bias is what the exporter fails on with sdpa as it is.
    model = ClaimForSequenceClassification(_config(num_hidden_layers=1, time_attention="bucketed")).eval()
    assert model.config._attn_implementation == "sdpa"
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.3)
    batch = _batch((3, 1, 4))
    sizes = {name: {0: Dim.DYNAMIC, 1: Dim.DYNAMIC} for name in batch}
    program = torch.onnx.export(
        model, (), kwargs=batch, dynamic_shapes=sizes, output_names=["logits"], dynamo=True, verbose=False
    )
    runner = onnx.ReferenceEvaluator(program.model_proto)
    for visits in ((3, 1, 4), (2, 9), (5,)):
        other = _batch(visits, seed=1)
        (logits,) = runner.run(["logits"], {name: values.numpy() for name, values in other.items()})
        with torch.no_grad():
            np.testing.assert_allclose(logits, model(**other).logits.numpy(), atol=1e-5)
