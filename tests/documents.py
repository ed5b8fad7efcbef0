"""Blocks of the documents, and small claims for them to run on."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("docs/sources/*.md")),
    ROOT / "examples" / "README.md",
    ROOT / "examples" / "readmission" / "README.md",
]
_BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```\s*?$", re.DOTALL | re.MULTILINE)
_CODE = ("python", "shell")

# A page shows sizes that teach; a test needs seconds.
SMALLER = {
    "patients=10_000": "patients=60",
    "--patients 10000": "--patients 60",
    "--patients 30000": "--patients 6000",
    "--patients 6000": "--patients 800",
    "num_train_epochs=10": "num_train_epochs=1, max_steps=2",
    "replicates=400": "replicates=20",
    "simulations=200": "simulations=2",
}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the text block right behind it, which shows what it prints."""

    language: str
    text: str
    printed: str | None

    @property
    def small(self) -> str:
        """The text at the size of a test."""
        text = self.text
        for shown, tried in SMALLER.items():
            if shown in text:
                text = text.replace(shown, tried)
                break
        return text


def blocks_of(page: Path) -> Iterator[Block]:
    """Every block of a page in order."""
    text = page.read_text(encoding="utf-8")
    found = list(_BLOCK.finditer(text))
    for number, match in enumerate(found):
        following = found[number + 1] if number + 1 < len(found) else None
        shows = following and following.group(1) == "text" and not text[match.end() : following.start()].strip()
        yield Block(match.group(1), match.group(2), following.group(2) if following and shows else None)


def code_of(page: Path) -> list[Block]:
    """Blocks that run."""
    return [block for block in blocks_of(page) if block.language in _CODE]


def commands_of(block: Block) -> list[str]:
    """Commands of a shell block, continued lines joined, without comments."""
    text = re.sub(r"\\\n\s*", "", block.small)
    lines = (re.sub(r"\s+#.*$", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
