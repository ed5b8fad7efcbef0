"""Blocks of the documents, and small claims for them to run on."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("docs/sources/*.md")),
    ROOT / "examples" / "README.md",
    ROOT / "examples" / "readmission" / "README.md",
]
_BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```\s*?$", re.DOTALL | re.MULTILINE)
_CODE = ("python", "shell")

# A page shows sizes that teach; a test needs seconds.
SMALLER = {
    "patients=10_000": "patients=60",
    "raw --patients 10000 --seed 7": "raw --patients 60 --seed 7",
    "--patients 30000": "--patients 6000",
    "claim-transformers report walk": "claim-transformers report walk --reasons 11",
    "claim-transformers report .": "claim-transformers report . --reasons 11",
    "--patients 6000": "--patients 800",
    "--patients 8000": "--patients 400",
    "num_train_epochs=10": "num_train_epochs=1, max_steps=2",
    "num_train_epochs=3": "num_train_epochs=1, max_steps=2",
    "FineTuning(learning_rate=3e-5)": "FineTuning(learning_rate=3e-5, epochs=2)",
    "FineTuning(learning_rate=1e-3)": "FineTuning(learning_rate=1e-3, epochs=1)",
    "n_trials=20": "n_trials=2",
    "most_per_group=100": "most_per_group=20",
    "replicates=200": "replicates=20",
    "replicates=400": "replicates=20",
    "LivesSource(5000), simulations=38": "LivesSource(1500), simulations=1",
    "LivesSource(5000), simulations=184": "LivesSource(1500), simulations=2",
}
_SIZE = re.compile("|".join(map(re.escape, SMALLER)))


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the text block right behind it, which shows what it prints."""

    language: str
    text: str
    printed: str | None

    @property
    def small(self) -> str:
        """The text at the size of a test."""
        return _SIZE.sub(lambda match: SMALLER[match.group()], self.text)


def name_of(page: Path) -> str:
    """A page as the tests call it, such as `docs/sources/meds`."""
    return page.relative_to(ROOT).with_suffix("").as_posix()


def blocks_of(page: Path) -> Iterator[Block]:
    """Every block of a page in order."""
    text = page.read_text(encoding="utf-8")
    found = list(_BLOCK.finditer(text))
    for number, match in enumerate(found):
        following = found[number + 1] if number + 1 < len(found) else None
        shows = following and following.group(1) == "text" and not text[match.end() : following.start()].strip()
        yield Block(match.group(1), match.group(2), following.group(2) if following and shows else None)


def code_of(page: Path) -> list[Block]:
    """Blocks that run."""
    return [block for block in blocks_of(page) if block.language in _CODE]


