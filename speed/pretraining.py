"""Pretraining steps of this package against Claim-PT written the obvious way and against a tuned BERT.

    OMP_NUM_THREADS=1 python -m speed.pretraining

All contestants are built first, shown to compute the same losses and gradients (BERT: the loss of `BertForMaskedLM`,
as it has another objective), warmed up, and then run in turn over the same patients, in batches as `ClaimTrainer`
makes them. Figures are ratios of CPU time (`time.process_time`) within a round; a ratio that spreads by more than 1.5
between rounds is called noisy and not printed. The exit code is 1 when a gate is missed. On a processor that only
emulates bf16, all of them run in float32.
"""

import argparse
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal
from unittest import mock

# On a busy machine two threads are slower than one by an order of magnitude; libraries read this when first imported.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402
import torch  # noqa: E402

from claim_transformers import ClaimConfig, ClaimForPreTraining  # noqa: E402
from claim_transformers.models.claim import losses_claim, modeling_claim  # noqa: E402
from claim_transformers.training.arguments import is_bf16_fast  # noqa: E402
from speed.hf_bert import TunedBert, bert_batches  # noqa: E402
from speed.history import describe_machine, remember  # noqa: E402
from speed.naive_claim_pt import GRID_VISITS, NaiveClaimPT, to_grid  # noqa: E402

SEED = 20260101
NUM_CATEGORIES = 500
FIRST_CODE = 40  # special tokens, demographics, claim types and days come first
MAX_CLINICAL_CODES = 8  # beside claim type and day: ten codes, the width of the naive grid
NOISY_SPREAD = 1.5
HAS_BF16 = is_bf16_fast(use_cpu=True)
OURS = ("ours bf16", "ours f32") if HAS_BF16 else ("ours f32",)

Pooling = Literal["max", "sum"]
Result = tuple[dict[str, float | None], bool]


@dataclass(frozen=True)
class Setting:
    """One size of the model, its rival, and the ratio that it must reach in bf16."""

    vocab_size: int
    hidden_size: int
    num_layers: int
    intermediate_size: int
    batch_size: int
    gate: float | None = None
    against_bert: bool = False

    def __str__(self) -> str:
        return f"V={self.vocab_size} d={self.hidden_size} L={self.num_layers} B={self.batch_size}"

    def config(self, pooling: Pooling) -> ClaimConfig:
        """Return the configuration of both contestants."""
        return ClaimConfig(  # type: ignore[call-arg]  # attn_implementation is of PreTrainedConfig
            vocab_size=self.vocab_size,
            num_categories=NUM_CATEGORIES,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_layers,
            num_attention_heads=4,
            intermediate_size=self.intermediate_size,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            visit_pooling=pooling,
            nvp_context="none",
            attn_implementation="eager",
        )


SETTINGS = (
    Setting(500, 100, 1, 100, 100),
    Setting(5_000, 100, 1, 100, 100, gate=8.0),
    Setting(20_000, 128, 2, 512, 64, gate=8.0),
    Setting(5_000, 128, 2, 512, 64, gate=1.5, against_bert=True),
    Setting(20_000, 256, 4, 1024, 32, gate=1.5, against_bert=True),
)
# Patients are grouped by length over so many batches for each one that is measured.
_BATCHES_GROUPED = 4


