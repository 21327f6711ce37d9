"""What is written, and what every answer must be. All of it is computed from numbers."""

import hashlib
import random
import struct

KEY_BYTES_MIN = 16
KEY_LENGTHS = 9
POOL_BYTES = 1 << 20
WORD = (1 << 64) - 1
# Odd, so that no two numbers below 2^64 have the same product.
GOLDEN = 0x9E37_79B9_7F4A_7C15
OTHER = 0xBF58_476D_1CE4_E5B9

Entry = tuple[bytes, bytes]


class Entries:
    """Keys of 16 to 24 bytes whose order is chance, and values of one length that cannot be compressed."""

    def __init__(self, count: int, value_bytes: int, seed: int) -> None:
        self.count = count
        self._seed = seed
        # Numbers and versions stand in front, in two words.
        self._rest_bytes = value_bytes - 16
        self._pool = random.Random(seed).randbytes(POOL_BYTES + value_bytes)
        self.keys = [self.key(number) for number in range(count)]

    def key(self, number: int, salt: bytes = b"present") -> bytes:
        word = number.to_bytes(8, "little") + self._seed.to_bytes(8, "little")
        digest = hashlib.blake2b(word, digest_size=25, salt=salt).digest()
        return digest[: KEY_BYTES_MIN + digest[24] % KEY_LENGTHS]

    def absent(self, number: int) -> bytes:
        """A key that is never written."""
        return self.key(number, b"absent")

    def value(self, number: int, version: int) -> bytes:
        first, second = (number + 1) * GOLDEN & WORD, (version + 1) * OTHER & WORD
        begin = (first ^ second) % POOL_BYTES
        return struct.pack("<QQ", first, second) + self._pool[begin : begin + self._rest_bytes]

    def entry(self, number: int, version: int = 0) -> Entry:
        key = self.keys[number] if number < self.count else self.key(number)
        return key, self.value(number, version)

    def in_order(self) -> list[int]:
        """The numbers of what is loaded, in the order of its keys."""
        return sorted(range(self.count), key=self.keys.__getitem__)
