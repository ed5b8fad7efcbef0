"""Relations that do not hold yet: by their name the sources, and what comes out instead.

A relation that begins to hold fails its test until it is taken out here.
"""

NOT_YET: dict[str, tuple[tuple[str, ...], str]] = {}

# What dirty tables become that they should not, by the beginning of the finding.
DIRTY_NOT_YET: tuple[str, ...] = ()
