"""Faults of a step, of a run over steps, and of what is said of them."""

from mutants.fault import Fault

STEP = ("tests/train/test_step.py",)
INVARIANCE = "tests/train/test_invariance.py"
DIVISION = (f"{INVARIANCE}::test_micro_batches_packing_padding_and_sharing_change_nothing[tiny llama-dpo]",)
NOISE = (f"{INVARIANCE}::test_noise_belongs_to_the_step_and_the_label_alone",)
MONITOR = ("tests/train/test_monitor.py",)
OPTIM = ("tests/train/test_optim.py",)
MEMORY = ("tests/train/test_memory.py",)
RESUME = "tests/train/test_resume.py::test_a_signal_at_any_step_changes_nothing"

FAULTS = (
    Fault(
        "the mean is taken per micro-batch, not over the step",
        "train/reduction.py",
        "(view.weight * values).sum() / self.denominators[index]",
        "(view.weight * values).sum() / view.weight.sum()",
        STEP,
    ),
    Fault(
        "all terms share the first one's denominator",
        "train/reduction.py",
        ".sum() / self.denominators[index]",
        ".sum() / self.denominators[0]",
        STEP,
    ),
    Fault("a term's weight is left out", "train/reduction.py", "total + term.weight * (view", "total + (view", STEP),
    Fault("data weights are ignored", "train/reduction.py", "(view.weight * values).sum()", "values.sum()", STEP),
    Fault(
        "a loss that looks across the step gets one micro-batch at a time",
        "train/step.py",
        "if objective.two_passes:",
        "if False:",
        STEP,
    ),
    Fault(
        "slopes of the second pass go to the wrong rows",
        "train/step.py",
        "pack([own[index] for index in members])",
        "pack([own[index] for index in reversed(members)])",
        STEP,
    ),
    Fault(
        "confidence is a sum over tokens",
        "train/step.py",
        "sum_per_sequence(tokens.confidence, lengths) / lengths",
        "sum_per_sequence(tokens.confidence, lengths)",
        STEP,
    ),
    Fault(
        "every step draws the same noise",
        "train/reduction.py",
        "noise:{self.seed}:{self.step}:{term}",
        "noise:{self.seed}:{term}",
        NOISE,
    ),
    Fault(
        "sequences of the second micro-batch are counted from zero",
        "types.py",
        "return replace(self, chosen=self.chosen + by, rejected=self.rejected + by)",
        "return self",
        DIVISION,
    ),
    Fault(
        "a tie counts as wrong",
        "train/monitor.py",
        " + 0.5 * ties.double()",
        "",
        MONITOR,
    ),
    Fault(
        "a label below one half prefers the side it speaks against",
        "train/monitor.py",
        "turned = compared.prob < 0.5",
        "turned = compared.prob < 0",
        MONITOR,
    ),
    Fault(
        "the reward margin is in nats",
        "train/monitor.py",
        "else beta * seen.margin",
        "else seen.margin",
        MONITOR,
    ),
    Fault(
        "the learning rate of the step before",
        "train/optim.py",
        "learning_rate_at(number, self.steps",
        "learning_rate_at(number - 1, self.steps",
        OPTIM,
    ),
    Fault(
        "linear and cosine end one step early",
        "train/optim.py",
        "done = (step - 1 - warmup_steps)",
        "done = (step - warmup_steps)",
        OPTIM,
    ),
    Fault(
        "weights that are no matrices decay",
        "train/optim.py",
        '"params": others, "weight_decay": 0.0',
        '"params": others, "weight_decay": config.weight_decay',
        OPTIM,
    ),
    Fault(
        "the optimiser's averages are forgotten on resumption",
        "train/loop.py",
        "        self.optimizer.load_state(checkpoint.optimizer)\n",
        "",
        (f"{RESUME}[dpo-4]",),
    ),
    Fault(
        "dropout draws anew on resumption",
        "train/loop.py",
        "        restore_random_states(checkpoint.random, self.ranks)\n",
        "",
        (f"{RESUME}[lora-dropout-4]",),
    ),
    Fault(
        "a reference that moved stands at its start on resumption",
        "train/loop.py",
        "self.moving.load(checkpoint.reference)",
        "pass",
        (f"{RESUME}[soft-4]",),
    ),
    Fault(
        "what the losses remember is forgotten on resumption",
        "train/loop.py",
        'checkpoint.state.get("memory", self.states)',
        "self.states",
        MEMORY,
    ),
    Fault(
        "the losses remember nothing",
        "train/loop.py",
        "self.states = self.objective.next_states(self.states, scored.scores, scored.labels)",
        "pass",
        MEMORY,
    ),
    Fault(
        "held-out rows are judged as if nothing were remembered",
        "train/loop.py",
        "self.evaluate(self.states)",
        "self.evaluate(self.objective.first_states())",
        MEMORY,
    ),
)
