"""The index stay as the last visit of a record, as readmission cohorts have it (`cohorts.readmission`)."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from claim_transformers.claims.visits import INPATIENT


def with_index_stays(examples: pa.Table, stays: pa.Table) -> pa.Table:
    """Add to each record a stay without a claim: `admission_day` (null where unknown), `discharge_day` and `codes`.

    Inpatient visits from the admission on leave: an interim bill of the stay itself would be a second stay.
    """
    number = examples.num_rows
    discharge = stays["discharge_day"].combine_chunks().cast(pa.int32())
    admission = stays["admission_day"].combine_chunks().cast(pa.int32())
    begin = pc.fill_null(pc.coalesce(admission, discharge), 0).to_numpy(zero_copy_only=False)
    lengths = pc.list_value_length(examples["visit_day"]).to_numpy()
    owner = np.repeat(np.arange(number), lengths)
    days = examples["visit_day"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    is_stay = pc.equal(examples["visit_type"].combine_chunks().flatten(), INPATIENT).to_numpy(zero_copy_only=False)
    kept = np.flatnonzero(~is_stay | (days < begin[owner]))
    counts = np.bincount(owner[kept], minlength=number)
    order = pa.array(np.insert(kept, np.cumsum(counts), len(days) + np.arange(number)))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts + 1)]).astype(np.int32))
    nothing = pa.ListArray.from_arrays(pa.array(np.zeros(number + 1, np.int32)), pa.array([], pa.string()))
    added = {"visit_day": discharge, "visit_end_day": discharge, "visit_type": pa.repeat(INPATIENT, number)}
    added |= {"codes": stays["codes"].combine_chunks(), "principal_codes": nothing, "admitting_codes": nothing}
    for place, field in enumerate(examples.schema):
        if pa.types.is_list(field.type) and not field.name.startswith("enrollment"):
            values = examples[field.name].combine_chunks().flatten()
            own = added[field.name] if field.name in added else pa.nulls(number, values.type)
            both = pa.concat_arrays([values, own.cast(values.type)]).take(order)
            examples = examples.set_column(place, field.name, pa.ListArray.from_arrays(offsets, both))
    index_day = pc.add(discharge, pa.scalar(1, pa.int32()))
    examples = examples.set_column(examples.column_names.index("index_day"), "index_day", index_day)
    return examples.append_column("length_of_stay_days", pc.subtract(discharge, admission))
