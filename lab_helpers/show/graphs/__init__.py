"""Graphs of who calls whom: where each box, arrow and word stands, and how they look."""
