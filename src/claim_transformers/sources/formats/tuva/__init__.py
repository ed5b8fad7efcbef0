"""The format tuva."""
