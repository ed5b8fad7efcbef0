"""Packed keys: each field keeps its bits, parts join as they were cut, and codes are numbered and ranked."""

import itertools

import numpy as np
import pyarrow as pa
import pytest

from claim_transformers.claims import packing
from claim_transformers.claims.packing import (
    MAX_CODES,
    MAX_PATIENTS,
    NULL_DAY,
    CodeNumbers,
    EncodedCodes,
    KeySpill,
    concatenate,
    dictionary_of,
    marked_codes,
    pack_keys,
    unpack_keys,
    visit_keys_of,
)
from claim_transformers.codes.errors import ClaimDataError

FIRST_DAY, LAST_DAY = -100_000, 162_143


def keys_of(patients, days, types, codes):
    keys = pack_keys(np.array(patients), np.array(days), np.array(types))
    return keys | np.array(codes, np.uint64)


def plain(timelines):
    """Visits as tuples of patient, day, type, codes, end and payment."""
    visits = []
    for row, patient in enumerate(timelines.patients.tolist()):
        for visit in range(timelines.visit_offsets[row], timelines.visit_offsets[row + 1]):
            codes = timelines.codes[timelines.code_offsets[visit] : timelines.code_offsets[visit + 1]]
            paid = None if timelines.visit_paid_days is None else int(timelines.visit_paid_days[visit])
            visits.append((
                patient, int(timelines.visit_days[visit]), int(timelines.visit_types[visit]), codes.tolist(),
                int(timelines.visit_end_days[visit]), paid,
            ))  # fmt: skip
    return visits


@pytest.mark.parametrize("patient", [0, 1, MAX_PATIENTS - 1])
@pytest.mark.parametrize("day", [FIRST_DAY, -1, 0, LAST_DAY])
@pytest.mark.parametrize(("kind", "code"), [(0, 0), (15, MAX_CODES - 1), (1, 1)])
def test_a_key_gives_back_what_was_packed_up_to_the_bounds_of_each_field(patient, day, kind, code):
    found = plain(unpack_keys(keys_of([patient], [day], [kind], [code])))
    assert found == [(patient, day, kind, [code], day, None)]


@pytest.mark.parametrize(
    ("patient", "day", "kind"),
    [(-1, 0, 0), (MAX_PATIENTS, 0, 0), (0, FIRST_DAY - 1, 0), (0, LAST_DAY + 1, 0), (0, 0, -1), (0, 0, 16)],
)
def test_a_field_beyond_its_bounds_is_refused(patient, day, kind):
    with pytest.raises(ClaimDataError, match="found <11 of <11 outside"):
        pack_keys(np.array([0, patient]), np.array([0, day]), np.array([0, kind]))


def test_no_keys_are_no_patients():
    nothing = unpack_keys(keys_of([], [], [], []).astype(np.uint64), np.array([], np.int64))
    assert (nothing.num_patients, nothing.num_visits) == (0, 0)
    assert (nothing.visit_offsets.tolist(), nothing.code_offsets.tolist()) == ([0], [0])


def test_patients_visits_and_codes_come_out_in_order_and_once():
    patients, days, types = [1, 0, 0, 0, 1, 0], [9, 9, 9, 5, 9, 9], [0, 1, 0, 1, 0, 1]
    found = unpack_keys(keys_of(patients, days, types, [2, 0, 1, 2, 2, 1]), np.array([2, 1, 0]), first_patient=7)
    assert found.patients.tolist() == [7, 8]
    assert plain(found) == [
        (7, 5, 1, [0], 5, None), (7, 9, 0, [1], 9, None), (7, 9, 1, [1, 2], 9, None), (8, 9, 0, [0], 9, None),
    ]  # fmt: skip


