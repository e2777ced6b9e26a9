"""The data of ``versions.toml``."""

import tomllib
from importlib.resources import files

VERSIONS: dict = tomllib.loads((files(__package__) / "versions.toml").read_text(encoding="utf-8"))
