"""`report.html` as a PDF: the same words and pictures, set for paper.

WeasyPrint sets it. It is given no address to ask: only the pictures inside the page are read.
"""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import re
from typing import Any

from PIL import Image

from rail_watch.errors import BadInput

MISSING = (
    "a PDF needs WeasyPrint and Pango: pip install 'rail-watch[pdf]' "
    "(Debian, Ubuntu: apt-get install libpango-1.0-0 libpangoft2-1.0-0), or leave out --pdf"
)


_WEBP = re.compile(r"data:image/webp;base64,([A-Za-z0-9+/=]+)")
QUALITY = 88


def _as_jpeg(match: re.Match[str]) -> str:
    """Set a picture as JPEG, which a PDF holds as it is; WebP it would hold unpacked, at six times the size."""
    stream = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(match[1]))) as image:
        image.convert("RGB").save(stream, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def check() -> Any:
    """Return WeasyPrint.

    Raises
    ------
    BadInput
        It, or the system's library it sets with, is not installed.
    """
    try:
        import weasyprint
    except (ImportError, OSError) as fault:
        raise BadInput(MISSING) from fault
    return weasyprint


def pdf(page: str) -> bytes:
    """Return the page as a PDF; the same page, versions and fonts, the same bytes.

    Raises
    ------
    BadInput
        WeasyPrint is not installed.
    """
    weasyprint = check()
    logging.getLogger("weasyprint").setLevel(logging.ERROR)  # of screen styles that paper does not know
    digest = hashlib.sha256(page.encode()).digest()[:16]
    made: bytes = weasyprint.HTML(
        string=_WEBP.sub(_as_jpeg, page), base_url=None, url_fetcher=weasyprint.URLFetcher(allowed_protocols=("data",))
    ).write_pdf(pdf_identifier=digest)
    return made