def random_timelines(generator, *, with_paid):
    rows = 60
    patients = np.repeat(np.arange(12), 5)
    days, types = generator.integers(0, 6, rows), generator.integers(0, 3, rows)
    codes = generator.integers(0, 8, rows)
    timelines = unpack_keys(keys_of(patients, days, types, codes))
    marks = generator.random(rows) < 0.4
    keys = keys_of(patients[marks], days[marks], types[marks], codes[marks])
    marked = marked_codes(visit_keys_of(timelines), keys, np.arange(8))
    return packing.TimelineArrays(
        timelines.patients, timelines.visit_offsets, timelines.visit_days, timelines.visit_types,
        timelines.code_offsets, timelines.codes, timelines.visit_days + 3,
        timelines.visit_days + 30 if with_paid else None, {"marked": marked},
    )  # fmt: skip


def marks_of(timelines):
    lists = timelines.marked["marked"]
    return [lists.codes[start:end].tolist() for start, end in zip(lists.offsets[:-1], lists.offsets[1:], strict=True)]


@pytest.mark.parametrize("with_paid", [False, True])
@pytest.mark.parametrize("cuts", [(0, 12), (0, 5, 12), (0, 1, 1, 7, 12)])
def test_timelines_cut_between_patients_and_joined_again_are_the_same(cuts, with_paid):
    whole = random_timelines(np.random.default_rng(3), with_paid=with_paid)
    parts = [whole.slice(start, stop) for start, stop in itertools.pairwise(cuts)]
    assert [visit for part in parts for visit in plain(part)] == plain(whole)
    assert [marks for part in parts for marks in marks_of(part)] == marks_of(whole)
    joined = concatenate(parts)
    assert plain(joined) == plain(whole)
    assert marks_of(joined) == marks_of(whole)
    assert [part.num_patients for part in parts] == list(np.diff(cuts))


def test_marked_codes_stand_at_their_visit_and_those_of_other_visits_nowhere():
    timelines = unpack_keys(keys_of([0, 0, 1, 1], [3, 5, 3, 9], [0, 0, 0, 1], [0, 0, 0, 0]), first_patient=4)
    marks = keys_of([1, 1, 0, 0, 0, 1, 1, 2], [9, 9, 5, 5, 4, 9, 10, 3], [1, 1, 0, 0, 0, 0, 1, 0], [3, 2, 1, 1] * 2)
    found = marked_codes(visit_keys_of(timelines, 4), marks, np.arange(4))
    assert found.offsets.tolist() == [0, 0, 1, 1, 3]
    assert found.codes.tolist() == [1, 2, 3]


def test_marks_without_any_visit_are_left_out():
    nothing = keys_of([], [], [], []).astype(np.uint64)
    found = marked_codes(nothing, keys_of([0], [1], [0], [2]), np.arange(3))
    assert (found.offsets.tolist(), found.codes.tolist()) == ([0], [])


def number(numbers, system, codes, column=""):
    return numbers.number(EncodedCodes.of(system, codes), column)


def test_a_code_has_one_number_through_batches_with_other_dictionaries():
    numbers = CodeNumbers()
    first = number(numbers, "NDC", pa.array(["2", None, "1", "2"]), "drug")
    again = number(numbers, "NDC", pa.array(["2", None, "1", "2"]), "drug")
    other = number(numbers, "NDC", pa.array(["3", "1", None]), "drug")
    systems = number(numbers, pa.array(["NDC", "ICD9CM", None, "NDC"]), pa.array(["1", "2", "1", None]), "diagnosis")
    assert [part.tolist() for part in (first, again, other, systems)] == [
        [0, -1, 1, 0], [0, -1, 1, 0], [2, 1, -1], [1, 3, -1, -1],
    ]  # fmt: skip
    assert numbers.names().to_pylist() == ["NDC/2", "NDC/1", "NDC/3", "ICD9CM/2"]
    assert numbers.ranked()[0].to_pylist() == ["ICD9CM/2", "NDC/1", "NDC/2", "NDC/3"]
    assert numbers.ranked()[1].tolist() == [2, 1, 3, 0]
    assert len(numbers) == 4


