"""Read an XML file that came from outside: bounded, with no document type and so no entities, no references."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from rail_watch.aoi.json_file import read_bytes
from rail_watch.errors import BadCatalogue

MAX_BYTES = 16_000_000
MAX_DEPTH = 64

if TYPE_CHECKING:
    Element = ElementTree.Element[str]
else:
    Element = ElementTree.Element


def _checked(data: bytes, name: str) -> None:
    """Refuse what could unfold or refer elsewhere: a declaration of types or entities, in any encoding of ASCII."""
    if re.search(rb"<!(?:DOCTYPE|ENTITY)", data.replace(b"\0", b""), re.IGNORECASE):
        raise BadCatalogue(f"{name}: XML with a DOCTYPE or ENTITY is refused; take it out")


def parse_xml(data: bytes, *, name: str) -> Element:
    """Return the root element.

    Raises
    ------
    BadCatalogue
        One line naming the file.
    """
    _checked(data, name)
    builder = _Bounded(name)
    parser = ElementTree.XMLParser(target=builder)
    try:
        parser.feed(data)
        parser.close()
    except ElementTree.ParseError as fault:
        raise BadCatalogue(f"{name}: not XML: {fault}") from fault
    except (LookupError, ValueError) as fault:
        raise BadCatalogue(f"{name}: not XML: its encoding is not known") from fault
    if builder.root is None:
        raise BadCatalogue(f"{name}: an empty file; fetch it again")
    return builder.root


class _Bounded:
    """Builds the tree and refuses one too deep."""

    def __init__(self, name: str) -> None:
        self.root: Element | None = None
        self._name, self._depth = name, 0
        self._tree = ElementTree.TreeBuilder()

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Begin an element."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise BadCatalogue(f"{self._name}: nested too deeply to be a real document")
        self._tree.start(tag, attributes)

    def end(self, tag: str) -> None:
        """End an element."""
        self._depth -= 1
        self._tree.end(tag)

    def data(self, text: str) -> None:
        """Take an element's text."""
        self._tree.data(text)

    def close(self) -> None:
        """Finish the tree."""
        self.root = self._tree.close()


def read_xml(path: Path) -> Element:
    """Return the root element of a file."""
    return parse_xml(read_bytes(path, error=BadCatalogue, max_bytes=MAX_BYTES), name=str(path))


def local_name(element: Element) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rsplit("}", 1)[-1]


def each(root: Element, name: str) -> Iterator[Element]:
    """Give the elements of a name, in any namespace, in the order of the document."""
    return (element for element in root.iter() if local_name(element) == name)


def text_of(root: Element, *names: str) -> str | None:
    """Return the text of the first element that bears the first of the names that has any."""
    for name in names:
        for element in each(root, name):
            if element.text and element.text.strip():
                return " ".join(element.text.split())[:300]
    return None


def number_of(root: Element, *names: str) -> float | None:
    """Return the first of the names as a finite number."""
    for name in names:
        given = text_of(root, name)
        try:
            value = float(given) if given is not None else None
        except ValueError:
            continue
        if value is not None and abs(value) < 1e12:
            return value
    return None
