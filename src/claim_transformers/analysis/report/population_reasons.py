"""Top reasons over a population: which codes move the predictions of a model most, and which way."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.analysis.explanation.explain import explain_patients
from claim_transformers.analysis.explanation.reason_files import load_classifier
from claim_transformers.analysis.result_table import Cell, ResultTable
from claim_transformers.claims.small_cells import is_small, show_part
from claim_transformers.models.claim import ClaimTokenizer

# A mean over a population needs no prediction to the third digit, and is minutes sooner.
_TOLERANCE = 0.01


def population_reasons(
    checkpoint: str | Path, examples: pa.Table, *, patients: int = 200, most: int = 20, seed: int = 0
) -> ResultTable:
    """Explain a sample of patients, and add up what each code contributed to their predictions.

    There is one row per code or category that at least 11 of them hold, those first that move predictions most: in how
    many `patients`, by how much on the `average of all`, and on the average `where present`, where the sign says which
    way. It is empty where fewer than 11 patients are there.
    """
    first = np.unique(pc.rank(examples["patient_id"], tiebreaker="dense").to_numpy(), return_index=True)[1]
    generator = np.random.Generator(np.random.Philox(key=seed))
    rows = np.sort(generator.permutation(first)[:patients])
    count, title = len(rows), "Top reasons over the population"
    if is_small(count) or not count:
        return ResultTable(title, [], ["Fewer than 11 patients: no reason is shown."])
    tokenizer = ClaimTokenizer.from_pretrained(checkpoint)
    found = explain_patients(
        load_classifier(checkpoint), tokenizer, examples.take(pa.array(rows)), steps=8, tolerance=_TOLERANCE
    )
    reasons = pa.concat_tables(one.reasons.select(["kind", "code", "name", "contribution"]) for one in found)
    # A name that is no more than the code does not say of what: `01` may be a discharge or a chapter.
    bare = pc.replace_substring_regex(reasons["code"], "^[^/]*/", "")
    named = pc.if_else(pc.equal(bare, reasons["name"]), reasons["code"], reasons["name"])
    reasons = pa.table({"kind": reasons["kind"], "name": named, "contribution": reasons["contribution"]})
    owner = np.repeat(np.arange(count), [one.reasons.num_rows for one in found])
    of_patient = reasons.append_column("owner", pa.array(owner)).group_by(["owner", "kind", "name"])
    sums = of_patient.aggregate([("contribution", "sum")])
    sums = sums.append_column("size", pc.abs(sums["contribution_sum"]))
    by_code = sums.group_by(["kind", "name"]).aggregate(
        [("owner", "count"), ("contribution_sum", "mean"), ("size", "sum")]
    )
    by_code = by_code.filter(pc.greater_equal(by_code["owner_count"], 11)).sort_by(
        [("size_sum", "descending"), ("name", "ascending")]
    )
    table: list[dict[str, Cell]] = [
        {
            "reason": row["name"],
            "kind": row["kind"],
            "patients": show_part(row["owner_count"], count),
            "average of all": row["size_sum"] / count,
            "where present": row["contribution_sum_mean"],
        }
        for row in by_code.slice(0, most).to_pylist()
    ]
    unit = found[0].unit
    note = (
        f"{count:,} patients of the test split, drawn at random; reasons that at least 11 of them have. Integrated "
        f"gradients from the average code, in {unit}; 'average of all' is without sign, 'where present' with it. They "
        "explain the model: what moves a prediction is no cause of the outcome."
    )
    return ResultTable(title, table, [note], formats={"average of all": ".2f", "where present": "+.2f"})
