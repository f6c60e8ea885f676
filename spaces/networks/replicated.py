"""Several networks of one architecture as one: layers with a leading axis of replicas, for signals.

Tensors are `(replicas, channels, length, batch)`. With the batch last, shifting a signal by a position is a shift of
contiguous memory, so that a convolution is a few batched matrix products without any copying, a pooling a few sums, and
normalisation runs along rows: on a processor several times as fast as a grouped convolution, forwards and backwards.

Parameters are named as in the network of plain layers and have those networks' shapes behind the axis of replicas:
`stack` and `unstack` convert.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class ReplicatedLayers:
    """`Layers` for `replicas` networks at a time; tensors are `(replicas, channels, length, batch)`."""

    dimension = 1

    def __init__(self, replicas: int) -> None:
        self.replicas = replicas

    def conv(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1, groups: int = 1
    ) -> nn.Module:
        """Return a convolution for each replica."""
        return _Conv((self.replicas, outputs, inputs // groups, kernel), stride, dilation, depthwise=groups > 1)

    def norm(self, channels: int, *, affine: bool = True) -> nn.Module:
        """Return a batch normalisation for each replica."""
        return _Norm(self.replicas, channels, affine)

    def avg_pool(self, kernel: int, *, stride: int = 1) -> nn.Module:
        """Return the mean over a window, of what is inside the signal."""
        return _AvgPool(kernel, stride)

    def max_pool(self, kernel: int, *, stride: int = 1) -> nn.Module:
        """Return the maximum over a window."""
        return _MaxPool(kernel, stride)

    def linear(self, inputs: int, outputs: int) -> nn.Module:
        """Return a linear layer for each replica, on features of length 1."""
        return _Linear(self.replicas, inputs, outputs)

    def global_pool(self) -> nn.Module:
        """Return the mean over the length."""
        return _GlobalPool()

    def subsample(self, stride: int) -> nn.Module:
        """Return a module that takes every `stride`-th position."""
        return _Subsample(stride)

    def to_outputs(self) -> nn.Module:
        """Return a module from `(replicas, outputs, 1, batch)` to `(replicas, batch, outputs)`."""
        return _ToOutputs()


def to_replicas(batches: Sequence[Tensor]) -> Tensor:
    """Return one batch of signals `(batch, channels, length)` per replica in the layout of these layers."""
    return torch.stack([batch.permute(1, 2, 0) for batch in batches]).contiguous()


def stack(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the state of a replicated network from those of as many plain ones."""
    return {name: torch.stack([state[name] for state in states]) for name in states[0]}


def unstack(state: dict[str, Tensor], replica: int) -> dict[str, Tensor]:
    """Return the state of one plain network from that of a replicated one."""
    return {name: value[replica].clone() for name, value in state.items()}


