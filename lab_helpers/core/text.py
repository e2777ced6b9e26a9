"""Text files of a learner's, whichever editor or shell has written them, and whatever the locale says."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from lab_helpers.core.errors import LabError, ManifestError

# Byte order marks, and what follows them. That of UTF-32 begins with that of UTF-16, so it is looked for first.
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",  # what PowerShell's > writes
    codecs.BOM_UTF16_BE: "utf-16-be",
}
SAVE = "Save it as UTF-8: editors let you choose the encoding when you save; in PowerShell, Out-File -Encoding utf8."


def read(path: Path, name: str = "") -> str:
    """Read a manifest; `decode` says of what encoding.

    Parameters
    ----------
    path : Path
    name : str
        What a sentence calls it; without it, its path.

    Raises
    ------
    ManifestError
        It cannot be read, or its encoding is another one.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{name or path} cannot be read: {error.strerror}.", f"See who may read it: ls -l {path}") from error
    return decode(content, name or str(path))


def decode(content: bytes, name: str, error: type[LabError] = ManifestError) -> str:
    """Text of what is in a file: UTF-8, or what its byte order mark says.

    Without a mark nothing else is guessed: what is in Windows-1252 is text in many other encodings, too.

    Parameters
    ----------
    content : bytes
    name : str
        What a sentence calls the file.
    error : type of LabError
        What is raised.

    Raises
    ------
    LabError
        Of the type `error`: it is neither; names the first byte that is wrong, and its line.
    """
    mark = next((each for each in MARKS if content.startswith(each)), b"")
    encoding, start = MARKS.get(mark, "utf-8"), len(mark)
    try:
        text = content[start:].decode(encoding)
    except UnicodeDecodeError as problem:
        at = start + problem.start
        line = content[start:at].decode(encoding).count("\n") + 1
        raise error(
            f"{name} is not {encoding.upper()}: byte {at + 1} (0x{content[at]:02x}), in line {line}, is no character.", SAVE
        ) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise error(f"{name} is no text: there is a zero byte in line {line}, as in UTF-16 without its byte order mark.", SAVE)
    return re.sub("^\ufeff+", "", text, flags=re.MULTILINE)  # of files that were put one after the other, each with its own mark
