"""Whether a study that exists is the one that is asked for: what differs, and what may."""

from __future__ import annotations

from hpo.parameter import Parameter
from hpo.records import StudyRecord
from hpo.wording import given
from recsys.console import count


def acceptable(stored: StudyRecord, now: StudyRecord) -> list[str]:
    """Differences under which a study may go on if its owner says so."""
    found = []
    if stored.split_fingerprint != now.split_fingerprint:
        found.append(f"data or split: was {_size(stored)}, is {_size(now)}")
    if stored.config.seed != now.config.seed:
        found.append(f"seed: was {stored.config.seed}, is {now.config.seed}")
    space = _changes("space", stored, now)
    found += [text for name, text in space.items() if not _other_kind(name, stored, now)]
    return [*found, *_changes("constraints", stored, now).values()]


def _changes(part: str, stored: StudyRecord, now: StudyRecord) -> dict[str, str]:
    """What differs in a section, by key."""
    before, after = (dict(getattr(record.config, part)) for record in (stored, now))
    return {
        name: f"{part}.{name}: was {_shown(before.get(name))}, is {_shown(after.get(name))}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    }


def _other_kind(name: str, stored: StudyRecord, now: StudyRecord) -> bool:
    """Whether a parameter changed its choices or its scale, which Optuna refuses in one study."""
    before, after = stored.config.space.get(name), now.config.space.get(name)
    if before is None or after is None or before == after:
        return False
    return before.choices is not None or after.choices is not None or before.log != after.log


def prohibitive(stored: StudyRecord, now: StudyRecord) -> list[str]:
    """Differences that make it another experiment, whatever its owner says."""
    space = _changes("space", stored, now)
    found = [text for name, text in space.items() if _other_kind(name, stored, now)]
    if (before := stored.config.objective) != (after := now.config.objective):
        found.append(f"objective: was {before}, is {after}")
    for side in ("item", "user"):
        before, after = (getattr(r.config.data, f"{side}_features") for r in (stored, now))
        if before != after:
            names = [", ".join(columns) or "none" for columns in (before, after)]
            found.append(f"{side} features: was {names[0]}, is {names[1]}")
    return [*found, *_changes("base", stored, now).values()]


def _shown(value: object) -> str:
    """As in a study file, with everything that may differ, log and conditions too."""
    if value is None:
        return "absent"
    return given(value.model_dump(exclude_defaults=True) if isinstance(value, Parameter) else value)


def _size(record: StudyRecord) -> str:
    """How much data there is and how it is split; the fingerprint tells it from all others."""
    n = record.counts
    return (
        f"{count(n['n_users'], 'user')}, {count(n['n_items'], 'item')}, {n['n_train']:,} train, "
        f"{n['n_validation']:,} validation and {n['n_test']:,} test rows "
        f"(fingerprint {record.split_fingerprint})"
    )
