"""What a stranger meets first: the import, the public names and the Auto classes."""

import ast
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import claim_transformers

HEAVY = (
    "torch", "transformers", "numpy", "pyarrow", "datasets", "sklearn", "scipy", "duckdb", "ibis", "matplotlib",
    "pandas", "evaluate", "simple_icd_10_cm",
)  # fmt: skip

MOST_MODULE_PATHS = 8

AUTO_CLASSES = {
    "AutoModel": "ClaimModel",
    "AutoModelForPreTraining": "ClaimForPreTraining",
    "AutoModelForMaskedLM": "ClaimForMaskedLM",
    "AutoModelForSequenceClassification": "ClaimForSequenceClassification",
    "AutoModelForTokenClassification": "ClaimForVisitClassification",
}


def test_the_import_loads_nothing_heavy():
    code = "import claim_transformers, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    roots = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert roots.isdisjoint(HEAVY)


# The names a reader meets are few, and every list of them is the same one.
LAZY = (
    "claim_transformers",
    "claim_transformers.analysis",
    "claim_transformers.hub",
    "claim_transformers.models.claim",
    "claim_transformers.models.recurrent",
    "claim_transformers.serving",
    "claim_transformers.training",
)


@pytest.mark.parametrize("package", LAZY)
def test_every_public_name_resolves_and_stands_in_every_list(package):
    module = import_module(package)
    assert all(getattr(module, name) is not None for name in module.__all__)
    assert set(module.__all__) <= set(dir(module))
    assert _typed_names(module) == set(module.__all__) - {"__version__"}


def _typed_names(module) -> set[str]:
    """What a type checker and an editor see: the imports under TYPE_CHECKING."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    (typed,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {alias.name for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_a_reader_of_the_prose_and_the_scripts_meets_few_module_paths():
    root = Path(__file__).parents[1]
    pages = [root / "README.md", *(root / "docs").rglob("*.md"), *(root / "examples").rglob("*.py")]
    imports = re.compile(r"^ *(?:>>> )?(?:from|import) (claim_transformers[\w.]*)", re.MULTILINE)
    met = {module for page in pages for module in imports.findall(page.read_text(encoding="utf-8"))}
    assert "claim_transformers" in met
    assert len(met) <= MOST_MODULE_PATHS, sorted(met)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'ClaimFormer'"):
        claim_transformers.ClaimFormer  # noqa: B018


@pytest.mark.parametrize(("auto_class", "ours"), AUTO_CLASSES.items())
def test_each_auto_class_makes_our_class_from_a_config(auto_class, ours):
    pooling = "none" if ours == "ClaimForMaskedLM" else "sum"
    config = claim_transformers.ClaimConfig(
        vocab_size=20,
        num_categories=4,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        visit_pooling=pooling,
    )
    model = getattr(import_module("transformers"), auto_class).from_config(config)
    assert type(model).__name__ == ours


def test_the_auto_config_knows_the_family():
    from transformers import AutoConfig

    assert isinstance(AutoConfig.for_model("claim"), claim_transformers.ClaimConfig)
