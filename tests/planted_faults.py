"""Preference rows in which nothing is wrong, and rows with one fault each."""

import json
import random

WORDS = [first + last for first in ("ba", "de", "fi", "go", "lu", "mo", "na", "pe", "ri", "so", "tu", "va")
         for last in ("dak", "len", "min", "rop", "sut", "tav", "wex", "zil", "bor", "cag")]  # fmt: skip


def clean_rows(count, seed=0, words=14):
    """Pairs whose texts differ in every word, and whose sides are of one length."""
    draw = random.Random(f"{seed} {count}")
    return [
        {
            "prompt": " ".join(draw.choices(WORDS, k=words)) + "?",
            "chosen": " ".join(draw.choices(WORDS, k=words)),
            "rejected": " ".join(draw.choices(WORDS, k=words)),
            "score_chosen": 2.0,
            "score_rejected": 1.0,
        }
        for _ in range(count)
    ]


def write(path, rows):
    """Rows as lines; a text stands for a line as it is."""
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def nearly(text):
    """The text with its last word changed."""
    return text.rsplit(" ", 1)[0] + " other"


def refused_rows():
    """Rows that the reader refuses: 3 identical, 2 empty, 4 with two prompts, 2 of a wrong type, 1 no JSON."""
    identical, empty, diverging, typed = (clean_rows(n, seed) for seed, n in enumerate((3, 2, 4, 2), start=10))
    for row in identical:
        row["rejected"] = row["chosen"]
    for row in empty:
        row["rejected"] = "  "
    for row in diverging:
        for side in ("chosen", "rejected"):
            asked = row["prompt"] if side == "chosen" else "something else?"
            row[side] = [{"role": "user", "content": asked}, {"role": "assistant", "content": row[side]}]
    for row in typed:
        row["chosen"] = True
    return [*identical, *empty, *diverging, *typed, '{"prompt": "cut off']


def damaged_rows():
    """5 with control tokens, 3 garbled, 2 with U+FFFD, 2 with NUL, 2 whose sides differ in spaces alone."""
    control, garbled, lost, nul, spaces = (clean_rows(n, seed) for seed, n in enumerate((5, 3, 2, 2, 2), start=20))
    for row, token in zip(control, ("<|im_end|>", "</s>", "[INST]", "<|eot_id|>", "<end_of_turn>"), strict=True):
        row["chosen"] += token
    for row, text in zip(garbled, ("it\u2019s", "na\u00efve caf\u00e9", "\u201cso\u201d"), strict=True):
        row["rejected"] += text.encode().decode("cp1252", errors="replace").replace("\ufffd", "\x9d")
    for row in lost:
        row["prompt"] += " \ufffd"
    for row in nul:
        row["chosen"] += "\0"
    for row in spaces:
        row["rejected"] = row["chosen"].replace(" ", "  ").upper()
    return [*control, *garbled, *lost, *nul, *spaces]


def contradicting_rows():
    """3 pairs both ways (6 rows), a cycle (3 rows), 4 ties labelled as wins, 2 labels against their scores."""
    both, (cycle,), ties, against = (clean_rows(n, seed) for seed, n in enumerate((3, 1, 4, 2), start=30))
    turned = [{**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in both]
    sides = [cycle["chosen"], cycle["rejected"], nearly(cycle["prompt"])]
    round_ = [{**cycle, "chosen": sides[n], "rejected": sides[(n + 1) % 3]} for n in range(3)]
    ties = [{**row, "score_chosen": 1.0} for row in ties]
    against = [{**row, "score_chosen": 0.5} for row in against]
    return [*both, *turned, *round_, *ties, *against]


def repeated_rows(of):
    """5 exact copies and 4 near copies of rows, and 12 rows with one answer to different prompts."""
    copies = [dict(row) for row in of[:5]]
    near = [{**row, **{name: nearly(row[name]) for name in ("prompt", "chosen", "rejected")}} for row in of[5:9]]
    constant = [{**row, "rejected": "I can only say this one thing"} for row in clean_rows(12, 40)]
    return [*copies, *near, *constant]
