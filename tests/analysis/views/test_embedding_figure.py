"""Figure 3 is files that a seed reproduces, and scores that tell a trained embedding from an untrained one."""

import json
from xml.etree import ElementTree

import pytest
import torch
from training.patients_at_random import random_patients

from claim_transformers.analysis import write_embedding_figure
from claim_transformers.analysis.views.embedding_map import grouped_codes
from claim_transformers.models.claim import ClaimModel, ClaimTokenizer

# Random patients have three codes of each condition, so that four conditions make a group of twelve codes.
GROUPS = {
    "low": ("ICD9CM/40", "ICD9CM/41", "ICD9CM/42", "ICD9CM/43"),
    "high": tuple(f"ICD9CM/4{ten}" for ten in "4567"),
}


@pytest.fixture(scope="module")
def population():
    return random_patients(220, seed=1)


@pytest.fixture(scope="module")
def fitted(population, make_model):
    """A vocabulary of the population, and a model whose table keeps the groups apart."""
    tokenizer = ClaimTokenizer.train_from_dataset(population, min_patients=3)
    model = make_model(ClaimModel, vocab_size=len(tokenizer), num_categories=0, visit_pooling="sum")
    ids, _, names = grouped_codes(tokenizer, GROUPS)
    with torch.no_grad():
        sign = torch.tensor([1.0 if name == "low" else -1.0 for name in names])
        model.get_input_embeddings().weight[ids] = sign[:, None] * torch.ones(16) + 0.1 * torch.randn(len(ids), 16)
    return model, tokenizer


def write(folder, fitted, population):
    model, tokenizer = fitted
    return write_embedding_figure(
        folder,
        model,
        tokenizer,
        population.slice(0, 110),
        training_patients=population.slice(110),
        groups=GROUPS,
        replicates=50,
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory, fitted, population):
    folder = tmp_path_factory.mktemp("figure")
    return folder, write(folder, fitted, population)


def test_the_same_seed_writes_the_same_bytes(tmp_path, written, fitted, population):
    state = torch.random.get_rng_state()
    write(tmp_path, fitted, population)
    assert torch.equal(torch.random.get_rng_state(), state), "the process-wide random state is left alone"
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["figure_3.json", "figure_3_codes.svg", "figure_3_patients.svg"]
    for name in names:
        assert (tmp_path / name).read_bytes() == (written[0] / name).read_bytes()


def test_scores_tell_a_trained_table_from_an_untrained_one(written):
    folder, content = written
    assert json.loads((folder / "figure_3.json").read_text()) == content
    assert content["codes"]["scores"]["pretrained"]["purity"]["value"] > 0.95
    assert content["codes"]["differences"]["random weights"]["silhouette"]["low"] > 0.3
    assert set(content["patients"]["scores"]) == {"pretrained", "random weights", "count SVD"}
    # Without the groups' own codes the records of these patients hold nothing that tells the groups apart.
    hidden = content["patients_without_group_codes"]
    for scores in hidden["scores"].values():
        assert scores["purity"]["value"] == pytest.approx(hidden["chance_purity"], abs=0.15)


def test_the_pictures_are_svg_and_hold_no_identifier(written, population):
    for path in written[0].iterdir():
        text = path.read_text()
        assert not any(patient in text for patient in population["patient_id"].to_pylist())
        if path.suffix == ".svg":
            assert ElementTree.fromstring(text).tag.endswith("svg")


def test_the_map_shows_the_patients_that_were_scored(written):
    folder, content = written
    text = (folder / "figure_3_patients.svg").read_text()
    for name, size in content["patients"]["groups"].items():
        assert f"{name} ({size})" in text
    assert sum(content["patients"]["groups"].values()) == content["patients"]["points"]


def test_small_groups_are_left_out_and_large_ones_are_drawn_from(tmp_path, fitted, population):
    model, tokenizer = fitted
    given = {"training_patients": population, "replicates": 9, "most_per_group": 12}
    groups = {**GROUPS, "small": ("ICD9CM/470",)}  # one code, and a patient or two who have no other
    content = write_embedding_figure(tmp_path, model, tokenizer, population, groups=groups, **given)
    assert set(content["codes"]["groups"]) == {"high", "low"}
    assert content["patients"]["groups"] == {"high": 12, "low": 12}
    with pytest.raises(ValueError, match="expected at least two groups of 11 patients, found 0"):
        write_embedding_figure(tmp_path, model, tokenizer, population, groups={"none": ("ICD9CM/999",)}, **given)
