"""Work in the child of a fork."""

import os
import pickle
import warnings
from collections.abc import Callable


def in_child(work: Callable[[], object]) -> BaseException | None:
    """What `work` raises in the child of a fork, which ends there."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Newer versions of Python warn of forks in processes with threads, which is what is tested here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        raised = None
        try:
            work()
        except BaseException as error:
            raised = error
        os.write(writer, pickle.dumps(raised))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        raised = pickle.load(answer)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert raised is None or isinstance(raised, BaseException)
    return raised
