"""Load a checkpoint through every Auto class; as a script, in a process where the package is not installed.

python load_auto.py NAME
"""

import json
import sys

PACKAGE = "claim_transformers"
PATIENT = {"age": 9, "sex": "F", "visits": [{"day": 3, "type": "OP", "codes": ["ICD9CM/4659", "HCPCS/99213"]}]}


class RefusePackage:
    """Import machinery of a machine where the package is not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == PACKAGE:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def load(name, **options):
    import torch
    import transformers

    auto_models = ["", "ForPreTraining", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification"]
    # Masked-token learning is defined for codes that are positions of their own.
    overrides = {"ForMaskedLM": {"visit_pooling": "none"}}
    tokenizer = transformers.AutoTokenizer.from_pretrained(name, **options)
    classes = {
        "AutoConfig": type(transformers.AutoConfig.from_pretrained(name, **options)).__name__,
        "AutoTokenizer": type(tokenizer).__name__,
    }
    for ending in auto_models:
        model = getattr(transformers, f"AutoModel{ending}").from_pretrained(
            name, **options, **overrides.get(ending, {})
        )
        classes[f"AutoModel{ending}"] = type(model).__name__
        if ending == "ForPreTraining":
            with torch.no_grad():
                batch = tokenizer.pad([tokenizer(PATIENT)], return_tensors="pt")
                logits = model.eval()(**batch).nvp_logits.double().flatten().tolist()
    return {"classes": classes, "input_ids": tokenizer(PATIENT)["input_ids"], "logits": logits}


def refusal(name):
    """What a reader without the package is told who does not trust the code."""
    import transformers

    try:
        transformers.AutoModel.from_pretrained(name, trust_remote_code=False)
    except ValueError as error:
        return str(error)
    return None


def main(name):
    sys.meta_path.insert(0, RefusePackage())
    seen = {"refusal": refusal(name), **load(name, trust_remote_code=True)}
    print(json.dumps({**seen, "has_package": PACKAGE in sys.modules}))  # noqa: T201 - the answer to the caller.


if __name__ == "__main__":
    main(*sys.argv[1:])
