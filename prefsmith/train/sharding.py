"""Models whose weights are kept in parts, one part per process (FSDP2: `fully_shard`).

Each layer is put together when it is run and taken apart behind it. What belongs to no layer (embeddings, final norm,
head) is put together for a whole pass: `model/whole.py` says why. Gradients are summed over the processes, never
averaged. With bf16 products the layers' weights travel in bf16, which is what the products round them to anyway; sums
of gradients, and all that belongs to no layer, stay float32.
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from prefsmith.config import RunConfig
from prefsmith.errors import ConfigError
from prefsmith.model.body import body_of
from prefsmith.model.numberless import placed
from prefsmith.model.precision import Precision
from prefsmith.model.recompute import layers_of
from prefsmith.model.score import Scorer
from prefsmith.model.whole import Whole
from prefsmith.train.parallel import Ranks


def mesh_of(ranks: Ranks, device: torch.device) -> DeviceMesh:
    """All processes in a row, each with a device of this kind."""
    return init_device_mesh(device.type, (ranks.count,), mesh_dim_names=("part",))


def shard(scorer: Scorer, mesh: DeviceMesh, *, stays: bool = True, from_first: bool = False) -> None:
    """Keep one part of every weight, and run the model with the other processes from here on.

    Args:
        scorer: runs the model, which is the same on all processes; its weights become parts, in place.
        mesh: the processes.
        stays: whether what belongs to no layer stays together behind a pass: for backward, or for logits that are asked
            for later.
        from_first: whether only the first process has the numbers, and the others a model on the device `meta`.

    Raises:
        ConfigError: the model does not say which of its parts are layers.
    """
    numbers = _numbers(scorer.model) if from_first else None
    layers = layers_of(body_of(scorer.causal))
    policy = _policy(scorer.precision)
    units: list[FSDPModule] = [fully_shard(layer, mesh=mesh, mp_policy=policy) for layer in layers]
    whole = Whole(scorer.model)
    root = fully_shard(whole, mesh=mesh, reshard_after_forward=not stays)
    units.append(root)
    for unit in units:
        unit.set_gradient_divide_factor(1.0)
        unit.set_force_sum_reduction_for_comms(True)
    if numbers is not None:
        _fill(scorer.model, numbers, torch.device(mesh.device_type))
    # Which weights take gradients is asked once: now, since in the first forward an adapter may be off, and gradients
    # of bf16 products would then be summed in bf16.
    root._get_fsdp_state()._lazy_init()
    scorer.whole = whole
    scorer.device = torch.device(mesh.device_type)


def _numbers(model: nn.Module) -> dict[str, Tensor]:
    """The first process's, by name. The others get room for weights, of which they will use their parts."""
    if any(each.is_meta for each in model.parameters()):
        placed(model)
        return {}
    return {name: each.detach() for name, each in (*model.named_parameters(), *model.named_buffers())}


@torch.no_grad()
def _fill(model: nn.Module, numbers: dict[str, Tensor], device: torch.device) -> None:
    """Every process's parts from what the first one has, a weight at a time."""
    for name, weight in model.named_parameters():
        room = torch.empty(weight.shape, dtype=weight.dtype, device=device)
        whole = room.copy_(numbers.pop(name)) if numbers else room
        assert isinstance(weight, DTensor)
        weight.to_local().copy_(distribute_tensor(whole, weight.device_mesh, weight.placements).to_local())
    for name, buffer in model.named_buffers():
        if numbers:
            buffer.copy_(numbers[name])
        dist.broadcast(buffer, src=0)


def spread(
    policy: Scorer, reference: Scorer | None, mesh: DeviceMesh, *, stays: bool, from_first: tuple[bool, bool]
) -> None:
    """`shard` for the policy and what it is compared with.

    Args:
        policy: the model to train.
        reference: it may be the policy, with its adapter off.
        mesh: the processes.
        stays: whether the reference's logits are asked for behind its pass.
        from_first: of policy and reference, whether only the first process has the numbers.
    """
    shard(policy, mesh, from_first=from_first[0])
    if reference is not None and reference is not policy:
        shard(reference, mesh, stays=stays, from_first=from_first[1])


def take_apart(scorer: Scorer) -> None:
    """Let the model have parts of its weights and nothing else, as whoever goes through its parameters expects."""
    if isinstance(scorer.whole, FSDPModule):
        scorer.whole.reshard()


def _policy(precision: Precision) -> MixedPrecisionPolicy:
    if precision == "fp32":
        return MixedPrecisionPolicy()
    return MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False)


def refuse_unsharded(config: RunConfig) -> None:
    """What takes whole weights.

    Raises:
        ConfigError: it is asked for.
    """
    fix = "train.parallel=ddp, where every process has a whole copy"
    if config.reference.kind == "ema":
        what = "a moving reference is averaged over whole weights, and with fsdp every process has a part of them"
        raise ConfigError("train.parallel", what, where="reference.kind", fix=f"another reference, or {fix}")
    if config.train.token_budget == "auto":
        what = "a token budget is measured by one process with whole weights, and with fsdp every process has a part"
        raise ConfigError("train.parallel", what, where="train.token_budget", fix=f"name a number, or {fix}")
    if config.adapter.init == "pissa":
        what = "adapter.init=pissa takes whole matrices apart, and with fsdp every process has a part of them"
        raise ConfigError("train.parallel", what, where="adapter.init", fix=f"adapter.init=default, or {fix}")
    if config.model.quantize != "none":
        what = f"weights in {config.model.quantize} cannot be kept in parts"
        raise ConfigError("train.parallel", what, where="model.quantize", fix=f"model.quantize=none, or {fix}")


def full(weight: Tensor) -> Tensor:
    """The whole of a weight, on the CPU; every process must ask."""
    found = weight.detach()
    return (found.full_tensor() if isinstance(found, DTensor) else found).cpu()


def make_whole(scorer: Scorer, ranks: Ranks) -> None:
    """Give the first process the whole of every weight, on the CPU, to be written; every process must ask.

    Nothing can be run on the model afterwards.
    """
    take_apart(scorer)
    wholes: dict[int, nn.Parameter] = {}
    for module in scorer.model.modules():
        for name, weight in module._parameters.items():
            if isinstance(weight, DTensor):
                if id(weight) not in wholes:  # tied weights stay tied
                    whole = full(weight)
                    wholes[id(weight)] = nn.Parameter(whole if ranks.is_first else whole[:0], weight.requires_grad)
                module._parameters[name] = wholes[id(weight)]
