"""Which arithmetic a machine does well.

bf16 halves memory traffic and, where the CPU multiplies it natively, more; where it does not, a single convolution can be a
hundred times slower than in fp32. ``auto`` asks the CPU.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from dmm.config import ConfigError
from dmm.models.kernels.memory_format import channels_last
from dmm.models.modules import Network


def native_bf16(device: torch.device) -> bool:
    """True where matrix units or vector instructions take bf16 operands."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    probes = [getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")]
    return any(probe() for probe in probes if probe is not None)


def resolve(precision: str, device: torch.device) -> torch.dtype:
    """The dtype of "fp32", "bf16", "fp16" or "auto".

    Raises:
        ConfigError: any other word, or fp16 on a CPU.
    """
    if precision not in ("fp32", "bf16", "fp16", "auto"):
        raise ConfigError(f"train.precision: expected fp32, bf16, fp16 or auto, found {precision!r}")
    if precision == "fp16":
        if device.type != "cuda":
            raise ConfigError("train.precision: fp16 needs a GPU; on a CPU take bf16 or fp32")
        return torch.float16
    wants = precision == "bf16" or (precision == "auto" and native_bf16(device))
    return torch.bfloat16 if wants else torch.float32


def scaler(dtype: torch.dtype, device: torch.device) -> torch.amp.GradScaler:
    """Scales fp16 losses up so that small gradients survive; does nothing for other types."""
    return torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)


def autocast(dtype: torch.dtype, device: torch.device) -> AbstractContextManager:
    """Autocast to ``dtype``; nothing for fp32."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def layout(network: Network, dtype: torch.dtype) -> Network:
    """Channels-last weights where 16-bit kernels want them; fp32 on a CPU is faster in the plain order (a whole step, measured)."""
    return network if dtype == torch.float32 else channels_last(network)
