"""What the audit needs beside prefsmith's own dependencies, and the error where it is absent."""

from prefsmith.errors import ConfigError


def absent(package: str) -> ConfigError:
    """The error for a package of the extra `audit` that cannot be imported."""
    what = f"the audit needs the package {package}"
    return ConfigError("audit.extra", what, fix="pip install 'prefsmith[audit]'")
