"""The language of each text."""

from collections.abc import Sequence

from prefsmith.audit.extra import absent

SURE = 0.8
"""Probability below which a language is not named: short texts, code, names."""


def languages(texts: Sequence[str]) -> list[str]:
    """Codes of ISO 639-1, empty where the program is not sure.

    Raises:
        ConfigError: py3langid is not installed.
    """
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise absent("py3langid") from None

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    found: list[str] = []
    for text in texts:
        code, probability = identifier.classify(text)
        found.append(str(code) if probability >= SURE else "")
    return found
