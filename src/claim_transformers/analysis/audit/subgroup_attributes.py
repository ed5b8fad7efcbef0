"""Subgroups that are audited: those of Lahlou et al. (section 5.3), dual status, and rural counties."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from claim_transformers.analysis.audit.subgroup_numbers import UNKNOWN
from claim_transformers.analysis.audit.subgroups import age_bands
from claim_transformers.analysis.rivals.features import ages_in_years
from claim_transformers.cohorts.readmission.patient_codes import DUAL, ENTITLEMENT, RACE

TextArray = NDArray[np.str_]

_MEDICARE_AGES, _AGES = (65, 75, 85), (5, 12, 18, 45, 65, 75, 85)
# Original reason for entitlement as the CMS Master Beneficiary Summary File codes it. Code 3 is disability and renal
# disease: these patients are on dialysis or have a transplant as those of code 2 are, and either group is small.
_ENTITLEMENTS = {"0": "age", "1": "disability", "2": "renal disease", "3": "renal disease"}
# Medicare-Medicaid dual status as the Master Beneficiary Summary File codes it; 09 (other, without Medicaid) and 99
# (unknown) are none of the two.
_DUAL = {"NA": "not dual", "00": "not dual"} | dict.fromkeys(("01", "02", "03", "04", "05", "06", "08"), "dual")
_RURAL_MEASURE = "IS_RURAL"
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
        examples (`pa.Table`): Examples of a cohort, with `sex`, `birth_day` and `index_day`; those of a readmission
            cohort have `patient_codes` and `county_fips` too, and `county_measures` with `IS_RURAL` (0 or 1) where
            counties have it.

    Returns:
        `dict[str, NDArray[str]]`: Arrays of shape `(examples,)` under `sex` and `age` (band in years at the index
        date); where examples tell of them `race`, `entitlement`, `dual status`, `region` and `place` (rural or urban);
        `"unknown"` where nothing is known.

    Examples:
        >>> examples = pa.table({"sex": ["F"], "birth_day": [-10000], "index_day": [15000], "county_fips": ["36061"],
        ...                      "patient_codes": [["RACE/WHITE", "ENTITLEMENT/0", "DUAL/02"]]})
        >>> {name: groups.tolist() for name, groups in audit_attributes(examples).items()}
        {'sex': ['F'], 'age': ['65 to 74'], 'race': ['white'], 'entitlement': ['age'], 'dual status': ['dual'],
         'region': ['Northeast']}
        >>> audit_attributes(pa.table({"sex": ["M"], "birth_day": [12000], "index_day": [15000]}))["age"].tolist()
        ['5 to 11']
    """
    names = set(examples.column_names)
    # A stay in hospital under Medicare is told apart as Lahlou et al. do; elsewhere there are children.
    edges = _MEDICARE_AGES if "patient_codes" in names else _AGES
    found = {"sex": _texts(examples["sex"]), "age": age_bands(ages_in_years(examples), edges)}
    if "patient_codes" in names:
        found |= {
            "race": race_names(patient_token(examples, RACE)),
            "entitlement": entitlement_names(patient_token(examples, ENTITLEMENT)),
            "dual status": dual_names(patient_token(examples, DUAL)),
        }
    if "county_fips" in names:
        found["region"] = census_regions(examples["county_fips"])
    measures = examples["county_measures"].combine_chunks() if "county_measures" in names else None
    if measures is not None and measures.type.get_field_index(_RURAL_MEASURE) >= 0:
        found["place"] = place_names(pc.struct_field(measures, _RURAL_MEASURE))
    return found


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
    return _names(codes, _ENTITLEMENTS)


def dual_names(codes: pa.Array | pa.ChunkedArray) -> TextArray:
    """Name dual status codes."""
    return _names(codes, _DUAL)


def place_names(is_rural: pa.Array) -> TextArray:
    """Name the places of counties that are rural (1) or not (0)."""
    return _texts(pc.if_else(pc.not_equal(is_rural, 0), "rural", "urban"))


def census_regions(county_fips: pa.Array | pa.ChunkedArray) -> TextArray:
    """Find the census region of each county."""
    states = {state: region for region, codes in _REGIONS.items() for state in codes.split()}
    state = pc.utf8_slice_codeunits(county_fips, 0, 2)
    region = _look_up(state, states)
    return _texts(pc.if_else(pc.is_valid(county_fips), pc.fill_null(region, _TERRITORY), None))


def _names(codes: pa.Array | pa.ChunkedArray, names: Mapping[str, str]) -> TextArray:
    return _texts(_look_up(codes, names))


def _look_up(codes: pa.Array | pa.ChunkedArray, names: Mapping[str, str]) -> pa.Array | pa.ChunkedArray:
    return pa.array(names.values()).take(pc.index_in(codes, value_set=pa.array(names)))


def _texts(values: pa.Array | pa.ChunkedArray) -> TextArray:
    texts: TextArray = pc.fill_null(values.cast(pa.string()), UNKNOWN).to_numpy(zero_copy_only=False).astype(str)
    return texts
