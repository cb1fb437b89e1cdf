"""Command line: see docs/training.md."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import ModuleType

from rail_watch.errors import BadInput, RailWatchError
from scripts.train_network.seeds import GSD_M, HELD_OUT, LONE, RENDERERS, REPORTING, Drawn, chosen, seeds_of

NO_TORCH = "PyTorch is not installed; install the extra: pip install 'rail-watch[train]'"


def say(line: str) -> None:
    """Tell progress."""
    print(line, file=sys.stderr, flush=True)


def _series(options: argparse.Namespace) -> list[Drawn]:
    return chosen(options.renderer, options.network_class, seeds_of(options.seeds))


def _there(options: argparse.Namespace, *, sections: bool, held_out: bool | None = None) -> list[Drawn]:
    """Series asked for that lie in the work folder, as rows or as imagery."""
    found = [
        series
        for series in _series(options)
        if held_out in (None, series.held_out)
        and (series.sections(options.work) if sections else series.folder(options.work) / "truth.json").exists()
    ]
    if not found and not (sections and held_out):
        kind, step = ("training rows", "sections") if sections else ("series", "draw")
        kind = f"held-out {kind}" if held_out else kind
        raise BadInput(f"{options.work}: no {kind} of {', '.join(options.network_class)}; run the step '{step}' first")
    return found


def draw(options: argparse.Namespace) -> None:
    """Draw labelled series."""
    from scripts.train_network.draw import draw as draw_one

    for series in _series(options):
        new = draw_one(series, options.work, scenes=options.scenes)
        say(f"{series.name}: {'drawn' if new else 'there already'}{', held out' if series.held_out else ''}")


def _describe(
    options: argparse.Namespace, file_of: Callable[[Drawn, Path], Path], write: Callable[[Drawn, Path], int]
) -> None:
    """Write the training rows of each series that has none yet."""
    for series in _there(options, sections=False):
        if file_of(series, options.work).exists():
            say(f"{series.name}: there already")
            continue
        try:
            rows = write(series, options.work)
        except RailWatchError as error:
            say(f"{series.name}: left out: {error}")
            continue
        say(f"{series.name}: {rows} rows{', held out' if series.held_out else ''}")


def sections(options: argparse.Namespace) -> None:
    """Turn series into training rows."""
    from scripts.train_network.trains.sections import write_sections

    _describe(options, Drawn.sections, write_sections)


def learn(options: argparse.Namespace) -> None:
    """Learn the weights of each class."""
    torch = _torch()
    from scripts.train_network.trains.files import read_network, write_network
    from scripts.train_network.trains.learn import PLANS, Course, by_track, iterations_for
    from scripts.train_network.trains.learn import learn as learn_one
    from scripts.train_network.trains.sections import read_sections

    torch.set_num_threads(options.threads)
    for name in options.network_class:
        own = argparse.Namespace(**vars(options) | {"network_class": [name]})
        parts = [_there(own, sections=True, held_out=held_out) for held_out in (False, True)]
        read = [
            [(row, i) for i, one in enumerate(part) for row in read_sections(one.sections(options.work))]
            for part in parts
        ]
        tracks, held = (by_track([row for row, _ in part], [i for _, i in part]) for part in read)
        rows = [row for one in tracks for row in one]
        plan = PLANS[name]
        iterations = iterations_for(rows, plan, plan.epochs if options.epochs is None else options.epochs)
        say(f"{name}: {len(rows)} rows of {len(parts[0])} series; {iterations} batches")
        network = learn_one(
            tracks,
            held,
            plan,
            Course(iterations, options.seed, read_network(options.begin / f"{name}.npz") if options.begin else None),
            progress=lambda line, name=name: say(f"{name}: {line}"),
        )
        file = _weights(options) / f"{name}.npz"
        write_network(file, network)
        say(f"{file}: written")


def measure(options: argparse.Namespace) -> None:
    """Measure the law of empty track and the errors of sizes on held-out series, and print how the network does."""
    from scripts.train_network.trains.files import read_network, write_laws, write_size_errors
    from scripts.train_network.trains.measure import figures_of, laws_of, looked_at, settled, table
    from scripts.train_network.trains.sizes import compared, size_errors_of, sizes_table

    for name in options.network_class:
        own = argparse.Namespace(**vars(options) | {"network_class": [name]})
        network = read_network(_weights(options) / f"{name}.npz")
        folders = [series.folder(options.work) for series in _there(own, sections=False, held_out=True)]
        seen = {}
        for folder in folders:
            seen[folder] = list(looked_at(folder, network))
            say(f"{folder}: {sum(len(one.looks) for one in seen[folder])} looks")
        laws = laws_of(
            [look for part in seen.values() for one in part for look in one.looks.values()], gsd_m=GSD_M[name]
        )
        looks = [look for part in seen.values() for one in part for look in one.referred(laws)]
        laws = settled(laws, looks, gsd_m=GSD_M[name])
        file = _weights(options) / f"{name}-empty.npz"
        write_laws(file, laws)
        say(f"{file}: written")
        referred = {folder: [look for one in part for look in one.referred(laws)] for folder, part in seen.items()}
        print(table(name, figures_of(referred, gsd_m=GSD_M[name]), laws), end="\n\n")
        pairs = list(chain(*(compared(folder, network, laws)[0] for folder in folders)))
        errors = size_errors_of(pairs)
        file = _weights(options) / f"{name}-sizes.npz"
        write_size_errors(file, errors)
        say(f"{file}: written")
        print(sizes_table(name, errors, trains=len(pairs)), end="\n\n")


def limits(options: argparse.Namespace) -> None:
    """Measure on lone trains of held-out series how far detection limits are from those that trains put in have."""
    import numpy as np

    from scripts.train_network.trains.files import read_laws, read_network, read_size_errors, write_size_errors
    from scripts.train_network.trains.sizes import compared, limit_factor, limits_table

    for name in options.network_class:
        own = argparse.Namespace(**vars(options) | {"network_class": [name]})
        files = [_weights(options) / f"{name}{end}.npz" for end in ("", "-empty", "-sizes")]
        network, laws, errors = read_network(files[0]), read_laws(files[1]), read_size_errors(files[2])
        cases = []
        for series in _there(own, sections=False, held_out=True):
            found = compared(series.folder(options.work), network, laws)[1]
            say(f"{series.name}: {len(found)} lone trains")
            cases += found
        factor = limit_factor(cases)
        write_size_errors(files[2], replace(errors, limit_factor=np.array(factor)))
        say(f"{files[2]}: written")
        print(limits_table(name, cases, factor), end="\n\n")


def car_rows(options: argparse.Namespace) -> None:
    """Describe the cars that the detector finds in the series of the fine class."""
    import numpy as np

    from scripts.train_network.kinds.rows import rows_of

    for series in _fine(options):
        file = series.cars(options.work)
        if file.exists():
            say(f"{series.name}: there already")
            continue
        try:
            rows = rows_of(series, options.work)
        except RailWatchError as error:
            say(f"{series.name}: left out: {error}")
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, features=rows.features, kinds=rows.kinds)
        say(f"{series.name}: {len(rows.kinds)} cars{', held out' if series.held_out else ''}")


def car_learn(options: argparse.Namespace) -> None:
    """Learn what tells the kinds of cars, and print how it does on held-out series."""
    import numpy as np

    from scripts.train_network.kinds.learn import learn as learn_one
    from scripts.train_network.kinds.learn import table, together
    from scripts.train_network.kinds.rows import Rows

    taught, held = [], []
    for series in _fine(options):
        if series.cars(options.work).exists():
            with np.load(series.cars(options.work), allow_pickle=False) as data:
                (held if series.held_out else taught).append(Rows(data["features"], data["kinds"]))
    if not taught or not held:
        raise BadInput(f"{options.work}: no cars of both taught and held-out series; run the step 'car-rows' first")
    weights = learn_one(together(taught))
    file = _weights(options) / "kinds-fine.npz"
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file, weights=weights)
    say(f"{file}: written, from {len(together(taught).kinds)} cars of {len(taught)} series")
    print(table(together(held), weights))


def cargo_rows(options: argparse.Namespace) -> None:
    """Turn the aprons of series into training rows."""
    from scripts.train_network.cargo.rows import write_rows

    _describe(options, Drawn.aprons, write_rows)


def cargo_learn(options: argparse.Namespace) -> None:
    """Learn the weights for cargo of each class."""
    torch = _torch()
    from scripts.train_network.cargo.files import read_network, write_network
    from scripts.train_network.cargo.learn import PLANS
    from scripts.train_network.cargo.learn import learn as learn_one
    from scripts.train_network.cargo.rows import read_rows

    torch.set_num_threads(options.threads)
    for name in options.network_class:
        own = argparse.Namespace(**vars(options) | {"network_class": [name]})
        files = [(one.aprons(options.work), one.held_out) for one in _series(own) if one.aprons(options.work).exists()]
        taught, held = ([f for f, held_out in files if held_out == state] for state in (False, True))
        if not taught:
            raise BadInput(f"{options.work}: no rows of aprons of {name}; run the step 'cargo-rows' first")
        rows, checked = ([row for file in part for row in read_rows(file)] for part in (taught, held))
        plan = PLANS[name] if options.batches is None else replace(PLANS[name], iterations=options.batches)
        say(f"{name}: {len(rows)} rows of {len(taught)} series; {plan.iterations} batches")
        network = learn_one(
            rows,
            checked,
            plan,
            seed=options.seed,
            start=read_network(options.begin / f"cargo-{name}.npz") if options.begin else None,
            progress=lambda line, name=name: say(f"{name}: {line}"),
        )
        file = _weights(options) / f"cargo-{name}.npz"
        write_network(file, network)
        say(f"{file}: written")


def cargo_measure(options: argparse.Namespace) -> None:
    """Measure laws of bare aprons and errors of areas and fills on held-out series, and print how the network does."""
    from scripts.train_network.cargo.files import read_network, write_trust
    from scripts.train_network.cargo.measure import figures_of, looked_at, trust_of
    from scripts.train_network.cargo.measure import table as cargo_table

    for name in options.network_class:
        own = argparse.Namespace(**vars(options) | {"network_class": [name]})
        network = read_network(_weights(options) / f"cargo-{name}.npz")
        looked = []
        for series in _there(own, sections=False, held_out=True):
            found = list(looked_at(series.folder(options.work), network))
            looked += found
            say(f"{series.name}: {sum(len(one.looks) for one in found)} looks")
        trust = trust_of([look for one in looked for look in one.looks])
        file = _weights(options) / f"cargo-{name}-empty.npz"
        write_trust(file, trust)
        say(f"{file}: written")
        print(cargo_table(name, figures_of(looked, trust), trust), end="\n\n")


def _torch() -> ModuleType:
    try:
        import torch
    except ModuleNotFoundError:
        raise BadInput(NO_TORCH) from None
    return torch


def _fine(options: argparse.Namespace) -> list[Drawn]:
    own = argparse.Namespace(**vars(options) | {"network_class": ["fine"]})
    return _there(own, sections=False)


def _weights(options: argparse.Namespace) -> Path:
    return options.weights or options.work / "weights"


STEPS = {
    "draw": draw,
    "sections": sections,
    "learn": learn,
    "measure": measure,
    "limits": limits,
    "car-rows": car_rows,
    "car-learn": car_learn,
    "cargo-rows": cargo_rows,
    "cargo-learn": cargo_learn,
    "cargo-measure": cargo_measure,
}
"""In the order they are run; `car-` are of the regression for kinds of railcars, `cargo-` of the network for cargo, the
others of the network for trains."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.train_network", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    for name, step in STEPS.items():
        own = steps.add_parser(name, help=(step.__doc__ or "").partition("\n")[0], description=step.__doc__)
        own.add_argument("--work", type=Path, required=True, help="folder for series, rows and weights")
        own.add_argument("--class", dest="network_class", nargs="+", choices=GSD_M, default=list(GSD_M))
        renderers = [*RENDERERS, LONE] if name in ("draw", "limits") else list(RENDERERS)
        own.add_argument("--renderer", nargs="+", choices=renderers, default=renderers)
        own.add_argument("--seeds", default=f"0-{REPORTING - 1}", help="such as 0-40 or 3,5,8-13; below 100")
        if name == "draw":
            own.add_argument("--scenes", type=int, help="scenes per series (default: the renderer's own choice)")
        if name == "learn":
            own.add_argument("--epochs", type=float, help="default: by class")
        if name == "cargo-learn":
            own.add_argument("--batches", type=int, help="crops are shown in so many batches (default: by class)")
        if name in ("learn", "cargo-learn"):
            own.add_argument("--begin", type=Path, help="folder of weights to begin with (default: random ones)")
            own.add_argument("--seed", type=int, default=0, help="of weights and crops (default: %(default)s)")
            own.add_argument("--threads", type=int, default=min(os.cpu_count() or 1, 4))
        if name in ("learn", "measure", "limits", "car-learn", "cargo-learn", "cargo-measure"):
            own.add_argument("--weights", type=Path, help="folder of the weights (default: WORK/weights)")
    parser.epilog = "held out: " + "; ".join(
        f"{renderer} {', '.join(map(str, sorted(seeds)))}" for renderer, seeds in HELD_OUT.items()
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step; what a person can mend is said in one line."""
    options = _parser().parse_args(arguments)
    warnings.simplefilter("ignore", RuntimeWarning)  # medians of ground that no scene shows
    try:
        STEPS[options.step](options)
    except RailWatchError as error:
        say(f"train_network: {error}")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
