"""How every provider's one table of faults is put to use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from domain.errors import StarferryError


def classifying(classify: Callable[[Exception], StarferryError]) -> Callable[[], AbstractContextManager[None]]:
    """A context that turns every exception of its block that isn't ours into the error that it means.

    The original goes no further, neither as text nor as cause: it may hold a secret.
    """

    @contextmanager
    def classified() -> Iterator[None]:
        try:
            yield
        except StarferryError:
            raise
        except Exception as exc:
            raise classify(exc) from None

    return classified
