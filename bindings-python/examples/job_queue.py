"""A job queue that survives its process: each job is given to one worker, and again to another where that one has died."""

import struct
import sys
import tempfile
import threading
import time

import opendb

# Numbers and times with the highest byte first, so that the order of the keys is theirs.
_NUMBER = struct.Struct(">Q")


class Jobs:
    """Jobs in the order in which they were added. Add and claim from any number of threads."""

    def __init__(self, database: opendb.OpenDB, lease_seconds: float = 30.0) -> None:
        self._database = database
        self._numbers = database.keyspace("numbers")
        self._waiting = database.keyspace("waiting")
        self._running = database.keyspace("running")
        self._lease_seconds = lease_seconds

    def add(self, job: bytes) -> None:
        number = self._numbers.increment(b"last")
        # "sync": whoever hands over a job may forget it, also if the power fails.
        self._waiting.put(_NUMBER.pack(number), job, "sync")

    def claim(self) -> tuple[bytes, bytes] | None:
        """The next job, as (number, job), which is to be `done` before its lease is over. None where no job waits."""

        def move(transaction: opendb.Transaction) -> tuple[bytes, bytes] | None:
            for number, job in transaction.iter("waiting", limit=1):
                until = _NUMBER.pack(int(time.time() + self._lease_seconds))
                transaction.delete("waiting", number)
                transaction.put("running", number, until + job)
                return number, job
            return None

        # Two workers that want the same job conflict, and one of them looks again.
        return self._database.transact(move, retries=10_000)

    def done(self, number: bytes) -> bool:
        """Ends a job. False where its lease was over and it has gone to somebody else, or is done."""
        return self._running.take(number) is not None

    def put_back(self) -> int:
        """Lets jobs wait again whose workers have not ended them in time, and tells how many."""

        def move(transaction: opendb.Transaction) -> int:
            now = _NUMBER.pack(int(time.time()))
            late = [entry for entry in transaction.iter("running") if entry[1][: _NUMBER.size] <= now]
            for number, job in late:
                transaction.delete("running", number)
                transaction.put("waiting", number, job[_NUMBER.size :])
            return len(late)

        return self._database.transact(move)


def work(jobs: Jobs, results: list[bytes]) -> None:
    while (claimed := jobs.claim()) is not None:
        number, job = claimed
        results.append(job.upper())
        jobs.done(number)


if __name__ == "__main__":
    with opendb.open(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()) as db:
        jobs = Jobs(db)
        for at in range(100):
            jobs.add(b"job %d" % at)

        results: list[bytes] = []
        workers = [threading.Thread(target=work, args=(jobs, results)) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        print("done", len(results), "different", len(set(results)))

        # A worker that claims a job and dies keeps nobody from it for longer than its lease.
        hasty = Jobs(db, lease_seconds=0)
        hasty.add(b"left behind")
        hasty.claim()
        print("put back", hasty.put_back(), "claimed again", hasty.claim())
