"""Auto classes: that they know our families in every order of imports, in a fresh process, and cost nothing before."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)
from transformers.dynamic_module_utils import get_relative_import_files

from claim_transformers.models import claim
from claim_transformers.models.registration import register

AUTO_CLASSES = {
    AutoModel: claim.ClaimModel,
    AutoModelForPreTraining: claim.ClaimForPreTraining,
    AutoModelForMaskedLM: claim.ClaimForMaskedLM,
    AutoModelForSequenceClassification: claim.ClaimForSequenceClassification,
    AutoModelForTokenClassification: claim.ClaimForVisitClassification,
}


@pytest.mark.parametrize("auto_class", AUTO_CLASSES, ids=lambda auto_class: auto_class.__name__)
def test_every_auto_class_loads_a_pretrained_checkpoint(auto_class, tmp_path):
    register()
    pooling = "none" if auto_class is AutoModelForMaskedLM else "max"
    config = claim.ClaimConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, visit_pooling=pooling)
    pretrained = claim.ClaimForMaskedLM(config) if pooling == "none" else claim.ClaimForPreTraining(config)
    pretrained.save_pretrained(tmp_path)
    assert type(auto_class.from_pretrained(tmp_path)) is AUTO_CLASSES[auto_class]
    assert type(AutoConfig.from_pretrained(tmp_path)) is claim.ClaimConfig


@pytest.mark.parametrize(
    ("auto_class", "ours"),
    [(AutoModel, "RecurrentModel"), (AutoModelForSequenceClassification, "RecurrentForSequenceClassification")],
)
def test_the_auto_classes_know_the_recurrent_family(auto_class, ours):
    register()
    config = AutoConfig.for_model("claim_recurrent", architecture="dipole", vocab_size=20, hidden_size=8)
    assert type(auto_class.from_config(config)).__name__ == ours


def test_a_name_in_the_store_loads_without_a_network(tmp_path, monkeypatch):
    monkeypatch.setenv("CLAIM_TRANSFORMERS_HOME", str(tmp_path))
    config = claim.ClaimConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1)
    claim.ClaimModel(config).save_pretrained(tmp_path / "claim-pt-of-a-test")
    assert claim.ClaimConfig.from_pretrained("claim-pt-of-a-test").vocab_size == 20
    assert claim.ClaimForSequenceClassification.from_pretrained("claim-pt-of-a-test").config.vocab_size == 20


def test_every_file_of_the_model_travels_with_its_code():
    modeling = Path(claim.__file__).parent / "modeling_claim.py"
    copied = {Path(name).name for name in get_relative_import_files(modeling)}
    assert {
        f"{stem}_claim.py" for stem in ("configuration", "context", "encoder", "losses", "names", "pooling")
    } <= copied


# ---- Orders of imports, each in a process of its own ----


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A claim checkpoint with its tokenizer, and a recurrent one."""
    from claim_transformers import RecurrentConfig, RecurrentForSequenceClassification

    out = tmp_path_factory.mktemp("checkpoints")
    config = claim.ClaimConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1)
    claim.ClaimForPreTraining(config).save_pretrained(out / "claim")
    claim.ClaimTokenizer({"AGE/9": 3, "SEX/F": 4}).save_pretrained(out / "claim")
    recurrent = RecurrentConfig(architecture="dipole", vocab_size=20, hidden_size=8)
    RecurrentForSequenceClassification(recurrent).save_pretrained(out / "recurrent")
    both = (config, claim.ClaimTokenizer.from_pretrained(out / "claim"))
    (out / "both.pickle").write_bytes(pickle.dumps(both))
    return out


