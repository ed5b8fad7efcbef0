"""A trained model on its way to the Hub: what `ClaimTrainer` sends when it is asked to by the API of transformers.

`ClaimTrainer` looks these functions up by name, since training stands below this room.
"""

import shutil
import tempfile
from pathlib import Path

from huggingface_hub import CommitInfo, HfApi
from transformers import PreTrainedConfig

from claim_transformers.hub.checkpoint_files import CARD_NAME, MANIFEST_NAME, is_allowed
from claim_transformers.hub.connection import explained, last_commit, retried
from claim_transformers.hub.errors import HubError, PushRefusedError
from claim_transformers.hub.push import push_folder
from claim_transformers.models.claim.carried_code_claim import add_code

_ADAPTER = "adapter_config.json"
# The family whose models travel with their files when a trainer shares them.
_WITH_CODE = "claim"
# The trainer goes on when the Hub does not answer in the middle of a run, and ends when something private would leave.
HUB_ERROR = HubError


def prepare_repository(repo_id: str, *, private: bool, token: str | None) -> str:
    """Create the repository before the first step, so that a name or a token that is wrong costs no training."""
    api = HfApi(token=token)
    with explained(repo_id):
        full = retried(lambda: api.create_repo(repo_id, private=private, exist_ok=True)).repo_id
        last_commit(api, full, private=private)
    return full


def push_trained(
    folder: str | Path,
    repo_id: str,
    config: PreTrainedConfig,
    tokenizer_class: type,
    *,
    private: bool,
    token: str | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
    card: str | Path | None = None,
) -> CommitInfo:
    """Push the files of a checkpoint out of a folder of a run, whatever else lies there, as one commit."""
    folder = Path(folder)
    if (folder / _ADAPTER).exists():
        raise PushRefusedError(
            "expected the weights of a whole model, found those of an adapter: put them into the model with "
            "model.merge_and_unload() and push that with push_checkpoint"
        )
    with_code = config.model_type == _WITH_CODE
    with tempfile.TemporaryDirectory() as chosen:
        for path in sorted(folder.iterdir()):
            is_ours = is_allowed(path.name, with_code=False) and path.name not in (MANIFEST_NAME, CARD_NAME)
            if is_ours and path.is_file() and not path.is_symlink():
                shutil.copyfile(path, Path(chosen, path.name))
        if with_code:
            add_code(chosen, config, tokenizer_class)
        if card is not None:
            Path(chosen, CARD_NAME).write_text(Path(card).read_text(encoding="utf-8"), encoding="utf-8")
        return push_folder(
            chosen,
            repo_id,
            private=private,
            with_code=with_code,
            revision=revision,
            commit_message=commit_message,
            token=token,
        )
