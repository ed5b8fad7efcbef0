"""Visits of tokens that came as text: what `decode` writes becomes inputs of a model again."""

from collections.abc import Iterable

from .vocabulary_claim import GAP_START, UNKNOWN_TYPE

_TYPE, _DAY, _GAP = "TYPE/", "DAY/", "GAP/"


def visits_of_tokens(tokens: Iterable[str]) -> tuple[list[int], list[int]]:
    """Number the visits of a stream of tokens, and date them as well as its tokens of time can tell.

    A visit begins at its claim type; what stands before the first one is the patient's. Days are exact with `DAY/n` up
    to the largest of them. With `GAP/n`, the least number of days that its bucket holds is counted on, so that no
    visit is later than it was; without tokens of time all visits are on one day. There is no index date.
    """
    slots, days, counted_from = [], [0], 0
    for token in tokens:
        if token.startswith(_TYPE) or token == UNKNOWN_TYPE:
            days.append(days[-1])
        slots.append(len(days) - 1)
        if len(days) == 1 or token == GAP_START:
            continue
        text = token.removeprefix(_DAY).removeprefix(_GAP)
        if text == token or not text.isdecimal():
            continue
        if token.startswith(_GAP):
            # The first visit in view is day 0, however long after the one before it.
            days[-1] = days[-2] + int(text) if len(days) > 2 else 0
        else:
            counted_from = int(text) if len(days) == 2 else counted_from
            days[-1] = int(text) - counted_from
    return slots, days