CONFIG = "print(type({auto}.for_model('claim')).__name__)"
LOAD = "print(type({auto}.from_pretrained(sys.argv[1] + '/{family}')).__name__)"
MODEL = LOAD.format(auto="AutoModel", family="claim")
# Name, code and what it prints. Every code has a process of its own.
ORDERS = {
    "the package first": (f"import claim_transformers; from transformers import AutoModel; {MODEL}", "ClaimModel"),
    "transformers first": (
        f"import transformers, claim_transformers; AutoModel = transformers.AutoModel; {MODEL}",
        "ClaimModel",
    ),
    "the Auto class first": (f"from transformers import AutoModel; import claim_transformers; {MODEL}", "ClaimModel"),
    "a name of the store, and the Auto class and pipeline first": (
        "import os; from transformers import AutoModel, pipeline, pipelines; "
        "from transformers.models.auto import auto_factory; import claim_transformers; asked = []; "
        "note = lambda name, *_, **__: asked.append(os.path.isdir(name)); "
        "auto_factory.resolve_revision = pipelines.resolve_revision = note; "
        "AutoModel.from_pretrained('claim-pt-base'); pipeline('claim-embedding', 'claim-pt-base'); print(asked)",
        "[True, True, True]",
    ),
    # A layer of transformers that this module imports loads the Auto classes, before the module has its own classes.
    "the module of a model first": (
        f"import claim_transformers.models.claim.modeling_claim; from transformers import AutoModel; {MODEL}",
        "ClaimModel",
    ),
    "the recurrent family first": (
        f"from claim_transformers import RecurrentModel; from transformers import AutoModel; {MODEL}",
        "ClaimModel",
    ),
    "an Auto class of the recurrent family": (
        "import claim_transformers; from transformers import AutoModelForSequenceClassification as Auto; "
        + LOAD.format(auto="Auto", family="recurrent"),
        "RecurrentForSequenceClassification",
    ),
    "the config alone": (
        "import claim_transformers; from transformers import AutoConfig; " + CONFIG.format(auto="AutoConfig"),
        "ClaimConfig",
    ),
    "the tokenizer alone": (
        "import claim_transformers; from transformers import AutoTokenizer; "
        + LOAD.format(auto="AutoTokenizer", family="claim"),
        "ClaimTokenizer",
    ),
    "a pickle in a process that imported nothing": (
        "import pickle; both = pickle.load(open(sys.argv[1] + '/both.pickle', 'rb')); "
        "print(*(type(one).__name__ for one in both))",
        "ClaimConfig ClaimTokenizer",
    ),
    "a look at the module before": (
        "import claim_transformers, importlib.util; "
        "importlib.util.find_spec('transformers.models.auto.modeling_auto'); "
        f"from transformers import AutoModel; {MODEL}",
        "ClaimModel",
    ),
    "loaders are left as they were": (
        "import claim_transformers, inspect, transformers.models.auto.modeling_auto as auto; "
        "print(type(auto.__loader__).__name__, type(auto.__spec__.loader).__name__, bool(inspect.getsource(auto)))",
        "SourceFileLoader SourceFileLoader True",
    ),
    "two threads at once": (
        "import threading, claim_transformers\n"
        "def ours(): from claim_transformers import ClaimModel\n"
        "def theirs(): from transformers import AutoModel\n"
        "threads = [threading.Thread(target=run) for run in (ours, theirs, ours, theirs)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        f"from transformers import AutoModel; {MODEL}",
        "ClaimModel",
    ),
}
# torch takes most of the seconds and is not what is tested, so that one process imports it and forks.
FORKS = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
import torch, scipy.stats, huggingface_hub
for code in json.loads(sys.argv[2]):
    sys.stdout.flush()
    if (child := os.fork()) == 0:
        exec(code, {"sys": sys})
        sys.stdout.flush()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, code
"""


@pytest.fixture(scope="module")
def printed(folder):
    """What the code of every order prints."""
    codes = json.dumps([code for code, _ in ORDERS.values()])
    command = [sys.executable, "-c", FORKS, str(folder), codes]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(ORDERS, done.stdout.splitlines(), strict=True))


@pytest.mark.parametrize("order", ORDERS)
def test_the_auto_classes_know_our_families_in_every_order_of_imports(order, printed):
    assert printed[order] == ORDERS[order][1]


def test_registering_again_adds_no_second_hook():
    before = list(sys.meta_path)
    register()
    assert sys.meta_path == before
    assert sum(type(finder).__name__ == "_AutoModuleFinder" for finder in before) == 1
