import pytest
import torch

from claim_transformers.training import ClaimTrainingArguments
from claim_transformers.training.arguments import _LAUNCHED, is_bf16_fast


@pytest.fixture
def machine(monkeypatch):
    """Pretend to be another machine."""

    def pretend(*, cpu=(), accelerator=False, cuda=False, native=False):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(cpu, True))
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: accelerator or cuda)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation=True: native or including_emulation
        )

    return pretend


@pytest.mark.parametrize(
    ("hardware", "expected"),
    [
        ({"cpu": ("avx512_f", "avx512_bf16")}, True),
        ({"cpu": ("amx_bf16",)}, True),
        ({"cpu": ("avx2", "avx512_f")}, False),
        ({"cuda": True, "native": True}, True),
        # A CUDA device that only emulates bf16, beside a processor that has it.
        ({"cuda": True, "cpu": ("amx_bf16",)}, False),
        ({"accelerator": True, "cpu": ("amx_bf16",)}, False),
    ],
)
def test_bf16_is_fast_where_the_device_that_trains_computes_it(machine, hardware, expected):
    machine(**hardware)
    assert is_bf16_fast() is expected


def test_the_processor_decides_when_the_accelerator_is_left_alone(machine):
    machine(cuda=True, native=True)
    assert is_bf16_fast()
    assert not is_bf16_fast(use_cpu=True)


@pytest.mark.parametrize("use_cpu", [True, False])
def test_the_switch_sets_bf16_on_a_fast_processor_and_nowhere_else(machine, tmp_path, use_cpu):
    machine(cpu=("avx512_bf16",))
    arguments = {"output_dir": str(tmp_path), "use_cpu": use_cpu}
    assert ClaimTrainingArguments(**arguments, bf16_where_fast=True).bf16
    assert not ClaimTrainingArguments(**arguments).bf16
    machine(cpu=("avx2",))
    assert not ClaimTrainingArguments(**arguments, bf16_where_fast=True).bf16


def test_the_switch_leaves_a_choice_of_precision_alone(machine, tmp_path):
    machine(cpu=("avx512_bf16",))
    chosen = ClaimTrainingArguments(output_dir=str(tmp_path), use_cpu=True, fp16=True, bf16_where_fast=True)
    assert (chosen.fp16, chosen.bf16) == (True, False)
    machine(cpu=("avx2",))
    assert ClaimTrainingArguments(output_dir=str(tmp_path), use_cpu=True, bf16=True, bf16_where_fast=True).bf16


def test_a_backend_of_several_processes_without_a_launcher_is_told(monkeypatch, tmp_path):
    for name in _LAUNCHED:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        ValueError, match=r"expected several processes for ddp_backend, found one .*: start with torchrun"
    ):
        ClaimTrainingArguments(output_dir=str(tmp_path), use_cpu=True, ddp_backend="gloo")
