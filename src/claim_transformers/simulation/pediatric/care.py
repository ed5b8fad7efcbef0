"""Care of one block: every source of visits and fills, in the order in which they draw from the stream."""

from claim_transformers.simulation.engine.calendar import Bool
from claim_transformers.simulation.pediatric.block import Block
from claim_transformers.simulation.pediatric.care_acute import (
    add_births,
    add_bronchiolitis,
    add_check_ups,
    add_episodes,
    add_pregnancies,
)
from claim_transformers.simulation.pediatric.care_asthma import add_allergic_care
from claim_transformers.simulation.pediatric.care_chronic import Span, add_courses, burden_of
from claim_transformers.simulation.pediatric.care_mind import add_mental_care


def add_care(block: Block, spans: dict[str, Span]) -> Bool:
    """Add all visits and fills to the block; gives the presence of chronic courses by month, patient and course."""
    presence = add_courses(block, spans)
    add_episodes(block, burden_of(block, presence))
    add_bronchiolitis(block)
    add_check_ups(block)
    add_births(block)
    add_pregnancies(block)
    add_allergic_care(block)
    add_mental_care(block)
    return presence
