"""The learner's desk: a folder of their own, in which work is never overwritten, and the JupyterLab that opens there."""

from __future__ import annotations

from collections.abc import Iterable

from lab_helpers.core import paths
from lab_helpers.course.desk import folder, owner, start
from lab_helpers.course.desk.folder import Desk
from lab_helpers.lab.done import progress


def opened(fresh: Iterable[str] = ()) -> Desk:
    """Open the desk of the user who asks for it, START included; as that user, also with ``sudo``. Errors are `folder.open_desk`'s."""
    owner.become_user()
    desk = folder.open_desk(paths.desk(), fresh)
    folder.put_start(desk, start.text(desk, progress(desk.folder), *start.addresses()))
    return desk
