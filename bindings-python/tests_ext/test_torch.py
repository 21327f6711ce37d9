"""The dataset, read by worker processes of every kind; with PyTorch's own loader where torch is installed."""

import multiprocessing
from pathlib import Path

import opendb
import pytest
from opendb.ext.torch import OpenDBDataset

SAMPLES = 500


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with opendb.open(tmp_path) as db:
        db.keyspace("samples").put_many((b"%05d" % number, b"%d" % number * 3) for number in range(SAMPLES))
    return tmp_path


def decode(value: bytes) -> int:
    return int(value)


def test_samples(path: Path) -> None:
    samples = OpenDBDataset(path, keyspace="samples", decode=decode)
    assert len(samples) == SAMPLES
    assert [samples[0], samples[7], samples[-1]] == [0, 777, 499499499]
    assert samples.__getitems__([3, 1, 3]) == [333, 111, 333]
    with pytest.raises(IndexError):
        samples[SAMPLES]
    some = OpenDBDataset[bytes](path, keyspace="samples", keys=[b"00002", b"absent"])
    assert (len(some), some[0]) == (2, b"222")
    with pytest.raises(KeyError, match="absent"):
        some[1]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_beside_a_writer(path: Path, method: str) -> None:
    samples = OpenDBDataset(path, keyspace="samples", decode=decode)
    assert samples[1] == 111
    with opendb.open(path) as writer, multiprocessing.get_context(method).Pool(8) as pool:
        writer[b"beside"] = b"written"
        batches = [list(range(begin, SAMPLES, 8)) for begin in range(8)]
        read = pool.map(samples.__getitems__, batches)
        assert read == [[int(f"{number}" * 3) for number in batch] for batch in batches]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loader_of_torch(path: Path, workers: int) -> None:
    data = pytest.importorskip("torch.utils.data")
    samples = OpenDBDataset(path, keyspace="samples", decode=decode)
    loader = data.DataLoader(samples, batch_size=64, num_workers=workers)
    assert [int(sample) for batch in loader for sample in batch] == [int(f"{n}" * 3) for n in range(SAMPLES)]
