"""One study of the next visit: the simple models, networks of several seeds, their blend, and transfer.

Candidates, vocabulary and weights come from the training split; features, penalties, checkpoints and the weight of the
blend are chosen on the validation split; the test split is scored once.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.analysis.rivals.features import select_codes
from claim_transformers.codes import CategoryRules, category_of, category_rules
from claim_transformers.models.claim import ClaimForPreTraining, ClaimTokenizer
from claim_transformers.training.architecture import Architecture
from claim_transformers.training.tokenized_patients import tokenize_dataset
from reproduction.claim_pt.next_visit_baselines import NextVisitScores, fit_simple_models
from reproduction.claim_pt.next_visit_model import describe_visits, score_next_visits, train_next_visit_model
from reproduction.claim_pt.next_visit_regression import PENALTIES
from reproduction.claim_pt.next_visit_report import NextVisitReport, blend_with_counts, compare_next_visit
from reproduction.claim_pt.next_visit_task import (
    NextVisitRows,
    keep_visit_type,
    next_visit_rows,
    replace_codes,
    shuffle_visits,
)

if TYPE_CHECKING:
    import datasets

    from claim_transformers.training.arguments import ClaimTrainingArguments

SPLITS = ("train", "validation", "test")
NETWORK, BLEND, TRANSFER = "Claim-PT", "Claim-PT with a skip from counts", "Claim-PT, one seed, another set first"
QUICK_PENALTIES = (0.07, 0.05)


@dataclass(frozen=True)
class NextVisitStudy:
    """How a study is made; [`NextVisitStudy.run`] makes it.

    Args:
        architecture ([`Architecture`]): Model and tokenizer.
        training ([`ClaimTrainingArguments`]): How networks are trained.
        code_dropout (`float`, *optional*, defaults to `0.0`): Share of codes hidden from the input in training.
        visit_ages (`bool`, *optional*, defaults to `True`): Whether the age is a code of every visit.
        first_codes (`bool`, *optional*, defaults to `True`): Whether a code that is new to the patient is marked.
        min_patients (`int`, *optional*, defaults to `11`): Training patients behind every candidate and token.
        max_patients (`int`, *optional*): Patients of each split at most.
        visit_type (`str`, *optional*): Only visits of this type.
        roll_up (`bool`, *optional*, defaults to `False`): Whether categories of codes take their place.
        shuffle (`bool`, *optional*, defaults to `False`): Whether the visits of each patient are shuffled first.
        quick (`bool`, *optional*, defaults to `False`): Whether the search for a penalty is short.
    """

    architecture: Architecture
    training: "ClaimTrainingArguments"
    code_dropout: float = 0.0
    visit_ages: bool = True
    first_codes: bool = True
    min_patients: int = 11
    max_patients: int | None = None
    visit_type: str | None = None
    roll_up: bool = False
    shuffle: bool = False
    quick: bool = False

    def run(
        self, patients: "datasets.DatasetDict", seeds: Sequence[int], *, other: "datasets.DatasetDict | None" = None
    ) -> tuple[list[NextVisitScores], dict[str, NextVisitRows]]:
        """Fit all models.

        Args:
            patients (`datasets.DatasetDict`): Splits `train`, `validation` and `test` of the patients table.
            seeds (`list[int]`): One network each; their log odds are averaged.
            other (`datasets.DatasetDict`, *optional*): Another set, which one more network, of the first
                seed, learns before this one.

        Returns:
            `tuple[list[NextVisitScores], dict[str, NextVisitRows]]`: Scores of all models, and the rows of each split.
        """
        tables = self.prepare(patients)
        codes = select_codes(tables["train"], min_patients=self.min_patients)
        rows = {split: next_visit_rows(table, codes) for split, table in tables.items()}
        penalties = QUICK_PENALTIES if self.quick else PENALTIES
        models = fit_simple_models(rows["train"], rows["validation"], rows["test"], penalties=penalties)

        described = {split: self._describe(table) for split, table in tables.items()}
        tokenizer = self._train_tokenizer([described["train"]])
        alone = [self._train(described, tokenizer, seed) for seed in seeds]
        found = [_score(model, described, tokenizer, codes) for model in alone]
        models += [_average(found[:1], f"{NETWORK}, one seed")] if len(found) > 1 else []
        models.append(_average(found, NETWORK))
        if other is not None:
            models.append(self._transfer(described, self.prepare(other), codes, seeds[0]))
        models.append(blend_with_counts(_average(found, NETWORK), models[3], rows["validation"], name=BLEND))
        return models, rows

    def compare(
        self,
        models: Sequence[NextVisitScores],
        rows: Mapping[str, NextVisitRows],
        *,
        title: str,
        replicates: int = 1000,
    ) -> NextVisitReport:
        """Measure the models on the test rows.

        Args:
            models (`list[NextVisitScores]`): What [`NextVisitStudy.run`] returned.
            rows (`dict[str, NextVisitRows]`): Likewise.
            title (`str`): Heading.
            replicates (`int`, *optional*, defaults to `1000`): Bootstrap replicates.

        Returns:
            [`NextVisitReport`]: The table.
        """
        facts = {
            "visits_to_predict": {split: len(rows[split]) for split in SPLITS},
            "patients": {split: len(np.unique(rows[split].patient)) for split in SPLITS},
            "codes_ranked": len(rows["train"].codes),
            "test_visits_with_a_new_code": int((rows["test"].wanted("new onset").any(axis=1)).sum()),
            "epochs": self.training.num_train_epochs,
            "intervals": f"95 %, {replicates} bootstrap draws of test patients",
        }
        return compare_next_visit(models, rows["test"], title=title, replicates=replicates, facts=facts)

    def prepare(self, patients: "datasets.DatasetDict") -> dict[str, pa.Table]:
        """Choose the patients who have a next visit, and what their visits carry.

        Args:
            patients (`datasets.DatasetDict`): Splits of the patients table.

        Returns:
            `dict[str, pa.Table]`: Tables by split.
        """
        tables = {}
        for split in SPLITS:
            table = patients[split].with_format("arrow")[:]
            if self.visit_type is not None:
                table = keep_visit_type(table, self.visit_type)
            if self.roll_up:
                table = roll_up_codes(table, category_rules())
            table = table.filter(pc.greater(pc.list_value_length(table["codes"]), 1)).slice(0, self.max_patients)
            tables[split] = shuffle_visits(table) if self.shuffle else table
        return tables

    def _describe(self, table: pa.Table) -> pa.Table:
        return describe_visits(table, ages=self.visit_ages, firsts=self.first_codes)

    def _train_tokenizer(self, tables: Sequence[pa.Table]) -> ClaimTokenizer:
        return self.architecture.train_tokenizer(
            pa.concat_tables(tables, promote_options="default"), min_patients=self.min_patients
        )

    def _train(
        self,
        tables: Mapping[str, pa.Table],
        tokenizer: ClaimTokenizer,
        seed: int,
        *,
        model: ClaimForPreTraining | None = None,
        folder: str = "scratch",
    ) -> ClaimForPreTraining:
        """Train one network, from nothing or from a model that learned another set."""
        from transformers import set_seed

        set_seed(seed)
        model = model or ClaimForPreTraining(self.architecture.build_config(tokenizer))
        tokens = {split: _tokenize(tables[split], tokenizer) for split in ("train", "validation")}
        arguments = copy.copy(self.training)
        arguments.output_dir = str(Path(str(arguments.output_dir)) / folder)
        return train_next_visit_model(model, tokens, tokenizer, arguments, seed=seed, code_dropout=self.code_dropout)

    def _transfer(
        self, tables: Mapping[str, pa.Table], other: Mapping[str, pa.Table], codes: Sequence[str], seed: int
    ) -> NextVisitScores:
        """A network that learns another set first, with a vocabulary of both training splits."""
        others = {split: self._describe(table) for split, table in other.items()}
        tokenizer = self._train_tokenizer([tables["train"], others["train"]])
        model = self._train(others, tokenizer, seed, folder="other")
        model = self._train(tables, tokenizer, seed, model=model, folder="continued")
        return _average([_score(model, tables, tokenizer, codes)], TRANSFER)


def roll_up_codes(patients: pa.Table, rules: CategoryRules) -> pa.Table:
    """Put categories in the place of codes; a code without a category leaves.

    Args:
        patients (`pa.Table`): Rows of the patients table.
        rules (`CategoryRules`): From code to category.

    Returns:
        `pa.Table`: The table with categories as `codes`.

    Examples:
        >>> table = pa.table({"codes": [[["ICD9CM/49392", "HCPCS/X"], ["ICD9CM/49390"]]]})
        >>> roll_up_codes(table, CategoryRules(prefixes={"ICD9CM/493": "CCS/128"}))["codes"].to_pylist()
        [[['CCS/128'], ['CCS/128']]]
    """
    lists = pc.list_flatten(patients["codes"].combine_chunks())
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    encoded = pc.dictionary_encode(pc.list_flatten(lists))
    categories = category_of(encoded.dictionary, rules).cast(pa.string()).take(encoded.indices)
    is_known = pc.is_valid(categories).to_numpy(zero_copy_only=False)
    owner = np.repeat(np.arange(len(lengths)), lengths)[is_known]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(lengths)))])
    kept = categories.drop_null()
    return replace_codes(patients, pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), kept))


def _tokenize(table: pa.Table, tokenizer: ClaimTokenizer) -> Any:
    import datasets

    return tokenize_dataset(datasets.Dataset(table), tokenizer)


def _score(
    model: ClaimForPreTraining, tables: Mapping[str, pa.Table], tokenizer: ClaimTokenizer, codes: Sequence[str]
) -> NextVisitScores:
    scores = [
        score_next_visits(model, _tokenize(tables[split], tokenizer), tokenizer, codes)
        for split in ("validation", "test")
    ]
    return NextVisitScores(NETWORK, scores[0], scores[1])


def _average(found: Sequence[NextVisitScores], name: str) -> NextVisitScores:
    """The mean of log odds."""
    parts = (
        np.mean([scores.validation for scores in found], axis=0),
        np.mean([scores.test for scores in found], axis=0),
    )
    return NextVisitScores(name, *parts, {"networks": len(found)})