def commands_of(block: Block) -> list[str]:
    """Commands of a shell block, continued lines joined, without comments."""
    text = re.sub(r"\\\n\s*", "", block.small)
    lines = (re.sub(r"\s+#.*$", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


# ---- What a page finds in its folder ----
@cache
def pediatric_claims() -> Path:
    """Ingested claims of a few hundred simulated children, once per process."""
    from claim_transformers.simulation import simulate
    from claim_transformers.sources.pipeline.ingest import ingest

    folder = Path(tempfile.mkdtemp())
    simulate(folder / "raw", patients=400, seed=7)
    ingest("simulated", folder / "raw", folder / "claims", progress=False)
    return folder / "claims"


@cache
def medicare_claims() -> Path:
    """The same of Medicare; `raw` stands beside."""
    from claim_transformers.simulation.medicare import simulate_medicare
    from claim_transformers.sources.pipeline.ingest import ingest

    folder = Path(tempfile.mkdtemp())
    simulate_medicare(folder / "raw", patients=800, seed=5)
    ingest("simulated", folder / "raw", folder / "claims", progress=False)
    return folder / "claims"


def prepare_nothing(folder: Path) -> dict[str, Any]:
    """A page that brings all that it needs."""
    return {}


def prepare_claims(folder: Path) -> dict[str, Any]:
    """`claims`, and a `cohort` of it: any admission in a year of the simulation."""
    from datasets import load_from_disk

    from claim_transformers import EventDefinition, build_cohort, load_definition

    shutil.copytree(pediatric_claims(), folder / "claims")
    definition = load_definition("hospital_admission")
    assert isinstance(definition, EventDefinition)
    index = replace(definition.index, dates=("2013-01-01",))
    build_cohort(replace(definition, index=index), folder / "claims").save(folder / "cohort")
    return {"cohort": load_from_disk(str(folder / "cohort"))}


def prepare_tokens(folder: Path) -> dict[str, Any]:
    """What the page on recurrent models takes for granted: a tokenizer, tokens and two patients."""
    from claim_transformers import ClaimTokenizer, tokenize_dataset

    cohort = prepare_claims(folder)["cohort"]
    tokenizer = ClaimTokenizer.train_from_dataset(cohort["train"])
    tokens = tokenize_dataset(cohort, tokenizer)
    patients = cohort["test"].select(range(2)).to_list()
    return {"tokenizer": tokenizer, "tokens": tokens, "patients": patients}


def prepare_stays(folder: Path) -> dict[str, Any]:
    """`runs/med`: claims, a readmission cohort and predictions of a model that knows little."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import load_from_disk

    from claim_transformers.cohorts import build_cohort, load_definition

    med = folder / "runs" / "med"
    shutil.copytree(medicare_claims().parent, med)
    build_cohort(load_definition("readmission"), med / "claims").save(med / "cohort")
    cohort = load_from_disk(str(med / "cohort"))
    (med / "encoder").mkdir()
    random = np.random.default_rng(0)
    for split, end in (("validation", "_validation"), ("test", "")):
        label = np.array(cohort[split]["label"])
        score = np.clip(0.2 + 0.1 * label + 0.1 * random.standard_normal(len(label)), 0.01, 0.99)
        patient = np.unique(np.array(cohort[split]["patient_id"]), return_inverse=True)[1]
        rows = pa.table({"patient": patient, "label": label, "score": score})
        pq.write_table(rows, med / "encoder" / f"predictions{end}.parquet")
    return {}


def prepare_raw(folder: Path) -> dict[str, Any]:
    """`path/to/folder` with the few rows that the tests of a format are made of, which every reader of files takes."""
    from sources.cclf_rows import fill, header, part_b, person, write_cclf
    from sources.raw_claims import (
        beneficiary,
        carrier,
        eligibility,
        medical_claim,
        pharmacy_claim,
        write_synpuf,
        write_tuva,
    )
    from sources.rif_rows import beneficiary as rif_beneficiary
    from sources.rif_rows import claim, write_rif

    raw = folder / "path" / "to"
    write_synpuf(raw / "synpuf", beneficiaries={"2008": [beneficiary()]}, carriers=[carrier()])
    write_tuva(raw / "tuva", medical=[medical_claim()], pharmacy=[pharmacy_claim()], people=[eligibility()])
    write_rif(raw / "cms-rif", beneficiary_2018=[rif_beneficiary()], inpatient=[claim("inpatient")])
    write_cclf(raw / "cclf", day="230118", cclf1=[header()], cclf5=[part_b()], cclf7=[fill()], cclf8=[person()])
    (folder / "ssa_fips_county_crosswalk.csv").write_text("ssacounty,fipscounty\n01000,01001\n")
    return {}


def prepare_resources(folder: Path) -> dict[str, Any]:
    """`path/to/fhir-eob` with one claim, because each table takes the engine a second to plan."""
    from sources.fhir_resources import payer_eob, write_lines

    write_lines(folder / "path" / "to" / "fhir-eob" / "ExplanationOfBenefit.ndjson", [payer_eob()])
    return {}


def prepare_deliveries(folder: Path) -> dict[str, Any]:
    """Deliveries of three years, one of them corrected."""
    from sources.raw_claims import beneficiary, carrier, write_synpuf
    from sources.rif_rows import beneficiary as rif_beneficiary
    from sources.rif_rows import claim, write_rif

    years: dict[str, Sequence[dict[str, Any]]] = {year: [beneficiary()] for year in ("2008", "2009", "2010")}
    write_synpuf(folder / "2008-2010", beneficiaries=years, carriers=[carrier()])
    write_rif(folder / "2018", beneficiary_2018=[rif_beneficiary(year=2018)], carrier=[claim("carrier", "7")])
    write_rif(folder / "2019", beneficiary_2019=[rif_beneficiary(year=2019)], carrier=[claim("carrier", "8")])
    write_rif(folder / "2019-corrected", carrier=[claim("carrier", "8", LINE_NCH_PMT_AMT="31.00")])
    return {}


def prepare_checkpoint(folder: Path) -> dict[str, Any]:
    """`runs/claim-pt-base` as a training leaves it, with the results of its card."""
    from claim_transformers import resolve_checkpoint

    shutil.copytree(resolve_checkpoint("claim-pt-base"), folder / "runs" / "claim-pt-base")
    results = ROOT / "model_cards" / "claim-pt-base" / "results.json"
    shutil.copy(results, folder / "runs" / "claim-pt-base" / "card_results.json")
    return {}


def prepare_scores(folder: Path) -> dict[str, Any]:
    """`claims`, and a tiny `checkpoint` that knows nothing."""
    from training.scoring.scored_people import model, tokenizer

    shutil.copytree(pediatric_claims(), folder / "claims")
    model().save_pretrained(folder / "checkpoint")
    tokenizer().save_pretrained(folder / "checkpoint")
    return {}


def prepare_risks(folder: Path) -> dict[str, Any]:
    """`checkpoint`, and what it said of validation patients."""
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "config.json").write_text("{}")
    return {"labels": [0, 1] * 50, "risks": [0.4, 0.6] * 50}


def prepare_cost(folder: Path) -> dict[str, Any]:
    """`claims` with amounts, and a tiny pretrained `checkpoint` that knows nothing."""
    from training.scoring.scored_people import tokenizer

    from claim_transformers import ClaimConfig, ClaimForPreTraining

    shutil.copytree(medicare_claims(), folder / "claims")
    config = ClaimConfig(vocab_size=len(tokenizer()), hidden_size=16, num_hidden_layers=1)
    ClaimForPreTraining(config).save_pretrained(folder / "checkpoint")
    tokenizer().save_pretrained(folder / "checkpoint")
    return {}


def prepare_reasons(folder: Path) -> dict[str, Any]:
    """`claims` of two patients, a `checkpoint` of a classifier that learned nothing, and `patients.txt`."""
    from cohorts.patients_by_hand import ASTHMA_VISIT, patient, write_claims

    from claim_transformers import ClaimConfig, ClaimForSequenceClassification, ClaimTokenizer

    write_claims(folder / "claims", [patient("P1", ASTHMA_VISIT), patient("P2", ASTHMA_VISIT)])
    tokens = ["SEX/F", "SEX/M", "TYPE/OP", "TYPE/IP", "ICD9CM/49390", "ICD9CM/49392"]
    tokenizer = ClaimTokenizer({token: number for number, token in enumerate(tokens, start=3)})
    config = ClaimConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, visit_pooling="sum")
    ClaimForSequenceClassification(config).save_pretrained(folder / "checkpoint")
    tokenizer.save_pretrained(folder / "checkpoint")
    (folder / "patients.txt").write_text("P1\nP2\n")
    return {}


def prepare_meds(folder: Path) -> dict[str, Any]:
    """`path/to/ingested` claims, and the same as `path/to/meds`."""
    from claim_transformers.sources.formats.meds.export import export_meds

    shutil.copytree(pediatric_claims(), folder / "path" / "to" / "ingested")
    export_meds(folder / "path" / "to" / "ingested", folder / "path" / "to" / "meds-of-claims")
    (folder / "path" / "to" / "meds-of-claims").rename(folder / "path" / "to" / "meds")
    return {}


PREPARE: dict[str, Callable[[Path], dict[str, Any]]] = {
    "docs/auditing": prepare_stays,
    "docs/cohorts": prepare_claims,
    "docs/cost": prepare_cost,
    "docs/hub": prepare_checkpoint,
    "docs/huggingface": prepare_claims,
    "docs/readmission": prepare_stays,
    "docs/reasons": prepare_reasons,
    "docs/recurrent": prepare_tokens,
    "docs/scoring": prepare_scores,
    "docs/serving": prepare_risks,
    "docs/sources/cclf": prepare_raw,
    "docs/sources/cms_rif": prepare_raw,
    "docs/sources/fhir_eob": prepare_resources,
    "docs/sources/meds": prepare_meds,
    "docs/sources/staging": prepare_deliveries,
    "docs/sources/synpuf": prepare_raw,
    "docs/sources/tuva": prepare_raw,
    "docs/training": prepare_claims,
    "examples/README": prepare_claims,
}
