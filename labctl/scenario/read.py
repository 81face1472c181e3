"""Read and validate a scenario file as a whole: every error in one go, with line, column, path and the nearest known word."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from labctl.errors import UsageError
from labctl.faults.read import read_fault
from labctl.scenario.links import Link
from labctl.scenario.parts import Part
from labctl.scenario.schema import (
    FAULT,
    RUN,
    Background,
    Check,
    Expect,
    FaultStep,
    Grading,
    Question,
    Scenario,
    Step,
    Text,
)
from labctl.scenario.wire import WireItem
from labctl.words import nearest

_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
BOOL = "tag:yaml.org,2002:bool"
MAP = "tag:yaml.org,2002:map"
FILE_LIMIT = 1 << 20
EXPECTED = {  # pydantic's kinds of error, in the words of somebody who writes YAML
    "string_type": "text is expected, in quotes where it looks like a number",
    "int_type": "a whole number is expected",
    "tuple_type": "a list is expected",
    "model_type": "a mapping is expected",
    "bool_type": "`true` or `false` is expected",
}

INTERNAL = ("str", "tuple[str, ...]", RUN, FAULT)  # parts of pydantic's paths that stand in no file


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a file; `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        path = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}:{self.column}: {path}{self.message}"


class ScenarioError(UsageError):
    """A file with problems; exit code 2."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(
            f"the scenario file has {count}:\n{lines}",
            hint="`labctl schema` prints the format; `labctl check FILE` checks again",
        )


