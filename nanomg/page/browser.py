"""A Chromium on this machine, to print a page."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nanomg.errors import InputError, NanomgError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")

_QUIET = (
    "--headless",
    "--no-sandbox",  # the page is our own, and containers have no room for one
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # a page of ours needs no other machine
)
_PATIENCE = 60.0  # [s]


class BrowserError(NanomgError):
    """The browser did not do what it was asked for."""

    exit_code = 1


def find() -> str | None:
    """The path of the first Chromium, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def run(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run it once, headless, with a profile of its own that is gone afterwards. Raises `InputError` where there is none."""
    program = find()
    if program is None:
        raise InputError(
            f"no browser is installed to print with; install Chromium (looked for {', '.join(NAMES)})", "--pdf"
        )
    with tempfile.TemporaryDirectory(prefix="nanomg-", ignore_cleanup_errors=True) as profile:
        command = [program, *_QUIET, f"--user-data-dir={profile}", *arguments]
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BrowserError(f"the browser did not finish ({type(error).__name__})", program) from None


def pdf_of(page: str) -> bytes:
    """A page (HTML) as the browser prints it. Raises `InputError` without a browser, `BrowserError` where it fails."""
    with tempfile.TemporaryDirectory(prefix="nanomg-") as folder:
        source, printed = Path(folder) / "page.html", Path(folder) / "page.pdf"
        source.write_text(page, encoding="utf-8")
        done = run(["--no-pdf-header-footer", f"--print-to-pdf={printed}", source.as_uri()])
        if not printed.is_file():
            said = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "it says nothing")
            raise BrowserError(f"the browser printed nothing: {said}", "--pdf")
        return printed.read_bytes()
