"""The report is one file that needs nothing else, and holds what was measured."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from analysis.cohort_by_hand import make_splits
from datasets import Dataset, DatasetDict, load_from_disk

from claim_transformers.analysis import fit_logistic_regression, write_report
from claim_transformers.analysis.report.population_reasons import population_reasons
from claim_transformers.analysis.report.run_folder import provenance
from claim_transformers.cohorts.attrition import AttritionStep, show_attrition
from claim_transformers.models.claim import ClaimConfig, ClaimForSequenceClassification, ClaimTokenizer
from claim_transformers.training import COST_METRICS, save_predictions

STEPS = [{"step": "all <b>", "patients": 900, "removed": 0}, {"step": "kept", "patients": 580, "removed": 320}]


def write(run: Path, **options):
    """A report, quickly."""
    comparison = write_report(run, reasons=0, replicates=20, **options)
    return comparison, (run / "report.html").read_text()


def save_cohort(folder: Path, splits) -> None:
    DatasetDict({name: Dataset(table) for name, table in splits.items()}).save_to_disk(str(folder))
    (folder / "cohort.json").write_text(json.dumps({"title": "Children & asthma", "source": "a test", "index": {}}))
    (folder / "attrition.json").write_text(json.dumps(STEPS))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run, splits = tmp_path_factory.mktemp("made") / "run", make_splits()
    save_cohort(run / "cohort", splits)
    result = fit_logistic_regression(splits)
    for split in ("validation", "test"):
        folder = run / "models" / "lr"
        save_predictions(folder, splits[split], result.scores[split], name=result.name, split=split)
    even = np.random.default_rng(0).random(splits["test"].num_rows)
    save_predictions(run / "models" / "guess", splits["test"], even, name="True risk")
    history = [{"step": 1, "loss": 0.7}, {"step": 2, "loss": 0.5, "eval_loss": 0.6}]
    (run / "models" / "guess" / "training_log.jsonl").write_text("".join(json.dumps(x) + "\n" for x in history))
    return run, *write(run, title="A run")


@pytest.fixture
def run(made, tmp_path):
    return Path(shutil.copytree(made[0], tmp_path / "run"))


class _Outline(HTMLParser):
    """Headings, landmarks, names and references of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.headings, self.tags, self.ids, self.targets, self.bare = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.targets += [found["href"][1:]] if tag == "a" else []
        self.targets += found.get("aria-labelledby", "").split()
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if (tag == "th" and "scope" not in found) or (tag == "svg" and not found.get("aria-label")):
            self.bare.append(tag)


def test_the_page_asks_nobody_and_refers_to_nothing_outside_itself(made):
    page = made[2]
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?!#)", page)
    assert "@import" not in page
    assert page.count("<svg") >= 3  # ROC, calibration and one learning curve


def test_the_page_can_be_read_without_seeing_it(made):
    outline = _Outline()
    outline.feed(made[2])
    assert outline.bare == []
    assert outline.tags.count("table") == outline.tags.count("caption") > 4
    assert {"header", "nav", "main", "footer"} <= set(outline.tags)
    assert outline.headings[0] == 1
    assert all(after - before <= 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False))
    assert len(outline.ids) == len(set(outline.ids))
    assert set(outline.targets) <= set(outline.ids)


def test_the_page_shows_the_measured_figures(made):
    run, comparison, page = made
    for found in comparison.metrics.values():
        value, _, interval = str(found["AUROC"]).partition(" (")
        assert f"{value}<small>{interval.rstrip(')')}</small>" in page
    assert "Children &amp; asthma" in page
    assert "all &lt;b&gt;" in page
    assert "what the simulator knows about each patient" in page
    for section in ("Validation patients chose the threshold", "1 (highest)", "observed/expected", "5 to 11"):
        assert section in page, section
    results = json.loads((run / "results.json").read_text())
    assert (
        results["models"]["LR Sparse"]["metrics"]["AUROC"]["value"] == comparison.metrics["LR Sparse"]["AUROC"].value
    )
    assert not re.search(r"P\d+-\d{4}", page), "an identifier"


def test_the_same_run_gives_the_same_bytes(made, run):
    assert write(run, title="A run")[1] == made[2]
    assert {(run / name).stat().st_mode & 0o077 for name in ("report.html", "results.json")} == {0}


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"source": "tuva", "simulation": {"version": 1, "seed": 7}}, "Claims are simulated (version 1, seed 7)"),
        (
            {"source": "tuva", "simulation": None},
            "Whether these claims of the source tuva are real or simulated is not",
        ),
        (None, "Whether these claims are real or simulated is not recorded; treat them as real."),
    ],
)
def test_the_page_says_whether_claims_are_simulated(claims, said, tmp_path):
    # A simulation that lies beside a run says nothing of its claims.
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "simulation.json").write_text(json.dumps({"simulation_version": 1, "seed": 9}))
    assert said in provenance(tmp_path, {"claims": claims})