class _Loader(_BASE):  # type: ignore[misc]
    """YAML 1.2's idea of a truth value: in 1.1, which PyYAML reads, the key `on` would be `True`."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != BOOL]
    for first, resolvers in _BASE.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(BOOL, re.compile(r"^(?:true|false)$"), list("tf"))


def read_scenario(path: Path, known_hosts: Sequence[str]) -> Scenario:
    """Return the scenario in a file.

    Args:
        path: the file.
        known_hosts: names of the services that the Compose file beside it (or the lab's own) has.

    Raises:
        ScenarioError: it is no YAML, or not a scenario; all problems at once.
        UsageError: it cannot be read.
    """
    try:
        octets = path.read_bytes()
        if len(octets) > FILE_LIMIT:
            raise UsageError(f"the file has {len(octets)} octets; a scenario has at most {FILE_LIMIT}", where=str(path))
        text = octets.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"the scenario file cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise ScenarioError([Problem(str(path), line, 1, "", "not UTF-8")]) from error
    return parse_scenario(text, str(path), known_hosts)


def parse_scenario(text: str, file: str, known_hosts: Sequence[str]) -> Scenario:
    """Return the scenario in a text; see `read_scenario`."""
    try:
        # An alias can hold itself, or a billion copies of a line; a scenario needs none.
        aliases = [token.start_mark for token in yaml.scan(text, Loader=_Loader) if isinstance(token, yaml.AliasToken)]
        if aliases:
            raise ScenarioError(
                [Problem(file, *_place(mark), "", "YAML aliases are not taken; write it out") for mark in aliases]
            )
        root = yaml.compose(text, Loader=_Loader)
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - the loader is the safe one, less YAML 1.1's truth values
    except (yaml.YAMLError, RecursionError) as error:
        raise ScenarioError([_syntax_problem(error, file)]) from error
    except UnicodeEncodeError as error:  # half a surrogate pair, which no file in UTF-8 holds
        raise ScenarioError([Problem(file, text.count("\n", 0, error.start) + 1, 1, "", "not UTF-8")]) from error
    if root is None or not isinstance(data, dict):
        raise ScenarioError([Problem(file, 1, 1, "", "a mapping is expected, beginning with `scenario: NAME`")])
    problems = [
        Problem(file, *_place(mark), "", f"key `{key}` stands twice, first at line {first}")
        for key, first, mark in _twice(root)
    ]
    try:
        scenario = Scenario.model_validate(data)
    except ValidationError as error:
        problems += [_problem(root, file, item["loc"], item) for item in error.errors()]
    problems += _cross_checks(data, root, file, known_hosts)
    if problems:
        raise ScenarioError(sorted(set(problems), key=lambda problem: (problem.line, problem.column)))
    return scenario


def _cross_checks(data: dict[str, Any], root: yaml.Node, file: str, known_hosts: Sequence[str]) -> Iterator[Problem]:
    """Find what is well-formed but means nothing: hosts that do not exist, or do not take part."""
    hosts = _texts(data.get("hosts"))
    for index, host in hosts.items():
        place = _place(_find(root, ("hosts", index)))
        if host not in known_hosts:
            yield Problem(
                file, *place, f"hosts[{index}]", f"no host `{host}` in compose.yaml{nearest(host, known_hosts)}"
            )
        elif host in list(hosts.values())[:index]:
            yield Problem(file, *place, f"hosts[{index}]", f"host `{host}` is listed twice")
    links = data.get("links")
    for index, link in enumerate(links if isinstance(links, list) else ()):
        for key in ("from", "to") if isinstance(link, dict) else ():
            name = link.get(key)
            if isinstance(name, str) and hosts and name not in hosts.values():
                known = nearest(name, hosts.values())
                place = _place(_find(root, ("links", index, key)))
                yield Problem(
                    file, *place, f"links[{index}].{key}", f"host `{name}` is not among the scenario's hosts{known}"
                )
    steps = data.get("steps")
    yield from _wire_checks(data, (), root, file, list(hosts.values()))
    for index, step in enumerate(steps if isinstance(steps, list) else ()):
        yield from _wire_checks(step, ("steps", index), root, file, list(hosts.values()))
        if isinstance(step, dict) and isinstance(step.get("fault"), str) and hosts:
            yield from _fault_problem(step["fault"], index, list(hosts.values()), root, file)
        for on in _texts([step.get("on")] if isinstance(step, dict) else None).values():
            if hosts and on not in hosts.values():
                place = _place(_find(root, ("steps", index, "on")))
                known = nearest(on, hosts.values())
                yield Problem(
                    file, *place, f"steps[{index}].on", f"host `{on}` is not among the scenario's hosts{known}"
                )


def _wire_checks(
    step: object, at: tuple[int | str, ...], root: yaml.Node, file: str, hosts: Sequence[str]
) -> Iterator[Problem]:
    """Find hosts in expectations of the wire that take no part."""
    items = step.get("wire") if isinstance(step, dict) else None
    for number, item in enumerate(items if isinstance(items, list) else ()):
        for word, said in item.items() if isinstance(item, dict) else ():
            for key in ("from", "to", "first", "on"):
                place = said.get(key) if isinstance(said, dict) else None
                host = place.partition(":")[0] if isinstance(place, str) else ""
                if host and hosts and host not in hosts:
                    loc = (*at, "wire", number, word, key)
                    known = nearest(host, hosts)
                    yield Problem(
                        file,
                        *_place(_find(root, loc)),
                        _path(loc),
                        f"host `{host}` is not among the scenario's hosts{known}",
                    )


def _fault_problem(text: str, index: int, hosts: list[str], root: yaml.Node, file: str) -> Iterator[Problem]:
    """Find the host of a fault that does not take part; what is no fault at all is the schema's to tell."""
    try:
        read_fault(text)
    except ValueError:
        return
    try:
        read_fault(text, hosts)
    except ValueError as error:
        yield Problem(file, *_place(_find(root, ("steps", index, "fault"))), f"steps[{index}].fault", str(error))


def _texts(value: object) -> dict[int, str]:
    """Return the strings of a list by their place; what is no list, or no string, is the schema's to tell."""
    return {index: item for index, item in enumerate(value) if isinstance(item, str)} if isinstance(value, list) else {}


def _problem(root: yaml.Node, file: str, loc: tuple[int | str, ...], item: Any) -> Problem:
    model = _model_at(loc[:-1])
    loc = tuple(part for part in loc if not (isinstance(part, str) and part in INTERNAL))
    kind, message = item["type"], item["msg"]
    if kind == "extra_forbidden":
        known = [field.alias or name for name, field in model.model_fields.items()]
        message = f"unknown key `{loc[-1]}`{nearest(str(loc[-1]), known)}"
    elif kind == "missing":
        message = f"key `{loc[-1]}` is missing"
    elif kind == "value_error":
        message = str(item["ctx"]["error"])
    elif kind == "string_pattern_mismatch":
        message = f"`{item['input']}` is not a name: small letters, digits and `-` are"
    else:
        message = f"{EXPECTED.get(kind) or message[0].lower() + message[1:]}, but it is `{_short(item['input'])}`"
    return Problem(file, *_place(_find(root, loc, key=kind == "extra_forbidden")), _path(loc), message)


def _model_at(loc: tuple[int | str, ...]) -> type[Part]:
    """Return the model that describes the mapping at `loc`, to name its keys."""
    names: dict[str, type[Part]] = {
        RUN: Step,
        FAULT: FaultStep,
        "links": Link,
        "questions": Question,
        "grading": Grading,
        "checks": Check,
        "expect": Expect,
        "background": Background,
        "stdout": Text,
        "stderr": Text,
    }
    if "wire" in loc:
        return _wire_model_at(loc[loc.index("wire") + 1 :])
    return next((names[part] for part in reversed(loc) if isinstance(part, str) and part in names), Scenario)


def _wire_model_at(loc: tuple[int | str, ...]) -> type[Part]:
    """Return the model of a word of the wire, or of its particulars: their names depend on the word."""
    model: type[Part] = WireItem
    for part in loc:
        field = next((item for name, item in model.model_fields.items() if part in (name, item.alias)), None)
        inner = (
            [item for item in get_args(field.annotation) if isinstance(item, type) and issubclass(item, Part)]
            if field
            else []
        )
        model = inner[0] if inner else model
    return model


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _path(loc: Sequence[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")


def _find(node: yaml.Node, loc: Sequence[int | str], *, key: bool = False) -> Any:
    """Return the mark of the node at `loc`, or of the nearest one above it; of its key, where `key` is set."""
    mark = node.start_mark
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = next(((name, value) for name, value in node.value if name.value == str(part)), None)
            if found is None:
                return mark
            mark = found[0].start_mark if key else found[1].start_mark
            node = found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            mark = node.start_mark
        else:
            return mark
    return mark


def _place(mark: Any) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


def _twice(node: yaml.Node) -> Iterator[tuple[str, int, Any]]:
    """Yield keys that stand twice in a mapping; YAML forbids them, PyYAML silently takes the last."""
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for name, value in node.value:
            if name.value in first:
                yield str(name.value), first[name.value], name.start_mark
            first.setdefault(name.value, name.start_mark.line + 1)
            children.append(value)
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    for child in children:
        yield from _twice(child)


def _syntax_problem(error: yaml.YAMLError | RecursionError, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = _place(mark) if mark else (1, 1)
    said = getattr(error, "problem", None) or ("nested too deep" if isinstance(error, RecursionError) else str(error))
    return Problem(file, line, column, "", f"not YAML: {said}")
