"""Docstrings for the docs site: types without the marks that the style of transformers puts around them.

An extension of griffe, which mkdocstrings reads docstrings with: it shows the type of an argument as it stands, marks
included, and knows no [`Name`] without a target.
"""

import re
from typing import Any

import griffe

_ARGUMENT = re.compile(r"^(\s+\*{0,2}\w+ )\((.*?)\)(?=:)", re.MULTILINE)
_RETURNED = re.compile(r"^(\s+)(`[^`]+`(?: or `[^`]+`)*): ", re.MULTILINE)


class PlainTypes(griffe.Extension):
    """Rewrites the docstring of every object before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Take the marks off types and the brackets off names."""
        if obj.docstring is not None:
            text = re.sub(r"\[(`[^`]+`)\](?!\()", r"\1", obj.docstring.value)
            text = _ARGUMENT.sub(lambda match: f"{match.group(1)}({_plain(match.group(2))})", text)
            obj.docstring.value = _RETURNED.sub(lambda match: f"{match.group(1)}{_plain(match.group(2))}: ", text)


def _plain(text: str) -> str:
    return text.replace("`", "").replace("*optional*", "optional")
