"""Many small objects at once: the collector of cycles would look through all of them again and again, and find nothing."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

MANY = 50_000  # objects; to look through fewer is quick


@contextmanager
def no_collection() -> Iterator[None]:
    """Have no cycles looked for meanwhile, nor later in what was made, if that is much; what holds no cycle is freed all the same."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            if gc.get_count()[0] > MANY:
                gc.freeze()
            gc.enable()
