"""Names that students chose, made safe: for files and folders of any system, for pages and terminals."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 120  # bytes; what is appended to a name still fits into the 255 of a file's

# Names that Windows keeps for devices, with any ending.
DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
# Letters and symbols that show nothing; Unicode's control and format characters are found by category.
_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"


def clean(name: str) -> str:
    """A name that is safe in paths, pages and terminals: NFC, one line, no separators, at most 120 bytes."""
    name = unicodedata.normalize("NFC", name[: 10 * LONGEST])
    name = "".join(
        "_" if c in '/\\:*?"<>|' or c in _BLANK or unicodedata.category(c)[0] == "C" else c for c in name
    )
    name = " ".join(name.split()).strip(". ").encode()[:LONGEST].decode(errors="ignore").strip(". ")
    return f"{name}_" if DEVICES.fullmatch(name) else name or "unnamed"


def unused(name: str, taken: dict[str, int], suffix: str = "") -> str:
    """`name`, or the first of name-2, name-3, ... that no file system takes for one in `taken`; it is added.

    Args:
        name: a clean name.
        taken: the names in use, as this function has put them there, each with the last number tried.
        suffix: the ending of a file's name, which stays at its end.
    """
    first = _folded(f"{name}{suffix}")
    candidate, count = f"{name}{suffix}", taken.get(first, 1)
    while (key := _folded(candidate)) in taken:
        count += 1
        candidate = f"{name}-{count}{suffix}"
    taken[key] = 1
    taken[first] = count
    return candidate


def _folded(name: str) -> str:
    """The same for all names that differ in case or in their spelling in Unicode alone."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
