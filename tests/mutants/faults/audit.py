"""Faults between a file and what an audit says of it, and what training makes of that."""

from mutants.fault import Fault

RUN = ("tests/audit/test_run.py",)
BROKEN = ("tests/audit/test_broken.py",)
CONTRADICTORY = ("tests/audit/test_contradictory.py",)
REPEATED = ("tests/audit/test_repeated.py",)
NEAR = ("tests/audit/test_near.py",)
APPLIED = ("tests/data/test_audited.py",)

FAULTS = (
    Fault(
        "an audit reads no further than the worker that died",
        "audit/run.py",
        "alone = reading.blocks[done:]",
        "alone, blocks = reading.blocks[done:], iter(())",
        RUN,
    ),
    Fault(
        "a pair below one half counts for the side that is named first",
        "audit/texts.py",
        "turned = each.prob < 0.5",
        "turned = False",
        CONTRADICTORY,
    ),
    Fault(
        "of a pair that is labelled both ways the majority is left out",
        "audit/contradictory.py",
        "(pairs.wins != 0) & (pairs.wins != majority)",
        "(pairs.wins != 0) & (pairs.wins == majority)",
        CONTRADICTORY,
    ),
    Fault(
        "answers to different prompts contradict each other",
        "audit/contradictory.py",
        "return prompt * np.uint64(0x9E3779B97F4A7C15) ^ completion * np.uint64(0xC2B2AE3D27D4EB4F)",
        "return completion * np.uint64(0xC2B2AE3D27D4EB4F)",
        CONTRADICTORY,
    ),
    Fault(
        "whoever wins and loses is taken to be on a cycle",
        "audit/cycles.py",
        "found[edges] = _reached(beats)[targets, sources]",
        "found[edges] = True",
        CONTRADICTORY,
    ),
    Fault(
        "a pair that is turned round is a copy",
        "audit/repeated.py",
        "if (side > 0) == wins",
        "if True",
        REPEATED,
    ),
    Fault(
        "of a leaked prompt one training row is left out, and its copies stay",
        "audit/repeated.py",
        "twins = train_rows[np.isin(names[train_rows], names[leaked])]",
        "twins = train_rows[np.unique(np.searchsorted(names[train_rows], names[leaked]) % len(train_rows))]",
        REPEATED,
    ),
    Fault(
        "texts that share a band are taken for the same",
        "audit/near.py",
        "if same(first, second) if truly else share >= NEAR:",
        "if True:",
        REPEATED,
    ),
    Fault(
        "words in another order are the same text",
        "audit/near.py",
        "(hashes[:-2] * _MIX[0]) ^ (hashes[1:-1] * _MIX[1]) ^ (hashes[2:] * _MIX[2])",
        "hashes[:-2] ^ hashes[1:-1] ^ hashes[2:]",
        NEAR,
    ),
    Fault(
        "struck-out text is taken for a control token",
        "audit/broken.py",
        'plain = _STRUCK.sub("", text) if "</s>" in text else text',
        "plain = text",
        BROKEN,
    ),
    Fault(
        "an audit of another file is applied",
        "data/audited.py",
        "found = [each for each in self.files if each.digest == dict(digest)]",
        "found = list(self.files)",
        APPLIED,
    ),
    Fault(
        "the last entry of a row counts alone",
        "data/audited.py",
        "new = (weight * entry.weight,",
        "new = (entry.weight,",
        APPLIED,
    ),
    Fault(
        "rows that were read before an audit are taken from the cache",
        "data/prepare.py",
        'proposed = {} if audit is None else {"audit": audit.digest}',
        "proposed = {}",
        APPLIED,
    ),
)