def synthetic_rows(rng: np.random.Generator, num_patients: int, vocab_size: int) -> dict[str, list[Any]]:
    """Draw tokenised patients: visits lognormal around 8, codes per visit lognormal around 3, zipf-like codes."""
    num_visits = np.clip(np.round(rng.lognormal(np.log(8), 1.0, num_patients)), 2, GRID_VISITS).astype(int)
    num_codes = vocab_size - FIRST_CODE
    odds = 1.0 / np.arange(1, num_codes + 1)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("input_ids", "visit_ids", "visit_days", "category_ids", "length")
    }
    for visits in num_visits:
        ids, slots, categories = [10, 11], [0, 0], [-100, -100]
        for slot in range(1, visits + 1):
            size = int(np.clip(np.round(rng.lognormal(np.log(3), 0.66)), 1, MAX_CLINICAL_CODES))
            codes = np.unique(rng.choice(num_codes, size, p=odds / odds.sum())).tolist()
            ids += [12 + slot % 3, 20 + slot % 16, *(FIRST_CODE + code for code in codes)]
            slots += [slot] * (2 + len(codes))
            categories += [-100, -100, *(code % NUM_CATEGORIES for code in codes)]
        days = np.concatenate([[0, 0], np.cumsum(rng.integers(0, 90, visits - 1))])
        for name, values in zip(columns, (ids, slots, days.tolist(), categories, visits + 1), strict=True):
            columns[name].append(values)
    return columns


