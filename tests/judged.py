"""Small sets of judgements, made of labels: `a` and `b` are answers, `t` a tie, `-` no verdict, a dot no vote."""

from prefsmith.data.votes.judgements import JudgedPair, Judgements
from prefsmith.records import Completion, Group, Vote

WORDS = {"t": "tie", "-": "invalid"}


def vote_of(label, annotator, order=None):
    left, right = (1, 0) if order == 1 else (0, 1)
    verdict = WORDS.get(label) or ("left" if "ab".index(label) == left else "right")
    return Vote(left, right, verdict, annotator, order)


def judgements(people=(), judges=None, both=None, *, prompts=None, lengths=None, methods=None, tags=None, named=True):
    """A file.

    Args:
        people: a text for each person, a label for each pair.
        judges: the same by name.
        both: by name two texts, for the two presentations; labels name answers.
        prompts: of each pair; each its own where left out.
        lengths: of the two answers of each pair.
        methods: of each pair.
        tags: of each pair.
        named: as in `Judgements`.
    """
    judges, both = judges or {}, both or {}
    texts = [*people, *judges.values(), *(text for two in both.values() for text in two)]
    pairs = []
    for place in range(len(texts[0])):
        votes = [vote_of(text[place], f"person{n}") for n, text in enumerate(people) if text[place] != "."]
        votes += [vote_of(text[place], name) for name, text in judges.items() if text[place] != "."]
        votes += [vote_of(text[place], name, order) for name, two in both.items() for order, text in enumerate(two)
                  if text[place] != "."]  # fmt: skip
        prompt, own = str(prompts[place]) if prompts else f"prompt {place}", tuple(tags[place]) if tags else ()
        answers = (Completion(text=""), Completion(text=""))
        group = Group(f"row-{place}", f"votes.jsonl:{place + 1}", prompt, answers, votes=tuple(votes), tags=own)
        pairs.append(
            JudgedPair(group, methods[place] if methods else None, lengths[place] if lengths else (None, None))
        )
    roles = {vote.annotator: "person" if vote.annotator.startswith("person") else "judge"
             for pair in pairs for vote in pair.group.votes}  # fmt: skip
    return Judgements("votes.jsonl", "pairs", tuple(pairs), roles, named, "words" if lengths else "", len(pairs))
