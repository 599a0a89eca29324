"""Peaks of memory."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from recsys.training.resources import forget_peaks, peak_gpu_mb, peak_resident_mb
from tests.support.cuda_double import CudaDouble, cuda as cuda

CPU = torch.device("cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a peak cannot begin anew")
def test_a_peak_is_remembered_until_it_is_forgotten() -> None:
    forget_peaks(CPU)
    before = peak_resident_mb()
    np.ones(25_000_000).sum()  # 200 million bytes, gone at once
    assert before + 150 < peak_resident_mb() < before + 250
    forget_peaks(CPU)
    assert peak_resident_mb() < before + 50


def test_without_a_gpu_nothing_is_taken_of_it() -> None:
    assert peak_gpu_mb(CPU) == 0


def test_a_gpu_without_a_tensor_has_no_peak_to_forget(cuda: CudaDouble) -> None:
    GPU = torch.device("cuda:0")
    forget_peaks(GPU)
    assert (cuda.forgotten, peak_gpu_mb(GPU)) == ([], 0)
    cuda.use()
    forget_peaks(GPU)
    assert cuda.forgotten == [GPU]
    kept = torch.ones(1000, device=GPU)
    assert peak_gpu_mb(GPU) == kept.numel() * 4 / 1e6
