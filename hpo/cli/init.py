"""The command `hpo init`, which writes a shipped study file out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from hpo.config import SCHEMA_FILE, shell_line, shipped_folder, shipped_names
from hpo.errors import SettingsError
from recsys.cli import check_suffix, command_parser
from recsys.invocation import command_words

DEFAULT = "two_tower"


def parser() -> argparse.ArgumentParser:
    """Return the parser of `hpo init`."""
    result = command_parser(
        "hpo.init",
        "Write a shipped study file out, with the schema that helps editors to check it. "
        "Nothing is overwritten.",
        "wide --out studies/shop.toml",
    )
    result.add_argument(
        "name",
        nargs="?",
        default=DEFAULT,
        choices=shipped_names(),
        metavar="NAME",
        help=f"one of {', '.join(shipped_names())} (default: %(default)s)",
    )
    result.add_argument(
        "--out",
        type=Path,
        metavar="FILE.toml",
        help="file to write (default: studies/NAME.toml, which `--study NAME` then means)",
    )
    return result


def main(argv: Sequence[str]) -> int:
    """Write the study file and return the exit code.

    Raises:
        ConfigError: --out does not end in .toml.
        SettingsError: the file exists, or cannot be written.
    """
    options = parser().parse_args(argv)
    out = options.out or Path("studies") / f"{options.name}.toml"
    check_suffix("--out", out, [".toml"])
    written = [_copy(shipped_folder() / f"{options.name}.toml", out)]
    schema = out.parent / SCHEMA_FILE
    if not schema.exists():
        written.append(_copy(shipped_folder() / SCHEMA_FILE, schema))
    for path in written:
        print(f"written: {path}")
    study = options.name if options.out is None else str(out)
    print(f"edit it, then: {shell_line(*command_words('hpo.run'), '--study', study)}")
    return 0


def _copy(source: Path, target: Path) -> Path:
    """Copy a text file to a new one; return the new one.

    Raises:
        SettingsError: the target exists, or cannot be written.
    """
    if target.exists():
        raise SettingsError(
            f"{target}: exists and is left as it is; give another file with --out FILE.toml"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(
            f"{target}: cannot be written: {error.strerror}; give another file with --out FILE.toml"
        ) from None
    return target
