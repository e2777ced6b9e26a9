"""What a command is doing: its steps, how long each takes and is expected to, what waits for what.

`report` is what the others use; `estimates` knows how long steps took, `plan` what is still to come, and `screen` draws both on a terminal.
"""

from lab_helpers.node.progress.report import Report

__all__ = ["Report"]
