# /// script
# dependencies = ["claim-transformers[all]"]
# ///
"""The attention of one simulated patient before and after fine-tuning, as one HTML file that opens offline.

From the repository root:

    python -m reproduction.claim_pt.scripts.attention_view --profile reproduction/claim_pt/profiles/full.yaml

Fine-tunes the pretrained model on the asthma cohort and shows the test patient of highest predicted risk among those
who were admitted. On claims of people the page is the record of one of them: see `write_attention_view`.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from transformers import set_seed

from claim_transformers.analysis import start_from_checkpoint, write_attention_view
from claim_transformers.training import FineTuning, fine_tune, run_script
from reproduction.claim_pt.benchmark import ClaimPTBenchmark
from reproduction.engine.benchmark import BenchmarkArguments
from reproduction.engine.checkpoints import load_pretrained
from reproduction.engine.silence import quiet

COHORT, SEED = "asthma_exacerbation", 0
# Longer histories make a page that is all lines.
MOST_VISITS = 60


def main(arguments: BenchmarkArguments) -> None:
    benchmark = ClaimPTBenchmark.open(arguments)
    checkpoint = str(benchmark.checkpoint())
    before, tokenizer = load_pretrained(checkpoint)
    task = benchmark.populations.cohort(COHORT).task(0)

    set_seed(SEED)
    with quiet():
        after, _ = start_from_checkpoint(checkpoint)
        settings = FineTuning(epochs=benchmark.profile.epochs)
        fitted = fine_tune(after, tokenizer, task.tokens(tokenizer), settings, seed=SEED)

    patient = choose_patient(task.splits["test"], fitted.predictions["test"])
    path = benchmark.docs / "attention_view.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    title = "What the model attends to before and after fine-tuning: admission with asthma within a year"
    write_attention_view(path, before, after, tokenizer, patient, title=title)
    print(f"Attention of one simulated patient: {path}")


def choose_patient(examples: pa.Table, risk: np.ndarray) -> dict[str, Any]:
    """The case of highest predicted risk whose history fits a page."""
    visits = pc.list_value_length(examples["visit_day"]).to_numpy()
    fits = (examples["label"].to_numpy() == 1) & (visits >= 10) & (visits <= MOST_VISITS)
    # A quick run may have no such case among its few test patients.
    fits = fits if fits.any() else visits > 0
    chosen = int(np.argmax(np.where(fits, risk, -1.0)))
    row: dict[str, Any] = examples.slice(chosen, 1).to_pylist()[0]
    return row


if __name__ == "__main__":
    run_script(main, BenchmarkArguments)
