"""Kinds of folders: what somebody gave where ingested claims were expected, and what to give instead."""

from pathlib import Path

# What tells a folder from others, what it is, and the cure; the first that fits counts.
_KINDS = (
    ("manifest.json", "an unfinished folder", "ingest again"),
    ("attrition.json", "a cohort", "give the claims that it was built from"),
    ("dataset_dict.json", "a data set of sequences or tokens", "give the claims that it was made from"),
    ("_scores.json", "scores", "give the claims that were scored"),
    ("claims/_SUCCESS", "a run", "give its folder claims"),
    ("cohort/dataset_dict.json", "a run without claims", "give the claims that its cohort was built from"),
    ("config.json", "a checkpoint", "give the claims beside it"),
)


def no_claims(folder: Path) -> str:
    """Say what a file or folder is that holds no ingested claims, and what to give instead."""
    if not folder.is_dir():
        return "found a file: ingest it first, and give the folder that this makes"
    for mark, what, cure in _KINDS:
        if (folder / mark).is_file():
            return f"found {what}: {cure}"
    if not any(folder.iterdir()):
        return "found an empty folder: ingest into it first"
    inside = sorted(one.name for one in folder.iterdir() if (one / "_SUCCESS").is_file() and one.name[0] != ".")
    if inside:
        return f"found a folder that holds ingested ones: give one of them, such as {inside[0]!r}"
    return "found another folder: if it holds raw files, ingest them first, and give the folder that this makes"
