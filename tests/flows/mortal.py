"""A worker that dies between two calls to the world, as by SIGKILL, in a process that lives on."""

from collections.abc import Callable
from typing import Any


class Died(BaseException):
    """The worker is no more: nothing of it runs after this."""


class Mortal:
    """A site or the stacks, as a worker sees them that dies before or after its n-th call to them."""

    def __init__(self, of: Any, life: list[int]) -> None:
        self._of, self._life = of, life

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._of, name)
        return self._dying(found) if callable(found) else found

    def _dying(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._step()
            answer = act(*args, **kwargs)
            self._step()
            return answer
        return call

    def _step(self) -> None:
        self._life[0] -= 1
        if self._life[0] == 0:
            raise Died
