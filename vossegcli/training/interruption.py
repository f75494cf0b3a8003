"""Ctrl-C, SIGTERM and SIGHUP wait for the end of a step, so that the state that is saved then is whole."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Final

#: SIGHUP comes when a terminal is closed; Windows lacks it.
_STOPPING: Final = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))


class Interruption:
    """Holds back these signals inside a `with` block; a second one acts at once.

    Signals that are ignored stay so, and so does all outside the main thread, where Python allows no handlers.

    Attributes:
        number: the signal that came; 0 = none.
    """

    def __init__(self) -> None:
        self.number = 0
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for number in _STOPPING:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def act(self) -> None:
        """Let the signal that came do what it would have done at once."""
        self._restore()
        signal.raise_signal(self.number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        again, self.number = self.number, number
        if again:
            self.act()

    def _restore(self) -> None:
        while self._handlers:
            signal.signal(*self._handlers.popitem())
