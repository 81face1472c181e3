"""Impairments from the start, in a scenario file: `links:`."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

from pydantic import Field, model_validator

from labctl.faults.impairment import (
    AT,
    WORDS,
    Impairment,
    apart,
    checked,
    read_filter,
    read_lasting,
    read_nth,
    read_what,
)
from labctl.scenario.parts import Part

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]


def _word(name: str) -> str | None:
    alias = name if "-" in name else None
    default: str | None = Field(None, description=WORDS[name].help, alias=alias)
    return default


class Link(Part):
    """What is done to what one host sends to another; units are written out."""

    from_: Name = Field(
        alias="from", description="the host that sends; both directions of a link are two entries, or `both`"
    )
    to: Name | None = Field(None, description="the host it sends to; left out: all others")
    both: bool = Field(False, description="the other direction too")
    filter: str = Field("", description="only these packets", examples=["tcp port 25", "udp", "tcp data"])
    port: int | None = Field(None, ge=1, le=65535, description="only this port, of either end")
    at: str | None = Field(None, description=AT, examples=["RCPT", "GET"])
    nth: str | None = Field(None, description="of these only the N-th", examples=["3", "2,5", "4-6"])
    delay: str | None = _word("delay")
    jitter: str | None = _word("jitter")
    distribution: str | None = _word("distribution")
    loss: str | None = _word("loss")
    burst: str | int | float | None = _word("burst")
    gemodel: str | None = _word("gemodel")
    duplicate: str | None = _word("duplicate")
    reorder: str | None = _word("reorder")
    corrupt: str | None = _word("corrupt")
    rate: str | None = _word("rate")
    buffer: str | None = _word("buffer")
    mtu: str | None = _word("mtu")
    corrupt_octet: int | None = _word("corrupt-octet")  # type: ignore[assignment]
    reply: str | None = _word("reply")
    greeting: str | None = _word("greeting")
    stall: str | None = _word("stall")
    truncate: int | None = _word("truncate")  # type: ignore[assignment]
    after: int | None = _word("after")  # type: ignore[assignment]
    probability: str | None = _word("probability")
    seed: int | None = Field(None, ge=0, description="of all decisions; default: 1")
    lasts: str | None = Field(None, alias="for", description="heals by itself after this time", examples=["30s"])

    @model_validator(mode="after")
    def _makes_sense(self) -> "Link":
        for item in self.impairments():
            checked(item)
        return self

    def impairments(self) -> Iterator[Impairment]:
        """Yield what it comes to: one impairment a direction.

        Raises:
            ValueError: a unit is missing, or its properties contradict each other.
        """
        said = {name: getattr(self, name.replace("-", "_")) for name in WORDS}
        what = read_what({name: str(value) for name, value in said.items() if value is not None})
        if not what:
            raise ValueError("say what is done there, such as `delay: 40ms`")
        words = [self.filter, f"port {self.port}" if self.port else "", f"at {self.at}" if self.at else ""]
        where = read_filter(" ".join(words))
        if self.nth:
            where = replace(where, nth=read_nth(self.nth))
        lasts = read_lasting(self.lasts) if self.lasts else None
        for item in apart(Impairment(self.from_, self.to or "", where, what, self.seed, lasts)):
            yield item
            if self.both:
                yield replace(item, source=item.target, target=item.source)
