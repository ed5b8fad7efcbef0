"""Tokens about the patient and not about a visit: race, entitlement, dual status and county measures.

Sex and age have columns of their own. Race and sex can be masked later to see what a model owes to them (Lahlou et
al., 2021, section 5.3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.counties import CountyFeatures
from claim_transformers.claims.number_bins import DEFAULT_BINS, NumberBins

RACE, ENTITLEMENT, DUAL, COUNTY = "RACE", "ENTITLEMENT", "DUAL", "COUNTY"
_COLUMNS = {RACE: "race", ENTITLEMENT: "original_reason_entitlement_code", DUAL: "dual_status_code"}
_SEPARATOR = "[^A-Z0-9]+"
_UNKNOWN = ("", "UNKNOWN")


@dataclass(frozen=True)
class CountyBins:
    """County measures and the bins into which training patients divide them.

    Args:
        features ([`CountyFeatures`]): The measures.
        bins ([`NumberBins`]): Their edges, which [`NumberBins.save`] writes as JSON.

    Examples:
        >>> features = CountyFeatures(pa.array(["01001", "01003"]), {"SMOKERS": np.array([10.0, 30.0])})
        >>> county_bins = CountyBins.fit(features, pa.array(["01001", "01003"] * 20), num_bins=2)
        >>> county_bins.tokens(pa.array(["01003", "01001", "99999"]))[0].to_pylist()
        ['COUNTY/SMOKERS-1', 'COUNTY/SMOKERS-0', None]
    """

    features: CountyFeatures
    bins: NumberBins

    @classmethod
    def fit(
        cls, features: CountyFeatures, county_fips: pa.Array | pa.ChunkedArray, *, num_bins: int = DEFAULT_BINS
    ) -> "CountyBins":
        """Learn bins from the counties of training examples, so that each bin holds about equally many of them.

        Args:
            features ([`CountyFeatures`]): The measures.
            county_fips (`pa.Array` of strings): County of each training example, null where unknown.
            num_bins (`int`, *optional*, defaults to 10): Bins of each measure.

        Returns:
            [`CountyBins`]: The measures with their bins.
        """
        return cls(features, NumberBins.fit(features.of_counties(county_fips), num_bins=num_bins))

    def tokens(self, county_fips: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
        """Write the measures of counties as tokens.

        Args:
            county_fips (`pa.Array` of strings): County of each example, null where unknown.

        Returns:
            `list[pa.Array]`: For each measure by name `COUNTY/NAME-k`, null where unknown.
        """
        values = self.features.of_counties(county_fips)
        words = (self.bins.tokens(name, values[name]) for name in sorted(values))
        return [pc.binary_join_element_wise(f"{COUNTY}/", pc.replace_substring(word, "/", "-"), "") for word in words]

    def count_missing(self, county_fips: pa.Array | pa.ChunkedArray) -> dict[str, int]:
        """Count the examples that a county measure is missing for.

        Args:
            county_fips (`pa.Array` of strings): County of each example, null where unknown.

        Returns:
            `dict[str, int]`: `county unknown`, `county without measures`, and the measures that lack single counties.
        """
        unknown = county_fips.null_count
        listed = pc.sum(pc.is_in(county_fips, value_set=self.features.county_fips)).as_py() or 0
        counts = {"county unknown": unknown, "county without measures": len(county_fips) - unknown - listed}
        values = self.features.of_counties(county_fips)
        gaps = {name: int(np.isnan(values[name]).sum()) - len(county_fips) + listed for name in sorted(values)}
        return counts | {f"no {name}": gap for name, gap in gaps.items() if gap}


def patient_codes(facts: pa.Table, county_tokens: Sequence[pa.Array] = ()) -> pa.ListArray:
    """Write what is known about patients as lists of tokens.

    Args:
        facts (`pa.Table`): `race`, `original_reason_entitlement_code` and `dual_status_code`, null where unknown.
        county_tokens (`Sequence[pa.Array]`, *optional*): What [`CountyBins.tokens`] returns.

    Returns:
        `pa.ListArray` of strings: Tokens of each row in a fixed order; what is unknown has none.

    Examples:
        >>> facts = pa.table({"race": ["white", "unknown"], "dual_status_code": ["02", None],
        ...                   "original_reason_entitlement_code": ["0", "1"]})
        >>> patient_codes(facts).to_pylist()
        [['RACE/WHITE', 'ENTITLEMENT/0', 'DUAL/02'], ['ENTITLEMENT/1']]
    """
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
