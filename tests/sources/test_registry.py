"""Sources: a format is one folder, and what it declares is what its function takes."""

import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import claim_transformers.sources.formats as formats
from claim_transformers.cli import app
from claim_transformers.codes.errors import ClaimDataError
from claim_transformers.sources.deliveries.staging_area import Staging
from claim_transformers.sources.pipeline.column_pages import _describe_source
from claim_transformers.sources.pipeline.ingest import ingest
from claim_transformers.sources.pipeline.loading import load_claims
from claim_transformers.sources.registry import Source, find_source, find_stageable, load_function, sources

ROOT = Path(__file__).parents[2]
FIXTURE = Path(__file__).parent / "formats" / "fixture" / "fills"
# What `ingest` hands to a reader, or to a function that publishes.
COMMON = {"path", "connection", "scratch", "out", "overwrite", "salt", "progress"}
COMMON |= {"max_quarantine_share", "max_reason_share", "extract_date"}
FILLS = "CUSTOMER,FILL,DAY,DRUG,PAID,CLERK\nP1,7,2024-03-01,00093-0145-05,12.50,Ann\nP1,8,soon,00093-0145-05,1,Bob\n"


@pytest.fixture
def fills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Raw files of a format whose folder has just been put beside the others."""
    shutil.copytree(FIXTURE, tmp_path / "formats" / "fills", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path / "formats")])
    for module in ("fills", "fills.source"):
        monkeypatch.delitem(sys.modules, f"{formats.__name__}.{module}", raising=False)
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "fills.csv").write_text(FILLS, encoding="utf-8")
    return raw


def test_a_new_format_is_one_folder(fills: Path, tmp_path: Path) -> None:
    assert find_source("fills").help == "Fills of one pharmacy, one row each."
    summary = ingest("fills", fills, tmp_path / "out", progress=False, max_quarantine_share=1, max_reason_share=1)
    (entry,) = summary.report["files"]
    assert (entry["rows_in"], entry["rows_out"], entry["quarantined"]) == (2, 1, 1)
    (line,) = pq.read_table(tmp_path / "out" / "rx_claim").to_pylist()
    assert (line["ndc_code"], line["claim_id"], line["data_source"]) == ("00093014505", "7", "fills")
    with pytest.raises(ValueError, match=r"options of 'fills' out of \['delimiter'\], found \['encoding'\]"):
        ingest("fills", fills, tmp_path / "other", encoding="utf-8")


def test_a_new_format_is_on_the_command_line_with_its_options(fills: Path, tmp_path: Path) -> None:
    (fills / "fills.csv").write_text(FILLS.replace(",", "|"), encoding="utf-8")
    shares = ["--max-quarantine-share", "1", "--max-reason-share", "1"]
    given = ["ingest", "fills", str(fills), str(tmp_path / "out"), "--delimiter", "|", *shares]
    result = CliRunner().invoke(app, given, catch_exceptions=False)
    assert result.exit_code == 0
    assert "<11 lines of rx_claim" in result.output
    helped = CliRunner().invoke(app, ["ingest", "--help"]).output
    assert "fills" in helped


def test_a_new_format_has_a_table_of_columns_and_is_loaded_and_not_staged(fills: Path, tmp_path: Path) -> None:
    described = _describe_source(find_source("fills"))
    assert "### `fills` to `rx_claim`" in described
    assert "| `ndc_code` | `DRUG` |" in described
    assert "Not carried over: `CLERK`." in described
    options = {"max_quarantine_share": 1, "max_reason_share": 1, "progress": False}
    loaded = load_claims("fills", fills, cache_dir=tmp_path / "cache", **options)
    assert sum(len(rows) for rows in loaded.values()) == 1
    with Staging(tmp_path / "staging.duckdb") as area, pytest.raises(ValueError, match="out of cclf, cms-rif, synpuf"):
        area.load("fills", fills)


def test_the_documented_example_is_the_format_that_is_tested() -> None:
    page = (ROOT / "docs" / "sources" / "new_format.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r'^```\w+ title="formats/fills/(\S+)"\n(.*?)^```$', page, re.MULTILINE | re.DOTALL))
    written = {name: (FIXTURE / name).read_text(encoding="utf-8") for name in shown}
    assert set(shown) == {"__init__.py", "source.py", "layouts/fills.yaml"}
    assert shown == written


def test_a_folder_that_registers_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty_format").mkdir()
    (tmp_path / "empty_format" / "__init__.py").write_text("", encoding="utf-8")
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    with pytest.raises(ValueError, match=r"expected one SOURCE of a name of its own in .*empty_format"):
        sources()


def test_a_source_either_stages_or_publishes() -> None:
    with pytest.raises(ValueError, match="exactly one of read and publish"):
        Source("both", "Both.", read="a:b", publish="a:c")
    with pytest.raises(ValueError, match="canonical tables, found 'meds'"):
        find_source("meds").reader()


@pytest.mark.parametrize("source", sources().values(), ids=lambda source: source.name)
def test_the_declared_options_are_the_keywords_of_the_function(source: Source) -> None:
    parameters = inspect.signature(load_function(source.publish or str(source.read))).parameters
    taken = {name: one.default for name, one in parameters.items() if name not in COMMON}
    assert {option.name: option.default for option in source.options} == taken
    if source.stageable is not None:
        found = [name for name in inspect.signature(load_function(source.stageable.find)).parameters if name != "path"]
        assert found == list(source.stageable.options)
        assert set(found) <= set(taken)


@pytest.mark.parametrize("source", sources().values(), ids=lambda source: source.name)
def test_each_source_has_a_command_with_its_own_options_alone(source: Source) -> None:
    output = CliRunner().invoke(app, ["ingest", source.name, "--help"]).output
    foreign = {option.name for other in sources().values() for option in other.options}
    foreign -= {option.name for option in source.options if option.is_on_command_line}
    for option in source.options:
        assert (f"--{option.name.replace('_', '-')} " in output) == option.is_on_command_line
    assert not [name for name in foreign if f"--{name.replace('_', '-')} " in output]
    assert "--extract-date" in output
    assert ("'-' fetches" in output) == source.fetches


def test_unknown_sources_are_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match="out of cclf, cms-rif, fhir-eob, meds, mimic3, omop, simulated, synpuf, synthea, tables, tuva, found 'h",
    ):
        find_source("hl7")
    with pytest.raises(ValueError, match="out of cclf, cms-rif, synpuf, found 'tuva'"):
        find_stageable("tuva")
    with pytest.raises(ClaimDataError, match=r"E_LAYOUT_FILE: .*\.yaml: expected every column with what it feeds"):
        ingest("cms-rif", tmp_path, tmp_path / "out", layouts=find_source("tuva").layouts, progress=False)


def test_registering_imports_no_engine() -> None:
    heavy = ("ibis", "duckdb", "pyarrow", "numpy", "yaml")
    code = (
        "import sys\n"
        "from claim_transformers.sources.registry import sources\n"
        "before = set(sys.modules)\n"
        "sources()\n"
        f"print(sorted(set({heavy!r}) & (set(sys.modules) - before)))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
