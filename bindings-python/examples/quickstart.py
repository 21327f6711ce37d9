import sys
import tempfile

import opendb

path = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()
with opendb.open(path) as db:
    db.put(b"user:1", b"Alice")
    db.put(b"user:2", b"Bob")
    print("user:1 is", db.get(b"user:1"))

    for key, value in db.scan_prefix(b"user:"):
        print(key, "=", value)

    def visit(transaction: opendb.Transaction) -> int:
        visits = int.from_bytes(transaction.get("default", b"visits") or b"\0", "little") + 1
        transaction.put("default", b"visits", visits.to_bytes(8, "little"))
        return visits

    print("visits:", db.transact(visit))
