"""`with refused("task.lease_lost"):` the call fails with exactly this code, and says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from homarus.base.errors import HomarusError


@contextmanager
def refused(code: str) -> Iterator[pytest.ExceptionInfo[HomarusError]]:
    with pytest.raises(HomarusError) as caught:
        yield caught
    assert caught.value.code == code, f"{caught.value!s}"
    assert caught.value.remedy, "an error tells the fix"
