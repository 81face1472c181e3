"""What all parts of a scenario file share."""

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}
DURATION = r"^\d+(\.\d+)?(ms|s|m)$"


def seconds(value: object) -> object:
    """Read a duration with its unit written out: `40ms`, `5s`, `2m`.

    Raises:
        ValueError: it has no unit, or another one.
    """
    if isinstance(value, float):  # read already: a model is validated from its own dump
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError("a duration with its unit is expected, such as `500ms`, `5s` or `2m`")
    return float(match[1]) * _SECONDS[match[2]]


Seconds = Annotated[
    float,
    BeforeValidator(seconds, json_schema_input_type=Annotated[str, Field(pattern=DURATION, examples=["5s", "500ms"])]),
]


class Part(BaseModel):
    """Closed, strict, unchanging."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
