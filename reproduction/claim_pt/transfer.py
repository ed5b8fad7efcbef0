"""The way to another institution's data: read, tokenise, fine-tune; for data too small to score."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.training import FineTuning, fine_tune
from reproduction.engine.checkpoints import checkpoint_folder, load_tokenizer
from reproduction.engine.silence import quiet

KNOWN_LEVELS = ("exact", "prefix", "category")


def describe_transfer(checkpoint: str, source: str, folder: str | Path, *, name: str) -> str:
    """Run the transfer path on raw files and say what came out; no score is given.

    The question is whether the patient has another visit on a later day than the first; the model reads the first
    day. It is there to have a label, not to be answered.

    Args:
        checkpoint (`str`): Folder or name of the pretrained model.
        source (`str`): Raw format, such as `"mimic3"`.
        folder (`str` or `Path`): The raw files.
        name (`str`): What the population is called.

    Returns:
        `str`: One paragraph: patients, visits, how many codes the vocabulary knows, and that fine-tuning ran.
    """
    import datasets
    from transformers import set_seed

    from claim_transformers.analysis import start_from_checkpoint
    from claim_transformers.sources.pipeline.loading import load_claims

    with TemporaryDirectory() as scratch, quiet():
        loaded = load_claims(source, folder, out=Path(scratch) / "claims", cache_dir=Path(scratch) / "cache")
        patients = pa.concat_tables([split.with_format("arrow")[:] for split in loaded.values()]).combine_chunks()
        examples = first_days(patients)
        tokenizer = load_tokenizer(checkpoint)
        tokens, levels = tokenizer.encode_table(examples, return_statistics=True)
        parts = np.array_split(np.arange(tokens.num_rows), 3)
        splits = {
            split: datasets.Dataset(tokens.take(pa.array(rows)))
            for split, rows in zip(("train", "validation", "test"), parts, strict=True)
        }
        set_seed(0)
        model, _ = start_from_checkpoint(checkpoint_folder(checkpoint), problem_type="single_label_classification")
        fitted = fine_tune(model, tokenizer, splits, FineTuning(epochs=2, patience=0))
    known = sum(counts.get(level, 0) for counts in levels.values() for level in KNOWN_LEVELS)
    codes = sum(sum(counts.values()) for counts in levels.values())
    days = int(pc.sum(pc.list_value_length(patients["visit_day"])).as_py())
    finite = "finite" if np.isfinite(fitted.predictions["test"]).all() else "NOT FINITE"
    return (
        f"{name}: {patients.num_rows} patients and {days} visits went through the transfer path. "
        f"The vocabulary has {known / max(codes, 1):.0%} of the {codes:,} codes of their first day or a stand-in for "
        f"them; fine-tuning ran for two epochs and its scores are {finite}. Too small to score."
    )


def first_days(patients: pa.Table) -> pa.Table:
    """Cut every patient after the first day on record; the label is whether there is a later one.

    Args:
        patients (`pa.Table`): Rows of the patients table.

    Returns:
        `pa.Table`: `patient_id`, `sex`, `birth_day`, `visit_day`, `visit_type`, `codes`, `index_day` and `label`.

    Examples:
        >>> columns = {"patient_id": ["A"], "sex": ["F"], "birth_day": [0], "visit_day": [[5, 5, 9]]}
        >>> table = pa.table(columns | {"visit_type": [["IP", "RX", "IP"]], "codes": [[["A/1"], ["A/2"], ["A/3"]]]})
        >>> first_days(table).select(["visit_day", "codes", "index_day", "label"]).to_pylist()
        [{'visit_day': [5, 5], 'codes': [['A/1'], ['A/2']], 'index_day': 6, 'label': 1}]
    """
    lengths = pc.list_value_length(patients["visit_day"]).to_numpy(zero_copy_only=False).astype(np.int64)
    owner = np.repeat(np.arange(patients.num_rows), lengths)
    days = pc.list_flatten(patients["visit_day"]).to_numpy(zero_copy_only=False).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    first = days[starts]
    kept = days == first[owner]
    offsets = pa.array(np.concatenate([[0], np.cumsum(np.bincount(owner[kept], minlength=len(lengths)))]), pa.int32())
    columns = {name: patients[name] for name in ("patient_id", "sex", "birth_day")}
    for name in ("visit_day", "visit_type", "codes"):
        flat = pc.list_flatten(patients[name])
        flat = flat.combine_chunks() if isinstance(flat, pa.ChunkedArray) else flat
        columns[name] = pa.ListArray.from_arrays(offsets, flat.filter(pa.array(kept)))
    last = np.maximum.reduceat(days, starts)
    columns["index_day"] = pa.array((first + 1).astype(np.int32))
    columns["label"] = pa.array((last > first).astype(np.int8))
    return pa.table(columns)
