"""The papers of a cohort's sequences: carried into every model that learned from them, compared before the next one.

A model of sequences understands other claims only in the form that its own had (`sequence_form.json`), and counties
only by the same bins (`county_bins.json`). Both travel with a checkpoint as its vocabulary does.
"""

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claim_transformers.cohorts.readmission.patient_codes import COUNTY_BINS_FILE
from claim_transformers.cohorts.readmission.sequences import FORM_FILE, SequenceForm
from claim_transformers.models.claim.names_claim import resolve_checkpoint

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

logger = logging.getLogger(__name__)

PAPERS = (FORM_FILE, COUNTY_BINS_FILE)


def carry_sequence_papers(cohort: str | Path, out: str | Path) -> list[str]:
    """Copy the papers of a cohort's sequences into the folder of a model that learned from them.

    Args:
        cohort (`str` or `Path`): Folder of sequences; another folder has no such papers, and nothing is copied.
        out (`str` or `Path`): Folder of the model; made when absent.

    Returns:
        `list[str]`: Names of the copied files.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as cohort, tempfile.TemporaryDirectory() as out:
        ...     SequenceForm("category").save(cohort)
        ...     carry_sequence_papers(cohort, out), SequenceForm.load(out).depth
        (['sequence_form.json'], 'category')
    """
    found = [Path(cohort, name) for name in PAPERS if Path(cohort, name).is_file()]
    Path(out).mkdir(parents=True, exist_ok=True)
    for path in found:
        Path(out, path.name).write_bytes(path.read_bytes())
    return [path.name for path in found]


def check_sequence_form(cohort: str | Path, checkpoint: str | Path) -> None:
    """Refuse a cohort that is not written in the form of a checkpoint.

    Its codes would be unknown to the checkpoint, or mean something else, and training would go on without a word. What
    is left out of one and not of the other (`hide`) and other bins of counties are allowed, and said in the log. A
    checkpoint without a form, or one that is not in a folder of this machine, is not checked.

    Args:
        cohort (`str` or `Path`): Folder of a cohort.
        checkpoint (`str` or `Path`): Folder or name of a checkpoint.

    Raises:
        ValueError: If the checkpoint has a form, and the cohort has none or another one.

    Examples:
        >>> check_sequence_form("cohort", "claim-pt-base")  # reads claims as they are
        >>> check_sequence_form("cohort", "medicare-encoder-base")
        Traceback (most recent call last):
            ...
        ValueError: expected sequences in the form of the checkpoint, found a cohort without a form; write them by:
        claim-transformers sequences COHORT OUT --form-of medicare-encoder-base
    """
    folder = Path(resolve_checkpoint(checkpoint))
    if not (folder / FORM_FILE).is_file():
        return
    asked = SequenceForm.load(folder)
    found = SequenceForm.load(cohort) if Path(cohort, FORM_FILE).is_file() else None
    if found is None or dataclasses.replace(found, hide=asked.hide) != asked:
        problem = "a cohort without a form" if found is None else f"another one ({_difference(found, asked)})"
        raise ValueError(
            f"expected sequences in the form of the checkpoint, found {problem}; write them by: "
            f"claim-transformers sequences COHORT OUT --form-of {checkpoint}"
        )
    if found.hide != asked.hide:
        logger.warning(
            "The sequences leave out %s; those of the checkpoint left out %s.",
            _listed(found.hide),
            _listed(asked.hide),
        )
    texts = [Path(place, COUNTY_BINS_FILE) for place in (cohort, folder)]
    if all(path.is_file() for path in texts) and texts[0].read_bytes() != texts[1].read_bytes():
        logger.warning("The bins of county measures are not those of the checkpoint: a token means another range.")


def describe_backoffs(tokenizer: Any, examples: "pa.Table | datasets.Dataset") -> str:
    """Say how much of the codes of examples a tokenizer knows.

    Args:
        tokenizer (`ClaimTokenizer`): The tokenizer of a model.
        examples (`pa.Table` or `datasets.Dataset`): Examples of a cohort.

    Returns:
        `str`: One line.

    Examples:
        >>> import pyarrow as pa
        >>> from claim_transformers.models.claim import ClaimTokenizer
        >>> codes = [[["ICD9CM/49392", "ICD9CM/49390", "CCS/128", "LOS/1"]]]
        >>> table = pa.table({"visit_day": [[0]], "visit_type": [["IP"]], "codes": codes})
        >>> describe_backoffs(ClaimTokenizer({"ICD9CM/49392": 3, "ICD9CM/493": 4}), table)
        '4 codes: 25.00 % known, 25.00 % backed off to a shorter code or a category, 50.00 % unknown'
    """
    table = examples if hasattr(examples, "schema") else examples.with_format("arrow")[:]
    levels: dict[str, int] = {}
    for counts in tokenizer.count_backoffs(table).values():
        for level, count in counts.items():
            levels[level] = levels.get(level, 0) + count
    total = sum(levels.values())
    known, coarser = levels.get("exact", 0), levels.get("prefix", 0) + levels.get("category", 0)
    shares = [f"{100 * count / max(total, 1):.2f} %" for count in (known, coarser, total - known - coarser)]
    return (
        f"{total:,} codes: {shares[0]} known, {shares[1]} backed off to a shorter code or a category, "
        f"{shares[2]} unknown"
    )


def _difference(found: SequenceForm, asked: SequenceForm) -> str:
    """What of a form is not as the checkpoint has it."""
    if found.depth != asked.depth:
        return f"depth {found.depth} in place of {asked.depth}"
    if dict(found.depth_of_system) != dict(asked.depth_of_system):
        return "other depths of single systems"
    return "other bins of numbers"


def _listed(names: Any) -> str:
    return ", ".join(names) or "nothing"
