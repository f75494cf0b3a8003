"""Checkpoints on their way to another process."""

import pickle
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import torch

from vossegcli.io.weights.checkpoints import read_checkpoint


def test_weights_reach_another_process_without_shared_memory(checkpoint: Path) -> None:
    """A tensor would take a file descriptor and a file in /dev/shm, which is small in containers."""
    read = read_checkpoint(str(checkpoint))
    received = pickle.loads(ForkingPickler.dumps(read))
    assert not any(tensor.is_shared() for tensor in read.tensors.values())
    assert (received.path, received.sha256, received.header) == (read.path, read.sha256, read.header)
    assert received.tensors.keys() == read.tensors.keys()
    assert all(torch.equal(received.tensors[name], tensor) for name, tensor in read.tensors.items())
