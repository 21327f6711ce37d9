"""A cache that outlives its process: entries expire, and where there are too many those that expire first make way."""

import struct
import sys
import tempfile
import time

import opendb

# Milliseconds since 1970, the highest byte first, so that deadlines are in order where keys are.
_DEADLINE = struct.Struct(">Q")


def deadline_in(seconds: float) -> bytes:
    return _DEADLINE.pack(int((time.time() + seconds) * 1000))


class Cache:
    """At most so many entries, each until its time is over."""

    def __init__(self, database: opendb.OpenDB, entries_max: int) -> None:
        self._database = database
        # Key to deadline and value; and deadline and key to nothing, which has the order in which entries go.
        self._values = database.keyspace("values")
        self._deadlines = database.keyspace("deadlines")
        self._entries_max = entries_max

    def set(self, key: bytes, value: bytes, seconds: float) -> None:
        deadline = deadline_in(seconds)

        def store(transaction: opendb.Transaction) -> None:
            old = transaction.get("values", key)
            if old is not None:
                transaction.delete("deadlines", old[: _DEADLINE.size] + key)
            transaction.put("values", key, deadline + value)
            transaction.put("deadlines", deadline + key, b"")

        self._database.transact(store)
        while len(self._values) > self._entries_max:
            self._drop_first()

    def get(self, key: bytes) -> bytes | None:
        found = self._values.get(key)
        if found is None or found[: _DEADLINE.size] <= deadline_in(0):
            return None
        return found[_DEADLINE.size :]

    def drop_expired(self) -> int:
        """Removes what is over, and tells how much that was."""
        dropped = 0
        while self._drop_first(stop=deadline_in(0)):
            dropped += 1
        return dropped

    def _drop_first(self, stop: bytes | None = None) -> bool:
        """Removes the entry that goes first. False where there is none before `stop`."""

        def drop(transaction: opendb.Transaction) -> bool:
            for entry in transaction.iter_keys("deadlines", stop=stop, limit=1):
                transaction.delete("deadlines", entry)
                transaction.delete("values", entry[_DEADLINE.size :])
                return True
            return False

        return self._database.transact(drop)


if __name__ == "__main__":
    with opendb.open(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()) as db:
        cache = Cache(db, entries_max=2)
        cache.set(b"weather:ghent", b"rain", seconds=600)
        cache.set(b"weather:porto", b"sun", seconds=60)
        cache.set(b"weather:oslo", b"snow", seconds=3600)
        # Three were too many, and Porto's would have gone first.
        print("ghent", cache.get(b"weather:ghent"))
        print("porto", cache.get(b"weather:porto"))

        cache.set(b"weather:oslo", b"fog", seconds=0.01)
        time.sleep(0.1)
        print("oslo", cache.get(b"weather:oslo"))
        print("dropped", cache.drop_expired())