def test_the_table_of_a_column_is_not_read_for_the_same_codes_of_another_system():
    numbers = CodeNumbers()
    codes = pa.array(["1", "2"])
    assert number(numbers, "1", codes, "code").tolist() == [0, 1]
    assert number(numbers, "2", codes, "code").tolist() == [2, 3]
    assert number(numbers, codes, codes, "code").tolist() == [0, 3]
    assert number(numbers, pa.array(["3", "4"]), codes, "code").tolist() == [4, 5]


def test_two_ways_to_cut_one_name_are_one_code():
    numbers = CodeNumbers()
    assert number(numbers, pa.array(["A", "A/B", "A"]), pa.array(["B/C", "C", "A"])).tolist() == [0, 2, 1]
    codes, ranks = numbers.ranked()
    assert (codes.to_pylist(), ranks.tolist()) == (["A/A", "A/B/C"], [1, 0, 1])


def test_a_dictionary_that_holds_unused_codes_gives_them_no_number():
    codes = pa.DictionaryArray.from_arrays(pa.array([2, 2, None]), pa.array(["a", "b", "c"]))
    numbers = CodeNumbers()
    assert number(numbers, "HCPCS", codes).tolist() == [0, 0, -1]
    assert numbers.names().to_pylist() == ["HCPCS/c"]


@pytest.mark.parametrize(("codes", "fits"), [(4, True), (5, False)])
def test_as_many_codes_as_a_key_can_tell_apart_are_taken_and_no_more(codes, fits, monkeypatch):
    monkeypatch.setattr(packing, "MAX_CODES", 4)
    column = pa.array([str(code) for code in range(codes)])
    if fits:
        assert number(CodeNumbers(), "NDC", column).tolist() == [0, 1, 2, 3]
    else:
        with pytest.raises(ClaimDataError, match="E_KEY_RANGE"):
            number(CodeNumbers(), "NDC", column)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_positions_and_strings_of_a_column_are_those_of_its_dictionary(kind):
    plain_column = pa.array(["B", None, "A", "B"], kind)
    for column in (plain_column, plain_column.dictionary_encode(), plain_column.drop_null()):
        positions, strings = dictionary_of(column)
        found = [None if place == -1 else strings[place].as_py() for place in positions.tolist()]
        assert found == column.to_pylist()
        assert strings.type == pa.string()


@pytest.mark.parametrize("block", [1, 30, 1000])
@pytest.mark.parametrize(("shard_bits", "max_patients"), [(4, 16), (2, 16), (1, 4), (0, 2)])
def test_keys_come_back_from_the_shard_of_their_patient(shard_bits, max_patients, block, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "_KEYS_PER_BLOCK", block)
    monkeypatch.setattr(packing, "MAX_PATIENTS", max_patients)
    generator = np.random.default_rng(5)
    num_patients = 13
    spill, expected = KeySpill(tmp_path / "keys", shard_bits, num_patients), {}
    rows_of_spill, rows = KeySpill(None, shard_bits, num_patients), {}
    for size in (20, 0, 20, 20):
        patients, days = generator.integers(0, num_patients, size), generator.integers(0, 9, size)
        keys = pack_keys(patients % max_patients, days, np.zeros(size, int))
        spill.append(keys, patients)
        rows_of_spill.append(np.stack([keys, days.astype(np.uint64)], axis=1), patients)
        for key, day, shard in zip(keys.tolist(), days.tolist(), (patients >> shard_bits).tolist(), strict=True):
            expected.setdefault(shard, []).append(key)
            rows.setdefault(shard, []).append((key, day))
    for shard in range(-(-num_patients >> shard_bits)):
        assert sorted(spill.read(shard).tolist()) == sorted(expected.get(shard, []))
        found = rows_of_spill.read(shard).reshape(-1, 2)
        assert sorted(map(tuple, found.tolist())) == sorted(rows.get(shard, []))
    spill.close()


def test_an_unknown_day_is_the_smallest_32_bit_number():
    assert NULL_DAY == -(2**31)
