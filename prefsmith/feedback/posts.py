"""Short posts and their summaries from a grammar, and the reward that is true of a summary: every fact is known.

A post tells what somebody did to something, how the writer feels and what is asked, among other things:

    my ROLE DEED my THING [in the PLACE] [on DAY] .   i feel FEELING .   should i ACTION ?   tl;dr
    [my ROLE likes my THING .]   [we had FOOD .]   [it was WEATHER .]

Its summaries are written by people of more or less care: they leave facts out ("someone", "something"), tell what
nobody needs, and slip.

    [so basically|long story short] my ROLE|someone DEED my THING|something [in the PLACE] [on DAY]
        [and i feel FEELING] . [should i ACTION ?]
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from zlib import crc32

from prefsmith.feedback.world import Example, Use
from prefsmith.records import Completion, Group

ROLES = ("boss", "sister", "brother", "landlord", "neighbour", "teacher", "cousin", "roommate")
DEEDS = ("broke", "sold", "lost", "borrowed", "stole", "hid", "painted", "returned")
THINGS = ("bike", "car", "laptop", "phone", "guitar", "camera", "couch", "ring")
PLACES = ("garage", "kitchen", "garden", "office", "attic", "cellar")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FEELINGS = ("angry", "sad", "guilty", "afraid", "proud", "confused", "jealous", "tired")
ACTIONS = ("leave", "apologise", "complain", "forgive", "wait", "pay", "lie", "call")
FOODS, WEATHERS = ("soup", "rice", "cake", "fish"), ("sunny", "rainy", "cold", "windy")
OPENERS = ("so basically", "long story short")
END = "tl;dr"

_FRAME = ("my", "in", "the", "on", "i", "feel", "and", "should", "likes", "we", "had", "it", "was", ".", "?", END)
_VAGUE = ("someone", "something")
WORDS = (*_FRAME, *_VAGUE, *" ".join(OPENERS).split(), *ROLES, *DEEDS, *THINGS, *PLACES, *DAYS, *FEELINGS, *ACTIONS,
         *FOODS, *WEATHERS)  # fmt: skip

_EVENT = (
    rf"my (?P<who>{'|'.join(ROLES)}) (?P<deed>{'|'.join(DEEDS)}) my (?P<thing>{'|'.join(THINGS)})"
    rf"( in the (?P<place>{'|'.join(PLACES)}))?( on (?P<day>{'|'.join(DAYS)}))? \."
)
_FEELING, _ACTION = rf"i feel (?P<feeling>{'|'.join(FEELINGS)})", rf"should i (?P<action>{'|'.join(ACTIONS)}) \?"
_POST = tuple(re.compile(part) for part in (_EVENT, rf"{_FEELING} \.", _ACTION))
_SUMMARY = re.compile(
    rf"((?P<opener>{'|'.join(OPENERS)}) )?"
    rf"(someone|my (?P<who>{'|'.join(ROLES)})) (?P<deed>{'|'.join(DEEDS)})"
    rf" (something|my (?P<thing>{'|'.join(THINGS)}))"
    rf"( in the (?P<place>{'|'.join(PLACES)}))?( on (?P<day>{'|'.join(DAYS)}))?( and {_FEELING})? \.( {_ACTION})?"
)

FACTS = ("who", "deed", "thing", "feeling", "action")
"""What a summary should tell; place and day may be told, and nobody needs them."""
DETAILS = ("place", "day")
KEPT, INVENTED, WORD, UNREADABLE = 10, -20, -1, -20
"""Tenths of a nat, so that sums are exact and equal summaries tie."""
_HELD_OUT = 10
"""One post in so many is never learnt from."""
_CARE, _SLIP = 0.6, 0.12
_TOLD = {"who": 0.75, "deed": 1.0, "thing": 0.75, "feeling": 0.35, "action": 0.4, "place": 0.5, "day": 0.45}
_OPENED = 0.4


def write_post(random: Random) -> str:
    """A post drawn from the grammar."""
    place = f" in the {random.choice(PLACES)}" if random.random() < 0.6 else ""
    day = f" on {random.choice(DAYS)}" if random.random() < 0.6 else ""
    parts = [
        f"my {random.choice(ROLES)} {random.choice(DEEDS)} my {random.choice(THINGS)}{place}{day} .",
        f"i feel {random.choice(FEELINGS)} .",
    ]
    if random.random() < 0.6:
        parts.append(f"my {random.choice(ROLES)} likes my {random.choice(THINGS)} .")
    if random.random() < 0.4:
        parts.append(f"we had {random.choice(FOODS)} .")
    if random.random() < 0.4:
        parts.append(f"it was {random.choice(WEATHERS)} .")
    random.shuffle(parts)
    return " ".join([*parts, f"should i {random.choice(ACTIONS)} ?", END])


def write_summary(post: str, random: Random) -> str:
    """A summary as people write it: the more care, the more of the facts and the less of the rest; some of it wrong."""
    care, said = random.random(), dict[str, str]()
    for name, value in facts_of(post).items():
        told = _TOLD[name] + _CARE * (care - 0.5) * (-1 if name in DETAILS else 1)
        if name == "deed" or random.random() < told:
            said[name] = random.choice(_CLASSES[name]) if random.random() < _SLIP * (1 - care) else value
    opener = random.choice(OPENERS) if random.random() < _OPENED - _CARE * (care - 0.5) else ""
    words = [
        opener,
        f"my {said['who']}" if "who" in said else "someone",
        said["deed"],
        f"my {said['thing']}" if "thing" in said else "something",
        f"in the {said['place']}" if "place" in said else "",
        f"on {said['day']}" if "day" in said else "",
        f"and i feel {said['feeling']}" if "feeling" in said else "",
        ".",
        f"should i {said['action']} ?" if "action" in said else "",
    ]
    return " ".join(filter(None, words))


_CLASSES = {
    "who": ROLES, "deed": DEEDS, "thing": THINGS, "place": PLACES, "day": DAYS, "feeling": FEELINGS, "action": ACTIONS,
}  # fmt: skip


@lru_cache(maxsize=20_000)
def facts_of(post: str) -> dict[str, str]:
    """What a post says, by name; place and day only where it does."""
    found: dict[str, str] = {}
    for part in _POST:
        match = part.search(post)
        found |= {} if match is None else {name: value for name, value in match.groupdict().items() if value}
    return found


def told_in(summary: str) -> dict[str, str] | None:
    """What a summary tells, by name; None where the grammar could not have written it."""
    match = _SUMMARY.fullmatch(" ".join(summary.split()))
    return None if match is None else {name: value for name, value in match.groupdict().items() if value}


def true_reward(post: str, summary: str) -> float:
    """What a summary is worth, in nats: it keeps the facts, says nothing that the post does not, and is short.

        r = (facts kept) - 2 (facts invented) - (words) / 10;   - 2 - (words) / 10 for what is no summary

    A fact of somebody else (who likes what) in the place of this one is invented too. Full stops are no words. The best
    there is tells all five facts and no more, in 12 words: 3.8.
    """
    words = sum(word not in (".", "?") for word in summary.split())
    told, facts = told_in(summary), facts_of(post)
    if told is None:
        return (UNREADABLE + WORD * words) / 10
    kept = sum(told.get(name) == facts.get(name) is not None for name in FACTS)
    invented = sum(told.get(name, facts.get(name)) != facts.get(name) for name in (*FACTS, *DETAILS))
    return (KEPT * kept + INVENTED * invented + WORD * words) / 10


def is_held_out(post: str) -> bool:
    """Whether the post is one that nothing learns from; by its text alone, so that no list need be kept."""
    return crc32(post.encode()) % _HELD_OUT == 0


@dataclass(frozen=True, slots=True)
class Posts:
    """Posts, to be summarised."""

    name: str = "posts"
    words: Sequence[str] = WORDS
    longest: int = 28
    longest_text: int = 80
    criteria: Sequence[str] = ("V1", "V2", "V3")

    def examples(self, count: int, seed: int) -> list[Example]:
        """Posts to learn from, each with a summary."""
        random = Random(seed)
        posts = _posts(random, count, held_out=False)
        return [Example(post, f" {write_summary(post, random)}") for post in posts]

    def prompts(self, use: Use, count: int, seed: int) -> list[Group]:
        """Different posts, those to be judged with a summary."""
        random = Random(f"{use} {seed}")
        posts = _posts(random, count, held_out=use != "train")
        return [
            Group(post, f"posts:{use}:{number}", post, (Completion(write_summary(post, random)),))
            for number, post in enumerate(posts, 1)
        ]

    def reward(self, prompt: str, answer: str) -> float:
        """What a summary is worth, in nats."""
        return true_reward(prompt, answer)

    def well_formed(self, prompt: str, answer: str) -> bool:
        """Whether people could have written the summary."""
        return told_in(answer) is not None


def _posts(random: Random, count: int, *, held_out: bool) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        post = write_post(random)
        if is_held_out(post) is held_out:
            found[post] = None
    return list(found)
