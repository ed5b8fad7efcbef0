import pytest
from training.test_trainer import configuration, pretraining_trainer
from training.tokenized_rows import VocabularyOfCodes

from claim_transformers.models.claim.tokenization_claim import ClaimTokenizer
from claim_transformers.training import DataCollatorForClaimPretraining
from claim_transformers.training.fitting_parts import require_fitting_parts


@pytest.fixture
def other() -> ClaimTokenizer:
    return ClaimTokenizer({"SEX/F": 3, "TYPE/OP": 4, "ICD9CM/493": 5})


def test_a_tokenizer_of_another_vocabulary_is_refused(tokenizer, other):
    config = configuration(tokenizer)
    require_fitting_parts(config, tokenizer, DataCollatorForClaimPretraining(tokenizer))
    with pytest.raises(ValueError, match=f"E_VOCAB_SIZE: .*vocab_size={len(other)} .*found {len(tokenizer)}"):
        require_fitting_parts(config, other, None)
    with pytest.raises(ValueError, match="E_VOCAB_SIZE"):
        require_fitting_parts(config, None, DataCollatorForClaimPretraining(other))


@pytest.mark.parametrize(("of_model", "of_collator"), [("full", "mixed"), ("full", "none"), ("none", "full")])
def test_a_model_of_one_context_takes_no_batches_of_another(tokenizer, of_model, of_collator):
    config = configuration(tokenizer, nvp_context=of_model)
    require_fitting_parts(config, tokenizer, DataCollatorForClaimPretraining(tokenizer, nvp_context=of_model))
    collator = DataCollatorForClaimPretraining(tokenizer, nvp_context=of_collator)
    with pytest.raises(ValueError, match=f"E_COLLATOR: .*nvp_context='{of_model}' .*found '{of_collator}'"):
        require_fitting_parts(config, tokenizer, collator)
    require_fitting_parts(configuration(tokenizer, nvp_context="mixed"), tokenizer, collator)


def test_a_model_with_a_horizon_takes_batches_of_that_horizon_only(tokenizer):
    config = configuration(tokenizer, horizon_days=90)
    require_fitting_parts(config, tokenizer, DataCollatorForClaimPretraining(tokenizer, horizon_days=90))
    with pytest.raises(ValueError, match=r"E_COLLATOR: expected a collator with horizon_days=90 .*found 0"):
        require_fitting_parts(config, tokenizer, DataCollatorForClaimPretraining(tokenizer))


def test_a_model_that_stands_on_visits_takes_batches_that_do(tokenizer):
    config = configuration(tokenizer, horizon_days=90, landmark_visit_share=0.5)
    given = {"horizon_days": 90, "landmark_visit_share": 0.5}
    require_fitting_parts(config, tokenizer, DataCollatorForClaimPretraining(tokenizer, **given))
    with pytest.raises(ValueError, match=r"E_COLLATOR: expected a collator with landmark_visit_share=0.5 .*found 0.0"):
        require_fitting_parts(config, tokenizer, DataCollatorForClaimPretraining(tokenizer, horizon_days=90))


def test_the_trainer_refuses_what_does_not_fit_before_the_first_step(tokens, tokenizer, other, tmp_path):
    with pytest.raises(ValueError, match="E_VOCAB_SIZE"):
        pretraining_trainer(tokens, tokenizer, tmp_path, collator=DataCollatorForClaimPretraining(other))


def test_parts_of_other_libraries_are_left_alone(tokenizer):
    require_fitting_parts(None, tokenizer, None)
    require_fitting_parts(configuration(tokenizer), None, lambda rows: rows)
    require_fitting_parts(configuration(tokenizer), None, DataCollatorForClaimPretraining(VocabularyOfCodes()))
