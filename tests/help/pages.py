"""What a report shows: its tables, and its figures in a real browser."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PROBE = """<script>addEventListener("load", () => document.body.append(
    "widths: " + [...document.images].map(image => image.naturalWidth).join(" ")))</script>"""


def rows(markdown: str) -> list[list[str]]:
    """The cells of every row of every table."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in markdown.splitlines()
        if line.startswith("|")
    ]


def shown_images(page: Path, profile: Path) -> int:
    """How many images headless Chromium shows, having nothing to say on its console.

    The page gets a script that writes down what the browser made of its images.
    """
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("chromium is not installed")
    probed = page.with_name("probed.html")
    probed.write_text(page.read_text().replace("</body>", f"{PROBE}</body>"))
    finished = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--enable-logging=stderr",
            f"--user-data-dir={profile}",
            "--dump-dom",
            probed.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    probed.unlink()
    assert "CONSOLE" not in finished.stderr
    widths = re.findall(r"widths: ([\d ]+)", finished.stdout)[-1].split()
    assert all(int(width) > 0 for width in widths)
    return len(widths)
