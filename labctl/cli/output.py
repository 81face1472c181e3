"""How results look: text for people, JSON (with a version) for programs; stdout is data, stderr is talk."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import click

JSON_VERSION = 1


def print_json(**facts: Any) -> None:
    """Print one JSON object that carries the format's version."""
    click.echo(json.dumps({"version": JSON_VERSION, **facts}, indent=2, default=_plain, ensure_ascii=False))


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):
        return value.model_dump(exclude_defaults=True)
    raise TypeError(f"no JSON for {type(value).__name__}")


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns as wide as their widest entry; the last column runs free."""
    if not rows:
        return
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

    click.secho(line(head), bold=True)
    for row in rows:
        click.echo(line(row))


def printable(text: str) -> str:
    """Return a text whose control characters cannot move a terminal's cursor."""
    return "".join(char if char in "\n\t" or char.isprintable() else repr(char)[1:-1] for char in text)


def xml_text(text: str) -> str:
    """Return what XML can hold of a text: XML 1.0 section 2.2 has no place for most control characters, escaped or not."""
    return "".join(
        char if char in "\n\t" or (char.isprintable() and ord(char) not in (0xFFFE, 0xFFFF)) else "\ufffd"
        for char in text
    )
