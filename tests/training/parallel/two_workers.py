"""Processes that train together over gloo; they meet in a file, so that no port is opened."""

import multiprocessing
import multiprocessing.forkserver
import os
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch._dynamo
from torch import distributed as dist

# Loaded once, in the server that workers are forked from: optimizers ask for the compiler.
import growsearch.growth  # noqa: F401

# One that waits for another which is gone gives up.
_PATIENCE = timedelta(seconds=20)
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["two_workers", "shared_runs"])


def together(work: Callable[..., Any], folder: Path, *args: Any, size: int = 2) -> list[Any]:
    """Return what ``work(rank, *args)`` returns in each process, its error as text in its place."""
    # Until Python 3.13 a server does not hear of this process's path and loads nothing beforehand.
    with mock.patch.dict(os.environ, {"PYTHONPATH": os.pathsep.join(sys.path)}):
        multiprocessing.forkserver.ensure_running()
    folder.mkdir(exist_ok=True, parents=True)
    processes = [
        _CONTEXT.Process(target=_run, args=(rank, size, folder, work, args)) for rank in range(size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [_outcome(folder / f"{rank}.pt") for rank in range(size)]


def _outcome(file: Path) -> Any:
    return torch.load(file, weights_only=False) if file.exists() else "died"


def _run(
    rank: int, size: int, folder: Path, work: Callable[..., Any], args: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    address = f"file://{folder}/meeting"
    dist.init_process_group("gloo", address, timeout=_PATIENCE, rank=rank, world_size=size)
    try:
        found = work(rank, *args)
    except Exception as error:
        traceback.print_exc()
        found = f"{type(error).__name__}: {error}"
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()
