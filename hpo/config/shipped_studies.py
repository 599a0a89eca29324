"""Study files by name: those of the user in `studies`, and those that come with the package."""

from __future__ import annotations

from pathlib import Path

from hpo.errors import SettingsError

FOLDER = Path("studies")
SCHEMA_FILE = "study.schema.json"  # beside the study files, for editors
PACKAGE = Path(__file__).resolve().parents[1]


def shipped_folder() -> Path:
    """Return the folder of the shipped study files: in the package, or beside it in a checkout."""
    inside = PACKAGE / FOLDER
    return inside if inside.is_dir() else PACKAGE.parent / FOLDER


def shipped_names() -> list[str]:
    """Return the names of the shipped study files, sorted."""
    return sorted(path.stem for path in shipped_folder().glob("*.toml"))


def study_path(name_or_path: str) -> Path:
    """Return the study file of a name or path.

    A word without suffix and folder is a name. A file in the folder `studies` of the working folder
    goes before a shipped one of the same name, so that an edited copy is the one that runs.

    Args:
        name_or_path: name such as `two_tower`, or path of a TOML file.

    Raises:
        SettingsError: there is neither a study file of that name nor a file or folder at that path.
    """
    path = Path(name_or_path)
    is_name = path.name == name_or_path and not path.suffix
    if not is_name:
        return path
    for folder in (FOLDER, shipped_folder()):
        if (file := folder / f"{name_or_path}.toml").is_file():
            return file
    if name_or_path and path.exists():
        return path
    raise SettingsError(
        f"--study {name_or_path}: no study file of that name; shipped: "
        f"{', '.join(shipped_names())}. Give one of these, a name in {FOLDER}, or the path of a "
        "TOML file."
    )
