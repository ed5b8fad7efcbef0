"""The page: its numbers add up, it is bounded, and a real browser shows it and finds nothing to complain of."""

import asyncio
import datetime as dt
import os
import shutil
import threading
from pathlib import Path

import httpx2
import pytest
import uvicorn
from serving.launching import Record, with_page
from serving.served import MARK, TODAY, claims, encounter, save_checkpoint
from serving.test_server import free_port
from sources.fhir_resources import bundle, coverage, diagnosis, patient, payer_eob
from starlette.responses import RedirectResponse
from starlette.routing import Route

from claim_transformers.serving import Assessor, create_app, save_risk_intervals
from claim_transformers.serving.config import SpeakRules
from claim_transformers.serving.index_stays import read_encounter
from claim_transformers.serving.interventions import read_interventions
from claim_transformers.serving.page import page_routes
from claim_transformers.serving.page_content import _patient, page_content

NAME = [{"family": "<b>Doe", "given": ["Ada"]}]


def eob(number, day, *codes, kind="professional"):
    listed = [diagnosis(code, "secondary", place) for place, code in enumerate(codes, start=1)]
    one = payer_eob(str(number), MARK, kind, billablePeriod={"start": day, "end": day}, created=day, diagnosis=listed)
    return one | {"item": [{**line, "servicedDate": day} for line in one["item"]]}


HISTORY = claims(
    eob(1, "2023-07-01", "E11.9"),
    eob(2, "2023-10-20", "I50.23", "Z59.0"),
    *(eob(3 + month, f"2024-0{month}-10", "I50.23", "E11.9") for month in (1, 2, 3, 4)),
    eob(9, "2024-05-13", "C78.00", "E11.9"),
)
PERSON = patient(MARK) | {"name": NAME}


@pytest.fixture(scope="module")
def talkative(tmp_path_factory):
    """An assessor with intervals that speaks of a patient with codes that the tiny vocabulary does not hold."""
    checkpoint = save_checkpoint(tmp_path_factory.mktemp("page") / "checkpoint")
    save_risk_intervals(checkpoint, [0, 1] * 50, [0.5] * 100)
    return Assessor(checkpoint, "Readmission within 30 days", SpeakRules(unknown_code_share=1.0))


@pytest.fixture(scope="module")
def content(talkative):
    stay = read_encounter(encounter(), TODAY)
    assessment = talkative.assess([PERSON, HISTORY, bundle(coverage(MARK))], TODAY, index_stay=stay)
    explanation = talkative.explain(assessment)
    groups = talkative.contributions(explanation)
    return page_content(assessment, explanation, groups, read_interventions(None), PERSON)


def points_of(row):
    return float(row["points"].replace("\N{MINUS SIGN}", "-"))


def test_contributions_add_up_and_their_shares_too(content):
    made_of = content["contributions"]
    total = float(made_of["base"]) + sum(map(points_of, made_of["rows"]))
    assert total == pytest.approx(float(made_of["prediction"]), abs=1e-6)
    assert made_of["prediction"] == pytest.approx(str(content["scale"]["risk"])) or content["risk"].startswith("above")
    shares = [row["share"] for row in made_of["rows"]]
    numbers = [float(share.split()[1]) if share.startswith("about") else 0.5 for share in shares]
    assert sum(numbers) == pytest.approx(100, abs=len(shares))
    for row in made_of["rows"]:
        assert 0 <= row["x"] <= row["x"] + row["width"] <= 100.1
        assert (row["x"] < 50) == (points_of(row) < 0) or row["width"] < 1


def test_comorbidities_history_and_circumstances_are_of_the_claims(content):
    found = {row["name"]: (row["weight"], row["visits"], row["last"]) for row in content["comorbidities"]["rows"]}
    # The present stay is the last visit; what was billed on its last day is hidden.
    assert found == {
        "congestive heart failure": (1, 6, "1 day before"),
        "diabetes": (1, 6, "20 days before"),
        "metastatic cancer": (6, 1, "20 days before"),
    }
    assert content["comorbidities"]["score"] == 8
    assert [text for text in content["social"] if "Z590" in text] == ["ICD-10-CM diagnosis Z590 (226 days before)"]
    assert content["num_visits"] == len(content["visits"]) == 8
    assert content["visits"][0]["kind"] == "inpatient"
    assert content["person"] == "Ada <b>Doe, born 1950-02-01"
    line = content["time_line"]
    assert len(line["marks"]) == 8
    assert all(line["left"] - 4 <= mark["x"] < mark["x"] + mark["width"] <= line["width"] for mark in line["marks"])


