"""What the documents show as code: fenced and indented blocks, and commands between backticks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "README.es.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCE = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?<=\n\n)(?: {4}\S[^\n]*\n)+(?=\n)")
CODE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
COMMAND = re.compile(
    r"(?:python3?|\S*/python|hpo|recsys|make|mlflow|pip|docker|ray|optuna|curl|sbatch) \S"
    r"|hpo\.\w+ -"
)


@dataclass(frozen=True)
class Snippet:
    """A piece of code in a document.

    Attributes:
        document: path of the document.
        line: line of the document where it begins.
        language: language of its fence; "" without one.
        text: the code.
    """

    document: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path) -> Iterator[Snippet]:
    """Yield the blocks of a document; an indented one is a shell's."""
    text = path.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Snippet(_name(path), line, match[2].strip(), match[3])
    rest = _without_fences(text)
    for match in INDENTED.finditer(rest):
        line = rest.count("\n", 0, match.start()) + 1
        code = "".join(part[4:] + "\n" for part in match[0].splitlines())
        yield Snippet(_name(path), line, "bash", code)


def commands(path: Path) -> Iterator[Snippet]:
    """Yield the commands between backticks."""
    rest = _without_fences(path.read_text(encoding="utf-8"))
    for match in CODE.finditer(rest):
        words = " ".join(match[1].split())
        if COMMAND.match(words):
            yield Snippet(_name(path), rest.count("\n", 0, match.start()) + 1, "", words)


def _without_fences(text: str) -> str:
    """Return the text with empty lines in the place of fenced blocks."""
    return FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)
