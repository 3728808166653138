"""Faults between a world whose reward is known and the win rates that are measured in it."""

from mutants.fault import Fault

POSTS = ("tests/feedback/test_posts.py",)
CLAIMS = ("tests/evaluate/test_claims.py",)
RUN = ("tests/methods/experiment/test_posts_run.py",)

FAULTS = (
    Fault(
        "what a post does not speak of may be said of it",
        "feedback/posts.py",
        "for name in (*FACTS, *DETAILS))",
        "for name in FACTS)",
        POSTS,
    ),
    Fault(
        "posts that are judged are learnt from as well",
        "feedback/posts.py",
        "if is_held_out(post) is held_out:",
        "if held_out or not is_held_out(post):",
        POSTS,
    ),
    Fault(
        "a fall over temperatures is taken the wrong way round",
        "evaluate/claims.py",
        "return (other[:, 0] - other[:, 1]) - (own[:, 0] - own[:, 1])",
        "return (own[:, 0] - own[:, 1]) - (other[:, 0] - other[:, 1])",
        CLAIMS,
    ),
    Fault(
        "any gap above zero puts DPO above RLOO",
        "methods/experiment/evidence.py",
        "    if all(gap > room for gap, room in",
        "    if all(gap > 0 for gap, room in",
        ("tests/methods/experiment/test_findings.py",),
    ),
    Fault(
        "an interval that holds zero is evidence that something is not above",
        "evaluate/claims.py",
        "    return ALIKE\n",
        "    return ALIKE if above else AS_IN_PAPER\n",
        CLAIMS,
    ),
    Fault(
        "best-of-n on a learned reward is chosen by the true one",
        "methods/experiment/judged.py",
        'kept = scores[str(arm.setting("reward"))][:, : _n(arm)].argmax(axis=1)',
        'kept = scores["task"][:, : _n(arm)].argmax(axis=1)',
        RUN,
    ),
    Fault(
        "every policy answers at temperature 1",
        "methods/experiment/judged.py",
        "seed=noise, temperature=temperature)",
        "seed=noise)",
        RUN,
    ),
    Fault(
        "a trained policy's answers are those of its start",
        "methods/experiment/judged.py",
        'reader = open_reader(place.of(arm) / "model", device="cpu")',
        'reader = open_reader(place.start, device="cpu")',
        RUN,
    ),
)
