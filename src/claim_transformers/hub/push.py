"""Push of a checkpoint to the Hub in one commit that holds nothing private."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import CommitInfo, CommitOperation, CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import EntryNotFoundError
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from claim_transformers.hub.checkpoint_files import CARD_NAME, MANIFEST_NAME, is_allowed
from claim_transformers.hub.connection import explained, last_commit, retried
from claim_transformers.hub.saving import save_with_code
from claim_transformers.hub.upload_folder import stage


def push_checkpoint(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    repo_id: str,
    *,
    private: bool = True,
    with_code: bool = True,
    revision: str | None = None,
    commit_message: str | None = None,
    card: str | Path | None = None,
    max_shard_size: str = "5GB",
) -> CommitInfo:
    """Push a model and its tokenizer as one commit: the repository is at the old state or at the new one.

    The files are made in a fresh folder, so nothing that lies beside a training run can be sent. The token comes from
    the environment variable `HF_TOKEN` or from `hf auth login`; it is never an argument.

    Args:
        model (`PreTrainedModel`): The model.
        tokenizer (`PreTrainedTokenizerBase`): Its tokenizer.
        repo_id (`str`): `"name"` or `"organisation/name"`; created when missing.
        private (`bool`, *optional*, defaults to `True`):
            Whether the repository has to be private. A push that asks for a private repository is refused by a public
            one.
        with_code (`bool`, *optional*, defaults to `True`):
            Whether the model's Python files travel along, so that `trust_remote_code=True` loads the checkpoint where
            this package is not installed.
        revision (`str`, *optional*): Branch to push to, created when missing. Defaults to `main`.
        commit_message (`str`, *optional*): First line of the commit.
        card (`str` or `Path`, *optional*):
            File of a model card, see [`write_model_card`]. Without it the card on the Hub stays as it is.
        max_shard_size (`str`, *optional*, defaults to `"5GB"`): Largest size of one file of weights.

    Returns:
        `CommitInfo`: The commit, with its `oid` and `commit_url`.

    Raises:
        PushRefusedError: If something private would leave. Nothing has been sent.
        HubError: If the Hub refuses or does not answer.

    Examples:
        >>> push_checkpoint(model, tokenizer, "organisation/claim-pt-base", card="README.md")  # doctest: +SKIP
    """
    with tempfile.TemporaryDirectory() as folder:
        if with_code:
            save_with_code(model, tokenizer, folder, max_shard_size=max_shard_size)
        else:
            model.save_pretrained(folder, max_shard_size=max_shard_size)
            tokenizer.save_pretrained(folder)
        if card is not None:
            Path(folder, CARD_NAME).write_text(Path(card).read_text(encoding="utf-8"), encoding="utf-8")
        return push_folder(
            folder,
            repo_id,
            private=private,
            with_code=with_code,
            revision=revision,
            commit_message=commit_message or f"Upload {type(model).__name__}",
        )


def push_folder(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = True,
    with_code: bool = False,
    revision: str | None = None,
    commit_message: str | None = None,
    token: str | None = None,
) -> CommitInfo:
    """Push a saved checkpoint as one commit, refusing a folder that holds anything else.

    Weights of an earlier push that the folder no longer holds are deleted in the same commit, so that a reader never
    mixes two versions.

    Args:
        folder (`str` or `Path`): Made by `save_pretrained` or by [`save_with_code`].
        repo_id (`str`): `"name"` or `"organisation/name"`; created when missing.
        private (`bool`, *optional*, defaults to `True`): Whether the repository has to be private.
        with_code (`bool`, *optional*, defaults to `False`): Whether the model's Python files in the folder are sent.
        revision (`str`, *optional*): Branch to push to, created when missing. Defaults to `main`.
        commit_message (`str`, *optional*): First line of the commit.
        token (`str`, *optional*): Token of a trainer that has its own (`hub_token`). Defaults to that of `HF_TOKEN`.

    Returns:
        `CommitInfo`: The commit, with its `oid` and `commit_url`.

    Raises:
        PushRefusedError: If something private would leave. Nothing has been sent.
        HubError: If the Hub refuses or does not answer.

    Examples:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "training_args.bin").write_bytes(b"")
        ...     push_folder(folder, "organisation/claim-pt-base")
        Traceback (most recent call last):
        claim_transformers.hub.errors.PushRefusedError: E_PUSH_REFUSED: expected only the files of a checkpoint, found
        'training_args.bin': ...
    """
    with tempfile.TemporaryDirectory() as staging:
        names = stage(folder, staging, with_code=with_code)
        with explained(repo_id):
            message = commit_message or "Upload checkpoint"
            return _commit(HfApi(token=token), Path(staging), names, repo_id, private, revision, message)


def _commit(
    api: HfApi, staging: Path, names: Sequence[str], repo_id: str, private: bool, revision: str | None, message: str
) -> CommitInfo:
    """Create the repository and the branch when missing, then send everything at once."""
    repo_id = retried(lambda: api.create_repo(repo_id, private=private, exist_ok=True)).repo_id
    if revision is not None:
        retried(lambda: api.create_branch(repo_id, branch=revision, exist_ok=True))
    parent = last_commit(api, repo_id, private=private, revision=revision)
    remote = retried(lambda: api.list_repo_files(repo_id, revision=parent))
    stale = [name for name in remote if name not in names and name != CARD_NAME and is_allowed(name, with_code=True)]

    def send() -> CommitInfo:
        head = last_commit(api, repo_id, private=private, revision=revision)
        if head != parent and _holds(api, repo_id, head, staging):
            # The commit of an attempt before, whose answer was lost on a cut line.
            url = f"{api.endpoint}/{repo_id}/commit/{head}"
            return CommitInfo(commit_url=url, commit_message=message, commit_description="", oid=head)
        # The client changes the operations while it sends them, so each attempt gets its own.
        operations: list[CommitOperation] = [CommitOperationAdd(name, staging / name) for name in names]
        operations += [CommitOperationDelete(name) for name in stale]
        # With the parent named, the Hub refuses the commit when another one came first.
        return api.create_commit(repo_id, operations, commit_message=message, revision=revision, parent_commit=parent)

    return retried(send)


def _holds(api: HfApi, repo_id: str, commit: str, staging: Path) -> bool:
    """Whether a commit holds exactly the staged files, told by its manifest."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            remote = api.hf_hub_download(repo_id, MANIFEST_NAME, revision=commit, local_dir=folder)
        except EntryNotFoundError:
            return False
        return Path(remote).read_bytes() == (staging / MANIFEST_NAME).read_bytes()
