"""What a user does with the Hub, run in a process of its own that has read `HF_ENDPOINT` at import, as users' do.

Every function takes and returns plain values, so that it can be sent to that process.
"""

from typing import Any
from unittest import mock

import torch
from datasets import Dataset, DatasetDict, load_dataset
from hub.load_auto import PATIENT
from huggingface_hub import constants
from transformers import AutoModel, AutoModelForPreTraining, AutoTokenizer, pipeline, set_seed

from claim_transformers.hub import connection, push_checkpoint, push_dataset, push_folder
from claim_transformers.models.claim import (
    ClaimConfig,
    ClaimForPreTraining,
    ClaimForSequenceClassification,
    ClaimModel,
    ClaimTokenizer,
)
from claim_transformers.models.registration import register
from claim_transformers.training import (
    ClaimTrainer,
    ClaimTrainingArguments,
    DataCollatorForClaimPretraining,
    Scorer,
    fine_tune,
    tokenize_dataset,
)

CODES = ["AGE/9", "SEX/F", "TYPE/OP", "GAP/START", "GAP/1", "ICD9CM/49392", "ICD9CM/4659", "HCPCS/99213"]

waits: list[float] = []
register()


def write_waits_down():
    """Note each wait before a retry in place of waiting; the faults of the tests pass by themselves."""
    mock.patch.object(connection, "sleep", waits.append).start()


def tiny_checkpoint(seed=0, categories=2):
    tokenizer = ClaimTokenizer({code: number for number, code in enumerate(CODES, start=3)})
    set_seed(seed)
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 8}
    config = ClaimConfig(vocab_size=len(tokenizer), num_categories=categories, **sizes)
    return ClaimForPreTraining(config), tokenizer


def weight_sum(model):
    return float(sum(tensor.double().sum() for tensor in model.base_model.state_dict().values()))


def push_and_load_the_usual_way(name):
    """`push_to_hub` and `from_pretrained` of the classes themselves."""
    model, tokenizer = tiny_checkpoint()
    model.push_to_hub(name, private=True)
    tokenizer.push_to_hub(name)
    loaded = ClaimModel.from_pretrained(f"loopback/{name}")
    return {
        "pushed": weight_sum(model),
        "loaded": weight_sum(loaded),
        "auto": weight_sum(AutoModel.from_pretrained(f"loopback/{name}")),
        "same_vocabulary": ClaimTokenizer.from_pretrained(f"loopback/{name}").get_vocab() == tokenizer.get_vocab(),
        "auto_tokenizer": type(AutoTokenizer.from_pretrained(f"loopback/{name}")).__name__,
    }


def push(name, seed=0, **options):
    """Push a tiny checkpoint; the commit, or the message of the error. Then the waits in seconds."""
    waits.clear()
    model, tokenizer = tiny_checkpoint(seed)
    try:
        commit = push_checkpoint(model, tokenizer, name, **options)
    except (OSError, ValueError) as error:
        return {"error": str(error), "kind": type(error).__name__, "waits": list(waits)}
    return {"commit": commit.oid, "url": commit.commit_url, "waits": list(waits)}


def push_through_xet(name, seed):
    """Push with the protocol for large files that the loopback hub does not speak."""
    with mock.patch.object(constants, "HF_HUB_DISABLE_XET", False):
        return push(name, seed)


def push_without_pauses(name, seed):
    """Push while the network is gone: the client's own retries do not wait either."""
    with mock.patch("time.sleep"):
        return push(name, seed)


def push_saved(folder, name, **options):
    try:
        return {"commit": push_folder(folder, name, **options).oid}
    except (OSError, ValueError) as error:
        return {"error": str(error), "kind": type(error).__name__}


def load_pushed(name, revision=None):
    model = AutoModelForPreTraining.from_pretrained(name, revision=revision)
    return weight_sum(model)


def classes_after_a_push_with_code(name):
    """What the process-wide classes hold after code has been saved: nothing new."""
    model, tokenizer = tiny_checkpoint()
    push_checkpoint(model, tokenizer, name, with_code=True)
    return {
        "auto_class": [type(model)._auto_class, type(tokenizer)._auto_class, type(model.config)._auto_class],
        "auto_map": getattr(model.config, "auto_map", None),
    }


def share_patients(name, **options):
    """Push simulated patients, then read them back whole and as a stream."""
    rows = {"patient_id": ["a", "b"], "visit_day": [[1, 2], [3]], "codes": [[["ICD9CM/4659"], []], [["HCPCS/99213"]]]}
    train = Dataset.from_dict(rows)
    patients = DatasetDict(train=train, test=train.select([1]))
    try:
        push_dataset(patients, name, **options)
    except (OSError, ValueError) as error:
        return {"error": str(error), "kind": type(error).__name__}
    loaded = load_dataset(f"loopback/{name}")
    stream = load_dataset(f"loopback/{name}", streaming=True)
    return {
        "pushed": {split: part.to_list() for split, part in patients.items()},
        "loaded": {split: part.to_list() for split, part in loaded.items()},
        "streamed": {split: list(part) for split, part in stream.items()},
        "same_features": loaded["train"].features == train.features,
    }


