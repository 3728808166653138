"""Bytes and operations of a pass, by moments and by parts: what PyTorch's memory trackers count, with our names.

A peak depends on the depth of a model in one way while its first layer is run, in another while its last one is, and in
a third in the head. So the most that is there is kept for each such moment by itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker, _FSDPRefType
from torch.distributed._tools.mem_tracker import MemTracker, _MemRefType, _RefType, _State
from torch.distributed._tools.mod_tracker import ModTracker
from torch.distributed.tensor import DTensor

from prefsmith.model.body import body_of
from prefsmith.model.recompute import layers_of
from prefsmith.model.score import Scorer
from prefsmith.train.operations import Counted

Moment = str
"""When something is there: the phase, the layer that is being run, counted from the end that it is nearer to, and the
operation. At one moment, memory grows with the depth of the model along one straight line."""
_TOTAL = "Total"
_CPU = torch.device("cpu")


class _Extra(_RefType):
    """Parts that PyTorch's trackers do not tell apart."""

    HEAD = "Head"
    REFERENCE = "Reference"


_PARTS: dict[_RefType, str] = {
    _MemRefType.PARAM: "parameters",
    _MemRefType.BUFFER: "parameters",
    _MemRefType.GRAD: "gradients",
    _MemRefType.OPT: "optimizer",
    _MemRefType.ACT: "activations",
    _MemRefType.TEMP: "activations",
    _MemRefType.OTH: "activations",
    _FSDPRefType.SHARDED_PARAM: "parameters",
    _FSDPRefType.BUFFER: "parameters",
    _FSDPRefType.SHARDED_GRAD: "gradients",
    _FSDPRefType.OPT: "optimizer",
    _FSDPRefType.ACT: "activations",
    _FSDPRefType.TEMP: "activations",
    _FSDPRefType.INP: "activations",
    _Extra.HEAD: "head",
    _Extra.REFERENCE: "reference",
    _FSDPRefType.UNSHARDED_PARAM: "gathered",
    _FSDPRefType.UNSHARDED_GRAD: "gathered",
    _FSDPRefType.ALL_GATHER: "gathered",
    _FSDPRefType.REDUCE_SCATTER: "gathered",
}
PARTS = tuple(dict.fromkeys(_PARTS.values()))
"""`gathered` are whole weights and gradients of what is being run, and what is on its way between processes."""


