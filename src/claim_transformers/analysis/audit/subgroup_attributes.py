"""Subgroups that are audited: sex, age, race, entitlement and region (Lahlou et al., section 5.3)."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.analysis.audit.subgroup_numbers import UNKNOWN
from claim_transformers.analysis.audit.subgroups import age_bands
from claim_transformers.analysis.rivals.features import ages_in_years
from claim_transformers.cohorts.readmission.patient_codes import ENTITLEMENT, RACE

TextArray = NDArray[np.str_]

_ATTRIBUTES = ("sex", "age", "race", "entitlement", "region")
# Original reason for entitlement as the CMS Master Beneficiary Summary File codes it. Code 3 is disability and renal
# disease: these patients are on dialysis or have a transplant as those of code 2 are, and either group is small.
_ENTITLEMENTS = {"0": "age", "1": "disability", "2": "renal disease", "3": "renal disease"}
# Census regions by state part of the FIPS code (U.S. Census Bureau, Census Regions and Divisions).
_REGIONS = {
    "Northeast": "09 23 25 33 34 36 42 44 50",
    "Midwest": "17 18 19 20 26 27 29 31 38 39 46 55",
    "South": "01 05 10 11 12 13 21 22 24 28 37 40 45 47 48 51 54",
    "West": "02 04 06 08 15 16 30 32 35 41 49 53 56",
}
_TERRITORY = "territory"


def audit_attributes(examples: pa.Table) -> dict[str, TextArray]:
    """Name the groups of each example, for [`audit_subgroups`].

    Args:
        examples (`pa.Table`): Examples of a readmission cohort, with `sex`, `birth_day`, `index_day`, `patient_codes`
            and `county_fips`.

    Returns:
        `dict[str, NDArray[str]]`: Arrays of shape `(examples,)` under `sex`, `age` (band in years at the index date),
        `race`, `entitlement` and `region`; `"unknown"` where nothing is known.

    Examples:
        >>> examples = pa.table({"sex": ["F"], "birth_day": [-10000], "index_day": [15000], "county_fips": ["36061"],
        ...                      "patient_codes": [["RACE/WHITE", "ENTITLEMENT/0"]]})
        >>> {name: groups.tolist() for name, groups in audit_attributes(examples).items()}
        {'sex': ['F'], 'age': ['65 to 74'], 'race': ['white'], 'entitlement': ['age'], 'region': ['Northeast']}
    """
    return {
        "sex": _texts(examples["sex"]),
        "age": age_bands(ages_in_years(examples)),
        "race": race_names(patient_token(examples, RACE)),
        "entitlement": entitlement_names(patient_token(examples, ENTITLEMENT)),
        "region": census_regions(examples["county_fips"]),
    }


def patient_token(examples: pa.Table, name: str) -> pa.Array:
    """What a token of the patient says, such as `"WHITE"` of `RACE/WHITE`."""
    lists = examples["patient_codes"].combine_chunks()
    owner, tokens = pc.list_parent_indices(lists), pc.list_flatten(lists)
    is_wanted = pc.fill_null(pc.starts_with(tokens, f"{name}/"), False)
    place = pc.index_in(pa.array(np.arange(len(lists))), value_set=owner.filter(is_wanted).cast(pa.int64()))
    found: pa.Array = pc.utf8_slice_codeunits(tokens.filter(is_wanted).take(place), len(name) + 1)
    return found


def race_names(races: pa.Array | pa.ChunkedArray) -> TextArray:
    """Write races as the audits show them."""
    return _texts(pc.replace_substring(pc.utf8_lower(races.cast(pa.string())), "_", " "))


def entitlement_names(codes: pa.Array | pa.ChunkedArray) -> TextArray:
    """Name original reasons for entitlement."""
    return _texts(pa.array(_ENTITLEMENTS.values()).take(pc.index_in(codes, value_set=pa.array(_ENTITLEMENTS))))


def census_regions(county_fips: pa.Array | pa.ChunkedArray) -> TextArray:
    """Find the census region of each county."""
    states = {state: region for region, codes in _REGIONS.items() for state in codes.split()}
    state = pc.utf8_slice_codeunits(county_fips, 0, 2)
    region = pa.array(states.values()).take(pc.index_in(state, value_set=pa.array(states)))
    return _texts(pc.if_else(pc.is_valid(county_fips), pc.fill_null(region, _TERRITORY), None))


def _texts(values: pa.Array | pa.ChunkedArray) -> TextArray:
    texts: TextArray = pc.fill_null(values.cast(pa.string()), UNKNOWN).to_numpy(zero_copy_only=False).astype(str)
    return texts
