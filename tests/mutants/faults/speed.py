"""Faults of what makes training fast: the sweep over the vocabulary, and numbers that are looked up."""

from mutants.fault import Fault

SWEEP = ("tests/model/test_sweep.py::test_values_and_gradients_are_those_of_autograd",)
PARTS = ("tests/model/test_sweep.py::test_parts_are_whole_groups_in_order_and_no_larger_than_they_may_be",)
BLOCKS = ("tests/model/test_blocks.py::test_trees_are_what_a_dense_mask_says",)
STEP = ("tests/train/test_step.py::test_a_vocabulary_that_is_swept_in_parts_changes_nothing",)
NATS = ("tests/model/test_nats.py",)

FAULTS = (
    Fault(
        "the sweep's softmax is not divided by its sum",
        "model/sweep.py",
        "shares.mul_((-slope / total)[:, None])",
        "shares.mul_(-slope[:, None])",
        SWEEP,
    ),
    Fault(
        "the head's gradient replaces what the body's left",
        "model/sweep.py",
        "    if parameter.grad is None:\n        parameter.grad",
        "    if True:\n        parameter.grad",
        ("tests/model/test_sweep.py::test_gradients_are_added_to_those_that_are_there",),
    ),
    Fault(
        "of what blocks ask of a key, only the last counts",
        "model/blocks.py",
        "by_keys[:, :, seen] += by_seen_keys",
        "by_keys[:, :, seen] = by_seen_keys",
        BLOCKS,
    ),
    Fault(
        "a block's window ends one token late",
        "model/blocks.py",
        "before - window + 1)",
        "before - window)",
        BLOCKS,
    ),
    Fault(
        "a part of the vocabulary's sweep starts at its first group's number",
        "model/sweep.py",
        "first, start, rows = group, start + rows, 0",
        "first, start, rows = group, group, 0",
        PARTS,
    ),
    Fault(
        "groups behind the first part are weighed with the first part's reference",
        "train/step.py",
        "start = 0 if whole else sum(map(_scored_tokens, self.groups[: members.start]))",
        "start = 0",
        STEP,
    ),
    Fault(
        "the border between prompt and completion is no part of what is looked up",
        "model/nats.py",
        "{len(prompt)}:{len(completion)}:{unscored}:",
        "{unscored}:",
        NATS,
    ),
    Fault(
        "log-probabilities that are known are replaced by later ones",
        "model/nats.py",
        "self._places.setdefault(key, (run, start, start + length))",
        "self._places[key] = (run, start, start + length)",
        NATS,
    ),
    Fault(
        "a file of log-probabilities is believed whatever is in it",
        "model/nats.py",
        '_digest(columns) != metadata.get("sha256")',
        "False",
        NATS,
    ),
    Fault(
        "log-probabilities of another model are believed",
        "model/nats.py",
        'if metadata.get("facts") != _in_words(facts):',
        "if False:",
        NATS,
    ),
    Fault(
        "held-out rows are not asked of a cached reference",
        "run.py",
        "Selection([rows.train, rows.held_out])",
        "Selection([rows.train])",
        ("tests/train/test_reference_pass.py::test_training_is_that_with_the_reference_at_hand",),
    ),
    Fault(
        "a resumed run takes whatever log-probabilities it finds",
        "run.py",
        "            refuse_others(checkpoint, models.identity, self.folder)\n        with (",
        "            pass\n        with (",
        ("tests/train/test_reference_pass.py::test_other_numbers_than_the_run_began_with_are_refused",),
    ),
)
