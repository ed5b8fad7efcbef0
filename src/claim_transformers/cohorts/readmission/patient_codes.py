"""Tokens about the patient and not about a visit: race, entitlement, dual status and county measures.

Sex and age have columns of their own. Race and sex can be masked later to see what a model owes to them (Lahlou et
al., 2021, section 5.3).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.counties import CountyFeatures
from claim_transformers.claims.number_bins import DEFAULT_BINS, NumberBins

RACE, ENTITLEMENT, DUAL, _COUNTY = "RACE", "ENTITLEMENT", "DUAL", "COUNTY"
COUNTY_BINS_FILE = "county_bins.json"
# What a tokenizer saves; models are no room that cohorts may import.
_FORM_FILE = "form.json"
_COLUMNS = {RACE: "race", ENTITLEMENT: "original_reason_entitlement_code", DUAL: "dual_status_code"}
_SEPARATOR = "[^A-Z0-9]+"
_UNKNOWN = ("", "UNKNOWN")


@dataclass(frozen=True)
class CountyBins:
    """County measures and the bins into which training patients divide them."""

    features: CountyFeatures
    bins: NumberBins  # Their edges, which [`NumberBins.save`] writes as JSON.

    @classmethod
    def fit(
        cls, features: CountyFeatures, county_fips: pa.Array | pa.ChunkedArray, *, num_bins: int = DEFAULT_BINS
    ) -> "CountyBins":
        """Learn bins from the counties of training examples, so that each bin holds about equally many of them."""
        return cls(features, NumberBins.fit(features.of_counties(county_fips), num_bins=num_bins))

    @classmethod
    def reuse(cls, features: CountyFeatures, bins: NumberBins) -> "CountyBins":
        """Divide counties by bins that were learned on other claims, so that a token means what it meant there."""
        if missing := sorted(set(bins.edges) - set(features.values)):
            raise ValueError(
                f"expected county measures of all bins, found none of the name {', '.join(missing)} among "
                f"{', '.join(sorted(features.values)) or 'no measures'}"
            )
        values = {name: features.values[name] for name in sorted(bins.edges)}
        return cls(CountyFeatures(features.county_fips, values), bins)

    def tokens(self, county_fips: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
        """Write the measures of counties as tokens."""
        values = self.features.of_counties(county_fips)
        words = (self.bins.tokens(name, values[name]) for name in sorted(values))
        return [pc.binary_join_element_wise(f"{_COUNTY}/", pc.replace_substring(word, "/", "-"), "") for word in words]

    def measures(self, county_fips: pa.Array | pa.ChunkedArray) -> pa.StructArray:
        """The measures as a struct of numbers, null where unknown, for tokenizers with bins of their own."""
        values = self.features.of_counties(county_fips)
        names = sorted(values)
        return pa.StructArray.from_arrays([pa.array(values[name], from_pandas=True) for name in names], names)

    def count_missing(self, county_fips: pa.Array | pa.ChunkedArray) -> dict[str, int]:
        """Count the examples that a county measure is missing for."""
        unknown = county_fips.null_count
        listed = pc.sum(pc.is_in(county_fips, value_set=self.features.county_fips)).as_py() or 0
        counts = {"county unknown": unknown, "county without measures": len(county_fips) - unknown - listed}
        values = self.features.of_counties(county_fips)
        gaps = {name: int(np.isnan(values[name]).sum()) - len(county_fips) + listed for name in sorted(values)}
        return counts | {f"no {name}": gap for name, gap in gaps.items() if gap}


def load_county_bins(folder: str | Path) -> NumberBins:
    """Read the bins of county measures that a cohort was written with, or that belong to a tokenizer's form."""
    form, path = Path(folder, _FORM_FILE), Path(folder, COUNTY_BINS_FILE)
    edges = json.loads(form.read_text(encoding="utf-8")).get("county_bins") if form.is_file() else None
    if edges:
        return NumberBins({str(name): tuple(map(float, column)) for name, column in edges.items()})
    if not path.is_file():
        raise ValueError(
            f"expected bins of county measures in the folder {Path(folder).name!r} ({COUNTY_BINS_FILE}, or "
            f"{_FORM_FILE} of a tokenizer), found none: without county measures there are no bins of them"
        )
    return NumberBins.load(path)


def patient_codes(facts: pa.Table, county_tokens: Sequence[pa.Array] = ()) -> pa.ListArray:
    """Write what is known about patients as lists of tokens."""
    columns = [_words(name, facts[column]) for name, column in _COLUMNS.items()]
    columns += [pc.cast(words, pa.string()) for words in county_tokens]
    flat = pa.concat_arrays([column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
                             for column in columns])  # fmt: skip
    rows, width = facts.num_rows, len(columns)
    # One column after another in memory, read row by row.
    order = np.arange(rows * width).reshape(width, rows).T.ravel()
    in_order = flat.take(pa.array(order))
    known = pc.is_valid(in_order).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(known.reshape(rows, width).sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), in_order.drop_null())


def _words(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    text = pc.replace_substring_regex(pc.utf8_upper(column.cast(pa.string())), _SEPARATOR, "_")
    text = pc.utf8_trim(text, characters="_")
    text = pc.if_else(pc.is_in(text, value_set=pa.array(_UNKNOWN)), pa.scalar(None, pa.string()), text)
    return pc.binary_join_element_wise(f"{name}/", text, "")
