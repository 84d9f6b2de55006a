"""Moves the wall clock of a process under test: `CHAOS_CLOCK` names a file with the seconds.

Python runs this at start when its folder is in PYTHONPATH. Everything that asks `time.time` sees
the moved clock: Tocsin's own clock, Faust, loggers. Monotonic clocks go on, as after a real step.
"""

import mmap
import os
import struct
import time
from pathlib import Path

_name = os.environ.get("CHAOS_CLOCK")
if _name:
    with Path(_name).open("rb") as _file:
        _offset = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)
    _true = time.time
    _read = struct.Struct("<d").unpack_from

    def _moved() -> float:
        return _true() + float(_read(_offset)[0])

    time.time = _moved
