"""Upload folder: a clean folder with allowed files only, each looked through before it leaves this machine."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from transformers.dynamic_module_utils import get_relative_import_files

from claim_transformers.hub.checkpoint_files import (
    CARD_NAME,
    MANIFEST_NAME,
    file_sha256,
    is_allowed,
    read_strict_json,
)
from claim_transformers.hub.errors import PushRefusedError
from claim_transformers.hub.folding import fold_checkpoint
from claim_transformers.hub.private_text import find_person, find_private
from claim_transformers.hub.saving import drop_code, refuse_foreign_code
from claim_transformers.hub.upload_model import check_calibration, check_config, check_risk_intervals, check_weights
from claim_transformers.hub.upload_tokenizer import (
    check_categories,
    check_form,
    check_provenance,
    check_tokenizer_config,
    check_vocabulary,
)
from claim_transformers.models import claim
from claim_transformers.training.scoring.calibration import CALIBRATION_FILE
from claim_transformers.version import __version__

_AUTO_TOKENIZER = {"AutoTokenizer": ["tokenization_claim.ClaimTokenizer", None]}
_CHECKS: dict[str, Callable[[Path], None]] = {
    "vocab.json": check_vocabulary,
    "categories.json": check_categories,
    "form.json": check_form,
    "tokenizer_config.json": partial(check_tokenizer_config, auto_map=_AUTO_TOKENIZER),
    "pretraining.json": check_provenance,
    CALIBRATION_FILE: check_calibration,
    "risk_intervals.json": check_risk_intervals,
}


def stage(source: str | Path, staging: str | Path, *, with_code: bool) -> list[str]:
    """Copy a saved checkpoint into an empty folder with a manifest, refusing what `docs/hub.md` does not list."""
    source, staging = Path(source), Path(staging)
    _refuse_forbidden_files(source, with_code=with_code)
    for path in sorted(source.iterdir()):
        if path.name != MANIFEST_NAME:
            shutil.copyfile(path, staging / path.name)
    if not with_code:
        drop_code(staging)
    _refuse_private_content(staging)
    fold_checkpoint(staging)
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
    """Stop at the first file that says anything which no checkpoint needs."""
    for path in sorted(folder.iterdir()):
        if path.suffix in (".json", ".md"):
            _refuse_private_text(path)
    config, own_code = folder / "config.json", _own_code()
    model = check_config(config) if config.is_file() else None
    check_weights(folder, model)
    for path in sorted(folder.iterdir()):
        if path.name in _CHECKS:
            _CHECKS[path.name](path)
        if path.suffix == ".py" and path.read_bytes() != own_code.get(path.name):
            raise PushRefusedError(
                f"expected code of the installed package, found {path.name!r} to differ from it: save it with "
                "save_with_code, or push without code"
            )


def _refuse_private_text(path: Path) -> None:
    """Stop at paths and access tokens in any text, and at whatever tells of a person in a card."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise PushRefusedError(f"expected text in {path.name!r}, found other bytes: save it again") from None
    found = find_private(text) or (find_person(text) if path.name == CARD_NAME else None)
    if found:
        raise PushRefusedError(f"expected nothing private in {path.name!r}, found {found[0]}: {found[1]}")


def _own_code() -> dict[str, bytes]:
    """Python files of the model families of the package."""
    return {path.name: path.read_bytes() for path in Path(str(claim.__file__)).parent.glob("*_*.py")}


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
        auto_map = read_strict_json(path).get("auto_map", {}) if path.is_file() else {}
        if not isinstance(auto_map, dict):
            raise PushRefusedError(f"expected auto_map in {name!r} to be a mapping, found another: save it again")
        refuse_foreign_code({"auto_map": auto_map})
        for entry in auto_map.values():
            references = entry if isinstance(entry, list) else [entry]
            modules.update(reference.partition(".")[0] for reference in references if reference)
    files = {folder / f"{module}.py" for module in modules}
    siblings = {Path(sibling) for file in files if file.is_file() for sibling in get_relative_import_files(file)}
    return {path.name for path in files | siblings}
