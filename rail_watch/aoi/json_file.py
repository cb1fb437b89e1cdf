"""Read a JSON file that came from outside: bounded in size and depth, strict about numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NoReturn

from rail_watch.errors import BadInput


def read_bytes(path: Path, *, error: type[BadInput], max_bytes: int) -> bytes:
    """Return a regular file's bytes, refusing to read more than `max_bytes` of them."""
    if "\0" in str(path):
        raise error("a file name holds a NUL character")
    try:
        if not path.is_file():
            raise error(f"{path}: no such file" if not path.exists() else f"{path}: not a regular file")
        with path.open("rb") as stream:
            data = stream.read(max_bytes + 1)
    except OSError as fault:
        raise error(f"{path}: cannot be read ({fault.strerror or type(fault).__name__})") from fault
    if len(data) > max_bytes:
        raise error(f"{path}: larger than {max_bytes / 1e6:.0f} MB; give only the part that is needed")
    return data


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def parse_json(data: bytes, *, name: str, error: type[BadInput]) -> object:
    """Return what the bytes hold; every fault is one line naming the file."""
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as fault:
        raise error(f"{name}: not UTF-8 text (byte {fault.start}); save it as UTF-8") from fault
    except json.JSONDecodeError as fault:
        raise error(f"{name}: not JSON: {fault.msg} at line {fault.lineno}, column {fault.colno}") from fault
    except RecursionError as fault:
        raise error(f"{name}: nested too deeply to be a real document") from fault
    except ValueError as fault:
        raise error(f"{name}: not JSON: {fault}") from fault


def read_json(path: Path, *, error: type[BadInput], max_bytes: int) -> object:
    """Return what a JSON file holds."""
    return parse_json(read_bytes(path, error=error, max_bytes=max_bytes), name=str(path), error=error)
