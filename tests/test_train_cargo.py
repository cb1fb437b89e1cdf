"""Learning the network for cargo anew: rows that fit it, labels that are the truth, laws and intervals that hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rail_watch import interpret
from rail_watch.errors import BadInput
from rail_watch.interpret.aprons import CHANNELS, SCALARS
from rail_watch.interpret.ground_network import apply_ground_network, load_ground_network
from rail_watch.interpret.pieces import area_interval, load_trust
from scripts.train_network.__main__ import main
from scripts.train_network.cargo.augment import CHANNEL, SCALAR, Shown, disturb, shape_of, smooth, swept
from scripts.train_network.cargo.files import read_network, write_network, write_trust
from scripts.train_network.cargo.measure import (
    NONE,
    Heap,
    Look,
    figures_of,
    fit_law,
    found,
    laws_of,
    look_at,
    table,
    trust_of,
)
from scripts.train_network.cargo.rows import (
    SCALE,
    UNKNOWN,
    LabelledApron,
    Row,
    covered_share,
    labelled_aprons,
    mistaken,
    read_rows,
    rows_of,
)
from scripts.train_network.seeds import GSD_M, Drawn

LEARNT = Drawn("simulator", "middle", 4)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    which = ["--work", str(folder), "--class", "middle", "--renderer", "simulator", "--seeds", "4"]
    assert main(["draw", *which, "--scenes", "4"]) == 0
    assert main(["cargo-rows", *which]) == 0
    return folder


@pytest.fixture(scope="module")
def rows(work: Path) -> list[Row]:
    return read_rows(LEARNT.aprons(work))


@pytest.fixture(scope="module")
def apron(work: Path) -> LabelledApron:
    return next(iter(labelled_aprons(LEARNT.folder(work))))


def test_rows_fit_the_network_of_their_class(rows: list[Row]) -> None:
    network = load_ground_network("middle")
    assert {row.round for row in rows} == {0, 1}
    for row in rows:
        assert row.picture.shape == (*row.covered.shape, len(CHANNELS)) and row.scalars.shape == (len(SCALARS),)
        assert np.isfinite(row.picture).all()
        known = row.covered != UNKNOWN
        assert known.any() and row.covered[known].max() <= SCALE
        odds = apply_ground_network(network, row.picture.astype(np.float32), row.scalars, known)
        assert np.isfinite(odds[known]).all()


def test_rows_hold_as_much_cargo_as_the_truth(apron: LabelledApron) -> None:
    square = apron.window.gsd_m**2
    for share, scene in zip(apron.share, apron.truth, strict=True):
        inside = apron.window.grid
        piles = [p for p in scene.cargo if covered_share([p.polygon], inside, apron.window.gsd_m).any()]
        assert share.sum() * square <= 1.02 * sum(pile.area_m2 for pile in piles) + 1e-6
        assert share.sum() * square >= 0.5 * sum(pile.area_m2 for pile in piles)
    first = [row for row in rows_of(apron, np.random.default_rng(0)) if row.round == 0]
    assert 1 <= len(first) <= len(apron.truth)
    taught = sum(int(row.covered[row.covered != UNKNOWN].sum()) for row in first) / SCALE
    assert 0 < taught <= 1.01 * float(apron.share.sum())


def test_a_first_round_errs_now_and_then() -> None:
    rng = np.random.default_rng(4)
    truth = np.zeros((300, 40, 60), bool)
    truth[:, 10:20, 20:35] = True
    out = mistaken(truth, 0.5, rng)
    overlooked = ~out[:, 12:18, 22:33].all(axis=(1, 2))
    assert 0.03 < overlooked.mean() < 0.2
    assert 0.15 < out[:, :, 45:].any(axis=(1, 2)).mean() < 0.4


def crop(rng: np.random.Generator, *, sun: bool = True) -> Shown:
    picture = np.zeros((len(CHANNELS), 64, 64), np.float32)
    picture[[CHANNEL["seen"], CHANNEL["apron"]]] = 1
    picture[CHANNEL["change"], 20:30, 20:32] = 0.6
    scalars = np.zeros(len(SCALARS), np.float32)
    scalars[SCALAR["shadow along rows"]] = 0.7 * sun
    share = np.zeros((64, 64), np.float32)
    share[20:30, 20:32] = 1
    return Shown(picture, scalars, share, np.ones((64, 64), np.float32), 0.5)


def test_disturbed_crops_stay_pictures_and_repeat() -> None:
    for seed in range(60):
        shown = crop(np.random.default_rng(seed))
        again = crop(np.random.default_rng(seed))
        disturb(shown, np.random.default_rng(seed))
        disturb(again, np.random.default_rng(seed))
        assert np.array_equal(shown.picture, again.picture) and np.array_equal(shown.share, again.share)
        assert np.isfinite(shown.picture).all() and shown.picture.dtype == np.float32
        assert shown.picture.shape == (len(CHANNELS), 64, 64)
        assert 0 <= shown.share.min() <= shown.share.max() <= 1.0001
        unseen = shown.seen == 0
        assert not shown.picture[CHANNEL["change"]][unseen].any() and not shown.known[unseen].any()


def test_shadows_are_thrown_away_from_the_sun() -> None:
    body = np.zeros((40, 40), np.float32)
    body[10:14, 10:20] = 1
    shade = swept(body, (2.0, 0.0), 3.0)
    assert shade[19, 15] == pytest.approx(1) and shade[22, 15] < 0.5 and shade[8, 15] == 0 and shade[15, 25] == 0
    assert np.array_equal(swept(body, (0.0, 0.0), 3.0), body)


def test_drawn_shapes_are_coverage_and_fields_have_unit_spread() -> None:
    rng = np.random.default_rng(2)
    for gsd_m in (0.5, 3.0, 10.0):
        for _ in range(20):
            body = shape_of(rng, (48, 40), gsd_m)
            assert body.shape == (48, 40) and 0 <= body.min() <= body.max() <= 1
            assert body.sum() * gsd_m**2 < 16 * 8 * 2.5**2 * 2.5
    for grain in (0.5, 3.0, 30.0):
        assert smooth(rng, (48, 40), grain).std() == pytest.approx(1, rel=1e-3)


def looks(rng: np.random.Generator, count: int) -> list[Look]:
    out = []
    for i in range(count):
        strongest = float(rng.exponential(0.7)) if rng.random() < 0.15 else NONE
        area = float(rng.uniform(9, 200))
        sure = rng.random() < 1 / (1 + (25 / area) ** 3)
        heap = Heap(area, area + float(rng.normal(0, 0.1 * area)) if sure else None, 8.0 if sure else NONE)
        doubt = float(rng.uniform(0, 0.1))
        fill = float(rng.uniform(0, 0.3))
        error = float(rng.normal(0, 0.01))
        out.append(Look(2000.0, 1900.0, i % 5 == 0, strongest, (heap,), max(fill + error, 0.0), fill, doubt))
    return out


def test_the_law_of_false_pieces_holds_on_looks_it_has_not_seen() -> None:
    rng = np.random.default_rng(6)

    def drawn() -> np.ndarray:
        return np.where(rng.random(6000) < 0.15, rng.exponential(0.7, 6000), NONE)

    law = fit_law(drawn(), np.full(6000, 2000.0))
    p_value = law.p_value(drawn(), np.full(6000, 2000.0))
    for level in (0.005, 0.01, 0.05):
        assert np.mean(p_value < level) == pytest.approx(level, abs=5 * np.sqrt(level / 6000))
    with pytest.raises(BadInput, match="only 3 looks"):
        fit_law(np.zeros(3), np.ones(3))
    quiet = fit_law(np.full(200, NONE), np.full(200, 2000.0))
    assert quiet.p_value(np.array(NONE), np.array(2000.0)) > 0.5 > quiet.p_value(np.array(0.5), np.array(2000.0))


def test_few_odd_looks_are_helped_out_by_the_strongest_others() -> None:
    some = [replace(look, odd=False) for look in looks(np.random.default_rng(3), 300)]
    usual, odd = laws_of(some)
    assert odd.threshold(0.01, 2000) >= usual.threshold(0.01, 2000)


def test_intervals_hold_what_they_were_measured_from() -> None:
    some = looks(np.random.default_rng(8), 600)
    trust = trust_of(some)
    pairs = [(h.area_m2, h.found_m2) for look in some for h in look.heaps if h.found_m2 is not None]
    inside = [low <= true <= high for true, said in pairs for low, high in [area_interval(said, trust)]]
    assert 0.94 <= np.mean(inside) <= 0.98
    flat, times = trust.fill_error
    held = [abs(k.fill - k.true_fill) <= flat + times * k.doubt for k in some if k.true_fill is not None]
    assert 0.94 <= np.mean(held) <= 0.999
    # Nine in ten are found where 1 / (1 + (25 / a)³) is 0.9.
    assert trust.smallest_m2 == pytest.approx(25 * 9 ** (1 / 3), rel=0.25)
    assert found(Heap(50.0, 50.0, 9.0), some[1], trust) and not found(Heap(50.0, None, NONE), some[1], trust)
    with pytest.raises(BadInput, match="only 0 heaps found"):
        trust_of([replace(look, heaps=()) for look in some])


def test_a_series_is_looked_at_and_scored(work: Path, apron: LabelledApron) -> None:
    looked = look_at(LEARNT.folder(work), apron, load_ground_network("middle"))
    assert len(looked.looks) == len([odds for odds in looked.odds if odds is not None])
    assert all(0 <= look.fill <= 1 and look.bare_m2 <= look.area_m2 for look in looked.looks)
    trust = load_trust("middle")
    figures = figures_of([looked], trust)
    heaps = sum(len(look.heaps) for look in looked.looks)
    assert 0 <= figures["F1"] <= 1 and figures["heaps found"] <= heaps + 2
    assert "| middle: cargo | |" in table("middle", figures, trust)


def test_files_are_read_as_the_package_reads_them(tmp_path: Path) -> None:
    network, trust = load_ground_network("coarse"), load_trust("coarse")
    write_network(tmp_path / "cargo-coarse.npz", network)
    write_trust(tmp_path / "cargo-coarse-empty.npz", trust)
    own = Path(interpret.__path__[0]) / "weights"
    for name in ("cargo-coarse.npz", "cargo-coarse-empty.npz"):
        with np.load(tmp_path / name) as data, np.load(own / name) as there:
            assert sorted(data.files) == sorted(there.files)
            assert all(np.array_equal(data[key], there[key]) for key in data.files)
    again = read_network(tmp_path / "cargo-coarse.npz")
    assert again.dilation == network.dilation and again.factor == network.factor


def test_steps_must_be_run_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed (the extra 'train')")
    assert main(["cargo-learn", "--work", str(tmp_path)]) == 2
    assert main(["cargo-measure", "--work", str(tmp_path)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and "the step 'cargo-rows' first" in told[0] and "the step 'cargo-learn' first" in told[1]


def test_learning_is_repeatable_and_the_package_computes_what_was_learnt(rows: list[Row]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra 'train')")
    from scripts.train_network.cargo.learn import Plan, as_package, begun_from, learn, odds_on

    plan = Plan((1, 2), 2, (6, 8), 24, 3, GSD_M["middle"])
    told: list[str] = []
    first, again = (learn(rows, rows, plan, seed=5, start=None, progress=told.append) for _ in range(2))
    assert np.array_equal(first.layers["read"][0], again.layers["read"][0])
    assert told[0].startswith("3/3 loss ") and "shares sum to the true ones" in told[1]
    row = rows[0]
    net = begun_from(first, plan)
    where = np.ones(row.covered.shape, bool)
    said = apply_ground_network(first, row.picture.astype(np.float32), row.scalars, where)
    assert np.allclose(odds_on(net, row), said, atol=1e-4)
    wider = as_package(begun_from(first, replace(plan, width=(8, 12))))
    near = apply_ground_network(wider, row.picture.astype(np.float32), row.scalars, where)
    assert np.abs(near - said).max() < 1
    assert torch.is_grad_enabled()
