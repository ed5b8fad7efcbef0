"""Menus of pools: which code, service or drug a cause brings beside its first, and how often."""

from collections.abc import Sequence

import numpy as np

from claim_transformers.simulation.engine.calendar import Float, Int
from claim_transformers.simulation.engine.sampling import CodeTable


def parse_menu(text: str) -> list[tuple[str, float]]:
    """Read a menu such as `strep_test:0.5 urine_test:0.1`: what is left to one is the chance of nothing."""
    parts = [part.partition(":") for part in text.split()]
    menu = [(name, float(chance) if chance else 1.0) for name, _, chance in parts]
    total = sum(chance for _, chance in menu)
    if total > 1.0 + 1e-9:
        raise ValueError(f"expected chances of a menu that sum to at most 1, found {total}")
    return menu


class Menu:
    """Menus of every cause for one position on a claim, whose names are pools of the table."""

    def __init__(self, texts: Sequence[str], table: CodeTable) -> None:
        menus = [parse_menu(text) for text in texts]
        width = max([len(menu) for menu in menus] + [1])
        self._steps: Float = np.full((width, len(menus)), 2.0, dtype=np.float32)
        self._pools: Int = np.full((len(menus), width + 1), -1, dtype=np.int32)
        for cause, menu in enumerate(menus):
            total = 0.0
            for position, (name, chance) in enumerate(menu):
                total += chance
                self._steps[position, cause] = total
                self._pools[cause, position] = table.pool(name)
            self._steps[len(menu) :, cause] = total
        self.offered = np.array([len(menu) > 0 for menu in menus], dtype=np.bool_)

    def choose(self, cause: Int, uniform: Float) -> Int:
        """Pool that each entry's menu gives, `-1` for nothing."""
        position = np.zeros(len(cause), dtype=np.int32)
        for steps in self._steps:
            # Steps are cumulative chances, so the number of steps passed is the position; past the last stands
            # nothing.
            position += uniform >= steps[cause]
        pools: Int = self._pools[cause, position]
        return pools
