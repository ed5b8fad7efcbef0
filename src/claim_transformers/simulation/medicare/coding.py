"""Diagnoses on every claim: its reason first, then conditions of the patient, more of them the longer the claim."""

import numpy as np

from claim_transformers.simulation.engine.calendar import Int
from claim_transformers.simulation.medicare.codebook import MedicareCodebook
from claim_transformers.simulation.medicare.conditions import CONDITIONS
from claim_transformers.simulation.medicare.sheets import TYPE_OF, Sheet
from claim_transformers.simulation.medicare.stays import World

DIAGNOSES = 8
# Grave conditions are written before light ones.
_ORDER = np.argsort([-condition.mention for condition in CONDITIONS], kind="stable")
# What a stay brings with it, and its chance.
_COMPLICATIONS = (
    ("stay_fluid", 0.2), ("stay_renal_failure", 0.11), ("stay_uti", 0.09), ("stay_respiratory_failure", 0.06),
    ("stay_arrhythmia", 0.05), ("aftercare", 0.05),
)  # fmt: skip


def write_diagnoses(world: World, codes: MedicareCodebook, sheet: Sheet, generator: np.random.Generator) -> Int:
    """Draw the diagnoses of all claims of a block."""
    count = len(sheet)
    key = world.patients.key[sheet.patient]
    written = np.full((count, DIAGNOSES), -1, dtype=np.int32)
    written[:, 0] = codes.diagnoses.draw_habit(sheet.pool, key, sheet.end, generator)
    filled = np.ones(count, dtype=np.int32)
    claim, pool = _mentions(world, codes, sheet, generator)
    extra_claim, extra_pool = _complications(codes, sheet, generator)
    claim, pool = np.concatenate([extra_claim, claim]), np.concatenate([extra_pool, pool])
    drawn = codes.diagnoses.draw_habit(pool, key[claim], sheet.end[claim], generator, 0.7)
    order = np.argsort(claim, kind="stable")
    claim, drawn = claim[order], drawn[order]
    is_new = drawn != written[claim, 0]
    is_new[1:] &= (drawn[1:] != drawn[:-1]) | (claim[1:] != claim[:-1])
    claim, drawn = claim[is_new], drawn[is_new]
    # Rows are sorted by claim, so a row's distance from the first row of its claim is its place among the additions.
    slot = np.arange(len(claim)) - np.searchsorted(claim, claim) + filled[claim]
    fits = slot < np.minimum(sheet.most[claim], DIAGNOSES)
    written[claim[fits], slot[fits]] = drawn[fits]
    return written


def _mentions(world: World, codes: MedicareCodebook, sheet: Sheet, generator: np.random.Generator) -> tuple[Int, Int]:
    """Claims and pools of conditions that claims for another reason name."""
    weights = np.array([condition.mention for condition in CONDITIONS], dtype=np.float32)[_ORDER]
    present = (world.illness.burden > 0)[:, :, _ORDER][world.month(sheet.start), sheet.patient]
    # Bytes are precise enough for a chance, and four times as fast. Few scales are in use.
    scales, scale = np.unique(sheet.mention, return_inverse=True)
    thresholds = np.minimum(np.outer(scales, weights * 256), 243).astype(np.uint8)
    named = generator.integers(0, 256, present.shape, dtype=np.uint8) < thresholds[scale]
    claim, condition = np.nonzero(named & present)
    pools = codes.diagnoses.pool_ids([CONDITIONS[position].name for position in _ORDER])[condition]
    claim = claim.astype(np.int32)
    other = pools != sheet.pool[claim]
    return claim[other], pools[other]


def _complications(codes: MedicareCodebook, sheet: Sheet, generator: np.random.Generator) -> tuple[Int, Int]:
    """Claims and pools of what came on during a stay."""
    stays = np.flatnonzero((sheet.claim_type == TYPE_OF["IP"]) | (sheet.claim_type == TYPE_OF["SNF"])).astype(np.int32)
    pools = codes.diagnoses.pool_ids([name for name, _ in _COMPLICATIONS])
    chances = np.array([chance for _, chance in _COMPLICATIONS], dtype=np.float32)
    row, which = np.nonzero(generator.random((len(stays), len(chances)), dtype=np.float32) < chances)
    claim, pool = stays[row], pools[which]
    other = pool != sheet.pool[claim]
    return claim[other], pool[other]
