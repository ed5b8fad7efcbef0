"""Registry of raw formats: each folder of `sources/formats` says in its `__init__` what its name is and what reads it.

A format is found because its folder is there, and nothing else names it: ingest, deliveries, lineage, the tables of
columns in `docs/sources` and the command line ask here. Registering imports no engine; the functions of a format are
imported when it is used.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from claim_transformers.sources.pipeline.contract import SourceReader
    from claim_transformers.sources.pipeline.layout_files import FileLayout

_T = TypeVar("_T")
_FORMATS = "claim_transformers.sources.formats"


@dataclass(frozen=True)
class SourceOption:
    """One option of a source, a keyword of its function and an option of the command line."""

    name: str  # The keyword; `county_crosswalk` is `--county-crosswalk` on the command line.
    kind: type  # `bool`, `int`, `str` or `Path`.
    help: str  # What it does, for the command line.
    default: bool | int | str | None = None  # As in the function; a `bool` is `False`.
    is_on_command_line: bool = True  # Whether it can be given there.
    is_of_fetching: bool = False  # Whether it says only what to fetch, and from where.


@dataclass(frozen=True)
class Stageable:
    """What the store of deliveries has to know of a source."""

    find: str  # `module:function` of `(path, **options)` that lists raw table, file and `Layout` of every file.
    # Raw columns by which rows of a claim or person are known again; of each table the first that it has counts. A
    # file that repeats most of a load is its correction.
    keys: tuple[tuple[str, ...], ...]
    options: tuple[str, ...] = ()  # Options of the source that `find` takes.
    # Raw tables whose content may come again under another name, because their rows say what they are about.
    repeatable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """A raw format. One of `read` and `publish` is given."""

    name: str  # What a user calls it, such as `"cms-rif"`.
    help: str  # What it is, in one line.
    read: str | None = None  # `module:function` of a [`sources.pipeline.contract.SourceReader`].
    publish: str | None = None  # `module:function` that publishes patients by itself, for a format without claims.
    options: tuple[SourceOption, ...] = ()  # What the function takes beside the path.
    layouts: Path | None = None  # Folder of layout files.
    stageable: Stageable | None = None  # What the store of deliveries has to know; without it it takes no files.
    # File beside the raw ones that names the ingredient of each product, as a table of `ndc9` and `ingredient`; it is
    # read where no other is given.
    drug_table: str | None = None
    fetches: bool = False  # Whether it fetches public files itself if no path is given.
    path_help: str = "Folder of raw files."  # What its path is, for the command line.
    # `module:function` that lists the files that a path names, where the path is no folder of them; a cache knows the
    # claims again by these.
    inputs: str | None = None
    # Whether its reader, given the rows of some patients, makes of them what it makes of them among all, so that Spark
    # may cut the rows by patient.
    is_by_patient: bool = False
    # `module:function` of `(connection, path, layout, scratch)` that stages one of the files that the reader asks for
    # and says what stands in it, where that is not the work of `stage_files`; the column `key_patient` of its rows
    # says whose they are.
    stage: str | None = None

    def __post_init__(self) -> None:
        if (self.read is None) == (self.publish is None):
            raise ValueError(f"expected exactly one of read and publish of {self.name!r}")

    def reader(self) -> SourceReader:
        """Import the function that stages the raw files; `ValueError` if the source publishes by itself."""
        if self.read is None:
            raise ValueError(f"expected a source with canonical tables, found {self.name!r}, which has none")
        from claim_transformers.sources.pipeline.staging import naming_apart

        reader: SourceReader = naming_apart()(load_function(self.read))
        return reader

    def read_layouts(self, folder: str | Path | None = None) -> dict[str, FileLayout]:
        """Read the layout files by name, if the format has any; those of a folder need every column of its own."""
        own = {} if self.layouts is None else dict(_read_own_layouts(self.layouts))
        if folder is None:
            return own
        from claim_transformers.codes.errors import ClaimDataError
        from claim_transformers.sources.pipeline.layout_files import read_layouts

        given = read_layouts(folder)
        for name, layout in own.items():
            if name not in given or (lacking := sorted(set(layout.names) - set(given[name].names))):
                found = f"one without {lacking[0]}" if name in given else "none"
                raise ClaimDataError(
                    "E_LAYOUT_FILE", f"expected {name}.yaml with every column of the format in {folder}, found {found}"
                )
        return {name: given[name] for name in own}

    def check_options(self, given: Iterable[str]) -> None:
        """Raise `ValueError` if a name is none of the options."""
        known = sorted(option.name for option in self.options)
        if unknown := sorted(set(given) - set(known)):
            raise ValueError(f"expected options of {self.name!r} out of {known}, found {unknown}")


@cache
def _read_own_layouts(folder: Path) -> dict[str, FileLayout]:
    """Layouts that come with the package, which do not change while it runs."""
    from claim_transformers.sources.pipeline.layout_files import read_layouts

    return read_layouts(folder)


def sources() -> Mapping[str, Source]:
    """List the sources by name, in alphabetical order, one for each folder of `sources/formats`."""
    found: dict[str, Source] = {}
    for module in pkgutil.iter_modules(import_module(_FORMATS).__path__, prefix=f"{_FORMATS}."):
        source = getattr(import_module(module.name), "SOURCE", None)
        if not isinstance(source, Source) or source.name in found:
            raise ValueError(f"expected one SOURCE of a name of its own in {module.name}, found none or a name twice")
        found[source.name] = source
    return dict(sorted(found.items()))


def find_source(name: str) -> Source:
    """Find a source by its name."""
    return _pick(sources(), name)


def find_stageable(name: str) -> Stageable:
    """Find what the store of deliveries has to know of a source; `ValueError` if it does not take the source."""
    return _pick({one.name: one.stageable for one in sources().values() if one.stageable is not None}, name)


def _pick(known: Mapping[str, _T], name: str) -> _T:
    if name not in known:
        raise ValueError(f"expected a source out of {', '.join(known)}, found {name!r}")
    return known[name]


def load_function(reference: str) -> Callable[..., Any]:
    """Import the function that a source names as `module:function`."""
    module, _, name = reference.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
