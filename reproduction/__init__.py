"""The papers again, from a clone; not part of the package."""
