"""`rail-watch aoi`: list, show, validate, schema."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from aoi_material import document, good, save
from click.testing import CliRunner

from rail_watch import aoi
from rail_watch.cli.aoi import command


def test_list_names_every_shipped_site() -> None:
    done = CliRunner().invoke(command, ["list"])
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == aoi.shipped()


def test_show_gives_lengths_areas_accuracy_and_source(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["show", str(save(tmp_path, good()))])
    assert done.exit_code == 0
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert "1,481 m" in lines["t2"] and "gauge 1520 mm" in lines["t1"] and "m2" in lines["a1"]
    assert "60 m" in lines["accuracy"] and "drawn for a test" in lines["source"] and "Asia/Pyongyang" in lines["clock"]
    assert "42.4200 N, 130.6100 E" in lines["centre"] and "5.5 m wide" in lines["deck"]


def test_validate_names_each_fault_on_standard_error(tmp_path: Path) -> None:
    well, ill = save(tmp_path, good()), save(tmp_path, document(id="Yard"), "ill.geojson")
    done = CliRunner().invoke(command, ["validate", str(well), str(ill), str(tmp_path / "gone.geojson")])
    assert done.exit_code == 2
    assert done.stdout == f"{well}: good (2 tracks, 1 bridge, 1 apron, 1 shed)\n"
    lines = done.stderr.splitlines()
    assert len(lines) == 3 and all(str(tmp_path) in line for line in lines)
    assert CliRunner().invoke(command, ["validate", str(well)]).exit_code == 0


def test_schema_prints_the_schema() -> None:
    done = CliRunner().invoke(command, ["schema"])
    assert json.loads(done.stdout)["title"] == "Area of interest"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from rail_watch.cli.aoi import command\n"
        "try: command(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'numpy', 'shapely', 'rasterio', 'pyproj'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
