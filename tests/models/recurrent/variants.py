"""The recurrent models that the tests run over: each architecture, each attention, and the choices on top."""

from claim_batches import randomise

from claim_transformers.models.recurrent import RecurrentConfig

VARIANTS = [
    {"architecture": "doctor_ai"},
    {"architecture": "doctor_ai", "num_hidden_layers": 2, "patient_slot": "first_step", "gap_input": False},
    {"architecture": "dipole", "attention": "location"},
    {"architecture": "dipole", "attention": "general", "patient_slot": "first_step"},
    {"architecture": "dipole", "attention": "concat", "num_hidden_layers": 2, "gap_input": True},
    {"architecture": "retain"},
    {"architecture": "retain", "patient_slot": "first_step", "gap_input": True},
]


def tiny_config(**kwargs):
    sizes = {"vocab_size": 60, "embedding_size": 12, "hidden_size": 10, "attention_size": 7}
    return RecurrentConfig(**{**sizes, "hidden_dropout_prob": 0.0, **kwargs})


def tiny_model(model_class, **kwargs):
    return randomise(model_class(tiny_config(**kwargs))).eval()
