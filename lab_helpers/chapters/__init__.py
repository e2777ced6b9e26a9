"""One folder a chapter, ``cNN_slug``: its record (`CHAPTER`), its checks, what only it needs, its widget.

A notebook has one import line, ``from lab_helpers.chapters.cNN_slug import *``. Chapters know nothing of each other: what a second one
needs moves down to `traffic`, `istio` or `show`, in the same commit. ``meshlab new-chapter NN_slug`` makes one.
"""
