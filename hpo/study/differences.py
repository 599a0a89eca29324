"""Differences between two records of a study: those that it may continue with, and the others."""

from __future__ import annotations

from dataclasses import replace

from pydantic import BaseModel

from hpo.config import toml_text
from hpo.study.records import StudyRecord
from recsys.messages import count

# Settings of [data] that say which rows count. They are compared beside the rows themselves,
# since equal rows today may be others tomorrow, when the study's data has grown.
FILTERS = ("event_weights", "min_rating", "min_user_rows", "min_item_rows")


def acceptable(stored: StudyRecord, now: StudyRecord) -> list[str]:
    """Return the differences that a study may continue with under --accept-changes, a line each.

    Args:
        stored: the study's record.
        now: the record that the study would have if it were made now.
    """
    found = []
    if stored.split_fingerprint != now.split_fingerprint:
        found.append(f"data or split: {_origin(stored, now)}")
    data = _section_differences("data", stored, now)
    found += [text for name, text in data.items() if name in FILTERS]
    if stored.config.seed != now.config.seed:
        found.append(f"seed: was {stored.config.seed}, is {now.config.seed}")
    space = _section_differences("space", stored, now)
    found += [text for name, text in space.items() if not _other_kind(name, stored, now)]
    return [*found, *_section_differences("constraints", stored, now).values()]


def _origin(stored: StudyRecord, now: StudyRecord) -> str:
    """Return what makes data or split another: settings, or rows; and the sizes if they differ."""
    parts = [_section_differences(part, stored, now) for part in ("data", "split")]
    told = ", ".join(text for part in parts for text in part.values())
    before, after = _size(stored), _size(now)
    sizes = f"was {before}, is {after}" if before != after else f"both {after}, in other rows"
    prints = f"fingerprints {stored.split_fingerprint} and {now.split_fingerprint}"
    return f"{told or 'the settings are the same, the rows are others'}; {sizes} ({prints})"


def _section_differences(part: str, stored: StudyRecord, now: StudyRecord) -> dict[str, str]:
    """Return the differences in a section of the config, a line by key."""
    before, after = (dict(getattr(record.config, part)) for record in (stored, now))
    return {
        name: f"{part}.{name}: was {_setting_text(before.get(name))}, "
        f"is {_setting_text(after.get(name))}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    }


def _other_kind(name: str, stored: StudyRecord, now: StudyRecord) -> bool:
    """Return True if a parameter's choices or scale changed, which Optuna refuses in one study."""
    before, after = stored.config.space.get(name), now.config.space.get(name)
    if before is None or after is None or before == after:
        return False
    return before.choices is not None or after.choices is not None or before.log != after.log


def prohibitive(stored: StudyRecord, now: StudyRecord) -> list[str]:
    """Return the differences that make it another experiment even under --accept-changes.

    Args:
        stored: the study's record.
        now: the record that the study would have if it were made now.
    """
    space = _section_differences("space", stored, now)
    found = [text for name, text in space.items() if _other_kind(name, stored, now)]
    if (before := stored.config.objective) != (after := now.config.objective):
        found.append(f"objective: was {before}, is {after}")
    models = [record.config.trainable or "the two-tower" for record in (stored, now)]
    if models[0] != models[1]:
        found.append(f"trainable: was {models[0]}, is {models[1]}")
    for side in ("item", "user"):
        before, after = (getattr(r.config.data, f"{side}_features") for r in (stored, now))
        if before != after:
            names = [", ".join(columns) or "none" for columns in (before, after)]
            found.append(f"{side} features: was {names[0]}, is {names[1]}")
    base = _section_differences("base", _with_whole_base(stored), _with_whole_base(now))
    return [*found, *base.values()]


def _with_whole_base(record: StudyRecord) -> StudyRecord:
    """Return the record with the two-tower's newer hyperparameters, whose defaults do nothing."""
    config = record.config
    return record if config.trainable else replace(record, config=config.with_whole_base())


def _setting_text(value: object) -> str:
    """Return a setting in a study file's notation with all its keys, or "absent"."""
    if value is None:
        return "absent"
    return toml_text(
        value.model_dump(exclude_defaults=True) if isinstance(value, BaseModel) else value
    )


def _size(record: StudyRecord) -> str:
    """Return the size of the data and its parts in words."""
    n = record.counts
    return (
        f"{count(n['n_users'], 'user')}, {count(n['n_items'], 'item')}, {n['n_train']:,} train, "
        f"{n['n_validation']:,} validation and {count(n['n_test'], 'test row')}"
    )