class Ledger(MemTracker):
    """Of a process that keeps whole weights.

    Attributes:
        peaks: for every moment the bytes of each part, when most is there.
        counted: operations since the last micro-batch began.
    """

    def keep(self, policy: Scorer, reference: Scorer | None) -> None:
        """Before anything is tracked: who takes part.

        Args:
            policy: the model that is trained.
            reference: a model of its own; None where there is none.
        """
        self.policy = policy
        self.phase = "body"
        self.peaks: dict[Moment, dict[str, int]] = {}
        self.counted = Counted()
        self._most: dict[Moment, int] = {}
        self._places: dict[str, int] = {}
        self._before = self._operation = ""
        self._ref_class: Any = (*self._ref_class, *_Extra)
        self._mod_tracker = _Larger()
        for weight in policy.model.parameters():
            if weight.requires_grad:
                weight.register_post_accumulate_grad_hook(self._name_gradient)
        if reference is not None:
            self._mod_tracker._known_modules[reference.whole] = "Reference"  # it may be run inside the policy's pass
            for each in (*reference.model.parameters(), *reference.model.buffers()):
                self._update_and_maybe_create_winfos(each, _Extra.REFERENCE)

    def enter(self, phase: str) -> None:
        """What is run from here on: reference, body (and the head behind it), or step."""
        self.phase, self._before = phase, ""
        self.reset_mod_stats()  # a second pass would be taken for an error

    @contextmanager
    def watching(self, body: nn.Module) -> Iterator[None]:
        """What comes behind the body belongs to the head, until the way back begins."""

        def behind(*_: object) -> None:
            if self.phase == "body":
                self.phase = "head"

        handle = body.register_forward_hook(behind)
        try:
            yield
        finally:
            handle.remove()

    def _moment(self) -> Moment:
        way = "backward" if self._mod_tracker.is_bw else self.phase
        if not self._places:
            layers = layers_of(body_of(self.policy.causal))
            names = [self._mod_tracker.get_known_fqn(each) for each in layers]
            if all(names):
                self._places = {str(name): index for index, name in enumerate(names)}
        # At their border, two layers are being run: the one that was begun last counts.
        run = [self._places[name] for name in self._mod_tracker.parents if name in self._places]
        last = (min if self._mod_tracker.is_bw else max)(run, default=None)
        here = "" if last is None else _place(last, len(self._places))
        self._before = here or self._before
        # What is between two layers, as sums of gradients over processes are, belongs to the one that was run.
        where = here or (f"behind {self._before}" if self._before else "")
        return f"{way} {where}: {self._operation}"

    def _update_peak_stats(self, peak_state: _State) -> None:
        """Keep, for the moment, what is there if more is than before."""
        self._name_the_heads_gradient()
        now = self._curr_mem_snap.get(_CPU)
        if now is None:
            return
        moment, total = self._moment(), now[_TOTAL]
        if total > self._most.get(moment, -1):
            self._most[moment] = total
            found = dict.fromkeys(PARTS, 0)
            for kind, size in now.items():
                if isinstance(kind, _RefType):
                    found[_PARTS[kind]] += size
            self.peaks[moment] = found

    def _name_gradient(self, weight: Tensor) -> None:
        if weight.grad is not None and not isinstance(weight, DTensor):
            self._update_and_maybe_create_winfos(weight.grad, self._whole_gradient)

    def _track_module_params_and_buffers(self, module: nn.Module, install_grad_hooks: bool = True) -> tuple[int, int]:
        return super()._track_module_params_and_buffers(module, install_grad_hooks=False)  # frozen weights take none

    def _pre_fw_hook(self, module: nn.Module, inputs: Any) -> None:  # noqa: ANN401
        """Accounts of single modules are not needed, nor is any of the next three."""

    def _post_fw_hook(self, module: nn.Module, inputs: Any, outputs: Any) -> None:  # noqa: ANN401
        pass

    def _pre_bw_hook(self, module: nn.Module, args: Any) -> None:  # noqa: ANN401
        pass

    def _post_bw_hook(self, module: nn.Module, args: Any) -> None:  # noqa: ANN401
        pass

    def _name_the_heads_gradient(self) -> None:
        """It is made in the head's forward, where nothing else is a gradient."""
        linear = self.policy.head.linear
        for weight in () if linear is None else (linear.weight, linear.bias):
            if weight is not None:
                self._name_gradient(weight)

    _whole_gradient: _RefType = _MemRefType.GRAD

    def _track(self, reftype: _RefType, t: Tensor) -> None:
        forward = not self._mod_tracker.is_bw and not self._in_opt
        if forward and self.phase in ("head", "reference"):
            reftype = _Extra.HEAD if self.phase == "head" else _Extra.REFERENCE
        super()._track(reftype, t)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        if func is torch.ops.prim.device.default:
            return func(*args, **(kwargs or {}))  # a question that makes nothing, asked more often than all else
        self._operation = str(func)
        result = super().__torch_dispatch__(func, types, args, kwargs)
        if result is not NotImplemented and self.phase != "step":
            back = self._mod_tracker.is_bw
            phase = "backward" if back else "reference" if self.phase == "reference" else "forward"
            in_head = self.phase == "head" and not back
            self.counted.add(func, args, kwargs or {}, result, phase=phase, in_head=in_head)
        return result


class _Larger(ModTracker):
    """Which of the modules that have modules are being run.

    The hooks of all modules would tie what a module makes into rings. A weight that an adapter multiplies out and takes
    no gradient of would then be there until Python looks for rings, and a forecast differ with when it does.
    """

    def _fw_pre_hook(self, mod: nn.Module, input: object) -> None:
        if any(True for _ in mod.children()):
            super()._fw_pre_hook(mod, input)

    def _fw_post_hook(self, mod: nn.Module, input: object, output: object) -> None:
        if any(True for _ in mod.children()):
            super()._fw_post_hook(mod, input, output)


class PartsLedger(Ledger, FSDPMemTracker):
    """Of a process that keeps a part of every weight; made of the module that has them, and the optimiser."""

    _whole_gradient: _RefType = _FSDPRefType.UNSHARDED_GRAD


def _place(index: int, count: int) -> str:
    """The layer, counted from the end that it is nearer to."""
    return f"layer {index + 1}" if index < count // 2 else f"layer {index - count}"
