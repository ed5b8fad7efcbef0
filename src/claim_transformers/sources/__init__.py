"""Sources: one module per raw format, read into the canonical tables. No torch.

`ingest.ingest` publishes what a source hands over, `contract` says what that is, and `lineage` which raw column ends
where.
"""
