"""Computing in bfloat16 with weights in float32: matrix products take rounded operands, sums and norms do not.

The body runs under autocast. The head's logits are products of rounded rows and weights, summed and kept in float32:
rounded to bfloat16, a logit of 20 would be wrong by up to 0.06 nats, and a log-probability with it.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from prefsmith.errors import ConfigError
from prefsmith.model.numberless import takes_gpu_ways

Precision = Literal["fp32", "bf16"]


def computing(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """What a model computes while the context is open, it computes in the precision."""
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, dtype=torch.bfloat16)


def require_precision(device: torch.device, dtype: torch.dtype, precision: Precision) -> None:
    """The device has the precision, and weights that are rounded to it are float32.

    Raises:
        ConfigError: it has not, or they are not.
    """
    if precision == "fp32":
        return
    where, fix = "train.precision", "train.precision=fp32"
    if dtype == torch.float64:
        what = "the model's weights are float64, of which bf16 products are not made"
        raise ConfigError("train.precision", what, where=where, fix=fix)
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        what = f"{torch.cuda.get_device_name(device)} does not compute in bfloat16"
        raise ConfigError("train.precision", what, where=where, fix=fix)


def rounded(values: Tensor, precision: Precision) -> Tensor:
    """Operands of `product` and `affine`. On a GPU bfloat16; elsewhere float32 numbers that bfloat16 has."""
    if precision == "fp32":
        return values
    low = values.to(torch.bfloat16)
    return low if takes_gpu_ways(values) else low.to(torch.float32)


def product(left: Tensor, right: Tensor) -> Tensor:
    """Matrix product, float32 at least: of bfloat16 operands on a GPU as it is summed, without rounding."""
    if takes_gpu_ways(left) and left.dtype == torch.bfloat16:
        return torch.mm(left, right, out_dtype=torch.float32)
    return left @ right


def add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add a matrix product to what is there."""
    if takes_gpu_ways(left) and left.dtype == torch.bfloat16:
        total.add_(product(left, right))
    else:
        total.addmm_(left, right)


def affine(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """rows @ weight.T + bias, as `product`."""
    if takes_gpu_ways(rows) and rows.dtype == torch.bfloat16:
        whole = product(rows, weight.t())
        return whole if bias is None else whole.add_(bias)
    return F.linear(rows, weight, bias)