def share_rows(name, rows):
    """Push rows as they are, then read them back."""
    push_dataset(DatasetDict(train=Dataset.from_dict(rows)), name)
    return load_dataset(f"loopback/{name}")["train"].to_dict()


def share_tokenised(name):
    """Push tokenised patients: the message with their digest, and the columns without it."""
    row = {"patient_id": "a", "sex": "F", "visit_day": [7], "visit_type": ["OP"], "codes": [["ICD9CM/4659"]]}
    tokens = DatasetDict(train=tokenize_dataset(Dataset.from_list([row]), tiny_checkpoint()[1]))
    try:
        push_dataset(tokens, name)
        refused = ""
    except ValueError as error:
        refused = str(error)
    push_dataset(tokens.remove_columns("patient_digest"), name)
    return {"refused": refused, "pushed": load_dataset(f"loopback/{name}")["train"].column_names}


def train_and_share(folder, name, *, planted=(), **options):
    """Train two steps with the arguments of `Trainer` for the Hub; files are planted in the output folder first."""
    model, tokenizer = tiny_checkpoint(categories=0)
    row = {
        "patient_id": "a",
        "sex": "F",
        "visit_day": [7, 9],
        "visit_type": ["OP"] * 2,
        "codes": [["ICD9CM/4659"]] * 2,
    }
    tokens = tokenize_dataset(Dataset.from_list([row, {**row, "patient_id": "b"}]), tokenizer)
    for file in planted:
        (folder / file).write_text("secret")
    waits.clear()
    try:
        trainer = ClaimTrainer(
            model=model,
            args=ClaimTrainingArguments(
                output_dir=str(folder), hub_model_id=name, use_cpu=True, max_steps=2, save_steps=1, report_to="none",
                disable_tqdm=True, **options,
            ),
            train_dataset=tokens,
            processing_class=tokenizer,
            data_collator=DataCollatorForClaimPretraining(tokenizer),
        )  # fmt: skip
        trainer.train()
        commit = trainer.push_to_hub(license="mit", tags="pediatric", dataset="simulated children").oid
    except (OSError, ValueError) as error:
        return {"error": str(error), "kind": type(error).__name__}
    return {"commit": commit, "weights": weight_sum(model), "loaded": load_pushed(f"loopback/{name}")}


def fine_tune_and_share(folder, name):
    """Fine-tune with `push_to_hub`: the calibration that was fitted, and what pipeline and scorer make of the name."""
    tokenizer = tiny_checkpoint()[1]
    codes = (["ICD9CM/4659"], ["ICD9CM/49392"])
    visits = {"sex": "F", "visit_day": [7], "visit_type": ["OP"]}
    rows = [{"patient_id": str(row), **visits, "codes": [codes[row % 2]], "label": row % 2} for row in range(48)]
    tokens = tokenize_dataset(Dataset.from_list(rows), tokenizer)
    splits = {"train": tokens.select(range(24)), "validation": tokens.select(range(24, 48))}
    arguments = ClaimTrainingArguments(
        output_dir=str(folder), hub_model_id=name, push_to_hub=True, use_cpu=True, max_steps=20, learning_rate=1e-2,
        report_to="none", disable_tqdm=True, save_strategy="no",
    )  # fmt: skip
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 8}
    set_seed(0)
    model = ClaimForSequenceClassification(ClaimConfig(vocab_size=len(tokenizer), **sizes))
    fitted = fine_tune(model, tokenizer, splits, arguments).calibration
    ask: Any = pipeline
    classify = ask("claim-classification", model=f"loopback/{name}", device="cpu")
    row = {name: rows[-1][name] for name in ("sex", "visit_day", "visit_type", "codes")}
    answer = {entry["label"]: entry["score"] for entry in classify(row, top_k=None)}
    own = {entry["label"]: entry["score"] for entry in classify(row, top_k=None, function_to_apply="softmax")}
    by_name = Scorer.from_pretrained(f"loopback/{name}").calibration
    return {
        "fitted": fitted and fitted.to_dict(),
        "by_name": by_name and by_name.to_dict(),
        "answer": answer["LABEL_1"],
        "expected": float(fitted([own["LABEL_1"]])[0]) if fitted else None,
        "own": own["LABEL_1"],
    }


def save_to_store(folder):
    """Save a tiny checkpoint; what it predicts for one patient."""
    model, tokenizer = tiny_checkpoint()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with torch.no_grad():
        batch = tokenizer.pad([tokenizer(PATIENT)], return_tensors="pt")
        logits = model.eval()(**batch).nvp_logits.double().flatten().tolist()
    return {"input_ids": tokenizer(PATIENT)["input_ids"], "logits": logits}
