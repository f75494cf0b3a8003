"""A headless browser that opens a page and tells what its script found."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

EVIL = "</script><img src=x onerror=alert(1)>&'\""
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
with_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


def ask_page(html: str, script: str, folder: Path, *options: str, seconds: float = 120.0) -> dict[str, Any]:
    """Open a page with a script in front of its body; return what it wrote into the title, `RESULT<JSON>END`."""
    (folder / "report.html").write_text(html.replace("<body>", f"<body><script>{script}</script>"), encoding="utf-8")
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}", *options,
        "--window-size=1200,900", "--dump-dom", (folder / "report.html").as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True)
    answer = re.search(r"<title>RESULT(.*?)END", done.stdout, flags=re.DOTALL)
    assert answer is not None, done.stdout[:500]
    unescaped = answer[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace("&quot;", '"')
    found: dict[str, Any] = json.loads(unescaped)
    return found
