"""Group of workers over torch.distributed: one process each, gloo on CPUs, nccl on GPUs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

from growsearch.errors import CandidateError, UsageError
from growsearch.training.devices import random_state, set_random_state
from growsearch.training.parallel.batch_statistics import WholeBatchStatistics
from growsearch.training.parallel.workers import Guard, Parts

T = TypeVar("T")
# Gradients travel together, so many bytes at a time.
_BUCKET_BYTES = 2**25
_HASH_BYTES = 8
_DEVICES = ("cpu", "cuda")


class WorkerGroup:
    """This process's place among the workers of the default process group, which must be there.

    Every worker holds the whole network and draws whole batches; it reads its share of their
    examples. Outputs are put together before the loss, which is then that of the whole batch on
    every worker, whatever its formula; gradients are added up. So a run is that of one worker but
    for rounding (decision 0021).

    ``sync_batchnorm`` False lets each worker normalise by its own examples; the first one's running
    statistics then count, from epoch to epoch.

    On GPUs the process group needs both backends, "cpu:gloo,cuda:nccl": what is said beside the
    numbers goes over the CPU.

    Example:
        >>> import tempfile, torch
        >>> from growsearch.training.parallel.group import WorkerGroup
        >>> file = tempfile.NamedTemporaryFile()
        >>> address = f"file://{file.name}-group"
        >>> torch.distributed.init_process_group("gloo", address, rank=0, world_size=1)
        >>> WorkerGroup().size
        1
        >>> torch.distributed.destroy_process_group()
    """

    def __init__(self, *, sync_batchnorm: bool = True) -> None:
        """Take this process's place.

        Raises:
            UsageError: outside a process group.
        """
        if not (dist.is_available() and dist.is_initialized()):
            raise UsageError(
                "workers: there is no process group; call torch.distributed.init_process_group"
            )
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._group = dist.group.WORLD
        self._sync = sync_batchnorm
        self._own: _OwnStream | None = None

    @property
    def is_first(self) -> bool:
        """Tell whether this is the worker that writes and judges."""
        return self.rank == 0

    def check(self, *, batch_examples: int, compiles: bool, device: torch.device) -> None:
        """Refuse batches of fewer examples than workers, torch.compile, and other devices.

        Raises:
            UsageError: naming the key, the value, the rule and the remedy.
        """
        if batch_examples < self.size:
            raise UsageError(
                f"batch_size: {batch_examples} examples cannot be shared by {self.size} workers; "
                "use larger batches, or fewer workers"
            )
        if device.type not in _DEVICES:
            raise UsageError(
                f"device: {device.type} cannot be shared by {self.size} workers, which talk over "
                f"{' and '.join(_DEVICES)}; use one of these, or one worker"
            )
        if compiles:
            raise UsageError(
                f"compile: on, but {self.size} workers train one network; use compile: off, or one "
                "worker"
            )

    def agree(self, model: nn.Module) -> None:
        """Give every worker the first one's parameters and buffers."""
        with torch.no_grad():
            for tensor in (*model.parameters(), *model.buffers()):
                packed = tensor.detach().contiguous()
                # Of no backend all types are asked: bytes will do.
                dist.broadcast(packed.flatten().view(torch.uint8), src=0)
                if not self.is_first:
                    tensor.copy_(packed)

    def compare(self, parts: Parts, epoch: int) -> None:
        """Compare a hash of each part over the workers.

        Raises:
            CandidateError: naming the epoch and the first part that differs.
        """
        own = parts()
        hashes = torch.stack([_hash(name.encode() + _content(tensor)) for name, tensor in own])
        # Lists of other lengths could not be compared entry by entry.
        digests = self._everybody(_hash(_content(hashes)).view(1))
        if bool((digests == digests[0]).all()):
            return
        where = "the number of layers"
        counts = self._everybody(torch.tensor([len(own)]))
        if bool((counts == counts[0]).all()):
            every = self._everybody(hashes)
            where = own[int((every != every[0]).any(dim=0).nonzero()[0])][0]
        raise CandidateError(
            f"data-parallel training: after epoch {epoch} {where} is not the same on all "
            f"{self.size} workers; something draws from a random stream of its own: train with one "
            "worker"
        )

    def begin(self, epoch: int, seed: int, device: torch.device) -> None:
        """Start this worker's own stream, which follows from seed, epoch and rank alone."""
        self._own = _OwnStream(f"{seed}/{epoch}/{self.rank}", device)

    @contextmanager
    def guarded(self, guard: Guard) -> Iterator[None]:
        """Enter ``guard`` on the first worker while the others wait for it.

        Raises:
            CandidateError: on the others, if the first could not enter.
        """
        with ExitStack() as stack:
            if self.is_first:
                try:
                    stack.enter_context(guard())
                except BaseException:
                    self._told_to_go(False)
                    raise
            if not self._told_to_go(True):
                raise CandidateError("data-parallel training: the first worker ended the run")
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Run in this worker's own random stream, with the whole batch's statistics."""
        with ExitStack() as stack:
            if self._own is not None:
                stack.enter_context(self._own.drawn_from())
            if self._sync:
                stack.enter_context(self._statistics())
            yield

    def share(self, inputs: Tensor) -> Tensor:
        """Return this worker's examples: those in one row, as equal in number as can be."""
        start, end = self._bounds(len(inputs))
        return inputs[start:end]

    def whole(self, outputs: Tensor, examples: int) -> Tensor:
        """Return the outputs (examples, ...) of all workers; the own ones keep their gradient.

        Raises:
            UsageError: if they are no tensor, or its first axis is not the examples'.
        """
        start, end = self._bounds(examples)
        tensor = isinstance(outputs, Tensor)
        if not tensor or outputs.ndim == 0 or len(outputs) != end - start:
            told = f"of shape {tuple(outputs.shape)}" if tensor else f"{type(outputs).__name__}"
            raise UsageError(
                f"data-parallel training: outputs {told} for {end - start} examples; they must be "
                "one tensor whose first axis is the examples', or use one worker"
            )
        # gloo and nccl both add float32; sums with zeros are exact.
        found = torch.zeros((examples, *outputs.shape[1:]), device=outputs.device)
        found[start:end] = outputs.detach()
        dist.all_reduce(found)
        found = found.to(outputs.dtype)
        return torch.cat([found[:start], outputs, found[end:]])

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Add the gradients of all workers up, some together in one message."""
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            dist.all_reduce(flat)
            parts = torch.split(flat, [tensor.numel() for tensor in bucket])
            for tensor, part in zip(bucket, parts, strict=True):
                tensor.copy_(part.view(tensor.shape))

    def first(self, work: Callable[[], T]) -> T:
        """Return on every worker what ``work`` returns on the first; what it raises all raise."""
        told: list[Any] = [None, None]
        if self.is_first:
            try:
                told[0] = work()
            except Exception as error:
                # The error itself may not travel: what it says does.
                self._broadcast([None, f"{type(error).__name__}: {error}"])
                raise
        told = self._broadcast(told)
        if told[1] is not None:
            raise CandidateError(f"data-parallel training: the first worker ended: {told[1]}")
        found: T = told[0]
        return found

    def _bounds(self, examples: int) -> tuple[int, int]:
        return self.rank * examples // self.size, (self.rank + 1) * examples // self.size

    def _statistics(self) -> AbstractContextManager[object]:
        assert self._group is not None
        return WholeBatchStatistics(self._group, self.rank, self.size)

    def _told_to_go(self, go: bool) -> bool:
        """Return what the first worker says of ``go``."""
        told = torch.full((1,), float(go))
        dist.broadcast(told, src=0)
        return bool(told)

    def _broadcast(self, told: list[Any]) -> list[Any]:
        # A pickle, between processes of one trial.
        dist.broadcast_object_list(told, src=0, device=torch.device("cpu"))
        return told

    def _everybody(self, values: Tensor) -> Tensor:
        """Return ``values`` (n,) of all workers: (workers, n)."""
        found = [torch.empty_like(values) for _ in range(self.size)]
        dist.all_gather(found, values)
        return torch.stack(found)


class _OwnStream:
    """A worker's own random streams of torch, of the CPU and of the device it trains on.

    All else draws from the common ones, which must stay equal on all workers.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self._device = device
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
        self._cpu = torch.Generator().manual_seed(seed).get_state()
        self._there: Tensor | None = None
        if random_state(device) is not None:
            self._there = torch.Generator(device).manual_seed(seed).get_state().cpu()

    @contextmanager
    def drawn_from(self) -> Iterator[None]:
        """Put the own streams in the place of the common ones."""
        common, there = torch.get_rng_state(), random_state(self._device)
        self._set(self._cpu, self._there)
        try:
            yield
        finally:
            self._cpu, self._there = torch.get_rng_state(), random_state(self._device)
            self._set(common, there)

    def _set(self, cpu: Tensor, there: Tensor | None) -> None:
        torch.set_rng_state(cpu)
        if there is not None:
            set_random_state(self._device, there)


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Yield ``tensors`` in order, those of one kind that follow each other together."""
    bucket: list[Tensor] = []
    filled = 0
    for tensor in tensors:
        size = tensor.numel() * tensor.element_size()
        other = bucket and (tensor.dtype, tensor.device) != (bucket[0].dtype, bucket[0].device)
        if bucket and (other or filled + size > _BUCKET_BYTES):
            yield bucket
            bucket, filled = [], 0
        bucket.append(tensor)
        filled += size
    if bucket:
        yield bucket


def _content(tensor: Tensor) -> bytes:
    facts = f"{tuple(tensor.shape)} {tensor.dtype} ".encode()
    values = tensor.detach().cpu().contiguous().flatten()
    return facts + values.view(torch.uint8).numpy().tobytes()


def _hash(content: bytes) -> Tensor:
    digest = hashlib.sha256(content).digest()[:_HASH_BYTES]
    return torch.tensor(int.from_bytes(digest, "little", signed=True))