def test_a_cohort_that_does_not_say_takes_the_word_of_the_claims(tmp_path):
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "manifest.json").write_text(json.dumps({"simulation": {"version": 2, "seed": 3}}))
    assert "Claims are simulated (version 2, seed 3)" in provenance(tmp_path, {})


def test_a_run_without_predictions_says_where_they_belong(run):
    with pytest.raises(FileNotFoundError, match="expected predictions in"):
        write_report(run / "cohort")
    with pytest.raises(ValueError, match="expected one of the models guess, lr"):
        write_report(run, model="gbm")


@pytest.mark.parametrize("is_saved_raw", [True, False])
def test_the_page_shows_no_small_cell_nor_what_gives_it_away(run, is_saved_raw):
    path = run / "cohort" / "attrition.json"
    tables = {name: table.with_format("arrow")[:] for name, table in load_from_disk(str(path.parent)).items()}
    ends = {what: {name: int((table["label"].to_numpy() == label).sum()) for name, table in tables.items()}
            for what, label in {"cases": 1, "controls": 0}.items()}  # fmt: skip
    steps = [AttritionStep("all", 900, 0), AttritionStep("alive", 896, 4), AttritionStep("kept", 580, 316)]
    path.write_text(json.dumps(show_attrition(steps, ends, raw_counts=is_saved_raw).to_list()))
    (run / "claims").mkdir()
    entry = {"source_file": "a.csv", "claim_type": "IP", "rows_in": 1234, "rows_out": 1229, "quarantined": 5,
             "dropped": 0, "netted_out": 0}  # fmt: skip
    (run / "claims" / "quality_report.json").write_text(json.dumps({"files": [entry]}))
    page = write(run)[1]
    assert "&lt;11" in page
    assert "1,234" in page
    assert not re.search(r"<td>(896|316|4|5|1,229)</td>", page)
    if is_saved_raw:
        page = write(run, raw_counts=True)[1]
        assert "<td>896</td>" in page
        assert "<td>1,229</td>" in page


def test_a_number_is_reported_by_what_it_is_off_and_whom_it_finds(tmp_path):
    random, splits = np.random.default_rng(0), make_splits()
    for name, table in splits.items():
        dollars = pa.array(random.gamma(0.5, 4000.0, table.num_rows))
        splits[name] = table.set_column(table.column_names.index("label"), "label", dollars)
    save_cohort(tmp_path / "cohort", splits)
    for split in ("validation", "test"):
        # `save_predictions` scores outcomes, so that what it would leave is written here.
        table, end = splits[split], "" if split == "test" else f"_{split}"
        label = table["label"].to_numpy()
        columns = {name: table[name] for name in ("patient_id", "index_day", "label")}
        columns |= {"patient": np.arange(len(label)), "score": label * random.uniform(0.5, 1.5, len(label))}
        (tmp_path / "models" / "ours").mkdir(parents=True, exist_ok=True)
        pa.parquet.write_table(pa.table(columns), tmp_path / "models" / "ours" / f"predictions{end}.parquet")
    (tmp_path / "models" / "ours" / "metrics.json").write_text(json.dumps({"name": "Ours"}))
    comparison, page = write(tmp_path)
    assert comparison.metrics["Ours"]["R2"].value > 0.5
    assert list(comparison.metrics["Ours"]) == list(COST_METRICS)
    for section in ("share found", "predicted/observed", "1 (highest)"):
        assert section in page, section
    assert "with the outcome" not in page
    assert "PPV" not in page


def test_reasons_over_a_population_name_what_moves_the_predictions(tmp_path):
    examples = make_splits()["test"].slice(0, 40)
    vocab = {"SEX/F": 3, "SEX/M": 4, "TYPE/OP": 5, "HCPCS/99213": 6, "ICD9CM/49390": 7, "NDC/00173060202": 8}
    ClaimTokenizer(vocab, time_tokens="none").save_pretrained(tmp_path)
    config = ClaimConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, visit_pooling="sum")
    ClaimForSequenceClassification(config).save_pretrained(tmp_path)
    table = population_reasons(tmp_path, examples, patients=30)
    named = {row["reason"]: row for row in table.rows}
    # Half of the patients have the drug, and half are girls: all that are shown are at least 11 of 30.
    assert {row["patients"] for row in table.rows} <= {*range(11, 31), "hidden"}
    assert named["HCPCS/99213"]["patients"] == 30
    assert all(abs(row["where present"]) * 11 / 30 <= 1.01 * row["average of all"] for row in table.rows)
    sizes = [float(row["average of all"]) for row in table.rows]
    assert sizes == sorted(sizes, reverse=True)
    assert population_reasons(tmp_path, examples.slice(0, 9)).rows == []
