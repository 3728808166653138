"""Faults as people make them: a sign, a missing factor, a mean for a sum, a reference forgotten."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One place of the program, changed.

    Args:
        what: the fault, in words.
        file: below prefsmith/.
        sound: the text as it should be; stands in the file once.
        broken: what stands there instead.
        tests: the ordinary tests of that file.
    """

    what: str
    file: str
    sound: str
    broken: str
    tests: tuple[str, ...]

    def put_into(self, text: str) -> str:
        """The file with the fault.

        Raises:
            ValueError: the sound text does not stand there exactly once.
        """
        if text.count(self.sound) != 1:
            raise ValueError(f"{self.what}: {self.sound!r} stands {text.count(self.sound)} times in {self.file}")
        return text.replace(self.sound, self.broken)


LOSSES = ("tests/losses",)
STEP = ("tests/train/test_step.py",)
PARITY = ("tests/model/test_parity.py",)
RESUME = ("tests/train/test_resume.py",)
PACK = ("tests/data/test_pack_batches.py",)
ENCODE = ("tests/data/test_encode_ids.py", "tests/data/test_truncation.py")
STREAM = ("tests/data/test_stream_steps.py",)
HEAD = ("tests/model/test_head.py",)

FAULTS = (
    Fault(
        "the rejected side gets the sign of the chosen one",
        "losses/pairwise/margin.py",
        "-F.logsigmoid(-logit)",
        "-F.logsigmoid(logit)",
        LOSSES,
    ),
    Fault(
        "chosen and rejected are swapped in the margin",
        "losses/pairwise/margin.py",
        "return chosen - rejected",
        "return rejected - chosen",
        LOSSES,
    ),
    Fault(
        "the reference is forgotten", "types.py", "return self.policy - self.reference", "return self.policy", LOSSES
    ),
    Fault(
        "dpo without its beta",
        "losses/pairwise/logistic.py",
        "h = beta * margin(scores, prefs)\n    p = prefs",
        "h = margin(scores, prefs)\n    p = prefs",
        LOSSES,
    ),
    Fault(
        "label smoothing is ignored",
        "losses/pairwise/logistic.py",
        "p = prefs.prob * (1 - label_smoothing) + (1 - prefs.prob) * label_smoothing",
        "p = prefs.prob",
        LOSSES,
    ),
    Fault(
        "ipo's target without its factor two",
        "losses/pairwise/squared.py",
        "target = 0.5 / tau",
        "target = 1 / tau",
        LOSSES,
    ),
    Fault(
        "ipo's mean per token is a sum",
        "losses/pairwise/squared.py",
        "per_token = scores.log_ratio() / scores.tokens",
        "per_token = scores.log_ratio()",
        LOSSES,
    ),
    Fault(
        "the tangent outside the domain is left flat",
        "losses/domain.py",
        "return at(straight) + rise.detach(), outside",
        "return at(straight), outside",
        LOSSES,
    ),
    Fault(
        "kto's KL term carries a gradient",
        "losses/unpaired.py",
        "clamp(min=0).detach()",
        "clamp(min=0)",
        LOSSES,
    ),
    Fault("kto's KL term may be negative", "losses/unpaired.py", ".mean().clamp(min=0)", ".mean()", LOSSES),
    Fault(
        "a mean over tokens for a sum",
        "model/logprobs.py",
        ".index_add(0, owner, tokens)",
        ".index_add(0, owner, tokens) / lengths",
        (*STEP, *PARITY),
    ),
    Fault(
        "predicting rows are shifted by one",
        "model/forest.py",
        "before = torch.arange(-1, batch.ids.shape[0] - 1)",
        "before = torch.arange(batch.ids.shape[0])",
        PARITY,
    ),
    Fault(
        "the first token of an answer is predicted from its neighbour's end",
        "model/forest.py",
        "before[start] = trunk_end - 1",
        "pass",
        PARITY,
    ),
    Fault(
        "positions go on from one answer to the next",
        "model/forest.py",
        "positions[start:end] = torch.arange(trunk, trunk + end - start)",
        "positions[start:end] = torch.arange(start, end)",
        PARITY,
    ),
    Fault(
        "an answer does not see its prompt",
        "model/attention.py",
        "trunk, branch = slice(start, trunk_end), slice(branch_start, branch_end)",
        "trunk, branch = slice(start, start), slice(branch_start, branch_end)",
        PARITY,
    ),
    Fault(
        "the head's gradient loses its softmax",
        "model/logprobs.py",
        ".exp_().mul_(-gradient[part, None])",
        ".exp_().mul_(-0 * gradient[part, None])",
        HEAD,
    ),
    Fault(
        "the head's bias gets no gradient",
        "model/logprobs.py",
        "d_bias += slope.sum(0)",
        "pass",
        HEAD,
    ),
    Fault(
        "the mask of scored tokens is inverted",
        "data/pack.py",
        "[False] * completion.unscored + [True]",
        "[True] * completion.unscored + [False]",
        PACK,
    ),
    Fault(
        "the end token is lost",
        "data/encode.py",
        "return (*whole, self.end) if len(whole) > boundary else whole",
        "return whole",
        ENCODE,
    ),
    Fault(
        "the begin token is lost in a cut",
        "data/truncate.py",
        "return (begin, *prompt[len(prompt) - room + 1 :])",
        "return prompt[len(prompt) - room :]",
        ENCODE,
    ),
    Fault(
        "a cut keeps the prompt's start",
        "data/truncate.py",
        "return prompt[len(prompt) - room :]",
        "return prompt[:room]",
        ENCODE,
    ),
    Fault(
        "the mean is taken per micro-batch, not over the step",
        "train/step.py",
        "(view.weight * values).sum() / self.denominators[index]",
        "(view.weight * values).sum() / view.weight.sum()",
        STEP,
    ),
    Fault(
        "a term's weight is left out",
        "train/step.py",
        "total + term.weight * (view",
        "total + (view",
        STEP,
    ),
    Fault("data weights are ignored", "train/step.py", "(view.weight * values).sum()", "values.sum()", STEP),
    Fault(
        "slopes of the second pass go to the wrong rows",
        "train/step.py",
        "torch.cat([slopes[index][: _scored_tokens(own[index])] for index in members])",
        "torch.cat([slopes[index][: _scored_tokens(own[index])] for index in sorted(members, reverse=True)])",
        STEP,
    ),
    Fault(
        "a tie counts as wrong",
        "train/monitor.py",
        "(values > 0).double() + 0.5 * (values == 0).double()",
        "(values > 0).double()",
        ("tests/train/test_monitor.py",),
    ),
    Fault(
        "the last short step is dropped",
        "data/stream.py",
        "        if members:\n            yield tuple(members)",
        "        del members",
        STREAM,
    ),
    Fault("every epoch has the same order", "data/stream.py", "{seed}:{epoch}:{index}", "{seed}:{index}", STREAM),
    Fault(
        "mismatched answers come from the same prompt",
        "data/stream.py",
        "if keys[other] != keys[index]",
        "if other != index",
        STREAM,
    ),
    Fault(
        "rows with one prompt are split apart",
        "data/split.py",
        "group.prompt_key().encode",
        "group.id.encode",
        ("tests/data/test_split_rows.py",),
    ),
    Fault(
        "the learning rate of the step before",
        "train/optim.py",
        "learning_rate_at(number, self.steps",
        "learning_rate_at(number - 1, self.steps",
        ("tests/train/test_optim.py",),
    ),
    Fault(
        "the optimiser's averages are forgotten on resumption",
        "train/loop.py",
        "        self.optimizer.load_state(checkpoint.optimizer)\n",
        "",
        RESUME,
    ),
    Fault(
        "what the losses remember is forgotten on resumption",
        "train/loop.py",
        'checkpoint.state.get("memory", self.states)',
        "self.states",
        RESUME,
    ),
    Fault(
        "the adapter stays on under the reference",
        "model/reference.py",
        "partial(adapters.adapter_off, policy.model)",
        "nullcontext",
        ("tests/model/test_reference.py", "tests/model/test_adapters.py"),
    ),
)
