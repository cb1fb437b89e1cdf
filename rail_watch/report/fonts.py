"""Where the letters of a language are on this machine, or what to install."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from rail_watch.errors import BadInput

LETTERS = {"ko": "Korean", "ja": "Japanese"}
FAMILIES: dict[str, tuple[tuple[str, str], ...]] = {
    "ko": (
        ("NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc"),
        ("NotoSansCJKkr-Regular.otf", "NotoSansCJKkr-Bold.otf"),
        ("NotoSansKR-Regular.otf", "NotoSansKR-Bold.otf"),
        ("NanumGothic.ttf", "NanumGothicBold.ttf"),
        ("AppleGothic.ttf", "AppleGothic.ttf"),
        ("malgun.ttf", "malgunbd.ttf"),
    ),
    "ja": (
        ("NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc"),
        ("NotoSansCJKjp-Regular.otf", "NotoSansCJKjp-Bold.otf"),
        ("NotoSansJP-Regular.otf", "NotoSansJP-Bold.otf"),
        ("ipaexg.ttf", "ipaexg.ttf"),
        ("ヒラギノ角ゴシック W3.ttc", "ヒラギノ角ゴシック W6.ttc"),
        ("YuGothR.ttc", "YuGothB.ttc"),
    ),
}
"""Regular and bold files by language, the first that is installed is taken. Every face of Noto's collection holds
the letters of all; what differs is the shape of Chinese characters, of which Korean text here has none."""


def needed(language: str, *, bold: bool = False) -> tuple[Path, ...]:
    """Return the font file that a language needs beside ours; none where ours hold its letters.

    Raises
    ------
    BadInput
        None is installed.
    """
    if language not in FAMILIES:
        return ()
    installed = _installed()
    for regular, heavy in FAMILIES[language]:
        if regular in installed:
            return (installed.get(heavy, installed[regular]) if bold else installed[regular],)
    raise BadInput(
        f"--language {language}: no font with {LETTERS[language]} letters is installed; install one "
        "(Debian, Ubuntu: apt-get install fonts-noto-cjk)"
    )


@lru_cache(maxsize=1)
def _installed() -> dict[str, Path]:
    from matplotlib.font_manager import findSystemFonts

    return {Path(path).name: Path(path) for path in sorted(findSystemFonts())}
