"""Ingest over many machines: Spark moves rows, and each task does to its patients what one machine does to all.

Everything that compares rows compares those of one patient, so rows are cut by a hash of the patient. What looks
further is told: how many rows the ids of a table have, which claims stand under two patients, until when people are
enrolled, on which day the data end (`sources.distribution.wholes`). What is counted adds up (`ledgers`).
"""
