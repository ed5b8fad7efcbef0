"""Pages of the docs site that do not lie in `docs/`: files of the root, and a reference made of what rooms export.

A hook of mkdocs. MkDocs reads one folder alone, but README.md and its neighbours must stay where GitHub shows them,
and the plugins that generate pages cannot rewrite the links between the two.
"""

import posixpath
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.utils import get_relative_url

ROOT = Path(__file__).parents[1]
OUTSIDE = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "examples/README.md": "examples/index.md",
    "examples/readmission/README.md": "examples/readmission.md",
    "model_cards/README.md": "model_cards/index.md",
    "model_cards/claim-pt-base/README.md": "model_cards/claim-pt-base.md",
    "model_cards/medicare-encoder-base/README.md": "model_cards/medicare-encoder-base.md",
}
ROOMS = ("claim_transformers", "analysis", "training", "cohorts", "simulation", "hub", "serving", "codes")
# The theme's offline search would load this from another host.
FOREIGN_WORKER = re.compile(r'<script src="https?://[^"]*iframe-worker[^"]*"></script>')
FOREIGN = re.compile(r'<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*"')
WORKER = "assets/file_worker.js"
LINK = re.compile(r"(!?)\[((?:[^][]|\[[^]]*\])*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from outside and the reference."""
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    for room in ROOMS:
        files.append(File.generated(config, f"reference/{room}.md", content=reference_of(room)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links of the repository into links of the site."""
    here = page.file.src_uri
    source = {value: key for key, value in OUTSIDE.items()}.get(here, f"docs/{here}")

    def on_site(match: re.Match[str]) -> str:
        mark, text, target, anchor = match.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        found = OUTSIDE.get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
        if found is not None and posixpath.splitext(found)[1] == "":
            found = posixpath.join(found, "README.md")
        if found is None or files.get_file_from_path(found) is None:
            # A file that only the repository has: its name stays, as text.
            return text if not mark else ""
        return f"{mark}[{text}]({posixpath.relpath(found, posixpath.dirname(here) or '.')}{anchor or ''})"

    return LINK.sub(on_site, markdown)


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Serve with the site what the theme would fetch; anything else from another host is refused."""
    url = get_relative_url(WORKER, page.url)
    output = FOREIGN_WORKER.sub(f'<script src="{url}"></script>', output)
    if found := FOREIGN.search(output):
        raise PluginError(f"expected pages that ask no other host, found {found.group(0)} in {page.file.src_uri}")
    return output


def on_post_template(output_content: str, template_name: str, config: Any) -> str:
    """The page of errors, likewise."""
    return FOREIGN_WORKER.sub(f'<script src="{WORKER}"></script>', output_content)


def reference_of(room: str) -> str:
    """List what a room exports, each name where it is defined, for mkdocstrings to fill in."""
    module = import_module(room if room == "claim_transformers" else f"claim_transformers.{room}")
    lines = [f"# `{module.__name__}`", ""]
    for name in sorted(module.__all__):
        value = getattr(module, name)
        home = getattr(value, "__module__", None)
        if isinstance(value, type) or callable(value):
            lines += [f"::: {home}.{name}", ""]
    return "\n".join(lines)
