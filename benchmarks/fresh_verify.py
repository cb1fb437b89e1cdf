"""A bundle made here verifies in a fresh virtual environment that has the built wheel and nothing else of the checkout.

Builds the wheel, makes a bundle of the sample's first train, installs the wheel into a new environment, and runs
`rail-watch verify` there in an empty folder. Ends with the exit status of `verify`. The libraries that the wheel needs
are lent by the environment that runs this: fetching them again takes minutes and shows nothing of ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def call(*command: str | Path, cwd: Path) -> None:
    print("+", *(str(part) for part in command[:4]), file=sys.stderr)
    subprocess.run([str(part) for part in command], cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def lend(fresh: Path) -> None:
    """Put this environment's libraries behind the fresh one's own; links to checkouts in them are not followed."""
    own = next(fresh.glob("lib/python*/site-packages"))
    paths = dict.fromkeys(sysconfig.get_paths()[kind] for kind in ("purelib", "platlib"))
    (own / "lent.pth").write_text("\n".join(paths) + "\n", encoding="utf-8")


def imported(fresh: Path, *, cwd: Path, env: dict[str, str]) -> Path:
    """Return where the fresh environment takes rail-watch from, which must be the wheel."""
    words = [str(fresh / "bin" / "python"), "-c", "import rail_watch; print(rail_watch.__file__)"]
    found = Path(subprocess.run(words, cwd=cwd, env=env, check=True, capture_output=True, text=True).stdout.strip())
    if not found.is_relative_to(fresh):
        sys.exit(f"the fresh environment took rail-watch from {found}, not from the wheel")
    return found


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
        call(folder / "fresh" / "bin" / "pip", "install", "-q", "--no-deps", "--no-index", wheel, cwd=folder)
        lend(folder / "fresh")
        installed = time.perf_counter()
        (folder / "empty").mkdir()
        clean = {"PATH": os.environ.get("PATH", ""), "HOME": str(folder / "empty")}
        print("judged by", imported(folder / "fresh", cwd=folder / "empty", env=clean), file=sys.stderr)
        result = subprocess.run(
            [folder / "fresh" / "bin" / "rail-watch", "verify", zipped], cwd=folder / "empty", env=clean, check=False
        )
    seconds = {"bundle_s": made - begun, "install_s": installed - made, "verify_s": time.perf_counter() - installed}
    print(json.dumps({**seconds, "status": result.returncode}, indent=2))
    sys.exit(result.returncode)


if __name__ == "__main__":
    main()
