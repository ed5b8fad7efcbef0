"""The record: canonical tables, the quality ledger, visits, stays and patient timelines. No torch.

Modules are imported by name (`claims.schema`, `claims.sequences`, `claims.store`, ...); importing the room loads none.
"""
