from pathlib import Path

import pytest

from claim_transformers.training import Architecture
from reproduction.claim_pt.profiles import ClaimPTProfile
from reproduction.claim_pt.sweeps import load_ablations

ROOT = Path(__file__).parents[3]
PROFILES = ROOT / "reproduction" / "claim_pt" / "profiles"


class Vocabulary:
    num_categories, pad_token_id, mask_token_id, init_kwargs = 40, 0, 2, {}

    def __len__(self):
        return 50


@pytest.mark.parametrize("name", ["full", "quick"])
def test_the_profiles_name_what_exists(name):
    profile = ClaimPTProfile.load(PROFILES / f"{name}.yaml")
    assert profile.name == name
    assert {"paper", "ablation", "heads_and_layers"} <= set(profile.pretraining)
    for plan in profile.pretraining.values():
        Architecture.from_json(ROOT / plan.config).build_config(Vocabulary())
    for number in profile.heads:
        plan = profile.pretraining["heads_and_layers"]
        given = Architecture.from_json(ROOT / plan.config)
        Architecture({**given.model, "num_attention_heads": number}, given.tokenizer).build_config(Vocabulary())


def test_every_ablation_is_a_valid_model():
    ablations = load_ablations(PROFILES / "ablations.yaml")
    for name in ("full", "quick"):
        plan = ClaimPTProfile.load(PROFILES / f"{name}.yaml").pretraining["ablation"]
        given = Architecture.from_json(ROOT / plan.config)
        for variant in (ablations.reference, *ablations.variants):
            changed = Architecture({**given.model, **variant.model}, {**given.tokenizer, **variant.tokenizer})
            changed.build_config(Vocabulary())


def test_a_variant_that_changes_nothing_is_not_among_the_ablations():
    ablations = load_ablations(PROFILES / "ablations.yaml")
    given = Architecture.from_json(ROOT / "examples" / "configs" / "claim-pt-base.json")
    for variant in ablations.variants:
        same_model = {**given.model, **variant.model} == dict(given.model)
        same_tokenizer = {**given.tokenizer, **variant.tokenizer} == dict(given.tokenizer)
        assert not (same_model and same_tokenizer and not variant.training), variant.slug


def test_a_profile_without_a_population_or_a_model_is_refused(write_profile):
    with pytest.raises(ValueError, match="expected a population 'a'"):
        ClaimPTProfile.load(write_profile(populations={"b": {"patients": 1, "seed": 0}}))
    with pytest.raises(ValueError, match="expected a checkpoint or pretraining of 'base'"):
        ClaimPTProfile.load(write_profile(checkpoint=None))
    with pytest.raises(ValueError, match=r"tiny.yaml: populations.a: expected keys among .*, found 'size'"):
        ClaimPTProfile.load(write_profile(populations={"a": {"patients": 1, "seed": 0, "size": 2}}))


def test_two_variants_of_one_slug_are_refused(tmp_path):
    path = tmp_path / "ablations.yaml"
    entry = "{slug: same, name: Same}"
    path.write_text(f"reference: {entry}\nvariants: [{entry}]\n")
    with pytest.raises(ValueError, match="expected every slug once"):
        load_ablations(path)
