"""A definition of a cohort and an architecture small enough for tests of seconds."""

from claim_transformers.training import Architecture

DEFINITION = {
    "name": "asthma_exacerbation",
    "title": "Admission with asthma",
    "source": "made by hand",
    "codes": {"asthma": ["ICD9CM/493"]},
    "index": {"rule": "fixed_date"},
    "label": {"codes": "asthma", "visit_types": [], "horizon_days": 365},
    "sampled_share": [0.5, 1.0],
}
ARCHITECTURE = Architecture(
    {
        "visit_pooling": "sum",
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "time_attention": "bucketed",
        "history_skip": True,
        "horizon_days": 365,
    },
    {"time_tokens": "gap", "max_visits": 16},
)
