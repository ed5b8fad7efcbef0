import numpy as np
import pytest

from claim_transformers.simulation.engine.menus import Menu, parse_menu
from claim_transformers.simulation.engine.sampling import CodeTable


def test_a_menu_has_names_with_their_chances():
    assert parse_menu("strep_test:0.5 urine_test:0.1") == [("strep_test", 0.5), ("urine_test", 0.1)]
    with pytest.raises(ValueError, match=r"sum to at most 1, found 2\.0"):
        parse_menu("a b")


def test_what_is_left_to_one_is_the_chance_of_nothing():
    menu = Menu(["", "test:0.5"], CodeTable({"test": "87880"}))
    chances = np.array([0.1, 0.1, 0.9], dtype=np.float32)
    assert menu.choose(np.array([0, 1, 1]), chances).tolist() == [-1, 0, -1]
