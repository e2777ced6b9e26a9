"""What istioctl would install, as far as it is of a gateway."""

from __future__ import annotations

import re
from dataclasses import replace

import yaml

from lab_helpers.kube import commands
from lab_helpers.kube.commands import Output


def render(lab, line: str) -> Output:
    """Run a line of ``istioctl manifest generate``, and show of the objects that it prints those with a gateway in their name."""
    printed = commands.run(lab.client, line)
    found = [each for each in yaml.safe_load_all(printed.stdout) if each]
    named = [f"{each['kind']} {each['metadata']['name']}" for each in found if re.search("gateway", each["metadata"]["name"])]
    shown = "\n".join([f"{len(found)} objects, of these:", *named]) if named else f"{len(found)} objects, none of them of a gateway"
    return replace(printed, stdout=f"{shown}\n")
