"""OpenVINO's core: one a process, which lives as long as the process does."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def openvino_core() -> Any:
    """Return the process's core.

    The processor's plugin of OpenVINO sets the stack on which signals are handled, and puts the one
    before it back when it goes. Of two cores the second would put back the first one's, which is
    gone by then: the next Ctrl-C, alarm or end of a child process would end the process with a
    segmentation fault.

    Raises:
        ImportError: without the extra ``openvino``.
    """
    import openvino

    return openvino.Core()
