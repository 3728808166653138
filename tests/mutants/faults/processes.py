"""Faults of several processes that make one step."""

from mutants.fault import Fault

STEPS = ("tests/train/test_parallel.py",)
SHARES = ("tests/data/test_shares.py",)

FAULTS = (
    Fault(
        "gradients of processes with whole copies are not summed",
        "train/parallel.py",
        "        for bucket in _buckets(weights):\n",
        "        for bucket in ():\n",
        STEPS,
    ),
    Fault(
        "gradients of parts are averaged over processes",
        "train/sharding.py",
        "        unit.set_gradient_divide_factor(1.0)\n        unit.set_force_sum_reduction_for_comms(True)\n",
        "        pass\n",
        STEPS,
    ),
    Fault(
        "a stand-in counts",
        "train/step.py",
        "weigh if turn.counts else _nothing",
        "weigh",
        STEPS,
    ),
    Fault(
        "the norm of a gradient in parts is of this process's part",
        "train/parallel.py",
        "        return float(sum(self.gather(own)))\n",
        "        return own\n",
        STEPS,
    ),
    Fault("a micro-batch may be larger than the budget", "data/pack.py", "> most:", "> most * 9:", SHARES),
    Fault(
        "one process gets the larger micro-batch of every round",
        "data/pack.py",
        "each[::-1] if number % 2 else each",
        "each",
        SHARES,
    ),
)