@lru_cache(maxsize=1024)
def _taps(length: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, tuple[tuple[int, slice, slice], ...]]:
    """Return the length of the output, and for each tap of a padded kernel where its outputs and its inputs are.

    Each tap is `(index, outputs, inputs)`: output positions read the input positions at the same place of the slices.
    Taps that lie outside the signal throughout are left out.
    """
    size = -(-length // stride)
    taps = []
    for tap in range(kernel):
        offset = tap * dilation - dilation * (kernel - 1) // 2
        first = max(0, -(offset // stride))
        last = min(size - 1, (length - 1 - offset) // stride)
        if first <= last:
            start = first * stride + offset
            inputs = slice(start, last * stride + offset + 1, stride)
            taps.append((tap, slice(first, last + 1), inputs))
    return size, tuple(taps)


class _ConvFunction(torch.autograd.Function):
    """A convolution of `(R, I, L, N)` with weights `(R, O, I, K)`, as one matrix product per tap and replica."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
        ctx.save_for_backward(signal, weight)
        ctx.stride, ctx.dilation = stride, dilation
        replicas, outputs, _, kernel = weight.shape
        length, batch = signal.shape[2:]
        size, taps = _taps(length, kernel, stride, dilation)
        result = signal.new_zeros(replicas, outputs, size, batch) if _none_is_whole(taps, size) else None
        matrices = weight.permute(3, 0, 1, 2).contiguous()
        for tap, out, into in sorted(taps, key=lambda item: item[1].start - item[1].stop):  # the whole ones first
            part = signal[:, :, into].flatten(2)
            if result is None:
                result = torch.bmm(matrices[tap], part).view(replicas, outputs, size, batch)
            else:
                result[:, :, out].flatten(2).baddbmm_(matrices[tap], part)
        assert result is not None
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        signal, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        kernel = weight.shape[3]
        size, taps = _taps(signal.shape[2], kernel, ctx.stride, ctx.dilation)
        of_signal = of_weight = None
        if ctx.needs_input_grad[0]:
            matrices = weight.permute(3, 0, 2, 1)
            whole = [tap for tap, _, into in taps if into == slice(0, signal.shape[2], 1) and size == signal.shape[2]]
            if whole:
                of_signal = torch.bmm(matrices[whole[0]], gradient.flatten(2)).view(signal.shape)
            else:
                of_signal = torch.zeros_like(signal)
            for tap, out, into in taps:
                if whole[:1] == [tap]:
                    continue
                part = gradient[:, :, out].flatten(2)
                if ctx.stride == 1:
                    of_signal[:, :, into].flatten(2).baddbmm_(matrices[tap], part)
                else:
                    target = of_signal[:, :, into]
                    target += torch.bmm(matrices[tap], part).view(target.shape)
        if ctx.needs_input_grad[1]:
            of_taps = [weight.new_zeros(weight.shape[:3])] * kernel
            for tap, out, into in taps:
                part = signal[:, :, into].flatten(2)
                of_taps[tap] = torch.bmm(gradient[:, :, out].flatten(2), part.transpose(1, 2))
            of_weight = torch.stack(of_taps, dim=3)
        return of_signal, of_weight, None, None


def _none_is_whole(taps: Sequence[tuple[int, slice, slice]], size: int) -> bool:
    return not any(out == slice(0, size) for _, out, _ in taps)


class _DepthwiseFunction(torch.autograd.Function):
    """A convolution of `(R, C, L, N)` with weights `(R, C, 1, K)`, channel by channel."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
        ctx.save_for_backward(signal, weight)
        size, ctx.taps = _taps(signal.shape[2], weight.shape[3], stride, dilation)
        result = signal.new_zeros(*signal.shape[:2], size, signal.shape[3])
        for tap, out, into in ctx.taps:
            result[:, :, out].addcmul_(signal[:, :, into], weight[:, :, 0, tap, None, None])
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        signal, weight = ctx.saved_tensors
        gradient = gradients[0]
        of_signal = of_weight = None
        if ctx.needs_input_grad[0]:
            of_signal = torch.zeros_like(signal)
            for tap, out, into in ctx.taps:
                of_signal[:, :, into].addcmul_(gradient[:, :, out], weight[:, :, 0, tap, None, None])
        if ctx.needs_input_grad[1]:
            of_weight = torch.zeros_like(weight)
            for tap, out, into in ctx.taps:
                of_weight[:, :, 0, tap] = (gradient[:, :, out] * signal[:, :, into]).sum(dim=(2, 3))
        return of_signal, of_weight, None, None


class _Conv(nn.Module):
    def __init__(self, shape: tuple[int, int, int, int], stride: int, dilation: int, *, depthwise: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))
        self.stride, self.dilation, self.depthwise = stride, dilation, depthwise

    def forward(self, signal: Tensor) -> Tensor:
        function = _DepthwiseFunction if self.depthwise else _ConvFunction
        result: Tensor = function.apply(signal, self.weight, self.stride, self.dilation)  # type: ignore[no-untyped-call]
        return result


class _Norm(nn.Module):
    """Batch normalisation as group normalisation of one sample whose channels, a group each, are all replicas' ones."""

    momentum, epsilon = 0.1, 1e-5
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, replicas: int, channels: int, affine: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(replicas, channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(replicas, channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(replicas, channels))
        self.register_buffer("running_var", torch.ones(replicas, channels))
        self.register_buffer("num_batches_tracked", torch.zeros(replicas, dtype=torch.long))

    def forward(self, signal: Tensor) -> Tensor:
        if not self.training:
            scale = torch.rsqrt(self.running_var + self.epsilon)
            if self.weight is not None:
                scale = scale * self.weight
            shift = -self.running_mean * scale
            if self.bias is not None:
                shift = shift + self.bias
            return (signal * scale[:, :, None, None]).add_(shift[:, :, None, None])
        replicas, channels, length, batch = signal.shape
        rows, count = replicas * channels, length * batch
        weight = None if self.weight is None else self.weight.view(-1)
        bias = None if self.bias is None else self.bias.view(-1)
        result, mean, scale = torch.native_group_norm(
            signal.reshape(1, rows, count), weight, bias, 1, rows, count, rows, self.epsilon
        )
        with torch.no_grad():
            variance = (scale.detach().view(replicas, channels) ** -2 - self.epsilon) * (count / max(count - 1, 1))
            self.running_mean.lerp_(mean.detach().view(replicas, channels), self.momentum)
            self.running_var.lerp_(variance, self.momentum)
            self.num_batches_tracked += 1
        return result.view(signal.shape)


class _AvgPool(nn.Module):
    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, signal: Tensor) -> Tensor:
        result: Tensor = _AvgPoolFunction.apply(signal, self.kernel, self.stride)  # type: ignore[no-untyped-call]
        return result


class _AvgPoolFunction(torch.autograd.Function):
    """Its own function, since the gradient of slices that are added one by one would copy the whole signal for each."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, kernel: int, stride: int) -> Tensor:
        size, taps = _taps(signal.shape[2], kernel, stride)
        counts = signal.new_zeros(size)
        result = signal.new_zeros(*signal.shape[:2], size, signal.shape[3])
        for _, out, into in taps:
            counts[out] += 1
            result[:, :, out] += signal[:, :, into]
        ctx.length, ctx.taps, ctx.counts = signal.shape[2], taps, counts[:, None]
        return result.div_(ctx.counts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        gradient = gradients[0] / ctx.counts
        of_signal = gradient.new_zeros(*gradient.shape[:2], ctx.length, gradient.shape[3])
        for _, out, into in ctx.taps:
            of_signal[:, :, into] += gradient[:, :, out]
        return of_signal, None, None


class _MaxPool(nn.Module):
    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, signal: Tensor) -> Tensor:
        result: Tensor = _MaxPoolFunction.apply(signal, self.kernel, self.stride)  # type: ignore[no-untyped-call]
        return result


class _MaxPoolFunction(torch.autograd.Function):
    """Its own function, so that of equal values the first gets the whole gradient, as in `nn.MaxPool1d`."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, kernel: int, stride: int) -> Tensor:
        size, ctx.taps = _taps(signal.shape[2], kernel, stride)
        result = signal.new_full((*signal.shape[:2], size, signal.shape[3]), -torch.inf)
        for _, out, into in ctx.taps:
            best = result[:, :, out]
            torch.maximum(best, signal[:, :, into], out=best)
        ctx.save_for_backward(signal, result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        signal, result = ctx.saved_tensors
        waiting = gradients[0].clone(memory_format=torch.contiguous_format)
        of_signal = torch.zeros_like(signal)
        for _, out, into in ctx.taps:
            # As numbers rather than booleans: several times as fast as selecting.
            rest = waiting[:, :, out]
            taken = torch.eq(signal[:, :, into], result[:, :, out], out=torch.empty_like(rest))
            taken *= rest
            rest -= taken
            of_signal[:, :, into] += taken
        return of_signal, None, None


class _Linear(nn.Module):
    def __init__(self, replicas: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(replicas, outputs, inputs))
        self.bias = nn.Parameter(torch.empty(replicas, outputs))

    def forward(self, features: Tensor) -> Tensor:
        return torch.baddbmm(self.bias[:, :, None], self.weight, features.flatten(2))[:, :, None]


class _GlobalPool(nn.Module):
    def forward(self, signal: Tensor) -> Tensor:
        return signal.mean(dim=2, keepdim=True)


class _Subsample(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, signal: Tensor) -> Tensor:
        return signal[:, :, :: self.stride]


class _ToOutputs(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features[:, :, 0].transpose(1, 2).contiguous()
