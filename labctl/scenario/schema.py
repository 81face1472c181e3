"""The scenario file, as pydantic models: the one place that says what a file may hold.

Strict and closed: an unknown key is an error, and so is a number where text is meant. `labctl schema` exports it for editors.
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, WithJsonSchema, model_validator

from labctl.faults.read import VERBS, read_fault
from labctl.scenario.links import Link
from labctl.scenario.parts import Part, Seconds
from labctl.scenario.wire import WireItem

HostName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", description="a service of compose.yaml")]
ScenarioName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class Text(Part):
    """What a stream must hold; all conditions given must be met. Octets that are no UTF-8 are compared as U+FFFD."""

    equals: str | None = Field(None, description="the whole of it")
    contains: str | tuple[str, ...] | None = Field(None, description="a part of it, or several")
    matches: str | None = Field(None, description="a regular expression (Python's), searched in it")
    lacks: str | tuple[str, ...] | None = Field(None, description="what must not be in it")

    @model_validator(mode="after")
    def _says_something(self) -> "Text":
        if not self.model_fields_set:
            raise ValueError("say one of `equals`, `contains`, `matches`, `lacks`")
        if self.matches is not None:
            try:
                re.compile(self.matches)
            except re.error as error:
                raise ValueError(f"`matches` is not a regular expression: {error}") from error
        return self


class Expect(Part):
    """What a step must come to."""

    exit: int = Field(0, ge=0, le=255, description="the exit code")
    stdout: Text | None = None
    stderr: Text | None = None
    within: Seconds = Field(30.0, description="time limit; the command is ended after it")


class Background(Part):
    """A step that goes on while later ones run; it is judged at the end."""

    ready: str | None = Field(None, description="text on its stdout after which the next step may begin")


class Step(Part):
    """Something a host runs, with what is expected of it."""

    say: str = Field(min_length=1, description="what happens, for a reader; shown while it runs")
    on: HostName
    run: str = Field(min_length=1, description="a command for the host's shell")
    background: Background | None = None
    expect: Expect = Field(default_factory=lambda: Expect.model_validate({}))
    wire: tuple[WireItem, ...] = Field((), description="what its packets and socket calls must show")


class FaultStep(Part):
    """A step that breaks or heals something; what comes after it is played in that state."""

    say: str = Field("", description="what happens, for a reader; has words of its own where it is left out")
    fault: Annotated[
        str,
        AfterValidator(lambda text: str(read_fault(text))),
        WithJsonSchema({"type": "string", "pattern": f"^({'|'.join(VERBS)})( \\S+)*$"}),
    ] = Field(
        description=f"one of {', '.join(VERBS)}, and the host; `heal` alone heals all", examples=["crash tcp-server"]
    )


def kind_of_step(step: object) -> str:
    """Return the tag of a step's kind: what holds the key `fault` is one, all else runs a command."""
    return FAULT if isinstance(step, FaultStep) or (isinstance(step, dict) and "fault" in step) else RUN


RUN, FAULT = "<run>", "<fault>"  # no key of a file can be written so
StepInFile = Annotated[Annotated[Step, Tag(RUN)] | Annotated[FaultStep, Tag(FAULT)], Discriminator(kind_of_step)]


class Question(Part):
    """Asked of a class after the lesson."""

    ask: str = Field(min_length=1)
    answer: str = Field(min_length=1)


class Check(Part):
    """A check of a server's behaviour, and what it is worth."""

    check: Literal[
        "talk",
        "split",
        "coalesced",
        "half-close",
        "slow-peer",
        "many-clients",
        "garbage",
        "big-message",
        "vanishing-client",
        "restart",
    ]
    port: int = Field(ge=1, le=65535)
    talk: Literal["greeting", "echo"] = Field("greeting", description="what the server does there")
    points: float = Field(1.0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _numbers(cls, data: object) -> object:
        points = data.get("points") if isinstance(data, dict) else None
        return {**data, "points": float(points)} if isinstance(data, dict) and type(points) is int else data


class BuildLimits(Part):
    """What the build of a submission's image may take; it has no network."""

    seconds: Seconds = Field(120.0, description="time limit")
    memory_mb: int = Field(512, ge=6, description="memory limit of each step, in MiB")
    context_mb: int = Field(16, ge=1, description="size of the submission's folder, in MiB")
    image_mb: int = Field(1024, ge=1, description="size of the image, and of what a step may write meanwhile, in MiB")


class Grading(Part):
    """How `labctl grade` judges a program in a host's place."""

    host: HostName
    greeting: str = Field("", description="what a server says to each client before it closes")
    steps: int = Field(1, ge=0, description="points for each step of the scenario that is as expected")
    seconds: Seconds = Field(60.0, description="time limit for a submission, from the moment that its lab is up")
    memory_mb: int = Field(64, ge=6, description="memory limit of a submission, in MiB")
    build: BuildLimits = Field(
        default_factory=lambda: BuildLimits.model_validate({}),
        description="limits on the build of a submission with a Dockerfile",
    )
    checks: tuple[Check, ...] = ()


class Scenario(Part):
    """A named lesson: which hosts, which steps, what must be seen."""

    scenario: ScenarioName
    title: str = Field(min_length=1, description="one line, shown by `labctl ls`")
    topics: tuple[str, ...] = ()
    hosts: tuple[HostName, ...] = Field(min_length=1, description="services of compose.yaml that take part")
    links: tuple[Link, ...] = Field((), description="what is wrong with the network from the start")
    steps: tuple[StepInFile, ...] = ()
    wire: tuple[WireItem, ...] = Field((), description="what the packets of all steps together must show")
    questions: tuple[Question, ...] = ()
    grading: Grading | None = None
    version: Literal[1] = Field(1, description="of the file format")

    @model_validator(mode="before")
    @classmethod
    def _lists_as_tuples(cls, data: object) -> object:
        return _tuples(data)


def _tuples(value: object) -> object:
    """Turn YAML's lists into tuples, which a strict, unchanging model asks for."""
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    return {key: _tuples(item) for key, item in value.items()} if isinstance(value, dict) else value
