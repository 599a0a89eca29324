"""A request to park a running study, passed to its launcher through the storage.

A launcher writes a new id when it begins, and a request names the id of the launcher that it is
for. So a request never stops a later launcher, whatever the clocks of the machines say, and nobody
has to clear it.
"""

from __future__ import annotations

import os
import socket
from typing import NamedTuple
from uuid import uuid4

import optuna
from optuna import Study
from optuna.storages import RDBStorage

from hpo.study import hpo_studies, system_attribute

LAUNCHER, STOP = "hpo:launcher", "hpo:stop"  # system attributes of the study


class SignedOn(NamedTuple):
    """The launcher that runs a study, or ran it last.

    Attributes:
        id: a new UUID for each launcher.
        host: name of its machine.
        pid: number of its process there.
    """

    id: str
    host: str
    pid: int


def sign_on(study: Study) -> SignedOn:
    """Write that this process runs the study from now on; return what it wrote.

    The caller holds the study's lock.
    """
    me = SignedOn(str(uuid4()), socket.gethostname(), os.getpid())
    study._storage.set_study_system_attr(study._study_id, LAUNCHER, me._asdict())
    return me


def sign_on_if_there(storage: RDBStorage, name: str) -> SignedOn | None:
    """Sign on to the study `name`, as `sign_on`; return None if hpo made no study of that name.

    Args:
        storage: the storage of the study.
        name: name of the study.
    """
    if name not in hpo_studies(storage):
        return None
    return sign_on(optuna.load_study(study_name=name, storage=storage))


def last_launcher(study: Study) -> SignedOn | None:
    """Return the launcher that signed on last; None if none did, as in version 0.1.0."""
    about = system_attribute(study, LAUNCHER)
    return SignedOn(**about) if about else None


def ask_to_stop(study: Study, launcher: SignedOn) -> None:
    """Ask a launcher to park the study.

    Args:
        study: the study.
        launcher: the launcher that the request is for.
    """
    study._storage.set_study_system_attr(study._study_id, STOP, launcher.id)


def is_asked_to_stop(study: Study, launcher: SignedOn) -> bool:
    """Return True if this launcher was asked to park the study.

    Args:
        study: the study.
        launcher: the launcher that asks.
    """
    return bool(system_attribute(study, STOP) == launcher.id)
