"""Settings that hold before anything is imported: no network, no telemetry, one thread."""

import os

for name, value in {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # What a test changed must not outlast it.
    "CLAIM_TRANSFORMERS_PLANS": "",
}.items():
    os.environ.setdefault(name, value)
