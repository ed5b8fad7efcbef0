"""Parts of patients without tasks: what is cut arrives."""

from collections.abc import Iterator

from claim_transformers.claims.patient_parts import _exchange_here


def test_several_pieces_of_one_item_for_a_place_all_arrive_in_order():
    def cut(item: bytes) -> Iterator[tuple[int, bytes]]:
        yield from ((0, item + b"1"), (1, item), (0, item + b"2"))

    taken = _exchange_here(cut, [b"a", b"b"], lambda place, pieces: (place, [*pieces]), 3)
    assert list(taken) == [(0, [b"a1", b"a2", b"b1", b"b2"]), (1, [b"a", b"b"]), (2, [])]