def test_a_year_of_age_is_full_on_the_birthday():
    born = (dt.date(1952, 3, 22) - dt.date(1970, 1, 1)).days
    ages = [
        _patient({"birth_day": born, "sex": "M"}, (dt.date(2026, 3, day) - dt.date(1970, 1, 1)).days)
        for day in (21, 22)
    ]
    assert ages == ["male, 73 years", "male, 74 years"]


def test_a_patient_who_must_not_be_spoken_of_has_no_number_on_the_page(assessor):
    assessment = assessor.assess([PERSON, claims(eob(1, "2020-01-01", "I50.23"))], TODAY)
    shown = page_content(assessment, None, [], (), None)
    assert set(shown) == {"kind", "message", "outcome", "person"}
    assert shown["message"] == "The newest claim of this patient is too old."


# ---- A browser ----

CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
LOOK = """() => {
  const seen = (node) => node.getBoundingClientRect().width > 0 && node.getBoundingClientRect().height > 0;
  return {
    headings: [...document.querySelectorAll("h1, h2")].filter(seen).map((node) => node.textContent),
    wide: document.documentElement.scrollWidth - window.innerWidth,
    bars: [...document.querySelectorAll(".raises, .lowers, .visit, .point")].filter(seen).length,
    back: getComputedStyle(document.body).backgroundColor,
    cookie: document.cookie,
  };
}"""


@pytest.fixture(scope="module")
def site(talkative, tmp_path_factory):
    """A service on loopback with a record whose clinician always agrees; the address that launches the page."""
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    record = Record(base, f"{base}/fhir", Patient=PERSON, ExplanationOfBenefit=HISTORY)
    record.token = {"need_patient_banner": True}

    async def agree(request):
        return RedirectResponse(record.authorize(str(request.url)))

    config = with_page(tmp_path_factory.mktemp("site"), base, f"{base}/fhir", port=port)
    app = create_app(
        config,
        lambda: talkative,
        http=httpx2.AsyncClient(transport=httpx2.MockTransport(record)),
        today=lambda: TODAY,
        more_routes=lambda service: [*page_routes(service), Route("/fhir/authorize", agree)],
    )
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    with httpx2.Client(base_url=base, trust_env=False) as client:
        for _ in range(400):
            try:
                if client.get("/readyz").status_code == 200:
                    break
            except httpx2.TransportError:
                pass
            threading.Event().wait(0.05)
    yield f"{base}/launch?iss={base}/fhir&launch=xyz"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium on the path")
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_person_sees_the_page_and_axe_finds_nothing(browser, site, scheme):
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1100, "height": 900})
    page = context.new_page()
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(site)
    seen = page.evaluate(LOOK)
    assert seen["headings"] == [
        "Readmission within 30 days", "Risk", "What it is made of", "What may be done", "Comorbidities",
        "Social determinants", "What the claims cover", "History",
    ]  # fmt: skip
    assert page.get_by_text("Ada <b>Doe, born 1950-02-01").is_visible()
    assert "95 % interval 40 to 60 %" in page.locator(".risk").inner_text()
    assert page.locator(".band").bounding_box()["width"] > 100
    assert seen["bars"] >= 10
    assert seen["wide"] <= 0
    assert (seen["back"] == "rgb(244, 246, 249)") == (scheme == "light")
    # By keyboard alone: over the link to the content and the tables to the list of visits, which opens.
    focus = "document.activeElement.tagName"
    stops = []
    while "SUMMARY" not in stops and len(stops) < 12:
        page.keyboard.press("Tab")
        stops.append(page.evaluate(focus))
    page.keyboard.press("Enter")
    assert page.get_by_role("region", name="Visits").is_visible()
    assert page.get_by_role("img", name="Visits on a time line").is_visible()
    assert {url.split("/")[2] for url in asked} == {site.split("/")[2]}
    assert [text for text in complaints if "favicon" not in text and "404" not in text] == []
    assert (seen["cookie"], context.cookies()) == ("", [])
    if "SCREENSHOTS" in os.environ:
        page.screenshot(path=Path(os.environ["SCREENSHOTS"]) / f"{scheme}.png", full_page=True)
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    found = axe.Axe().run(page, options={}).response
    assert [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found["violations"]] == []
    assert len(found["passes"]) > 15
    page.set_viewport_size({"width": 320, "height": 800})
    assert page.evaluate(LOOK)["wide"] <= 0
    context.close()
