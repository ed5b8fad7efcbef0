"""What is known before an index stay."""

import numpy as np
from cohorts.sequences_by_hand import random_stays

from reproduction.medicare.count_models import fit_count_model
from reproduction.medicare.synpuf import without_index_stay


def test_the_index_claim_is_emptied_and_the_history_stays():
    stays = random_stays(50)
    known = without_index_stay(stays)
    for before, after in zip(stays["codes"].to_pylist(), known["codes"].to_pylist(), strict=True):
        assert after == [*before[:-1], []]
    same = [name for name in stays.column_names if name not in {"codes", "visit_amount", "length_of_stay_days"}]
    assert known.select(same).equals(stays.select(same))
    assert set(known["length_of_stay_days"].to_pylist()) == {0}


def test_a_model_of_it_does_not_depend_on_the_index_claim():
    train, validation = random_stays(400, 1), random_stays(150, 2, first_patient=1000)
    model = fit_count_model("lr", without_index_stay(train), without_index_stay(validation))
    test = random_stays(40, 3, first_patient=2000)
    other = test.set_column(
        test.column_names.index("length_of_stay_days"), "length_of_stay_days", [np.full(test.num_rows, 30, np.int32)]
    )
    assert np.array_equal(model.predict(without_index_stay(test)), model.predict(without_index_stay(other)))
