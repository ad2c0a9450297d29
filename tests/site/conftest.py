"""A browser that is on this machine, to look at pages with."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from scripts import load

BROWSERS = load(Path(__file__).parents[2] / "book" / "make_pdf.py").BROWSERS
# Nothing that would ask the network.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser to look with: none of {', '.join(BROWSERS)} is installed")
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield found
        found.close()
