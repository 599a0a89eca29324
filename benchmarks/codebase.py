"""Sizes, signatures and docstrings of the source, counted, in one table.

    python -m benchmarks.codebase [FOLDER ...] [--list NAME]

Folders are recsys/ and hpo/ unless given. `--list NAME` prints the offenders of a row as path:line.
tests/test_codebase.py holds the limits.
"""

from __future__ import annotations

import argparse
import ast
import math
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = (ROOT / "recsys", ROOT / "hpo")
OPENINGS = frozenset((
    "What", "Whatever", "Whose", "Who", "Whoever", "Whom", "Whether", "Which", "How", "Why",
    "Where", "Wherever", "When", "While", "Of", "Those", "That", "These", "In", "Into", "For",
    "From", "With", "Without", "As", "At", "By", "On", "Onto", "To", "Under", "Over",
    "Between", "Beside", "Before", "After", "About", "Through", "Per", "Up", "Out",
))  # fmt: skip
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
SECTION = r"^\s*{}:\s*$"


@dataclass
class Share:
    """Places that a rule is asked of, and those that break it."""

    n: int = 0
    offenders: list[str] = field(default_factory=list)

    def add(self, place: str, *, good: bool) -> None:
        """Count one place.

        Args:
            place: path:line and a name, printed if it is an offender.
            good: whether the place keeps the rule.
        """
        self.n += 1
        if not good:
            self.offenders.append(place)

    @property
    def good(self) -> float:
        """Part of the places that keep the rule, 0 to 1; 1 if there are none."""
        return 1 - self.bad

    @property
    def bad(self) -> float:
        """Part of the places that break the rule, 0 to 1; 0 if there are none."""
        return len(self.offenders) / self.n if self.n else 0.0


@dataclass
class Measurement:
    """All counts over some folders; `shares` by the names that `--list` takes."""

    files: dict[str, int] = field(default_factory=dict)
    functions: dict[str, int] = field(default_factory=dict)
    folders: Counter[str] = field(default_factory=Counter)
    shares: dict[str, Share] = field(
        default_factory=lambda: {
            name: Share() for name in ("annotated", "docstrings", "args", "raises", "openings")
        }
    )

    @property
    def file_lines_max(self) -> int:
        """Lines of the longest file."""
        return max(self.files.values(), default=0)

    @property
    def function_lines_p95(self) -> int:
        """Lines that 95 of 100 functions do not exceed, docstrings left out."""
        lengths = sorted(self.functions.values())
        return lengths[math.ceil(0.95 * len(lengths)) - 1] if lengths else 0

    @property
    def function_lines_max(self) -> int:
        """Lines of the longest function, its docstring left out."""
        return max(self.functions.values(), default=0)


@dataclass(frozen=True)
class _Place:
    """A definition, whether outsiders may use it, and the lines around it."""

    node: Definition
    name: str
    is_public: bool
    in_class: bool


def measure(folders: Sequence[Path] = FOLDERS) -> Measurement:
    """Count over all Python files of some folders.

    Args:
        folders: where to look, subfolders included.

    Returns:
        Counts and offenders; paths are relative to the repository if they lie in it.

    Raises:
        FileNotFoundError: a folder holds no Python file.
    """
    found = Measurement()
    for folder in folders:
        paths = sorted(folder.resolve().rglob("*.py"))
        if not paths:
            raise FileNotFoundError(f"{folder}: no Python files")
        for path in paths:
            _measure_file(path, found)
    return found


def table(found: Measurement) -> str:
    """Return the measurement as Markdown, one row a figure."""
    files, functions = list(found.files.values()), list(found.functions.values())
    shares = found.shares
    openings = shares["openings"]
    rows = [
        ("Python files / lines", f"{len(files)} / {sum(files)}"),
        ("files in a folder, max", f"{max(found.folders.values(), default=0)}"),
        ("file, median / max lines", f"{statistics.median(files):.0f} / {found.file_lines_max}"),
        (
            f"function p95 / max lines ({len(functions)})",
            f"{found.function_lines_p95} / {found.function_lines_max}",
        ),
        ("parameters annotated", _share(shares["annotated"])),
        ("public names with docstring", _share(shares["docstrings"])),
        ("public functions with 2+ parameters: Args section", _share(shares["args"])),
        ("public functions that raise: Raises section", _share(shares["raises"])),
        (
            "docstrings that open with a relative or preposition",
            f"{openings.bad:.1%} ({len(openings.offenders)}/{openings.n})",
        ),
    ]
    lines = [f"| {name} | {value} |" for name, value in rows]
    return "\n".join(["| | |", "|---|---|", *lines])


