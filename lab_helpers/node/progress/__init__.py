"""What a command is doing: its steps, and how long each takes."""

from lab_helpers.node.progress.report import Report

__all__ = ["Report"]
