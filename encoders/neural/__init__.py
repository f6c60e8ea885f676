"""Graph networks on PyTorch: stacked members, bodies, self-supervised pre-training. Importing this room is instant."""

from .runtime import limited_threads, require_torch, torch_device

__all__ = ["limited_threads", "require_torch", "torch_device"]
