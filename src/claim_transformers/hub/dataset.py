"""Sharing of a dataset, which is private by default and never holds patients' identifiers or dates by accident."""

from typing import TYPE_CHECKING, Any

from huggingface_hub import CommitInfo, HfApi

from claim_transformers.hub.connection import explained, last_commit, retried
from claim_transformers.hub.errors import PushRefusedError
from claim_transformers.hub.token_grammar import is_label

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

# What `tokenize_dataset` makes of patients, with the lists that a value stands in. Whatever else a table holds, an
# identifier, a day or a count by county under any name, is not on the list.
_COLUMNS = {
    "input_ids": (1,),
    "visit_ids": (1,),
    "visit_days": (1,),
    "category_ids": (1,),
    "attention_mask": (1,),
    "span_start_days": (1,),
    "span_end_days": (1,),
    "length": (0,),
    "label": (0, 1),
    "labels": (0, 1),
}
_LABELS = ("label", "labels")
_BATCH_ROWS = 10_000


def push_dataset(
    dataset: "DatasetDict",
    repo_id: str,
    *,
    config_name: str = "default",
    private: bool = True,
    revision: str | None = None,
    commit_message: str | None = None,
    allow_patient_rows: bool = False,
) -> CommitInfo:
    """Push a dataset with all its splits, so that `datasets.load_dataset(repo_id)` reads it, streaming or not.

    Args:
        dataset (`DatasetDict`): Splits with equal columns.
        repo_id (`str`): `"name"` or `"organisation/name"`; created when missing.
        config_name (`str`, *optional*, defaults to `"default"`): Name of the configuration inside the repository.
        private (`bool`, *optional*, defaults to `True`):
            Whether the repository has to be private. A push that asks for a private repository is refused by a public
            one.
        revision (`str`, *optional*): Branch to push to, created when missing. Defaults to `main`.
        commit_message (`str`, *optional*): First line of the commit.
        allow_patient_rows (`bool`, *optional*, defaults to `False`):
            Whether columns may leave that are no tokens and no labels. Meant for simulated claims, and for real ones
            only where the Hub is yours and the data use agreement says so.

    Raises:
        PushRefusedError: If there is a column beside numbers of tokens, visits and labels, or `visit_days` does not
            count from the first visit, and `allow_patient_rows` is not given. Nothing has been sent.
        HubError: If the Hub refuses or does not answer.

    Examples:
        >>> from datasets import Dataset, DatasetDict
        >>> patients = DatasetDict(train=Dataset.from_dict({"patient_id": ["1"], "visit_day": [[0]]}))
        >>> push_dataset(patients, "organisation/claims")
        Traceback (most recent call last):
        claim_transformers.hub.errors.PushRefusedError: E_PUSH_REFUSED: expected numbers in the columns input_ids, ...,
        labels alone, found the columns patient_id, visit_day: remove them, or pass allow_patient_rows=True for ...
    """
    if not allow_patient_rows:
        _refuse_patient_rows(dataset)
    api = HfApi()
    with explained(repo_id):
        repo_id = retried(
            lambda: api.create_repo(repo_id, repo_type="dataset", private=private, exist_ok=True)
        ).repo_id
        last_commit(api, repo_id, private=private, repo_type="dataset")
        commit: CommitInfo = dataset.push_to_hub(
            repo_id, config_name=config_name, private=private, revision=revision, commit_message=commit_message
        )
    return commit


def _refuse_patient_rows(dataset: "DatasetDict") -> None:
    """Stop at columns that are not on the list, by their names and by what they hold."""
    cure = "remove them, or pass allow_patient_rows=True for simulated claims"
    columns = {(name, _may_leave(name, kind)) for split in dataset.values() for name, kind in split.features.items()}
    found = sorted(name for name, may_leave in columns if not may_leave)
    if found:
        raise PushRefusedError(
            f"expected numbers in the columns {', '.join(_COLUMNS)} alone, "
            f"found the columns {', '.join(found)}: {cure}"
        )
    for split in dataset.values():
        if "visit_days" in split.column_names and not _count_from_first_visit(split):
            raise PushRefusedError(
                "expected visit_days to count from the first visit, found other days: tokenise the patients again"
            )


def _may_leave(name: str, kind: Any) -> bool:
    """Whether a column is on the list and holds numbers in as many lists as it should."""
    depth = 0
    while hasattr(kind, "feature"):
        kind, depth = kind.feature, depth + 1
    if depth not in _COLUMNS.get(name, ()):
        return False
    names = getattr(kind, "names", None)
    if names is not None:
        return name in _LABELS and all(map(is_label, names))
    numbers = ("int", "uint", "bool", "float") if name in _LABELS else ("int", "uint", "bool")
    return str(getattr(kind, "dtype", "")).startswith(numbers)


def _count_from_first_visit(split: "Dataset") -> bool:
    """Whether the first visit of every row, behind slot 0, is on day 0: a day since 1970 is a date."""
    for table in split.select_columns(["visit_days"]).with_format("arrow").iter(_BATCH_ROWS):
        for days in table.column("visit_days").chunks:
            starts, ends = days.offsets[:-1].to_numpy(), days.offsets[1:].to_numpy()
            first = starts[ends - starts > 1] + 1
            if days.values.to_numpy(zero_copy_only=False)[first].any():
                return False
    return True
