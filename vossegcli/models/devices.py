"""Choosing the device and the precision that a user asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from vossegcli.errors import ConfigError, DeviceError, OutOfMemoryError, memory_error
from vossegcli.ops.images import in_unit_range

_SMALLER = "use a smaller --size"
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda`, `cuda:1` or `mps` into a device; never falls back from what was named.

    Raises:
        DeviceError: the device is absent.
        ConfigError: not a device's name.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"unknown device '{name}'", fix="use auto, cpu, cuda, cuda:1 or mps") from error
    number = int(name.partition(":")[2] or 0)  # torch keeps 8 bits of it
    if device.type == "cuda" and number >= (count := torch.cuda.device_count()):
        there = "no CUDA device is visible" if not count else f"the last one that is visible is cuda:{count - 1}"
        raise DeviceError(
            f"device '{name}' is not available: {there}", fix=f"use --device {'cuda' if count else 'cpu'}"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("device 'mps' is not available", fix="use --device cpu")
    if device.type not in {"cpu", "cuda", "mps"}:
        raise ConfigError(f"device '{name}' is not supported", fix="use auto, cpu, cuda, cuda:1 or mps")
    return device


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Turn `auto`, `fp32`, `bf16` or `fp16` into a type; auto = bf16 where the hardware has it natively.

    Raises:
        ConfigError: unknown, or fp16 on a CPU.
    """
    if name == "auto":
        return torch.bfloat16 if has_native_bf16(device) else torch.float32
    if name not in PRECISIONS:
        raise ConfigError(f"unknown precision '{name}'", fix=f"use auto, {', '.join(PRECISIONS)}")
    if name == "fp16" and device.type == "cpu":
        raise ConfigError("precision fp16 needs a GPU", fix="use fp32 or bf16")
    return PRECISIONS[name]


def has_native_bf16(device: torch.device) -> bool:
    """Say whether the hardware does bf16 arithmetic natively."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and _cpu_has_bf16_instructions()
    return False


def _cpu_has_bf16_instructions() -> bool:
    # Private in torch, but the only question that separates bf16 instructions from emulation on AVX-512.
    return bool(torch.cpu._is_avx512_bf16_supported()) or bool(torch.cpu._is_amx_tile_supported())


def expect_one_size() -> None:
    """Let cuDNN measure which algorithms are the fastest: worth it where all frames of a video have one size."""
    torch.backends.cudnn.benchmark = True


@contextmanager
def memory_errors(where: str) -> Iterator[None]:
    """Turn running out of memory, on the device or not, into a typed error.

    Raises:
        OutOfMemoryError: it did.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:  # of the device: the limits of the machine's memory have no part in it
        reason = f" ({text.splitlines()[0]})" if (text := str(error)) else ""
        raise OutOfMemoryError(f"out of memory{reason}", where=where, fix=_SMALLER) from error
    except Exception as error:
        lacking = memory_error(error, where, fix=_SMALLER)
        if lacking is None:
            raise
        raise lacking from error


def float_images(pixels: Tensor, device: torch.device) -> Tensor:
    """Bring 8-bit images (B,3,H,W) to a device and turn them into float32 in [0, 1] there: fewer bytes cross over."""
    if device.type == "cuda":
        pixels = pixels.contiguous().pin_memory()
    return in_unit_range(pixels.to(device, non_blocking=True))
