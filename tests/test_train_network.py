"""Learning the network anew: seeds kept apart, rows that fit it, labels that are the truth, a law that holds."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from rail_watch import interpret
from rail_watch.errors import BadInput
from rail_watch.evaluate.truth import TrueTrack, TrueTrain
from rail_watch.interpret.cars import CarCount
from rail_watch.interpret.network import Network, apply_network, load_network
from rail_watch.interpret.null import PLAIN, EmptyLaw, EmptyLaws, load_laws
from rail_watch.interpret.sections import SCALARS
from rail_watch.interpret.strips import steps_for
from rail_watch.interpret.trains import Train
from scripts.train_network.__main__ import main
from scripts.train_network.seeds import GSD_M, HELD_OUT, LONE, RENDERERS, Drawn, chosen, seeds_of
from scripts.train_network.series import TrackTruth, labelled_yards, read_truth
from scripts.train_network.trains import sizes
from scripts.train_network.trains.files import (
    read_network,
    read_size_errors,
    write_laws,
    write_network,
    write_size_errors,
)
from scripts.train_network.trains.measure import (
    NOTHING_KNOWN,
    Look,
    figures_of,
    fit_law,
    fit_odd_law,
    laws_of,
    looked_at,
    settled,
    table,
)
from scripts.train_network.trains.sections import (
    Row,
    control_rows,
    coupling_steps,
    mistaken,
    occupied_steps,
    read_sections,
)
from scripts.train_network.trains.sizes import Case, Pair, limit_factor, size_errors_of

LEARNT = Drawn("simulator", "middle", 4)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    which = ["--work", str(folder), "--class", "middle", "--renderer", "simulator", "--seeds", "4"]
    assert main(["draw", *which, "--scenes", "4"]) == 0
    assert main(["sections", *which]) == 0
    return folder


@pytest.fixture(scope="module")
def rows(work: Path) -> list[Row]:
    return read_sections(LEARNT.sections(work))


def test_seeds_for_reporting_cannot_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draw", "--work", str(tmp_path), "--seeds", "99-100"]) == 2
    assert "seed 100 is kept for reporting" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    with pytest.raises(BadInput, match="write them as"):
        seeds_of("three")


def test_some_seeds_of_either_renderer_are_held_out_of_every_class() -> None:
    every = chosen(RENDERERS, list(GSD_M), seeds_of("0-99"))
    held = {(one.renderer, one.seed) for one in every if one.held_out}
    assert held == {(renderer, seed) for renderer in RENDERERS for seed in HELD_OUT[renderer]}
    assert LONE not in RENDERERS and all(one.held_out for one in chosen([LONE], list(GSD_M), seeds_of("0-99")))
    assert HELD_OUT["other"] == {*range(8, 14), *range(84, 100)}


def test_winter_lays_snow_on_half_of_the_looks_and_changes_no_other_series(tmp_path: Path) -> None:
    which = ["--work", str(tmp_path), "--class", "coarse", "--seeds", "17", "--scenes", "12"]
    assert main(["draw", *which, "--renderer", "winter"]) == 0
    _, truth = read_truth(Drawn("winter", "coarse", 17).folder(tmp_path))
    document = json.loads((Drawn("winter", "coarse", 17).folder(tmp_path) / "truth.json").read_text())
    snowy = [scene["snow_fraction"] for scene in document["scenes"] if scene["snow_fraction"] > 0]
    assert truth and 3 <= len(snowy) <= 9 and document["simulated"] is True
    assert main(["draw", *which, "--renderer", "other"]) == 0
    document = json.loads((Drawn("other", "coarse", 17).folder(tmp_path) / "truth.json").read_text())
    assert not any(scene["snow_fraction"] for scene in document["scenes"])


def test_busy_yards_have_trains_a_few_metres_apart_and_change_no_other_series(tmp_path: Path) -> None:
    apart: dict[str, list[float]] = {}
    for renderer in ("busy", "other"):
        which = ["--work", str(tmp_path), "--class", "middle", "--seeds", "17", "--scenes", "8"]
        assert main(["draw", *which, "--renderer", renderer]) == 0
        truth, _ = read_truth(Drawn(renderer, "middle", 17).folder(tmp_path))
        pairs = [pair for scene in truth.scenes for track in scene.tracks for pair in pairwise(track.trains)]
        apart[renderer] = [second.start_m - first.end_m for first, second in pairs]
    assert min(apart["busy"]) >= 1.9 and sum(gap < 12 for gap in apart["busy"]) > 5
    assert not any(gap < 12 for gap in apart["other"])


def test_steps_must_be_run_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sections", "--work", str(tmp_path)]) == 2
    assert main(["measure", "--work", str(tmp_path)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and "run the step 'draw' first" in told[0] and "run the step 'learn' first" in told[1]


def test_what_is_drawn_is_not_drawn_again(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = LEARNT.folder(work) / "truth.json"
    before = truth.stat().st_mtime_ns
    assert main(["draw", "--work", str(work), "--class", "middle", "--renderer", "simulator", "--seeds", "4"]) == 0
    assert truth.stat().st_mtime_ns == before
    assert capsys.readouterr().err == "simulator/middle/4: there already\n"


def test_rows_fit_the_network_of_their_class(rows: list[Row]) -> None:
    network = load_network("middle")
    assert {row.round for row in rows} == {0, 1}
    for row in rows:
        assert row.sections.shape == (len(row.occupied), network.read.shape[0])
        assert row.other.shape == row.occupied.shape
        # A train here is a train here or beside.
        assert (row.other[row.occupied == 1] == 1).all()
        assert np.isfinite(row.sections).all() and set(np.unique(row.occupied)) <= {-1, 0, 1}
    for track in by_hand(rows):
        sections = np.stack([row.sections.astype(np.float32) for row in track])
        odds = apply_network(network, sections)
        assert odds.shape == (*sections.shape[:2], 2)


def by_hand(rows: list[Row]) -> list[list[Row]]:
    places = dict.fromkeys((row.strip, row.round) for row in rows)
    return [[row for row in rows if (row.strip, row.round) == place] for place in places]


def test_rows_hold_as_much_train_as_the_truth(work: Path, rows: list[Row]) -> None:
    _, truth = read_truth(LEARNT.folder(work))
    step = steps_for(GSD_M["middle"])[0]
    trains = [train for one in truth.values() for train in one.track.trains if train.visible_fraction == 1]
    true = sum(train.length_m for train in trains)
    first = sum(int((row.occupied == 1).sum()) for row in rows if row.round == 0) * step
    assert trains and first >= 0.95 * true
    everything = sum(train.length_m for one in truth.values() for train in one.track.trains)
    assert first <= 1.05 * everything


def _truth(*trains: tuple[float, float, float], visible: float = 1.0) -> TrackTruth:
    stand = tuple(TrueTrain("", start, end, 2, seen) for start, end, seen in trains)
    return TrackTruth(
        TrueTrack("t1", visible, visible, stand), tuple(((s + e) / 2, (s + e) / 2 + 1) for s, e, _ in trains)
    )


def test_labels_are_the_truth_step_by_step() -> None:
    along = np.arange(0.25, 100, 0.5)
    truth = _truth((10.0, 40.0, 1.0), (60.0, 80.0, 0.2))
    occupied = occupied_steps(truth, along)
    assert (occupied[(along > 10) & (along < 40)] == 1).all()
    assert (occupied[(along > 60) & (along < 80)] == -1).all()
    assert (occupied == 0).sum() == len(along) - 60 - 40
    assert (occupied_steps(None, along) == -1).all()
    gap = along[coupling_steps(truth, along, 0.5) == 1]
    assert gap[gap < 50].min() == pytest.approx(25.25) and gap[gap < 50].max() == pytest.approx(25.75)


def test_a_first_round_errs_now_and_then_and_not_by_much() -> None:
    rng = np.random.default_rng(4)
    truth = np.zeros((400, 200), bool)
    truth[:, 80:140] = True
    found = mistaken(truth, rng)
    overlooked = ~found[:, 90:130].all(axis=1)
    assert 0.03 < overlooked.mean() < 0.15
    kept = found[~overlooked]
    assert not kept[:, :77].any(axis=1).mean() > 0.15
    assert (kept[:, 83:137].all(axis=1)).all()


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_law_holds_on_looks_it_has_not_seen(scale: float) -> None:
    rng = np.random.default_rng(6)
    metres = np.full(4000, 250.0)
    law = fit_law(rng.gumbel(-8, scale, 4000), metres)
    p = law.p_value(rng.gumbel(-8, scale, 4000), metres)
    for level in (0.01, 0.1, 0.5):
        assert np.mean(p < level) == pytest.approx(level, abs=5 * np.sqrt(level / 4000))
    with pytest.raises(BadInput, match="only 3 looks"):
        fit_law(np.zeros(3), metres[:3])
    with pytest.raises(BadInput, match="cannot tell trains from track"):
        fit_law(np.ones(50), metres[:50])


def test_the_law_of_odd_ground_holds_where_nothing_is_plainly_empty() -> None:
    rng = np.random.default_rng(3)
    law = fit_odd_law(rng.gumbel(2, 1, 4000), np.full(4000, 300.0))
    p = law.p_value(rng.gumbel(2, 1, 4000), np.full(4000, 300.0))
    for level in (0.01, 0.1, 0.5):
        assert np.mean(p < level) == pytest.approx(level, abs=5 * np.sqrt(level / 4000))


def _look(rng: np.random.Generator, *, occupied: bool, odd: bool = False) -> Look:
    truth = _truth((20.0, 120.0, 1.0)) if occupied else _truth()
    statistic = rng.normal(6.0 if occupied else -8.0, 1.0, 2)
    return Look("s", "t1", truth, statistic, np.array([200.0, 50.0]), 0.2 if odd else 0.02, False, ())


@pytest.mark.parametrize(("gsd_m", "metres"), [(0.5, [200, 50]), (3.0, [200, 200]), (10.0, [200, 50])])
def test_laws_are_learnt_from_empty_tracks_alone(gsd_m: float, metres: list[int]) -> None:
    rng = np.random.default_rng(9)
    looks = [_look(rng, occupied=i % 3 == 0, odd=i % 10 == 1) for i in range(900)]
    laws = laws_of(looks, gsd_m=gsd_m)
    assert [round(law.metres) for law in laws.usual] == metres
    assert all(law.body[-1] < 0 for law in (*laws.usual, *laws.odd))
    assert laws.usual[0].body[-1] == pytest.approx(PLAIN, abs=1e-4)
    figures = figures_of({}, gsd_m=3.0)
    assert figures.f1 == 0 and "| middle | |" in table("middle", figures, laws)
    assert (
        table("middle", figures, laws).count("threshold") == 2 and table("fine", figures, laws).count("threshold") == 3
    )


def test_odd_ground_near_a_train_is_no_odd_ground_where_pixels_are_wide() -> None:
    rng = np.random.default_rng(10)
    looks = [_look(rng, occupied=False, odd=i % 5 == 0) for i in range(500)]
    beside = [replace(_look(rng, occupied=True, odd=True), truth=_truth(), shared=True) for _ in range(100)]
    wide, fine = (laws_of([*looks, *beside], gsd_m=gsd_m).odd[0].threshold(0.01, 200.0) for gsd_m in (10.0, 3.0))
    assert wide < 0 < fine


@pytest.mark.parametrize("power", [0.8, 1.2, 1.8])
def test_the_final_law_makes_p_values_even(power: float) -> None:
    rng = np.random.default_rng(12)
    raw = rng.random(3000) ** power
    looks = [replace(_look(rng, occupied=False), p_value=p) for p in raw]
    looks += [replace(_look(rng, occupied=True), p_value=1e-6) for _ in range(500)]
    laws = settled(NOTHING_KNOWN, looks, gsd_m=3.0)
    fresh = laws.settled(rng.random(3000) ** power)
    for level in (0.01, 0.05, 0.3):
        assert np.mean(fresh < level) == pytest.approx(level, abs=6 * np.sqrt(level / 3000))
    # Looks keep their order.
    assert (np.diff(laws.settled(np.sort(raw))) >= 0).all()
    assert np.isnan(laws.settled(np.array([np.nan]))).all()
    assert np.allclose(NOTHING_KNOWN.settled(raw), raw)


def test_where_pixels_are_wide_looks_that_share_them_with_a_train_do_not_count() -> None:
    rng = np.random.default_rng(13)
    looks = [replace(_look(rng, occupied=False), p_value=p) for p in rng.random(400)]
    beside = [replace(look, p_value=1e-5, shared=True) for look in looks[:100]]
    apart, near = (settled(NOTHING_KNOWN, [*looks, *beside], gsd_m=gsd_m) for gsd_m in (10.0, 3.0))
    assert apart.settled(np.array(0.01)) < 0.03 < 0.15 < near.settled(np.array(0.01))


def test_control_strips_are_taught_as_empty(work: Path) -> None:
    labelled = next(iter(labelled_yards(LEARNT.folder(work))))
    rows = list(control_rows(labelled, np.random.default_rng(1), first_strip=7))
    assert rows and min(row.strip for row in rows) == 7 and {row.round for row in rows} == {0, 1}
    assert all(set(np.unique(row.occupied)) <= {-1, 0} and set(np.unique(row.other)) <= {-1, 0} for row in rows)


@pytest.mark.parametrize("short", [True, False])
def test_intervals_hold_the_errors_they_were_measured_from(short: bool) -> None:
    rng = np.random.default_rng(14)
    pairs, said = [], rng.uniform(30, 60, 200) if short else rng.uniform(200, 260, 200)
    for length in said:
        true = TrueTrain("", 0.0, float(length + rng.normal(2.0, 5.0)), 3, 1.0)
        pairs.append(Pair(Train(0, 0, 0.0, float(length), (0.0, 0.0), 0.001, CarCount(3, (3, 3), ()), ()), true))
    errors = size_errors_of(pairs)
    spans = [errors.length_95(pair.said.length_m) for pair in pairs]
    inside = [low <= pair.true.length_m <= high for pair, (low, high) in zip(pairs, spans, strict=True)]
    assert 0.93 <= np.mean(inside) <= 0.99
    assert errors.railcars_95(3, float(said[0]), (2, 3)) == (2, 3) and float(errors.limit_factor) == 1.0


def test_the_limit_factor_is_where_nine_in_ten_are_shown() -> None:
    rng = np.random.default_rng(15)
    lengths, limits = np.exp(rng.uniform(3, 6, 4000)), np.exp(rng.uniform(3.5, 4.5, 4000))
    chance = 1 / (1 + np.exp(-(np.log(9) + 4 * np.log(lengths / (1.7 * limits)))))
    found = rng.random(4000) < chance
    cases = [Case(float(a), float(b), bool(c)) for a, b, c in zip(lengths, limits, found, strict=True)]
    assert limit_factor(cases) == pytest.approx(1.7, rel=0.08)


def test_limits_are_measured_on_lone_trains_and_change_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizes, "FEWEST_ALONE", 1)
    weights = tmp_path / "weights"
    shutil.copytree(Path(interpret.__file__).parent / "weights", weights)
    before = read_size_errors(weights / "middle-sizes.npz")
    which = ["--work", str(tmp_path), "--class", "middle", "--renderer", "lone", "--seeds", "4"]
    assert main(["draw", *which, "--scenes", "6"]) == 0
    _, truth = read_truth(Drawn("lone", "middle", 4).folder(tmp_path))
    assert {len(one.track.trains) for one in truth.values()} == {0, 1}
    write_size_errors(weights / "middle-sizes.npz", replace(before, limit_factor=np.array(7.0)))
    assert main(["limits", *which, "--weights", str(weights)]) == 0
    after = read_size_errors(weights / "middle-sizes.npz")
    assert float(after.limit_factor) != 7.0
    assert all(
        np.array_equal(getattr(before, name), getattr(after, name)) for name in ("shorter_m", "longer_m", "more")
    )
    assert f"| measured over found detection limit | {float(after.limit_factor):.2f} |" in capsys.readouterr().out


def test_too_few_lone_trains_give_no_limit() -> None:
    with pytest.raises(BadInput, match="only 1 trains stand alone, limits need 20: draw more 'lone' series"):
        limit_factor([Case(30.0, 25.0, True)])


def test_limits_want_laws_and_errors_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(Path(interpret.__file__).parent / "weights" / "middle.npz", tmp_path)
    assert main(["limits", "--work", str(tmp_path), "--class", "middle", "--weights", str(tmp_path)]) == 2
    assert "middle-empty.npz: no laws here; run the step 'measure' first" in capsys.readouterr().err


def test_too_few_trains_give_no_intervals() -> None:
    with pytest.raises(BadInput, match="only 0 trains found, intervals need 30"):
        size_errors_of([])


def test_a_series_is_looked_at_with_its_control_strips(work: Path) -> None:
    held = LEARNT.folder(work)
    for looked in looked_at(held, load_network("middle")):
        strips, scenes = looked.statistic.shape[1:]
        assert looked.looks and {t for _, t in looked.looks} <= set(range(scenes))
        assert {k for k, _ in looked.looks} == set(range(strips))
        looks = looked.referred(load_laws("middle"))
        assert all(0 <= look.p_value <= 1 for look in looks if look.counts)


def test_files_are_read_as_the_package_reads_them(tmp_path: Path) -> None:
    network = load_network("coarse")
    write_network(tmp_path / "coarse.npz", network)
    again: Network = read_network(tmp_path / "coarse.npz")
    sections = np.random.default_rng(2).normal(size=(3, 30, network.read.shape[0])).astype(np.float32)
    assert np.array_equal(apply_network(again, sections), apply_network(network, sections))
    law = EmptyLaw(np.arange(3.0), np.array([0.0, 0.5, 0.9]), 1.5, 100.0)
    write_laws(tmp_path / "coarse-empty.npz", EmptyLaws((law, law), (law, law), 0.1, law))
    with np.load(tmp_path / "coarse-empty.npz", allow_pickle=False) as data:
        assert data["mass_2"].tolist() == [0.0, 0.5, 0.9] and float(data["scale_1"]) == 1.5
        with np.load(Path(interpret.__path__[0]) / "weights" / "coarse-empty.npz", allow_pickle=False) as own:
            assert sorted(own.files) == sorted(data.files)


def test_learning_without_pytorch_says_what_to_install(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    assert main(["learn", "--work", str(work), "--class", "middle"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "train_network: PyTorch is not installed; install the extra: pip install 'rail-watch[train]'"
    ]


def test_learning_is_repeatable_and_the_package_computes_what_was_learnt(rows: list[Row]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra 'train')")
    from scripts.train_network.trains.learn import AlongTrack, Course, Plan, as_package, by_track, learn

    told: list[str] = []
    plan = Plan((1, 2), crop=48, epochs=1, gsd_m=0.5, tells_cars=True)
    tracks = by_track(rows, [0] * len(rows))
    assert tracks == by_hand(rows)
    first, again = (learn(tracks, tracks, plan, Course(3, seed=5), progress=told.append) for _ in range(2))
    assert np.array_equal(first.read, again.read) and np.array_equal(first.along[1], again.along[1])
    assert len(told) == 2 and told[0].startswith("3/3 loss ")
    net = AlongTrack(rows[0].sections.shape[1], plan).eval()
    sections = np.stack([row.sections.astype(np.float32) for row in tracks[0]])
    batch = torch.from_numpy(sections.transpose(0, 2, 1).copy())
    with torch.no_grad():
        expected = net(batch).numpy().transpose(0, 2, 1)
    assert np.allclose(apply_network(as_package(net), sections), expected, atol=1e-4)


def test_looks_at_uneven_ground_and_at_snow_are_shown_oftener(rows: list[Row]) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (the extra 'train')")
    from scripts.train_network.trains.learn import OFTENER, _how_often

    calm, uneven, snow = (np.array(rows[0].sections, dtype=np.float16) for _ in range(3))
    names = [SCALARS.index(name) - len(SCALARS) for name in ("noise", "likeness to the reference")]
    for sections, values in ((calm, (-1.0, 1.0)), (uneven, (0.5, 1.0)), (snow, (-1.0, 0.05))):
        sections[:, names] = values
    shares = _how_often([replace(rows[0], sections=sections) for sections in (calm, uneven, snow)])
    np.testing.assert_allclose(shares, np.array([1, OFTENER, OFTENER]) / (1 + 2 * OFTENER))


def test_disturbed_sections_stay_sections(rows: list[Row]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra 'train')")
    from scripts.train_network.trains.augment import CHANNEL, Shown, disturbed

    torch.manual_seed(0)
    batch = torch.from_numpy(np.stack([row.sections[:60].T.astype(np.float32) for row in rows[:6]]))
    cars = torch.from_numpy(np.stack([row.occupied[:60] > 0 for row in rows[:6]]).astype(np.int64))
    out, turned = disturbed(batch.clone(), cars, np.random.default_rng(0), scenes=3, texture=0.5, gsd_m=3.0)
    assert out.shape == batch.shape and torch.isfinite(out).all() and turned.shape == (6,)
    assert torch.equal(Shown.of(batch).joined(), batch)
    assert turned.reshape(2, 3).all(1).equal(turned.reshape(2, 3).any(1))  # all scenes of a track, or none
    unseen = Shown.of(out).section[:, CHANNEL["seen"]] == 0
    assert not Shown.of(out).section[:, CHANNEL["change"]][unseen].any()


def test_cars_are_painted_anew_where_they_stand_and_nowhere_else(
    rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra 'train')")
    from scripts.train_network.trains import augment

    monkeypatch.setattr(augment, "REPAINTED", 1.0)
    row = next(row for row in rows if (row.occupied > 0).sum() > 20)
    batch = torch.from_numpy(row.sections.T.astype(np.float32))[None]
    cars = torch.from_numpy((row.occupied > 0).astype(np.int64))[None]
    shown = augment.Shown.of(batch.clone())
    augment._repaint(shown, cars, np.random.default_rng(1), gsd_m=3.0)
    moved = (shown.section - augment.Shown.of(batch).section).abs()[0]
    change = moved[augment.CHANNEL["change"]]
    assert change[:, cars[0] > 0].max() > 0.2
    assert change[:, cars[0] == 0].max() == 0
    assert change[:4].max() < 1e-3 and change[-4:].max() < 1e-3  # ten metres and more beside the track


def test_learning_goes_on_from_weights_that_are_there(rows: list[Row]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra 'train')")
    from scripts.train_network.trains.learn import AlongTrack, Plan, as_package, begun_from

    plan = Plan((1, 2), crop=48, epochs=1, gsd_m=0.5, tells_cars=True)
    first = as_package(AlongTrack(rows[0].sections.shape[1], plan))
    sections = np.stack([rows[0].sections.astype(np.float32)])
    again = as_package(begun_from(first, plan))
    assert np.array_equal(apply_network(again, sections), apply_network(first, sections))
    longer = as_package(begun_from(first, replace(plan, dilation=(1, 2, 4))))
    assert longer.dilation == (1, 2, 4)
    assert np.abs(apply_network(longer, sections) - apply_network(first, sections)).max() < 2
    with pytest.raises(BadInput, match="cannot begin"):
        begun_from(first, replace(plan, dilation=(1, 4)))
    assert torch.is_grad_enabled()
