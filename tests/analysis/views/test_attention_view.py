"""The attention page: true weights, nothing from outside, nothing of a patient but codes and relative days."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from claim_transformers.analysis import write_attention_view
from claim_transformers.analysis.views.attention_view import _attention_weights, _whole_rows
from claim_transformers.models.claim import (
    ClaimForMaskedLM,
    ClaimForSequenceClassification,
    ClaimModel,
    ClaimTokenizer,
)

HOSTILE = "ICD9CM/</script><script>alert(1)</script><img/src=x/onerror=alert(2)>&quot;'\"{{7*7}}"


class Page(HTMLParser):
    """Elements of a page with their attributes, and the text inside each script."""

    VOID = frozenset({"meta", "input", "br", "link", "img"})

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.scripts, self.text, self.open = [], [], "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif "style" not in self.open:
            self.text += data

    def view(self):
        return json.loads(self.scripts[0])


@pytest.fixture
def row(patients):
    return next(row for row in patients.to_pylist() if len(row["visit_day"]) == 9)


@pytest.fixture
def pair(make_model):
    return make_model(seed=0), make_model(ClaimForSequenceClassification, seed=1)


def write(tmp_path, pair, tokenizer, row, **options):
    before, after = pair
    path = write_attention_view(tmp_path / "view.html", before, after, tokenizer, row, **options)
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


@pytest.mark.parametrize("pooling", ["max", "sum", "none"])
def test_every_row_of_weights_sums_to_one_and_is_that_of_the_model(tmp_path, make_model, tokenizer, row, pooling):
    kind = ClaimForMaskedLM if pooling == "none" else ClaimModel
    options = {"visit_pooling": pooling, "time_attention": "bucketed"}
    before, after = make_model(kind, seed=0, **options), make_model(kind, seed=1, **options)
    view = write(tmp_path, (before, after), tokenizer, row)[1].view()
    inputs = {name: torch.tensor([values]) for name, values in tokenizer(row).items() if name != "attention_mask"}
    for name, model in (("before", before), ("after", after)):
        weights = np.array(view[name]) / view["scale"]
        assert weights.shape == (2, 2, len(view["positions"]), len(view["positions"]))
        assert (np.array(view[name]).sum(axis=-1) == view["scale"]).all()
        eager = type(model)(model.config)
        eager.load_state_dict(model.state_dict())
        eager.set_attn_implementation("eager")
        with torch.no_grad():
            expected = eager.eval()(**inputs, output_attentions=True).attentions
        assert np.allclose(weights, torch.stack([layer[0] for layer in expected]).numpy(), atol=1.1e-4)
    assert len(view["positions"]) == (10 if pooling != "none" else inputs["input_ids"].shape[1])


def test_before_and_after_differ_when_and_only_when_the_weights_do(tmp_path, pair, make_model, tokenizer, row):
    view = write(tmp_path, pair, tokenizer, row)[1].view()
    assert view["before"] != view["after"]
    same = write(tmp_path, (pair[0], make_model(seed=0)), tokenizer, row)[1].view()
    assert same["before"] == same["after"]


def test_the_page_needs_nothing_from_outside(tmp_path, pair, tokenizer, row):
    text, page = write(tmp_path, pair, tokenizer, row)
    without_comments = re.sub(r"^\s*// .*$", "", text, flags=re.MULTILINE)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", without_comments, re.IGNORECASE)
    for tag, attributes in page.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base"}
        assert not attributes.keys() & {"src", "href", "action", "style"}
        assert not any(name.startswith("on") for name in attributes)
    policy = next(found["content"] for tag, found in page.elements if found.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_the_policy_allows_exactly_the_script_and_the_style_of_the_page(tmp_path, pair, tokenizer, row):
    import base64
    import hashlib

    text, page = write(tmp_path, pair, tokenizer, row)
    policy = next(found["content"] for _, found in page.elements if found.get("http-equiv"))
    for element in ("script", "style"):
        inside = re.search(rf"<{element}>(.*?)</{element}>", text, re.DOTALL).group(1)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy


def test_hostile_text_of_a_code_stays_text(tmp_path, make_model, row):
    patient = {**row, "codes": [[*codes, HOSTILE] for codes in row["codes"]], "visit_type": ["<b>"] * 9}
    tokenizer = ClaimTokenizer({token: 3 + i for i, token in enumerate(["SEX/F", "SEX/M", "TYPE/<b>", HOSTILE])})
    sizes = {"vocab_size": len(tokenizer), "num_categories": 0}
    pair = make_model(ClaimModel, seed=0, **sizes), make_model(ClaimModel, seed=1, **sizes)
    text, page = write(tmp_path, pair, tokenizer, patient, title="</title><script>alert(3)</script>")
    assert [tag for tag, _ in page.elements].count("script") == 2
    assert not any(tag in {"img", "b"} for tag, _ in page.elements)
    assert "<script>alert" not in text
    assert HOSTILE in {code["code"] for slot in page.view()["slots"] for code in slot["codes"]}
    assert HOSTILE in page.text
    assert page.open == []


def test_days_are_relative_and_nothing_names_the_patient(tmp_path, pair, tokenizer, row):
    days = row["visit_day"]
    patient = {**row, "patient_id": "P-SECRET", "index_day": days[-1] + 10}
    text, page = write(tmp_path, pair, tokenizer, patient)
    slots = page.view()["slots"]
    assert [slot["day"] for slot in slots[1:]] == [day - days[0] for day in days]
    assert [slot["before"] for slot in slots[1:]] == [days[-1] + 10 - day for day in days]
    assert page.view()["end"] == "the index date"
    for secret in ("P-SECRET", row["birth_day"], *days, days[-1] + 10):
        assert str(secret) not in text
    assert "label" not in page.view()


def test_without_an_index_date_days_count_to_the_last_visit(tmp_path, pair, tokenizer, row):
    view = write(tmp_path, pair, tokenizer, row)[1].view()
    assert (view["end"], view["slots"][-1]["before"]) == ("the last visit", 0)


def test_codes_have_public_names_and_procedures_none(tmp_path, make_model, row):
    patient = {**row, "codes": [["HCPCS/99213", "ICD9CM/49392", "ICD10CM/J45909"]] * 9}
    tokenizer = ClaimTokenizer.train_from_dataset([patient], min_patients=1)
    model = make_model(ClaimModel, vocab_size=len(tokenizer), num_categories=0)
    view = write(tmp_path, (model, model), tokenizer, patient)[1].view()
    codes = {code["code"]: code for code in view["slots"][1]["codes"]}
    assert codes["ICD9CM/49392"]["name"] == "Asthma, unspecified type, with (acute) exacerbation"
    assert codes["ICD10CM/J45909"]["group"] == "Diseases of the respiratory system"
    assert (codes["HCPCS/99213"]["name"], codes["HCPCS/99213"]["group"]) == ("", "HCPCS Level I or II service")


def test_the_table_holds_the_share_of_every_visit_as_text(tmp_path, pair, tokenizer, row):
    text, page = write(tmp_path, pair, tokenizer, row)
    view = page.view()
    table = text[text.index('<tbody id="table">') : text.index("</tbody>")]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", found, re.DOTALL) for found in table.split("<tr>")[1:]]
    assert len(rows) == 10
    for column, name in ((-2, "before"), (-1, "after")):
        expected = np.array(view[name]).mean(axis=(0, 1))[0] / view["scale"]
        assert np.allclose([float(cells[column]) for cells in rows], 100 * expected, atol=0.06)
    assert [found["value"] for tag, found in page.elements if tag == "input"] == ["before", "after", "change"]
    labelled = {found["for"] for tag, found in page.elements if tag == "label" and "for" in found}
    assert labelled == {found["id"] for tag, found in page.elements if tag == "select"}
    assert dict(page.elements[0][1])["lang"] == "en"


def test_the_prediction_after_fine_tuning_is_shown(tmp_path, pair, tokenizer, row):
    inputs = tokenizer(row, return_tensors="pt")
    with torch.no_grad():
        risk = float(pair[1](**inputs).logits.softmax(dim=-1)[0, 1])
    assert f"{risk:.3f}" in write(tmp_path, pair, tokenizer, row)[1].text


def test_the_models_stay_as_they_were(tmp_path, make_model, tokenizer, row):
    model = make_model().train()
    implementation = model.config._attn_implementation
    write(tmp_path, (model, model), tokenizer, row)
    assert model.training
    assert model.config._attn_implementation == implementation == "sdpa"


def test_only_the_most_recent_visits_are_shown_when_asked(tmp_path, pair, tokenizer, row):
    view = write(tmp_path, pair, tokenizer, row, most_visits=4)[1].view()
    days = row["visit_day"][-4:]
    assert [slot["day"] for slot in view["slots"][1:]] == [day - days[0] for day in days]


def test_what_cannot_be_shown_is_refused(tmp_path, make_model, tokenizer, row):
    one, other = make_model(ClaimModel), make_model(ClaimModel, num_hidden_layers=1)
    with pytest.raises(ValueError, match=r"expected models of one shape .*found \(2, 2, 'max'\) and \(1, 2, 'max'\)"):
        write(tmp_path, (one, other), tokenizer, row)
    with pytest.raises(ValueError, match="expected a patient with at least one visit, found none"):
        write(tmp_path, (one, one), tokenizer, {"sex": "F", "visits": []})
    with pytest.raises(ValueError, match="E_VOCAB_SIZE"):
        write(tmp_path, (one, make_model(ClaimModel, vocab_size=9)), tokenizer, row)
    inputs = {"input_ids": torch.zeros(1, 3), "visit_ids": torch.zeros(1, 3), "visit_days": torch.zeros(1, 401)}
    with pytest.raises(ValueError, match="expected at most 400 positions, found 401; show fewer visits"):
        _attention_weights(one, inputs)


def test_rounded_rows_keep_their_sum_and_their_order():
    weights = np.random.default_rng(0).dirichlet(np.full(37, 0.2), size=50)
    whole = _whole_rows(weights)
    assert (whole.sum(axis=1) == 10_000).all()
    assert np.abs(whole / 10_000 - weights).max() <= 1e-4
    assert (whole >= 0).all()
