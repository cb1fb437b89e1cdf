"""A bundle made here verifies in a fresh virtual environment that has the built wheel and nothing else of the checkout.

Builds the wheel, makes a bundle of the sample's first train, installs the wheel with the versions of `constraints.txt`
into a new environment, and runs `rail-watch verify` there in an empty folder. Ends with the exit status of `verify`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def call(*command: str | Path, cwd: Path) -> None:
    print("+", *(str(part) for part in command[:4]), file=sys.stderr)
    subprocess.run([str(part) for part in command], cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    here, begun = sys.executable, time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        call(here, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=ROOT)
        call(here, "-m", "rail_watch", "detect", "--aoi", "tumangang", "--datetime", "2022-11-30", "--sensor", "skysat",
             "--out", folder / "out", cwd=folder)  # fmt: skip
        document = json.loads((folder / "out" / "tumangang" / "detections.json").read_text(encoding="utf-8"))
        train = next(one for one in document["observations"]["features"] if one["properties"]["kind"] == "train")
        zipped = folder / "finding.zip"
        call(here, "-m", "rail_watch", "bundle", train["id"], "--out", zipped, cwd=folder)
        made = time.perf_counter()
        call(here, "-m", "venv", folder / "fresh", cwd=folder)
        wheel = next(folder.glob("*.whl"))
        call(folder / "fresh" / "bin" / "pip", "install", "-q", wheel, "-c", ROOT / "constraints.txt", cwd=folder)
        installed = time.perf_counter()
        (folder / "empty").mkdir()
        clean = {"PATH": os.environ.get("PATH", ""), "HOME": str(folder / "empty")}
        result = subprocess.run(
            [folder / "fresh" / "bin" / "rail-watch", "verify", zipped], cwd=folder / "empty", env=clean, check=False
        )
    seconds = {"bundle_s": made - begun, "install_s": installed - made, "verify_s": time.perf_counter() - installed}
    print(json.dumps({**seconds, "status": result.returncode}, indent=2))
    sys.exit(result.returncode)


if __name__ == "__main__":
    main()
