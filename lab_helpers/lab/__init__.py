"""The lab as a notebook has it: `connect` finds the cluster, `Lab` acts on it, a checkpoint leads to a chapter's start."""

from lab_helpers.core.errors import LabError
from lab_helpers.lab.chapters import Chapter
from lab_helpers.lab.connection import connect
from lab_helpers.lab.done import progress
from lab_helpers.lab.lab import Lab
from lab_helpers.lab.solutions import solution
from lab_helpers.show import render

render.register()

__all__ = ["Chapter", "Lab", "LabError", "connect", "progress", "solution"]
