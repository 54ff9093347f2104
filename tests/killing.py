"""SIGKILL before a chosen durable step: each fsync, rename and link is one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable


def killed_at(number: int, act: Callable[[], None]) -> bool:
    """Do `act` in a process that ends by SIGKILL before its durable step of this number; whether it
    came so far."""
    child = os.fork()
    if child == 0:
        steps = 0

        def counted(real: Callable[..., object]) -> Callable[..., object]:
            def step(*args: object, **kwargs: object) -> object:
                nonlocal steps
                steps += 1
                if steps == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)

            return step

        for name in ("fsync", "replace", "link"):
            setattr(os, name, counted(getattr(os, name)))
        try:
            act()
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False
