"""Keep a stream of unknown length within a bound: its head and its tail."""


class BoundedOutput:
    """The first and the last half of `limit_bytes`, with a line between that counts the rest."""

    def __init__(self, limit_bytes: int) -> None:
        self._head_max = (limit_bytes + 1) // 2
        self._tail_max = limit_bytes // 2
        self._head = bytearray()
        self._tail = bytearray()
        self.total_bytes = 0

    def add(self, data: bytes) -> None:
        self.total_bytes += len(data)
        room = self._head_max - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * self._tail_max:
            del self._tail[: len(self._tail) - self._tail_max]

    @property
    def left_out_bytes(self) -> int:
        return max(0, self.total_bytes - self._head_max - self._tail_max)

    def value(self) -> bytes:
        tail = bytes(self._tail[max(0, len(self._tail) - self._tail_max) :])
        if not self.left_out_bytes:
            return bytes(self._head) + tail
        return bytes(self._head) + b"\n[%d bytes left out]\n" % self.left_out_bytes + tail
