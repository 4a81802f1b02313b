"""Ctrl-C, a request to end (SIGTERM) and a lost terminal (SIGHUP) all raise `KeyboardInterrupt`, but not amid an import.

A module of machine code whose import is interrupted leaves Python broken, and the process crashes. So an interrupt waits for
the end of an import, for a few seconds at most.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_AGAIN = 0.02  # [s] until an interrupt amid an import is tried again
_LONGEST = 20.0  # [s] that it waits: code of a user's library may never end
_MACHINERY = "<frozen importlib"  # how Python names the code that imports

_since = 0.0  # when the interrupt that waits came
received = 0  # the number of the last signal that interrupted


@contextlib.contextmanager
def handled(to_the_end: bool = False) -> Iterator[None]:
    """Interrupt the body by these signals, unless they are ignored or have another handler. Only the main thread can.

    Where the body is all that the process does, they are ignored after it, while Python takes itself down.
    """
    global received
    before, received = {}, 0
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                before[number] = signal.signal(number, _interrupt)
    try:
        yield
    finally:
        _forget()
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if to_the_end else handler)


def ignore() -> None:
    """Let no further signal interrupt what is left to do, nor one that waits for the end of an import."""
    _forget()
    for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, signal.SIG_IGN)


def _forget() -> None:
    """Drop an interrupt that waits: what it was meant for has ended."""
    global _since
    if _since and hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    _since = 0.0


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _since, received
    _since = _since or time.monotonic()
    if hasattr(signal, "setitimer") and _importing(frame) and time.monotonic() - _since < _LONGEST:
        signal.signal(signal.SIGALRM, lambda _, later: _interrupt(number, later))
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)
        return
    _since, received = 0.0, number
    raise KeyboardInterrupt


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported where a signal came."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(_MACHINERY):
            return True
        frame = frame.f_back
    return False
