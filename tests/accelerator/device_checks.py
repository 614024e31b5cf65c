"""Checks of devices: small runs of all that trains, to be made on two devices and compared.

`CHECKS` gives each a name; called with the name of a device, it returns figures and tensors on the
CPU. tests/contracts/test_devices.py makes them on a stand-in, benchmarks/on_gpu.py on a GPU.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import TensorDataset

from growsearch.datasets import (
    AUGMENTATIONS,
    Dataset,
    Loading,
    Normalisation,
    Split,
    TaskChoice,
    TokenDataset,
    from_torch,
    load_dataset,
    loaded_by,
    parse_augmentation,
    subset,
)
from growsearch.growth import POLICIES, Budget, GrowthConfig, IndicatorConfig, build_full, grow
from growsearch.kinds import (
    Learning,
    TrainingContext,
    candidate_from_json,
    kind_of,
)
from growsearch.metrics import METRICS, Attack, MetricSettings, Smoothing, evaluate
from growsearch.metrics.placement import device_of
from growsearch.sparsity import (
    MASK_UPDATERS,
    SALIENCIES,
    SPARSITY_DISTRIBUTIONS,
    Batch,
    CubicSchedule,
    Masks,
    NOfM,
    SparseTraining,
    macs_per_weight,
    make_updater,
    prunable_parameters,
    prune_by_saliency,
    sparsify,
    sparsify_n_of_m,
)
from growsearch.tickets import (
    MODES,
    TICKET_SCHEMES,
    DrawSettings,
    Robustness,
    TransferSettings,
    draw,
    pretrain,
    transfer,
)
from growsearch.training import (
    SGD,
    Adam,
    AdamW,
    Lion,
    OneCycle,
    Recipe,
    TrainingOptions,
    train,
)
from growsearch.training.devices import placed, training_device
from growsearch.transforms import TRANSFORMS, transform
from growsearch.trial.proxies import GRADIENT_FLOW_STEPS, PROXIES, ProxyInput
from search_spaces import SEARCH_SPACES, SearchSpace, channel_groups, seeded
from search_spaces.families.plain_net import PlainNetSpace
from search_spaces.families.recurrent import CELLS, RecurrentSpace
from search_spaces.families.residual_units import BasicResNetSpace
from search_spaces.families.resnet_cifar import ResNetCifarSpace

Found = Mapping[str, Any]
Check = Callable[[str], Found]

SHAPE, CLASSES, WORDS, WINDOW = (1, 6, 6), 3, 7, 6
TINY = ResNetCifarSpace(
    name="tiny",
    description="for checks",
    blocks=(1, 1),
    base_width=4,
    input_shape=SHAPE,
    num_classes=CLASSES,
)
UNITS = BasicResNetSpace(
    name="tiny-units",
    description="for checks",
    most_units=(3, 2),
    base_width=4,
    input_shape=SHAPE,
    num_classes=CLASSES,
)
PLAIN = PlainNetSpace(
    name="tiny-plain",
    description="for checks",
    most_units=(3, 2),
    base_width=6,
    input_shape=SHAPE,
    num_classes=CLASSES,
)
ONE, FOUR = Recipe(epochs=1, batch_size=16), Recipe(epochs=4, batch_size=16)


def _split(count: int, seed: int, shape: tuple[int, ...] = SHAPE, classes: int = CLASSES) -> Split:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    return Split(inputs=torch.rand(count, *shape, generator=generator), labels=labels)


def _data(shape: tuple[int, ...] = SHAPE, classes: int = CLASSES, count: int = 32) -> Dataset:
    parts = [_split(each, seed, shape, classes) for seed, each in enumerate((count, 12, 12))]
    return Dataset(
        name="noise", train=parts[0], validation=parts[1], test=parts[2], num_classes=classes
    )


def _text() -> TokenDataset:
    parts = [
        torch.randint(WORDS, (length,), generator=torch.Generator().manual_seed(length))
        for length in (101, 31, 30)
    ]
    return TokenDataset(
        name="text",
        train=parts[0],
        validation=parts[1],
        test=parts[2],
        vocabulary=tuple("abcdefg"),
    )


def _on(device: str, **others: Any) -> TrainingOptions:
    return TrainingOptions(device=device, **others)


def _state(model: nn.Module) -> dict[str, Tensor]:
    """Return what a network holds, which must have come back to the CPU."""
    assert device_of(model).type == "cpu", "the network was not given back"
    return {f"model/{name}": value for name, value in model.state_dict().items()}


def _history(records: Any) -> dict[str, Any]:
    return {f"{r.epoch}/{key}": getattr(r, key) for r in records for key in ("loss", "accuracy")}


def plain(recipe: Recipe, space: SearchSpace = TINY, **options: Any) -> Check:
    def check(device: str) -> Found:
        model = build_full(space, 0)
        history, state = train(
            model, _data(), recipe, seed=0, forward_macs=1, options=_on(device, **options)
        )
        memory = [
            value
            for entries in state.optimizer.state.values()
            for value in entries.values()
            if isinstance(value, Tensor)
        ]
        assert all(value.is_cpu for value in memory), "the optimizer's state was not given back"
        return {**_history(history), **_state(model)}

    return check


class Teacher:
    """An own task that holds a network and a tensor, and asks for the inputs."""

    metrics: ClassVar[dict[str, str]] = {"error": "minimize"}

    def __init__(self) -> None:
        self.network, self.factor = build_full(TINY, 1).eval(), torch.tensor(0.5)

    def loss(self, outputs: Tensor, targets: Tensor, inputs: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.network(inputs)
        apart = nn.functional.mse_loss(outputs, wanted)
        return apart * self.factor + nn.functional.cross_entropy(outputs, targets)

    def scores(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        return {"error": float((outputs.argmax(dim=1) != targets).float().mean())}


def task(
    choice: TaskChoice, labels: Callable[[Split], Tensor] | None = None, *, stream: bool = False
) -> Check:
    """Train and grow for a task that is stated, in memory or streamed."""

    def check(device: str) -> Found:
        data = _data()
        if labels is not None:
            splits = {key: getattr(data, key) for key in ("train", "validation", "test")}
            changed = {k: Split(inputs=s.inputs, labels=labels(s)) for k, s in splits.items()}
            data = dataclasses.replace(data, **changed)
        if stream:
            rows = [TensorDataset(s.inputs, s.labels) for s in (data.train, data.validation)]
            data = from_torch(rows[0], validation=rows[1], test=rows[1], task=choice.name)
            data = loaded_by(data, Loading(workers=0))
        data = dataclasses.replace(data, task=choice)
        model = build_full(TINY, 0)
        history, _ = train(model, data, ONE, seed=0, forward_macs=1, options=_on(device))
        judged = {f"{r.epoch}/{name}": v for r in history for name, v in r.metrics.items()}
        grows = grown(TINY, lambda: data, birth="gradient")(device)
        return {
            **_history(history),
            **judged,
            **_state(model),
            **{f"grown/{name}": value for name, value in grows.items()},
        }

    return check


def augmented(name: str) -> Check:
    """Train on images that are changed by chance, by their labels or by mixed ones."""
    shape = (3, *SHAPE[1:])
    data = dataclasses.replace(
        _data(shape),
        augmentation=parse_augmentation(name),
        normalisation=Normalisation(mean=(100.0,) * 3, deviation=(150.0,) * 3),
        task=TaskChoice(class_weights=(1.0, 2.0, 3.0)),
    )

    def check(device: str) -> Found:
        model = build_full(dataclasses.replace(TINY, input_shape=shape), 0)
        history, _ = train(model, data, ONE, seed=0, forward_macs=1, options=_on(device))
        return {**_history(history), **_state(model)}

    return check


def streamed(device: str) -> Found:
    """Train, grow and judge by images that are read batch by batch."""
    parts = (_data().train, _data().validation, _data().test)
    rows = [TensorDataset(part.inputs, part.labels) for part in parts]
    data = from_torch(rows[0], validation=rows[1], test=rows[2], num_classes=CLASSES)
    data = loaded_by(data, Loading(workers=0))
    own = dataclasses.replace(data, task=TaskChoice(name=f"{__name__}:Teacher"))
    model = build_full(TINY, 0)
    history, _ = train(model, own, ONE, seed=0, forward_macs=1, options=_on(device))
    with placed(model, training_device(device)):
        judged = evaluate(["ece", "pgd_accuracy"], model, data.test, MetricSettings(attacked=4))
    balanced = dataclasses.replace(data, task=TaskChoice(class_weights="balanced"))
    grows = grown(TINY, lambda: balanced, birth="gradient")(device)
    return {
        **_history(history),
        **judged,
        **_state(model),
        **{f"grown/{name}": value for name, value in grows.items()},
    }


def checkpoints(before: str | None, after: str | None, make: Callable[[], nn.Module]) -> Check:
    """Stop a run on one device and take it up on another; None is the device that is checked."""

    def check(device: str) -> Found:
        with tempfile.TemporaryDirectory() as folder:
            options = {"checkpoint": Path(folder) / "checkpoint.safetensors"}

            def stop(record: Any) -> None:
                if record.epoch == 2:
                    raise KeyboardInterrupt

            settings = {"seed": 0, "forward_macs": 1}
            try:
                first = _on(before or device, **options, on_epoch=stop)
                train(make(), _data(), FOUR, **settings, options=first)
            except KeyboardInterrupt:
                pass
            model = make()
            second = _on(after or device, **options)
            history, _ = train(model, _data(), FOUR, **settings, options=second)
        return {**_history(history), **_state(model)}

    return check


def grown(space: SearchSpace, data: Callable[[], Any] = _data, **settings: Any) -> Check:
    recipe = settings.pop("recipe", FOUR)

    def check(device: str) -> Found:
        result = grow(
            space,
            data(),
            budget=Budget(macs=0.5),
            config=GrowthConfig(recipe=recipe, **settings),
            options=_on(device),
        )
        lines = {f"{r.epoch}/live": {k: list(v) for k, v in r.live.items()} for r in result.history}
        figures = {"macs": result.macs, "training_macs": result.training_macs}
        return {**_history(result.history), **lines, **figures, **_state(result.model)}

    return check


def resumed_growth(device: str) -> Found:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "growth.safetensors"

        def stop(record: Any) -> None:
            if record.epoch == 1:
                raise KeyboardInterrupt

        settings = {
            "budget": Budget(macs=0.5),
            "config": GrowthConfig(recipe=dataclasses.replace(FOUR, optimizer=AdamW())),
        }
        with contextlib.suppress(KeyboardInterrupt):
            grow(UNITS, _data(), **settings, options=_on("cpu", checkpoint=file, on_epoch=stop))
        result = grow(UNITS, _data(), **settings, options=_on(device, checkpoint=file))
    return {**_history(result.history), **_state(result.model)}


def updater(name: str, pattern: Any = None) -> Check:
    def check(device: str) -> Found:
        model = build_full(TINY, 0)
        generator = torch.Generator().manual_seed(0)
        if pattern is None:
            masks = sparsify(model, sparsity=0.5, generator=generator)
        else:
            layers = prunable_parameters(model).items()
            unfit = [name for name, weight in layers if weight[0].numel() % pattern.m]
            masks = sparsify_n_of_m(model, pattern, generator=generator, exclude=unfit)
        schedule = CubicSchedule(initial=0.5, final=0.8) if name in ("granet", "gmp") else None
        hook = SparseTraining(
            masks,
            make_updater(name, schedule=schedule, pattern=pattern),
            macs_per_weight=macs_per_weight(model, TINY.example_inputs()),
            interval=2,
        )
        recipe = dataclasses.replace(FOUR, clip_norm=1.0)
        history, state = train(
            model, _data(), recipe, seed=0, forward_macs=9999, options=_on(device, hooks=(hook,))
        )
        masks.check()
        return {**_history(history), "macs": state.training_macs, **_state(model)}

    return check


def _little() -> nn.Module:
    """Return a network of few operators, for saliencies that run it a hundred times."""
    with seeded(0):
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 6), nn.Linear(6, CLASSES)
        )


def drawn(distribution: str, positions: bool) -> Check:
    """Draw masks where the network is, and where only the batch is on the device."""

    def check(device: str) -> Found:
        found, where = {}, training_device(device)
        split = _split(8, 5)
        inputs, labels = split.inputs.to(where), split.labels.to(where)
        for moved in (True, False):
            model = _little()
            if moved:
                model.to(where)
            batch = Batch(inputs=inputs, labels=labels)
            if positions:
                masks = prune_by_saliency(model, sparsity=0.5, method=distribution, batch=batch)
            else:
                masks = sparsify(
                    model,
                    sparsity=0.5,
                    distribution=distribution,
                    generator=torch.Generator().manual_seed(0),
                    batch=batch,
                )
            assert device_of(model) == (where if moved else torch.device("cpu"))
            masks.check()
            found |= {f"{moved}/{n}": v.cpu() for n, v in model.state_dict().items()}
        return found

    return check


def transformed(name: str) -> Check:
    def check(device: str) -> Found:
        model = build_full(TINY, 0).to(training_device(device))
        with seeded(0):
            done = transform(
                model,
                name,
                sparsity=0.5,
                distribution="snip",
                example_inputs=TINY.example_inputs(),
                batch=Batch(inputs=_split(8, 5).inputs, labels=_split(8, 5).labels),
            )
        assert device_of(done.module) == device_of(model), "the network changed its device"
        module = done.module.cpu()
        train(module, _data(), ONE, seed=0, forward_macs=1, options=_on(device))
        return {"macs": done.match.macs, **_state(module)}

    return check


def ticket(scheme: str, mode: str, robustness: Robustness | None = None) -> Check:
    def check(device: str) -> Found:
        options = _on(device)
        source = _data(classes=4)
        kind = {} if robustness is None else {"robustness": robustness}
        pretrained = pretrain(TINY, source, ONE, seed=0, options=options, **kind)
        attacked = Robustness(kind="pgd", epsilon=0.05, steps=2)
        trains = TICKET_SCHEMES[scheme].data is not None
        settings = DrawSettings(
            scheme=scheme,
            sparsity=0.5,
            recipe=ONE if trains else None,
            rounds=2,
            **({"robustness": attacked} if scheme == "a-imp" else {}),
        )
        data = {"source": source, "target": _data(), None: None}[TICKET_SCHEMES[scheme].data]
        found = draw(pretrained, settings, data=data, options=options)
        wanted = TransferSettings(mode=mode, recipe=ONE)
        done = transfer(pretrained, found.ticket, _data(), wanted, options=options)
        return {
            "macs": found.training_macs,
            **_history(done.history),
            **_state(done.model),
            **{f"mask/{name}": mask for name, mask in found.ticket.masks.items()},
        }

    return check


def _split_for(metric: str) -> tuple[nn.Module, Split]:
    """Return a network and data that ``metric`` can be taken of."""
    labels = METRICS[metric].measure.labels
    generator = torch.Generator().manual_seed(0)
    if labels == "one a pixel":
        layer = nn.Conv2d(1, CLASSES, 3, padding=1)
        images = torch.rand(6, 1, 5, 5, generator=generator)
        classes = torch.randint(CLASSES, (6, 5, 5), generator=generator)
        return nn.Sequential(layer, _ClassesLast()), Split(inputs=images, labels=classes)
    if labels == "one a word":
        words = torch.randint(WORDS, (5, WINDOW), generator=generator)
        return nn.Embedding(WORDS, WORDS), Split(inputs=words, labels=(words + 1) % WORDS)
    images = _split(12, 3)
    if labels == "numbers":
        return build_full(TINY, 0), Split(inputs=images.inputs, labels=_numbers(images))
    if labels == "several an example":
        return build_full(TINY, 0), Split(inputs=images.inputs, labels=_several(images))
    return build_full(TINY, 0), images


def _numbers(split: Split) -> Tensor:
    """Return a number (N, CLASSES) for each class, of which some are far from 0."""
    return 100 + split.inputs.flatten(1)[:, :CLASSES] * torch.arange(1, CLASSES + 1)


def _several(split: Split) -> Tensor:
    return split.inputs.flatten(1)[:, :CLASSES] > 0.5


class _ClassesLast(nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        return logits.permute(0, 2, 3, 1)


def metric(name: str) -> Check:
    """Take a measure of a network on the device, of data that is on the CPU and that is there."""

    def check(device: str) -> Found:
        with seeded(0):
            model, split = _split_for(name)
        settings = MetricSettings(
            attack=Attack(epsilon=0.1, steps=2, step_size=0.05),
            smoothing=Smoothing(selection=3, samples=8),
            attacked=8,
            certified=3,
        )
        found = {}
        with placed(model, training_device(device)):
            found["apart"] = evaluate([name], model, split, settings)[name]
            there = Split(
                inputs=split.inputs.to(device_of(model)), labels=split.labels.to(device_of(model))
            )
            found["beside"] = evaluate([name], model, there, settings)[name]
        return found

    return check


def proxy(name: str) -> Check:
    def check(device: str) -> Found:
        model = build_full(TINY, 0)
        sparsify(model, sparsity=0.5, generator=torch.Generator().manual_seed(0))
        batches = [
            Batch(inputs=_split(8, n).inputs, labels=_split(8, n).labels)
            for n in range(GRADIENT_FLOW_STEPS)
        ]
        with placed(model, training_device(device)):
            given = ProxyInput(
                module=model, masks=Masks.of(model), batches=batches, learning_rate=0.1
            )
            return {"score": PROXIES[name](given)}

    return check


def _smallest(space: SearchSpace) -> nn.Module:
    """Return a network of the space's family with as few channels as its structure lets it have."""
    with torch.device("meta"):
        groups = channel_groups(space.build(space.largest()))
    widths = {g.name: min(g.size, g.multiple * -(-4 // g.multiple)) for g in groups}
    with seeded(0):
        return space.build(space.with_widths(space.largest(), widths))


@functools.cache
def families() -> dict[str, SearchSpace]:
    """Return one space of every family: of those with the fewest layers the first."""
    found: dict[str, SearchSpace] = {}
    for space in SEARCH_SPACES.values():
        name = type(space).__name__
        if isinstance(space, RecurrentSpace):
            name = f"{name}-{space.cell}"
        if name not in found or len(space.choices) < len(found[name].choices):
            found[name] = space
    return found


def family(space: SearchSpace) -> Check:
    def check(device: str) -> Found:
        reads = not space.example_inputs()[0].is_floating_point()
        if reads:
            small = space.for_data((WINDOW,), WORDS)
            data: Any = Dataset(
                name="words",
                train=_windows(8),
                validation=_windows(4),
                test=_windows(4),
                num_classes=WORDS,
            )
        else:
            channels = space.input_shape[0]
            shape = (channels, 8, 8) if space.input_shape[1] == 8 else (channels, 32, 32)
            small = space.for_data(shape, 2)
            data = _pixels(shape) if "DeepLab" in type(space).__name__ else _data(shape, 2, 8)
        model = _smallest(small)
        recipe = Recipe(epochs=1, batch_size=4, learning_rate=0.001)
        # The kernels of attention that each device has of its own round in their own order.
        with seeded(0), sdpa_kernel(SDPBackend.MATH):
            history, _ = train(model, data, recipe, seed=0, forward_macs=1, options=_on(device))
        return {**_history(history), **_state(model)}

    return check


def _windows(count: int) -> Split:
    words = torch.randint(WORDS, (count, WINDOW), generator=torch.Generator().manual_seed(count))
    return Split(inputs=words, labels=(words + 1) % WORDS)


def _pixels(shape: tuple[int, ...]) -> Dataset:
    def split(count: int) -> Split:
        images = _split(count, count, shape).inputs
        return Split(inputs=images, labels=(images[:, 0] > 0.5).long())

    return Dataset(name="pixels", train=split(8), validation=split(4), test=split(4), num_classes=2)


def _recurrent(cell: str) -> SearchSpace:
    return RecurrentSpace(
        name="tiny-text",
        description="for checks",
        cell=cell,
        hidden=(6, 5),
        embedding=6,
        embedding_bound=1.0,
        input_shape=(WINDOW,),
        num_classes=WORDS,
    )


@functools.cache
def _digits() -> Dataset:
    return subset(load_dataset("digits"), train=64, validation=24, test=24)


def trained_digits() -> nn.Module:
    """Return a network that stands for a trained one."""
    return build_full(SEARCH_SPACES["mlp-digits"], 9)


# Of each kind of trial, candidates that between them pass through all that is its own.
KIND_CANDIDATES: dict[str, tuple[dict[str, Any], ...]] = {
    "growth": (
        {"space": "mlp-digits", "budget": {"parameters": 0.1}, "epochs": 2},
        {"space": "mlp-digits", "budget": {"macs": 0.1}, "epochs": 2, "direct_design": True},
    ),
    "sparse": (
        {
            "space": "mlp-digits",
            "transform": "none",
            "distribution": "snip",
            "positions": "saliency",
            "updater": "rigl",
            "record": ["spectra", "gradient_flow"],
        },
        {
            "space": "mlp-digits",
            "transform": "sparse_parallel",
            "distribution": "erk",
            "updater": "granet",
        },
        {
            "space": "mlp-digits",
            "transform": "none",
            "distribution": "uniform",
            "updater": "set",
            "grow": {"budget": {"parameters": 0.1}, "epochs": 2},
        },
    ),
    "tickets": ({"space": "mlp-digits", "source": "digits", "scheme": "lmp", "draw_epochs": 1},),
    "prune": (
        {
            "space": "mlp-digits",
            "init": f"{__name__}:trained_digits",
            "budget": {"macs": 0.4},
            "steps": 2,
            "over": 0.9,
        },
        {
            "space": "mlp-digits",
            "init": f"{__name__}:trained_digits",
            "budget": {"macs": 0.4},
            "importance": "gates",
            "allocation": "uniform",
            "steps": 2,
            "over": 0.6,
            "epochs": 3,
        },
    ),
    "baseline": (
        {"space": "mlp-digits", "which": "mine", "init": f"{__name__}:trained_digits"},
        {"space": "mlp-digits", "which": "uniform", "budget": {"macs": 0.4}},
    ),
}
_USUAL = {"sparsity": 0.5, "batch_size": 32, "learning_rate": 0.05, "pretrain_epochs": 1}


def kind(name: str, settings: Mapping[str, Any]) -> Check:
    def check(device: str) -> Found:
        candidate = candidate_from_json({"kind": name, "epochs": 1, **_USUAL, **settings})
        with tempfile.TemporaryDirectory() as folder:
            context = TrainingContext(
                learning=Learning(dataset=_digits()), seed=0, run=Path(folder)
            )
            done = kind_of(candidate).train(candidate, context, _on(device))
        records = {name: list(lines) for name, lines in done.records.items()}
        return {**_history(done.history), "records": records, **_state(done.model)}

    return check


def _checks() -> Iterator[tuple[str, Check]]:
    for name, recipe in (
        ("sgd", ONE),
        ("adamw, clipped", dataclasses.replace(ONE, optimizer=AdamW(), clip_norm=0.5)),
    ):
        yield f"plain {name}", plain(recipe)
    for name, changed in (
        ("lion", {"optimizer": Lion()}),
        ("adam, one-cycle", {"optimizer": Adam(), "schedule": OneCycle(), "warmup_epochs": 0}),
        ("accumulated, averaged", {"batch_size": 8, "accumulation": 2, "ema": 0.9}),
    ):
        yield f"plain {name}", plain(dataclasses.replace(ONE, **changed))
    yield "task regression", task(TaskChoice(name="regression"), _numbers)
    yield "task multi-label", task(TaskChoice(name="multi-label"), _several)
    yield "task regression, streamed", task(TaskChoice(name="regression"), _numbers, stream=True)
    yield "task multi-label, streamed", task(TaskChoice(name="multi-label"), _several, stream=True)
    yield "task focal, balanced", task(TaskChoice(loss="focal", class_weights="balanced"))
    yield "task own", task(TaskChoice(name=f"{__name__}:Teacher"))
    yield "plain streamed", streamed
    for name in AUGMENTATIONS:
        yield f"plain {name}", augmented(name)
    yield "plain channels last", plain(ONE, channels_last=True)
    yield "plain resumed from the cpu", checkpoints("cpu", None, _masked)
    yield "plain resumed on the cpu", checkpoints(None, "cpu", _masked)
    for policy in POLICIES:
        yield f"growth {policy}", grown(UNITS, policy=policy)
    for norms in ("kept", "transfer"):
        yield f"growth, norms {norms}", grown(UNITS, norms=norms)
    yield "growth by gradient", grown(TINY, birth="gradient")
    yield "growth of plain units", grown(PLAIN)
    yield (
        "growth gumbel, taylor",
        grown(TINY, indicators=IndicatorConfig(relaxation="gumbel", steering="taylor")),
    )
    yield "growth direct design", grown(TINY, direct_design=True)
    yield "growth resumed", resumed_growth
    for cell in CELLS:
        yield (
            f"growth of {cell}",
            grown(
                _recurrent(cell),
                _text,
                recipe=dataclasses.replace(FOUR, batch_size=4, clip_norm=0.25, optimizer=SGD()),
            ),
        )
    for name in MASK_UPDATERS:
        yield f"updater {name}", updater(name)
    yield "updater rigl 2:4", updater("rigl", NOfM(2, 4))
    for name in SPARSITY_DISTRIBUTIONS:
        yield f"distribution {name}", drawn(name, positions=False)
    for name in SALIENCIES:
        yield f"saliency {name}", drawn(name, positions=True)
    for name in TRANSFORMS:
        yield f"transform {name}", transformed(name)
    for scheme in TICKET_SCHEMES:
        yield f"ticket {scheme}", ticket(scheme, "finetune")
    for mode in MODES:
        yield f"ticket {mode}", ticket("omp", mode)
    yield "ticket after attacks", ticket("omp", "finetune", Robustness(kind="pgd", epsilon=0.05))
    yield "ticket after noise", ticket("omp", "finetune", Robustness(kind="smoothing", epsilon=0.1))
    for name in METRICS:
        yield f"metric {name}", metric(name)
    for name in PROXIES:
        yield f"proxy {name}", proxy(name)
    for name, space in families().items():
        yield f"family {name}", family(space)
    for name, candidates in KIND_CANDIDATES.items():
        for number, settings in enumerate(candidates):
            yield f"kind {name} {number}", kind(name, settings)


def _masked() -> nn.Module:
    return build_full(TINY, 0)


CHECKS: dict[str, Check] = dict(_checks())


def differences(expected: Found, found: Found, tolerance: float) -> Iterator[str]:
    """Yield what differs by more than ``tolerance``, as a share of the largest value."""
    for name in dict.fromkeys([*expected, *found]):
        if name not in expected or name not in found:
            yield f"{name} is on one side only"
            continue
        one, other = expected[name], found[name]
        if isinstance(one, Tensor):
            if one.shape != other.shape or not _near(one, other, tolerance):
                yield f"{name} differs"
        elif isinstance(one, float) and isinstance(other, float):
            if not _near(torch.tensor(one), torch.tensor(other), tolerance):
                yield f"{name}: {one} and {other}"
        elif one != other and not tolerance:
            yield f"{name}: {one} and {other}"


def _near(one: Tensor, other: Tensor, tolerance: float) -> bool:
    if not tolerance or not one.is_floating_point():
        return bool(torch.equal(one, other)) or not one.numel()
    largest = max(float(one.abs().max()), 1e-3) if one.numel() else 1.0
    return bool(torch.isclose(one, other, rtol=0.0, atol=tolerance * largest).all())
