"""`load_claims`: from raw files, or from a folder ingested before, to a `datasets.DatasetDict` in one call."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from claim_transformers.claims.files import private_folder, private_umask, remove_leftovers, write_errors
from claim_transformers.claims.inputs import check_inputs
from claim_transformers.claims.patient_files import schema_of
from claim_transformers.claims.splits import DEFAULT_SALT, SPLITS, assert_disjoint
from claim_transformers.claims.store import FORMAT_VERSION, MANIFEST, IngestedFolder, open_folder
from claim_transformers.codes.errors import ClaimDataError, did_you_mean
from claim_transformers.sources.pipeline.warehouse import is_address
from claim_transformers.sources.registry import find_source, load_function, sources
from claim_transformers.version import __version__

if TYPE_CHECKING:
    import datasets

    from claim_transformers.sources.pipeline.contract import RawLocation
    from claim_transformers.sources.pipeline.patients_builder import HashSplit, PatientsBuilder

_INGESTED = "claims"
_COHORT = "cohort"
_CACHE_FOLDER = "claim_transformers"
# A folder of the cache that this version cannot read is never found again.
_VERSION = f"{__version__}/{FORMAT_VERSION}"
_BYTES_PER_READ = 1 << 20


def load_claims(
    source: str,
    path: "RawLocation | Sequence[str | Path]" = None,
    *,
    out: str | Path | None = None,
    split: str | None = None,
    streaming: bool = False,
    splits: Mapping[str, float] | None = None,
    salt: str | None = None,
    cache_dir: str | Path | None = None,
    **options: Any,
) -> "datasets.DatasetDict | datasets.Dataset | datasets.IterableDatasetDict | datasets.IterableDataset":
    """Load claims as patients: one row per patient, visits in order, split by patient.

    A raw source is ingested first, with its quality checks: into `out`, or into a folder of the cache that later calls
    with the same files find again. The columns are those of `claims.patient_files.PATIENTS_SCHEMA`, and
    those of `OPTIONAL_FIELDS` that the source knows. The days on which visits ended and were paid say what was known
    when (`claims.known`); tokenizers do not read them.

    The cache holds patient data in clear. It is `cache_dir` or the cache of `datasets`, in a folder
    `claim_transformers` that only its owner may enter; deleting that folder deletes every copy made here.

    Args:
        source (`str`): A raw format such as `"synpuf"`, `"tuva"` or `"meds"`, or `"claims"` for a folder ingested
            before, or `"cohort"` for a folder of examples that `claim-transformers cohort` or `sequences` wrote.
        path (`str`, `Path`, `list` or `ibis.BaseBackend`, *optional*):
            Where the raw files are, or the ingested folder; for `"tuva"` and `"omop"` also a warehouse, which needs
            `out`; for `"omop"` it may be a URL. Several ingested folders, in a list, are one data set: of no patient
            in two of them.
        out (`str` or `Path`, *optional*): Folder to ingest into, for raw sources.
        split (`str`, *optional*): Only this split, also as `"train[:10%]"` unless streaming.
        streaming (`bool`, *optional*, defaults to `False`): Read the parquet files on the fly instead of copying them
            to memory-mapped Arrow first.
        splits (`Mapping[str, float]`, *optional*): Shares of `train`, `validation` and `test` that sum to 1, drawn
            anew by hash instead of the splits stored.
        salt (`str`, *optional*): Salt of new splits. Given alone, it draws 80, 10 and 10 percent.
        cache_dir (`str` or `Path`, *optional*): Where to keep copies instead of the cache of `datasets`.
        **options: Options of the raw source, see `sources.pipeline.ingest.ingest`.

    Returns:
        `datasets.DatasetDict`, or one `datasets.Dataset` when `split` is given; their iterable forms when streaming.

    Raises:
        ValueError: If the source is unknown, the shares do not sum to 1, or an argument does not go with the source.
        ClaimDataError: `E_NO_FOLDER` or `E_INCOMPLETE` if the folder is no whole ingested folder, `E_NO_PATIENTS` if
            nobody in it has a visit, `E_SPLIT_OVERLAP` if a patient is in two splits or folders, and what `ingest`
            raises.

    Examples:
        >>> load_claims("sinpuf", "raw")
        Traceback (most recent call last):
            ...
        ValueError: unknown source 'sinpuf', did you mean 'synpuf'? Known sources: ...
        >>> load_claims("claims", "no/such/folder")
        Traceback (most recent call last):
            ...
        claim_transformers.codes.errors.ClaimDataError: E_NO_FOLDER: expected an ingested folder at ...
    """
    known = _known_sources()
    if source not in known:
        hint = did_you_mean([source], known)
        raise ValueError(f"unknown source {source!r}{hint} Known sources: {', '.join(sorted(known))}")
    if isinstance(path, Sequence) and not isinstance(path, str):
        return _load_several(
            source,
            path,
            split,
            given={"out": out, **options},
            streaming=streaming,
            splits=splits,
            salt=salt,
            cache_dir=cache_dir,
        )
    if source == _COHORT:
        given = {"out": out, "streaming": streaming, "splits": splits, "salt": salt, **options}
        return _load_cohort(path, split, [name for name, value in given.items() if value])
    hash_split = _hash_split(splits, salt)
    cache = _private_cache(cache_dir)
    if source == _INGESTED:
        if not isinstance(path, str | Path) or out is not None or options:
            raise ValueError(
                f"the source {_INGESTED!r} reads a folder that is ingested already: expected its path alone, found "
                f"{sorted({'out': out, **options}) if isinstance(path, str | Path) else 'no path'}"
            )
        folder = open_folder(path)
    else:
        folder = _ingest(source, path, out, cache, options)
    return _as_dataset(folder, hash_split, cache, split, streaming)


def _load_several(
    source: str, paths: Sequence[str | Path], split: str | None, *, given: Mapping[str, Any], **options: Any
) -> Any:
    """Several ingested folders as one data set."""
    import datasets

    if source != _INGESTED or not paths or any(given.values()):
        raise ValueError(
            f"expected a list of ingested folders of the source {_INGESTED!r} alone, found other arguments"
        )
    patients = {str(path): _patient_ids(list(map(str, open_folder(path).table_files("patients")))) for path in paths}
    if len(patients) < len(paths):
        raise ValueError("expected every ingested folder once, found one twice")
    assert_disjoint(patients)
    loaded = [load_claims(source, path, split=split, **options) for path in paths]
    if split is not None:
        return datasets.concatenate_datasets(loaded)
    together = {name: datasets.concatenate_datasets([folder[name] for folder in loaded]) for name in SPLITS}
    return (datasets.IterableDatasetDict if options["streaming"] else datasets.DatasetDict)(together)


def _known_sources() -> list[str]:
    return [_INGESTED, _COHORT, *sources()]


def _load_cohort(path: "RawLocation", split: str | None, given: Sequence[str]) -> Any:
    """Examples as they were saved: cut, labelled and split already, so nothing about them can be asked for anew."""
    import datasets

    if not isinstance(path, str | Path) or given:
        raise ValueError(
            f"the source {_COHORT!r} reads examples that are split already: expected their folder alone, found "
            f"{sorted(given) if given else 'no folder'}"
        )
    if not (check_inputs(path) / "dataset_dict.json").is_file():
        raise ClaimDataError(
            "E_NO_FOLDER",
            f"expected a cohort or sequences at {Path(path).name!r}, found neither: give a folder that 'cohort' or "
            "'sequences' wrote",
        )
    loaded = datasets.load_from_disk(str(path))
    assert_disjoint({name: rows.with_format("arrow")["patient_id"][:] for name, rows in loaded.items()})
    return loaded if split is None else loaded[split]


def _hash_split(splits: Mapping[str, float] | None, salt: str | None) -> "HashSplit | None":
    from claim_transformers.sources.pipeline.patients_builder import HashSplit

    if splits is None and salt is None:
        return None
    shares = dict(zip(SPLITS, (0.8, 0.1, 0.1), strict=True)) if splits is None else dict(splits)
    if set(shares) - set(SPLITS) or abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"expected shares of {', '.join(SPLITS)} that sum to 1, found {shares}")
    return HashSplit(DEFAULT_SALT if salt is None else salt, shares.get("train", 0.0), shares.get("validation", 0.0))


def _private_cache(cache_dir: str | Path | None) -> Path:
    """A folder for copies of patient data that nobody else on the machine may enter."""
    from datasets import config

    cache = Path(cache_dir if cache_dir is not None else config.HF_DATASETS_CACHE).expanduser() / _CACHE_FOLDER
    private_folder(cache).chmod(0o700)
    return cache


def _ingest(
    source: str, path: "RawLocation", out: str | Path | None, cache: Path, options: Mapping[str, Any]
) -> IngestedFolder:
    from claim_transformers.sources.pipeline.ingest import ingest

    if path is not None and (not isinstance(path, str | Path) or is_address(path)):
        if out is None:
            raise ValueError(
                "a warehouse has no files by which the cache could know it again: expected out, found none"
            )
    elif path is not None and not check_inputs(path).exists():
        raise ValueError(f"expected raw files of the source {source!r} at {path}, found nothing there")
    if out is None:
        files = [] if path is None else _files(source, Path(path))
        drugs = Path(options.get("ndc_directory") or "")
        # What a table of drugs says is part of what was read; an address stands for itself.
        files += [drugs] if drugs.is_file() else []
        out = cache / "ingested" / _digest(source, _VERSION, options, files)
        # Raw rows that a killed run left, of other files too.
        for left in out.parent.glob(".*.writing-*"):
            remove_leftovers(left.with_name(left.name[1:].rpartition(".writing-")[0]))
        if (out / MANIFEST).exists() and not options.get("overwrite"):
            return open_folder(out)
    ingest(source, path, out, **options)
    return open_folder(out)


def _files(source: str, path: Path) -> list[Path]:
    if (inputs := find_source(source).inputs) is not None:
        listed: list[Path] = load_function(inputs)(path)
        return listed
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def _digest(source: str, version: str, options: Mapping[str, Any], files: Sequence[Path]) -> str:
    """Name of a cache folder: what was read and how, by content."""
    described = {
        name: str(value) for name, value in options.items() if name not in {"overwrite", "progress", "max_expansion"}
    }
    digest = hashlib.sha256(json.dumps([source, version, described], sort_keys=True).encode())
    for file in files:
        digest.update(f"|{file.name}|{file.stat().st_size}|".encode())
        with file.open("rb") as stream:
            while block := stream.read(_BYTES_PER_READ):
                digest.update(block)
    return digest.hexdigest()[:32]


def _as_dataset(
    folder: IngestedFolder, hash_split: "HashSplit | None", cache: Path, split: str | None, streaming: bool
) -> Any:
    import datasets

    from claim_transformers.sources.pipeline.patients_builder import PatientsBuilder

    paths = folder.table_files("patients")
    files = {name: [str(path) for path in paths if path.name.startswith(f"{name}-")] for name in SPLITS}
    sizes = _check_patients(files, hash_split, folder.path)
    filled = tuple(name for name in SPLITS if sizes[name])
    key = _digest(_INGESTED, __version__, {"split": hash_split}, [folder.path / MANIFEST, *paths])
    schema = schema_of(paths[0])
    with write_errors(cache), private_umask():
        builder = PatientsBuilder(
            cache_dir=str(cache / "arrow"),
            dataset_name="patients",
            config_id=key,
            files=files,
            splits=SPLITS if streaming else filled,
            hash_split=hash_split,
            schema=schema,
        )
        if not streaming:
            _prepare(builder)
    if streaming:
        return builder.as_streaming_dataset(split=split)
    # The builder has no data for a split without patients, yet code that names all three should run.
    empty = {name: datasets.Dataset(schema.empty_table()) for name in SPLITS if name not in filled}
    if split is not None:
        return empty[split] if split in empty else builder.as_dataset(split=split)
    loaded = {**builder.as_dataset(), **empty}
    return datasets.DatasetDict({name: loaded[name] for name in SPLITS})


def _prepare(builder: "PatientsBuilder") -> None:
    """Fill the cache; a full disk is `OSError` again, under the one name that `datasets` has for everything."""
    import datasets

    try:
        builder.download_and_prepare()
    except datasets.exceptions.DatasetGenerationError as error:
        if not isinstance(error.__cause__, OSError | MemoryError):
            raise
        raise error.__cause__ from error


def _check_patients(
    files: Mapping[str, Sequence[str]], hash_split: "HashSplit | None", folder: Path
) -> dict[str, int]:
    """Count the patients of each split, after making sure that no patient is in two."""
    patient_ids = {split: _patient_ids(files[split]) for split in SPLITS}
    assert_disjoint(patient_ids)
    if hash_split is None:
        sizes = {split: len(patient_ids[split]) for split in SPLITS}
    else:
        numbers = hash_split.numbers(pa.chunked_array([chunk for ids in patient_ids.values() for chunk in ids.chunks]))
        sizes = {split: int((numbers == number).sum()) for number, split in enumerate(SPLITS)}
    if not sum(sizes.values()):
        raise ClaimDataError(
            "E_NO_PATIENTS",
            f"expected patients with visits in {folder}, found none; see quality_report.json there for what became of "
            "the rows",
        )
    return sizes


def _patient_ids(paths: Sequence[str]) -> pa.ChunkedArray:
    chunks = [chunk for path in paths for chunk in pq.read_table(path, columns=["patient_id"])["patient_id"].chunks]
    return pa.chunked_array(chunks, pa.string())
