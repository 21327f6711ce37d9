"""The Python part of the demonstration: scans what Rust loaded, counts words, and searches them by prefix."""

import collections
import re
import sys
import time

import opendb

WORD = re.compile(rb"[a-z]{3,30}")
LICENCE_NAMES = (b"license", b"licence", b"copying", b"copyright", b"unlicense", b"notice")
LICENCE_BYTES_MAX = 256 << 10


def scan_keys(db: opendb.OpenDB) -> list[bytes]:
    """Walks over every key, without reading a value, and checks that they come in order."""
    begin = time.perf_counter()
    keys = list(db.iter_keys())
    seconds = time.perf_counter() - begin
    if len(keys) != len(db):
        raise SystemExit(f"the scan gave {len(keys)} keys, the database has {len(db)}")
    if any(left >= right for left, right in zip(keys, keys[1:])):
        raise SystemExit("the scan did not give the keys in order")
    places = collections.Counter(key.split(b"/", 1)[0].decode() for key in keys)
    found = ", ".join(f"{count} of {name}" for name, count in places.most_common())
    print(f"  scanned {len(keys)} keys in order in {seconds:.2f} s, {len(keys) / seconds:.0f} keys/s: {found}")
    return keys


def scan_largest(db: opendb.OpenDB, keys: list[bytes]) -> None:
    """Reads the package with the most files by its prefix."""
    packages = collections.Counter(b"/".join(key.split(b"/", 2)[:2]) for key in keys if key.count(b"/") > 1)
    if not packages:
        return
    prefix = packages.most_common(1)[0][0] + b"/"
    begin = time.perf_counter()
    entries = db.iter(prefix)
    first = next(entries)
    first_seconds = time.perf_counter() - begin
    size = len(first[1]) + sum(len(value) for _, value in entries)
    seconds = time.perf_counter() - begin
    print(
        f"  scanned the prefix {prefix.decode(errors='replace')}: {size >> 10} KiB in {seconds * 1e3:.1f} ms, "
        f"the first entry after {first_seconds * 1e6:.0f} us"
    )


def count_words(db: opendb.OpenDB, keys: list[bytes]) -> None:
    """Counts the words of every licence text and writes them as one batch into a keyspace of their own."""
    counts: collections.Counter[bytes] = collections.Counter()
    texts = 0
    begin = time.perf_counter()
    for key in keys:
        if key.rsplit(b"/", 1)[-1].lower().startswith(LICENCE_NAMES):
            text = db.get(key)
            if text is not None and len(text) <= LICENCE_BYTES_MAX:
                counts.update(WORD.findall(text.lower()))
                texts += 1
    db.keyspace("words")
    with db.batch() as batch:
        for word, count in counts.items():
            batch.put("words", word, count.to_bytes(8, "little"))
    seconds = time.perf_counter() - begin
    print(f"  read {texts} licence texts and wrote {len(counts)} different words as one batch in {seconds:.2f} s")


def search_words(db: opendb.OpenDB) -> None:
    """Finds words by how they begin."""
    words = db.keyspace("words")
    for prefix in (b"warrant", b"permi", b"copyr"):
        begin = time.perf_counter()
        found = words.scan_prefix(prefix)
        micros = (time.perf_counter() - begin) * 1e6
        by_count = sorted(((int.from_bytes(count, "little"), word.decode()) for word, count in found), reverse=True)
        shown = ", ".join(f"{word} {count}" for count, word in by_count[:3])
        print(f"  searched {prefix.decode()}*: {len(found)} words in {micros:.0f} us: {shown}")


def main() -> None:
    with opendb.open(sys.argv[1]) as db:
        keys = scan_keys(db)
        scan_largest(db, keys)
        count_words(db, keys)
        search_words(db)


main()
