"""Faults between a batch and its log-probabilities."""

from mutants.fault import Fault

PARITY = (
    "tests/model/test_parity.py::test_float32_gives_the_numbers_of_the_model_in_float64",
    "tests/model/test_parity.py::test_a_sequence_does_not_know_its_neighbours",
)
HEAD = ("tests/model/test_head.py",)
MEASURE = ("tests/model/test_measure.py::test_values_and_gradients_are_those_of_a_naive_softmax",)
MOVING = (
    "tests/model/test_moving.py::test_three_moves_are_those_worked_out_by_hand",
    "tests/model/test_moving.py::test_it_moves_every_so_many_steps",
    "tests/model/test_moving.py::test_what_a_checkpoint_keeps_comes_back_to_the_bit",
)
GENERATE = (
    "tests/model/test_generate.py::test_seeds_prompts_and_numbers_have_noise_of_their_own",
    "tests/model/test_generate.py::test_an_answer_ends_with_any_of_the_end_tokens_or_is_cut",
)
REFERENCE = (
    "tests/model/test_reference.py::test_a_frozen_copy_stays_where_the_policy_started",
    "tests/model/test_reference.py::test_looking_takes_dropout_off_and_puts_it_back",
)

FAULTS = (
    Fault(
        "a mean over tokens for a sum",
        "model/logprobs.py",
        ".index_add(0, owner, tokens)",
        ".index_add(0, owner, tokens) / lengths",
        HEAD,
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
        "model/blocks.py",
        "yield _Line(slice(tree.start, tree.trunk_end), slice(start, end))",
        "yield _Line(slice(tree.start, tree.start), slice(start, end))",
        PARITY,
    ),
    Fault(
        "the gradient by a log-probability loses its softmax",
        "model/measure.py",
        ".exp_().mul_(factor[:, None])",
        ".exp_().mul_(0 * factor[:, None])",
        HEAD,
    ),
    Fault("the head's bias gets no gradient", "model/logprobs.py", "d_bias += slope.sum(0)", "pass", HEAD),
    Fault(
        "the gradient by a divergence pushes away from the reference",
        "model/measure.py",
        "slope.addcmul_(share, by_kl[:, None], value=-1)",
        "slope.addcmul_(share, by_kl[:, None], value=1)",
        MEASURE,
    ),
    Fault(
        "confidence is over the sum of p, not of its square",
        "model/measure.py",
        "whole.mul_(2).logsumexp(-1)",
        "whole.logsumexp(-1)",
        MEASURE,
    ),
    Fault(
        "a divergence compares a tempered policy with an untempered reference",
        "model/divergence.py",
        "(others(part).float() / temperature)",
        "others(part).float()",
        ("tests/model/test_divergence.py::test_it_is_the_formula_on_plain_logits",),
    ),
    Fault(
        "the adapter stays on under the reference",
        "model/adapters.py",
        "    with cast(PeftModel, model).disable_adapter():\n        yield",
        "    yield",
        ("tests/model/test_adapters.py::test_off_is_the_base_model_bit_for_bit",),
    ),
    Fault(
        "dropout stays on while the reference looks",
        "model/score.py",
        "        for module in training:\n            module.training = False\n",
        "",
        REFERENCE,
    ),
    Fault(
        "a frozen reference is the policy itself",
        "model/score.py",
        "copy.deepcopy(self.model)",
        "copy.copy(self.model)",
        REFERENCE,
    ),
    Fault(
        "a moving reference keeps alpha and takes the rest of the policy",
        "model/moving.py",
        "weight.lerp_(self.policy[name], alpha)",
        "weight.lerp_(self.policy[name], 1 - alpha)",
        MOVING,
    ),
    Fault(
        "under an adapter a moving reference keeps alpha and takes the rest",
        "model/moving.py",
        "torch.lerp(self.current.get(name, base), merged, alpha)",
        "torch.lerp(self.current.get(name, base), merged, 1 - alpha)",
        MOVING,
    ),
    Fault(
        "a reference moves one step late",
        "model/moving.py",
        "if number % self.every:",
        "if (number - 1) % self.every:",
        MOVING,
    ),
    Fault(
        "a loaded reference counts as one that never moved",
        "model/moving.py",
        "            self.average.put(tensors)\n        self.moved = True",
        "            self.average.put(tensors)",
        MOVING,
    ),
    Fault(
        "an answer loses its end token",
        "model/generate.py",
        "Sample(tuple(ids[: end + 1]), ended=True)",
        "Sample(tuple(ids[:end]), ended=True)",
        GENERATE,
    ),
    Fault(
        "all answers to a prompt are drawn with one noise",
        "model/generate.py",
        'f"{seed} {prompt} {number}"',
        'f"{seed} {prompt}"',
        GENERATE,
    ),
)
