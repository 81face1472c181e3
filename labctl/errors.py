"""The one error that a user can act on: what happened, where, how to mend it."""


class LabError(Exception):
    """Something the user can act on; anything else that is raised is a bug and keeps its traceback.

    Args:
        what: one sentence, names in backticks, real numbers.
        where: the file, service or socket it is about; printed as `  at ...`.
        hint: the command to type next, or what to change.
        code: the exit code: 1 the lab failed, 2 usage or a bad file, 3 no usable engine.
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "", code: int = 1) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        where = f"\n  at {self.where}" if self.where else ""
        hint = f"\n\nhint: {self.hint}" if self.hint else ""
        return f"error: {self.what}{where}{hint}"


class UsageError(LabError):
    """What was asked for does not exist or is written wrong: exit code 2."""

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint, code=2)


class EngineError(LabError):
    """There is no engine to work with: exit code 3."""

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint, code=3)
