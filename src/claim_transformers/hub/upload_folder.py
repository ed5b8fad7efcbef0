"""Upload folder: a clean folder with allowed files only, each looked through before it leaves this machine."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers.dynamic_module_utils import get_relative_import_files

from claim_transformers.hub.checkpoint_files import MANIFEST_NAME, file_sha256, is_allowed
from claim_transformers.hub.errors import PushRefusedError
from claim_transformers.hub.saving import drop_code, refuse_foreign_code
from claim_transformers.training.finite import require_finite_weights
from claim_transformers.version import __version__

# A path of the machine that made the checkpoint tells who trained it, and on what; `/` inside a URL does not match.
_LOCAL_PATH = re.compile(
    r"(?<![\w:/.-])(/(home|Users|root|mnt|media|tmp|var|work|data|scratch|srv|opt|private)/[^\s\"']|~/|file://)"
    r"|(?<!\w)[A-Za-z]:\\"
)
_ACCESS_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}")
_CALENDAR_DATE = re.compile(r"(19|20)\d\d-[01]\d-[0-3]\d")


def stage(source: str | Path, staging: str | Path, *, with_code: bool) -> list[str]:
    """Copy a saved checkpoint into an empty folder, refusing everything that is not on the list, and write a manifest.

    Args:
        source (`str` or `Path`): Folder of a saved checkpoint.
        staging (`str` or `Path`): Empty folder that receives the copy.
        with_code (`bool`): Whether the model's Python files are allowed.

    Returns:
        `list[str]`: Names of the staged files, sorted.

    Raises:
        ClaimDataError: `E_NONFINITE` if a weight is not finite.
        PushRefusedError: If the folder holds a file that is not on the list, or an allowed file holds a path of this
            machine, an access token, a date in the vocabulary, or numbers in the vocabulary that are not token ids.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as staging:
        ...     _ = Path(source, "optimizer.pt").write_bytes(b"")
        ...     stage(source, staging, with_code=False)
        Traceback (most recent call last):
            ...
        claim_transformers.hub.errors.PushRefusedError: E_PUSH_REFUSED: expected only the files of a checkpoint, found
        'optimizer.pt': remove it, or push a folder made by save_pretrained
    """
    source, staging = Path(source), Path(staging)
    _refuse_forbidden_files(source, with_code=with_code)
    for path in sorted(source.iterdir()):
        if path.name != MANIFEST_NAME:
            shutil.copyfile(path, staging / path.name)
    if not with_code:
        drop_code(staging)
    _refuse_private_content(staging)
    for path in sorted(staging.glob("*.safetensors")):
        with safe_open(path, framework="pt") as weights:
            require_finite_weights((name, weights.get_tensor(name)) for name in weights.keys())  # noqa: SIM118
    _write_manifest(staging)
    return sorted(path.name for path in staging.iterdir())


def _refuse_forbidden_files(folder: Path, *, with_code: bool) -> None:
    """Stop at the first look when a folder holds anything that is not a file of a checkpoint."""
    code = _code_of_checkpoint(folder) if with_code else set()
    for path in sorted(folder.iterdir()):
        is_stray_code = path.suffix == ".py" and path.name not in code
        # A link could bring in a file from outside the folder under an allowed name.
        is_plain = path.is_file() and not path.is_symlink()
        if is_stray_code or not is_plain or not is_allowed(path.name, with_code=with_code):
            raise PushRefusedError(
                f"expected only the files of a checkpoint, found {path.name!r}: remove it, or push a folder made by "
                "save_pretrained"
            )


def _refuse_private_content(folder: Path) -> None:
    """Look through every text file and the header of every weight file for what should not leave."""
    for name, text in _texts(folder):
        for pattern, what, cure in (
            (_LOCAL_PATH, "a path of this machine", "use relative paths"),
            (_ACCESS_TOKEN, "what looks like an access token", "remove it, and revoke the token"),
        ):
            if pattern.search(text):
                raise PushRefusedError(f"expected nothing private in {name!r}, found {what}: {cure}")
    vocabulary = folder / "vocab.json"
    if vocabulary.is_file():
        _refuse_private_vocabulary(vocabulary)


def _write_manifest(folder: Path) -> None:
    """Write the size and SHA-256 of every file, so that a reader can check what was received."""
    files = {
        path.name: {"size": path.stat().st_size, "sha256": file_sha256(path)}
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST_NAME
    }
    content = {"format": 1, "claim_transformers_version": __version__, "files": files}
    (folder / MANIFEST_NAME).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _code_of_checkpoint(folder: Path) -> set[str]:
    """The Python files that `auto_map` names and what they import, by the rule the loader fetches them with."""
    modules: set[str] = set()
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        auto_map = json.loads(path.read_text(encoding="utf-8")).get("auto_map", {}) if path.is_file() else {}
        refuse_foreign_code({"auto_map": auto_map})
        for entry in auto_map.values():
            references = entry if isinstance(entry, list) else [entry]
            modules.update(reference.partition(".")[0] for reference in references if reference)
    files = {folder / f"{module}.py" for module in modules}
    siblings = {Path(sibling) for file in files if file.is_file() for sibling in get_relative_import_files(file)}
    return {path.name for path in files | siblings}


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Everything readable in a staged folder: text files whole, weight files by their free-form metadata."""
    for path in sorted(folder.iterdir()):
        if path.suffix == ".safetensors":
            yield path.name, json.dumps(_safetensors_metadata(path))
        else:
            yield path.name, path.read_text(encoding="utf-8")


def _safetensors_metadata(path: Path) -> dict[str, str]:
    """The free-form part of the header of a weight file."""
    try:
        with safe_open(path, framework="numpy") as weights:
            return dict(weights.metadata() or {})
    except SafetensorError as error:
        raise PushRefusedError(f"expected weights in {path.name!r}, found a damaged file: save it again") from error


def _refuse_private_vocabulary(path: Path) -> None:
    """Stop at a vocabulary that carries counts in place of ids, or dates among its tokens."""
    vocabulary = json.loads(path.read_text(encoding="utf-8"))
    tokens = vocabulary.get("vocab", vocabulary) if isinstance(vocabulary, dict) else vocabulary
    if isinstance(tokens, dict) and sorted(map(str, tokens.values())) != sorted(map(str, range(len(tokens)))):
        raise PushRefusedError(
            f"expected ids from 0 to {len(tokens) - 1} in {path.name!r}, found other numbers: how often a code "
            "occurs must not leave, so save the tokenizer again"
        )
    if any(_CALENDAR_DATE.search(str(token)) for token in tokens):
        raise PushRefusedError(f"expected codes in {path.name!r}, found a calendar date: build the vocabulary again")