def make_batches(setting: Setting, count: int) -> tuple[list[dict[str, torch.Tensor]], Callable[[int], Any]]:
    """Return batches from short patients to long ones, and the call that reads and collates one of them from Arrow."""
    import datasets

    from claim_transformers import DataCollatorForClaimPretraining, TokenizedPatients
    from claim_transformers.training.samplers import LengthGroupedBatches

    rng = np.random.default_rng(SEED)
    rows = synthetic_rows(rng, setting.batch_size * count * _BATCHES_GROUPED, setting.vocab_size)
    patients = TokenizedPatients(datasets.Dataset.from_dict(rows))
    is_target = np.arange(setting.vocab_size) >= FIRST_CODE
    tokenizer = SimpleNamespace(pad_token_id=0, mask_token_id=2, target_mask=is_target)
    collator = DataCollatorForClaimPretraining(tokenizer, nvp_context="none")  # type: ignore[arg-type]
    lengths = patients.lengths()
    grouped = LengthGroupedBatches(lengths, setting.batch_size, seed=SEED).steps()
    # Evenly spaced, so that those which are measured are as long as all are.
    order = sorted(grouped, key=lambda step: int(lengths[step].sum()))[_BATCHES_GROUPED // 2 :: _BATCHES_GROUPED]

    def read(index: int) -> Any:
        return collator(patients.__getitems__(order[index].tolist()))

    return [read(index) for index in range(count)], read


def model_loss(model: torch.nn.Module, batches: list[dict[str, torch.Tensor]], index: int) -> torch.Tensor:
    """Return the loss of our model on one batch."""
    return model(**batches[index]).loss


def batch_loss(model: torch.nn.Module, batches: list[dict[str, torch.Tensor]], index: int) -> torch.Tensor:
    """Return what a rival gives, its loss, on one batch."""
    return model(**batches[index])


def training_step(model: torch.nn.Module, loss_of: Callable[[int], torch.Tensor], bf16: bool) -> Callable[[int], None]:
    """Return one optimizer step on a batch given by its number."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step(index: int) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = loss_of(index)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def check_equivalence(ours: ClaimForPreTraining, naive: NaiveClaimPT, batch: dict[str, Any], grid: Any) -> None:
    """Refuse to measure contestants that do not compute the same thing.

    Raises:
        ValueError: If losses or gradients differ in float32 by more than rounding.
    """
    naive.load_state_dict(ours.state_dict())
    losses = [ours(**batch).loss, naive(**grid)]
    for loss in losses:
        loss.backward()
    worst = abs(losses[0].item() / losses[1].item() - 1)
    gradients = dict(naive.named_parameters())
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None
        other = gradients[name].grad
        assert other is not None
        # The bias of the keys cancels in the softmax: its gradient is rounding and nothing else.
        if not name.endswith("k_proj.bias"):
            worst = max(worst, float((parameter.grad - other).norm() / other.norm()))
    ours.zero_grad()
    naive.zero_grad()
    if worst > 1e-4:
        raise ValueError(f"expected equal losses and gradients in float32, found a relative difference of {worst:.1e}")
    print(f"  equal to the naive model in float32: largest relative difference {worst:.0e}")


def cpu_seconds(work: Callable[[int], Any], count: int) -> float:
    """Measure CPU time of `work` over all batches."""
    start = time.process_time()
    for index in range(count):
        work(index)
    return time.process_time() - start


def ratio_text(numerators: list[float], denominators: list[float]) -> tuple[str, float | None]:
    """Write the median of per-round ratios with its range, or that it is noisy."""
    ratios = [one / other for one, other in zip(numerators, denominators, strict=True)]
    if max(ratios) / min(ratios) > NOISY_SPREAD:
        return f"noisy ({min(ratios):.3g} to {max(ratios):.3g})", None
    median = statistics.median(ratios)
    return f"{median:.3g} ({min(ratios):.3g} to {max(ratios):.3g})", median


def useful_operations(setting: Setting, batches: list[dict[str, torch.Tensor]]) -> float:
    """Floating-point operations of the matrix products that a step over all batches cannot do without."""
    positions = sum(int((batch["visit_days"] >= 0).sum()) for batch in batches)
    patients = setting.batch_size * len(batches)
    width, layers = setting.hidden_size, setting.num_layers
    of_layers = layers * (4 * width**2 + 2 * width * setting.intermediate_size)
    # Every position but the last of a patient predicts codes, and every visit categories.
    of_heads = (positions - patients) * width * (setting.vocab_size + NUM_CATEGORIES)
    return 6.0 * (positions * of_layers + of_heads)


def rivals_of(
    setting: Setting, config: ClaimConfig, ours: ClaimForPreTraining, batches: list[dict[str, torch.Tensor]]
) -> dict[str, Callable[[int], None]]:
    """Build the rivals of a setting, show that they compute what they say, and return their steps by name."""
    steps: dict[str, Callable[[int], None]] = {}
    if not setting.against_bert:
        naive = NaiveClaimPT(config)
        grids = [to_grid(batch) for batch in batches]
        check_equivalence(ours, naive, batches[0], grids[0])
        return {"naive": training_step(naive, partial(batch_loss, naive, grids), bf16=False)}
    laid = bert_batches(batches, SEED)
    for attention in ("eager", "sdpa"):
        sizes = (setting.vocab_size, setting.hidden_size, setting.num_layers, setting.intermediate_size)
        bert = TunedBert(*sizes, attention=attention).train()
        bert.check(laid[0])
        steps[f"BERT {attention}"] = training_step(bert, partial(batch_loss, bert, laid), bf16=HAS_BF16)
    print("  BERT has the loss of BertForMaskedLM in float32")
    return steps


def run_setting(setting: Setting, pooling: Pooling, rounds: int, num_batches: int, rates: dict[str, float]) -> Result:
    """Measure one setting and return its ratios by name, and whether its gates hold."""
    print(f"{setting}, {pooling} pooling")
    torch.manual_seed(SEED)
    batches, read = make_batches(setting, num_batches)
    config = setting.config(pooling)
    models = {name: ClaimForPreTraining(config).train() for name in OURS}
    steps = rivals_of(setting, config, models["ours f32"], batches)
    rivals = list(steps)
    for name, model in models.items():
        steps[name] = training_step(model, partial(model_loss, model, batches), bf16=name.endswith("bf16"))
    steps["read and collate"] = read
    seconds = run_in_turn(steps, rounds, num_batches)
    patients = setting.batch_size * num_batches
    for name in (*rivals, *models):
        print(f"  {name:10} {patients / statistics.median(seconds[name]):8.0f} patients per CPU second, this run only")
    # Of several rivals the one that is faster on this machine.
    rival = min(rivals, key=lambda name: statistics.median(seconds[name]))
    ratios: dict[str, float | None] = {}
    holds = True
    for name in models:
        gate = setting.gate if name == "ours bf16" else None
        text, median = ratio_text(seconds[rival], seconds[name])
        ratios[f"{setting} {name} : {rival.split()[0]}"] = median
        print(f"  {name:10} : {rival} {text}" + (f", gate {gate:g}" if gate else ""))
        holds &= gate is None or (median is not None and median >= gate)
    text, _ = ratio_text(seconds["read and collate"], seconds[OURS[0]])
    print(f"  read and collate : step of {OURS[0]} {text}")
    for name in models:
        share = useful_operations(setting, batches) / statistics.median(seconds[name]) / rates[name]
        ratios[f"{setting} {name.split()[1]} of GEMM rate"] = share
        print(f"  products of a step of {name} in its time: {share:.0%} of the rate of this run")
    parts = parts_of_step(models[OURS[0]], batches)
    print(f"  parts of that step: {', '.join(f'{part} {of_step:.0%}' for part, of_step in parts.items())}")
    return ratios, holds


def parts_of_step(model: ClaimForPreTraining, batches: list[dict[str, torch.Tensor]]) -> dict[str, float]:
    """Measure the share of each part of a step, in bf16 where the processor has it."""
    seconds: dict[str, float] = defaultdict(float)

    def timed(part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            found = call(*args, **kwargs)
            seconds[part] += time.process_time() - start
            return found

        return run

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    heads = timed("heads with their gradients", losses_claim.multi_hot_bce)
    encoder = timed("encoder forward", model.claim.forward)
    with mock.patch.object(modeling_claim, "multi_hot_bce", heads), mock.patch.object(model.claim, "forward", encoder):
        for index in range(len(batches)):
            with torch.autocast("cpu", torch.bfloat16, enabled=HAS_BF16):
                loss = timed("forward", partial(model_loss, model, batches))(index)
            timed("encoder backward", loss.backward)()
            timed("AdamW", optimizer.step)()
            optimizer.zero_grad()
    of_forward = seconds["heads with their gradients"] + seconds["encoder forward"]
    seconds["targets"] = seconds.pop("forward") - of_forward
    return {part: spent / sum(seconds.values()) for part, spent in seconds.items()}


def run_in_turn(steps: dict[str, Callable[[int], Any]], rounds: int, num_batches: int) -> dict[str, list[float]]:
    """Warm all contestants up, run them in turn, and return CPU seconds by contestant and round."""
    for work in steps.values():
        for index in range(num_batches):
            work(index)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, work in steps.items():
            seconds[name].append(cpu_seconds(work, num_batches))
    return seconds


def print_machine() -> dict[str, float]:
    """Print what figures of this run depend on, and return the rates of matrix products by contestant."""
    print(f"torch {torch.__version__}, {torch.get_num_threads()} thread, {describe_machine()}")
    print(f"load {' '.join(f'{load:.2f}' for load in os.getloadavg())}, seed {SEED}")
    rates = {}
    for name in OURS:
        dtype = torch.bfloat16 if name == "ours bf16" else torch.float32
        left, right = torch.randn(1000, 512).to(dtype), torch.randn(512, 2048).to(dtype)
        left @ right
        rate = 2 * 1000 * 512 * 2048 / min(cpu_seconds(lambda _: left @ right, 5) / 5 for _ in range(5))  # noqa: B023
        print(f"matrix product {dtype}: {rate / 1e9:.0f} GF/s")
        rates[name] = rate
    return rates


def main() -> int:
    """Run the settings and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pooling", choices=("sum", "max"), default="sum")
    parser.add_argument("--vocab_size", type=int, nargs="*", help="run only the settings with these vocabularies")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--num_batches", type=int, default=4, help="batches per round")
    arguments = parser.parse_args()
    rates = print_machine()
    results = [
        run_setting(setting, arguments.pooling, arguments.rounds, arguments.num_batches, rates)
        for setting in SETTINGS
        if not arguments.vocab_size or setting.vocab_size in arguments.vocab_size
    ]
    remember("pretraining", {name: ratio for ratios, _ in results for name, ratio in ratios.items()})
    holds = all(held for _, held in results)
    print("all gates hold" if holds else "a gate is missed, or too noisy to be measured")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
