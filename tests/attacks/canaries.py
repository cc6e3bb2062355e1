"""Secrets with a mark of their own, and finding them again, however they are disguised."""

from __future__ import annotations

import base64
import codecs
import re
from collections.abc import Iterable
from pathlib import Path

MARK = re.compile(rb"CANARY-[a-z]+-[0-9a-f]{8}")
SEED = re.compile(rb'^seed = "(\w+)"', re.M)


def planted(folder: Path) -> set[str]:
    """The canaries in all files of a folder, and the seed of the course in it."""
    found: set[str] = set()
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            data = path.read_bytes()
            found |= {m.decode() for m in MARK.findall(data)}
            found |= {m.decode() for m in SEED.findall(data) if path.name == "course.toml"}
    return found


def leaked(texts: Iterable[str], canaries: Iterable[str]) -> set[str]:
    """The canaries that stand in the texts: as they are, backwards, in another case, in hex or base64."""
    # Whatever stands between their characters is taken out: line ends, quotes, HTML's places to break.
    squeezed = [re.sub(r"<wbr>|[^A-Za-z0-9+/=_-]", "", text) for text in texts]
    haystack = "\n".join([*squeezed, *(text.lower() for text in squeezed)])
    return {canary for canary in canaries if any(form in haystack for form in _forms(canary))}


def _forms(canary: str) -> set[str]:
    secret = canary.encode()
    forms = {canary, canary[::-1], codecs.encode(canary, "rot13")}
    forms |= {form.lower() for form in forms} | {secret.hex(), secret[::-1].hex()}
    for raw in (secret, secret[::-1]):
        for shift in range(3):
            # Characters that also depend on what stands around the secret are left out.
            encoded = base64.b64encode(b"\0" * shift + raw).decode()
            forms.add(encoded[shift and shift + 1 : -4])
    return forms
