"""OURS=YOURS: names of columns as they are typed."""

from prefsmith.errors import ConfigError


def columns_map(given: list[str]) -> dict[str, str]:
    """Our names of columns and theirs.

    Args:
        given: each our name, an equals sign, and the file's.

    Raises:
        ConfigError: one is something else.
    """
    pairs = [each.partition("=") for each in given]
    for text, (ours, found, theirs) in zip(given, pairs, strict=True):
        if not (ours and found and theirs):
            what = f"--columns is {text}, and not our name of a column, =, and yours"
            raise ConfigError("data.columns", what, where="--columns", fix="for example --columns chosen=good")
    return {ours: theirs for ours, _, theirs in pairs}