def opening(docstring: str) -> str:
    """Return the first word of a docstring."""
    match = re.match(r"\W*(\w+)", docstring)
    return match[1] if match else ""


def _share(share: Share) -> str:
    return f"{share.good:.1%} ({share.n - len(share.offenders)}/{share.n})"


def _measure_file(path: Path, found: Measurement) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
    found.files[name] = text.count("\n")
    found.folders[str(path.parent)] += 1
    _measure_docstring(tree, f"{name}:1 (module)", found, is_public=True)
    for place in _definitions(tree, "", is_public=True, in_class=False):
        where = f"{name}:{place.node.lineno} {place.name}"
        _measure_docstring(place.node, where, found, is_public=place.is_public)
        if isinstance(place.node, FUNCTIONS):
            _measure_function(place.node, place, where, found)


def _definitions(
    parent: ast.AST, prefix: str, *, is_public: bool, in_class: bool
) -> Iterator[_Place]:
    """Yield all definitions below a node; those inside functions and private names are private."""
    for node in ast.iter_child_nodes(parent):
        if not isinstance(node, DEFINITIONS):
            yield from _definitions(node, prefix, is_public=is_public, in_class=in_class)
            continue
        name, public = f"{prefix}{node.name}", is_public and not node.name.startswith("_")
        yield _Place(node, name, public, in_class)
        is_class = isinstance(node, ast.ClassDef)
        yield from _definitions(node, f"{name}.", is_public=public and is_class, in_class=is_class)


def _measure_docstring(
    node: ast.Module | Definition, where: str, found: Measurement, *, is_public: bool
) -> None:
    docstring = ast.get_docstring(node)
    if is_public and not _is_overload(node):
        found.shares["docstrings"].add(where, good=docstring is not None)
    if docstring is not None:
        good = opening(docstring) not in OPENINGS
        found.shares["openings"].add(f"{where}: {docstring.splitlines()[0]}", good=good)


def _measure_function(node: Function, place: _Place, where: str, found: Measurement) -> None:
    docstring = ast.get_docstring(node) or ""
    parameters = _parameters(node, in_class=place.in_class)
    for parameter in parameters:
        good = parameter.annotation is not None
        found.shares["annotated"].add(f"{where}({parameter.arg})", good=good)
    found.functions[where] = _body_lines(node)
    if place.is_public and len(parameters) >= 2 and not _is_overload(node):
        found.shares["args"].add(where, good=_has_section(docstring, "Args"))
    if place.is_public and any(_raised(node)):
        found.shares["raises"].add(where, good=_has_section(docstring, "Raises"))


def _parameters(node: Function, *, in_class: bool) -> list[ast.arg]:
    """Return the parameters of a function without self and cls."""
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    if in_class and not _is_decorated(node, "staticmethod"):
        positional = positional[1:]
    return [*positional, *given.kwonlyargs, *(x for x in (given.vararg, given.kwarg) if x)]


def _body_lines(node: Function) -> int:
    """Return the lines of a function, signature included, docstring left out."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def _raised(node: ast.AST) -> Iterator[ast.Raise]:
    """Yield the `raise` statements of a function that name an exception, inner functions aside."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*DEFINITIONS, ast.Lambda)):
            continue
        if isinstance(child, ast.Raise) and child.exc is not None:
            yield child
        yield from _raised(child)


def _is_decorated(node: ast.AST, name: str) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any(ast.unparse(decorator).split(".")[-1] == name for decorator in decorators)


def _is_overload(node: ast.AST) -> bool:
    return _is_decorated(node, "overload")


def _has_section(docstring: str, name: str) -> bool:
    return re.search(SECTION.format(name), docstring, re.MULTILINE) is not None


def main() -> None:
    """Print the table, or the offenders of one row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="*", type=Path, default=FOLDERS, metavar="FOLDER")
    parser.add_argument("--list", choices=sorted(Measurement().shares), metavar="NAME",
                        help="print the offenders: %(choices)s")  # fmt: skip
    options = parser.parse_args()
    found = measure(options.folders)
    print("\n".join(found.shares[options.list].offenders) if options.list else table(found))


if __name__ == "__main__":
    main()
