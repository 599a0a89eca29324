"""Every engine calls the faults of a training by the same names."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from hpo.errors import TrainingFailed
from hpo.runners.failures import failure_of, from_message, to_message
from recsys.errors import CheckpointError, DivergedError


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        RuntimeError("std::bad_alloc"),
        RuntimeError("bad allocation"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(h)`"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.06 GB, max allowed: 9.07 GB)"),
    ],
)
def test_all_ways_to_run_out_of_memory_are_one(error: Exception) -> None:
    assert isinstance(failure_of(error), MemoryError)


def test_what_is_in_the_contract_stays_itself() -> None:
    error = DivergedError(2, 3, float("inf"))
    assert failure_of(error) is error


def test_anything_else_is_a_failed_training_with_its_traceback() -> None:
    try:
        raise CheckpointError("the disk is full")
    except CheckpointError as error:
        failure = failure_of(error)
    assert isinstance(failure, TrainingFailed)
    assert str(failure) == "CheckpointError: the disk is full"
    assert "in test_anything_else" in failure.traceback


@pytest.mark.parametrize(
    "failure",
    [DivergedError(2, 3, float("inf")), MemoryError("2 GB"), TrainingFailed("KeyError: 1", "at 7")],
)
def test_a_message_says_it_all(failure: DivergedError | MemoryError | TrainingFailed) -> None:
    again = from_message(json.loads(json.dumps(to_message(failure))))
    assert type(again) is type(failure)
    assert (str(again), vars(again)) == (str(failure), vars(failure))


def test_a_model_s_own_divergence_may_have_numbers_of_numpy() -> None:
    failure = DivergedError(np.int64(2), np.int64(3), np.float32("inf"))  # type: ignore[arg-type]
    again = from_message(json.loads(json.dumps(to_message(failure))))
    assert str(again) == str(DivergedError(2, 3, float("inf")))
