"""Sharing of a dataset, which is private by default and never holds patients' identifiers or dates by accident."""

from typing import TYPE_CHECKING

from huggingface_hub import CommitInfo, HfApi

from claim_transformers.hub.connection import explained, last_commit, retried
from claim_transformers.hub.errors import PushRefusedError

if TYPE_CHECKING:
    from datasets import DatasetDict

# Columns of the patients table, of cohort examples, and of common raw layouts that name a person.
_IDENTIFIER_COLUMNS = frozenset(
    {"patient_id", "person_id", "member_id", "subscriber_id", "beneficiary_id", "bene_id", "desy_sort_key", "claim_id"}
)
# Dates, and days since 1970-01-01, of service and of birth count as identifiers under the HIPAA safe harbor (45 CFR
# 164.514(b)(2)(i)(C)). Numbers of days, such as `visit_days`, have the plural.
_DATE_ENDINGS = ("_day", "_date")


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
            Whether columns with identifiers or dates may leave. Meant for simulated claims, and for real ones only
            where the Hub is yours and the data use agreement says so.

    Returns:
        `CommitInfo`: The commit.

    Raises:
        PushRefusedError: If a column holds identifiers or dates and `allow_patient_rows` is not given. Nothing has
            been sent.
        HubError: If the Hub refuses or does not answer.

    Examples:
        >>> from datasets import Dataset, DatasetDict
        >>> patients = DatasetDict(train=Dataset.from_dict({"patient_id": ["1"], "visit_day": [[0]]}))
        >>> push_dataset(patients, "organisation/claims")
        Traceback (most recent call last):
            ...
        claim_transformers.hub.errors.PushRefusedError: E_PUSH_REFUSED: expected no identifiers and no dates, found the
        columns patient_id, visit_day: remove them, or pass allow_patient_rows=True for simulated claims
    """
    columns = {column for split in dataset.values() for column in split.column_names}
    found = sorted(column for column in columns if column in _IDENTIFIER_COLUMNS or column.endswith(_DATE_ENDINGS))
    if found and not allow_patient_rows:
        raise PushRefusedError(
            f"expected no identifiers and no dates, found the columns {', '.join(found)}: remove them, or pass "
            "allow_patient_rows=True for simulated claims"
        )
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
