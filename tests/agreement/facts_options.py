"""TRL's words for losses and for wrong labels, beside ours."""

from collections.abc import Mapping, Sequence

from prefsmith import ConfigError
from prefsmith.losses import LOSSES, resolve

from .cases import CASES, NOT_OURS
from .fact import Fact

DPO = "`trl/trainer/dpo_trainer.py`"


def loss_types(theirs: Mapping[str, Sequence[str]]) -> Fact:
    """Whether every word of TRL's `loss_type` has its row, or is known to have no counterpart."""
    compared = {(case.theirs.trainer, word) for case in CASES.values() for word in _words(case.theirs.arguments)}
    known = {(trainer, word) for trainer, words in theirs.items() for word in words}
    left = sorted(known - compared - NOT_OURS.keys())
    covered = len(known & compared)
    return Fact(
        "words of `loss_type` in TRL's source",
        ", ".join(f"{trainer} {len(words)}" for trainer, words in theirs.items() if words),
        f"{covered} of {len(known)} are compared on this page",
        "The others: " + "; ".join(f"`{word}` ({trainer}), {what}" for (trainer, word), what in NOT_OURS.items()) + ".",
        not left and known >= compared | NOT_OURS.keys() and len(known) > 20,
    )


def smoothing(theirs: Mapping[str, Sequence[float]]) -> Fact:
    """Which of TRL's losses read the label smoothing; ours refuse what they do not read."""
    read = [word for word, (little, much) in theirs.items() if abs(little - much) > 1e-6]
    silent = [word for word in theirs if word not in read]
    ours = sorted({_counterpart(word) for word in silent} - {"dpo"})
    refusing = [name for name in ours if _code(name, {"label_smoothing": 0.1}) == "loss.setting"]
    reading = sum(LOSSES[name].soft_labels is not None for name in ours)
    return Fact(
        "label smoothing of 0.1 and of 0.3: which DPO losses change",
        f"{', '.join(read)} change; {len(silent)} of {len(theirs)} do not: {', '.join(silent)}",
        f"`dpo` changes; {len(refusing)} of the {len(ours)} others that TRL leaves alone refuse the setting",
        f"TRL does not read it there and says nothing ({DPO}, `_compute_loss`). Ours: a setting that a loss does not "
        f"read is an error; {reading} of them take a probability with each pair instead.",
        set(read) == {"exo_pair", "robust", "aot", "aot_unpaired"} and refusing == ours,
    )


def half_noise(theirs: float | str) -> Fact:
    """What a noise of one half does."""
    refused = _code("robust_dpo", {"noise": 0.5})
    return Fact(
        "robust loss where half of the labels are wrong (noise 0.5)",
        f"loss {theirs}, after a warning",
        f"refused: `{refused}`" if refused else "accepted",
        f"The formula divides by 1 - 2 noise ({DPO}, `_compute_loss`, `robust`). Ours: such labels say nothing, and "
        "the run would end in NaN.",
        theirs == "nan" and refused == "loss.value",
    )


def _words(arguments: Mapping[str, object]) -> list[str]:
    word = arguments.get("loss_type", [])
    return [word] if isinstance(word, str) else list(word)  # pyright: ignore[reportArgumentType]


def _counterpart(word: str) -> str:
    """Our loss of the first row with this loss type of TRL's DPO."""
    return next(
        case.ours[0].name
        for case in CASES.values()
        if case.theirs.trainer == "DPO" and _words(case.theirs.arguments) == [word]
    )


def _code(name: str, settings: Mapping[str, float]) -> str:
    """The code of the error that these settings raise; empty where they are taken."""
    try:
        resolve(name, settings)
    except ConfigError as error:
        return error.code
    return ""
