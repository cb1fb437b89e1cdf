"""What the repository promises about itself: versions agree, links lead somewhere, the wheel carries what it must."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import rail_watch

CHECKOUT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
PAGES = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("benchmarks/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MENTION = re.compile(r"`((?:docs|scripts|benchmarks|rail_watch|tests)/[\w./-]+\.\w+)`")
WHEEL_LIMIT_BYTES = 25_000_000


def _read(name: str) -> str:
    return (CHECKOUT / name).read_text(encoding="utf-8")


def test_changelog_and_citation_name_the_version() -> None:
    version = rail_watch.__version__
    assert f"## [{version}]" in _read("CHANGELOG.md")
    assert re.search(rf"^version: {re.escape(version)}$", _read("CITATION.cff"), re.MULTILINE)


def test_licence_is_apache_2() -> None:
    text = _read("LICENSE")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["project"]["license"] == "Apache-2.0"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [target.partition("#")[0] for target in LINK.findall(text) if not re.match(r"https?:|#", target)]
    missing = [target for target in links if not (page.parent / target).exists()]
    missing += [target for target in MENTION.findall(text) if not (CHECKOUT / target).exists()]
    assert missing == []


def test_constraints_are_names_and_versions_only() -> None:
    lines = [line for line in _read("constraints.txt").splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][a-z0-9.]*", line)] == []
    names = [line.partition("==")[0] for line in lines]
    assert names == sorted(set(names))


def test_every_direct_dependency_is_constrained() -> None:
    pinned = {line.partition("==")[0] for line in _read("constraints.txt").splitlines()}
    extras = PROJECT["project"]["optional-dependencies"].values()
    named = [*PROJECT["project"]["dependencies"], *(one for extra in extras for one in extra)]
    names = {re.split(r"[\[<>=!~ ]", one)[0].lower().replace("_", "-") for one in named}
    assert names - pinned == set()


def test_no_module_is_longer_than_500_lines() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in CHECKOUT.glob("rail_watch/**/*.py")}
    assert {str(path.relative_to(CHECKOUT)): lines for path, lines in lengths.items() if lines > 500} == {}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the tools already installed; nothing is fetched."""
    pytest.importorskip("hatchling", reason="hatchling is not installed; the wheel is built in scripts/test")
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, timeout=120)
    return next(out.glob("*.whl"))


def test_wheel_carries_sites_imagery_and_schemas(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in ("aois", "sample_imagery"):
        files = [path for path in (CHECKOUT / folder).rglob("*") if path.is_file() and not path.name.startswith(".")]
        assert files
        assert {f"rail_watch/data/{path.relative_to(CHECKOUT).as_posix()}" for path in files} <= names
    inside = [path for path in (CHECKOUT / "rail_watch").rglob("*.*") if path.is_file() and path.suffix != ".pyc"]
    assert {path.relative_to(CHECKOUT).as_posix() for path in inside} <= names
    assert {"rail_watch/py.typed", "rail_watch/aoi/schema/aoi.schema.json"} <= names


def test_wheel_is_small_enough(wheel: Path) -> None:
    assert wheel.stat().st_size <= WHEEL_LIMIT_BYTES


@pytest.mark.parametrize("command", ["--help", "--version"])
def test_start_imports_nothing_heavy(command: str) -> None:
    program = (
        "import sys\nfrom rail_watch.cli.main import main\nsys.argv = ['rail-watch', sys.argv[1]]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'numpy', 'rasterio', 'shapely', 'pandas', 'geopandas', 'scipy', 'skimage', 'matplotlib', 'jinja2'}\n"
        "print(*sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, command], cwd=CHECKOUT, check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout
    assert done.stderr.split() == []
