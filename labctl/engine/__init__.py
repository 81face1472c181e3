"""Labs on an engine: the only code that talks to Docker."""
