"""Make the book as one PDF: all pages on one, printed by a Chromium that is on this machine.

    python book/make_pdf.py

Folded cells (code of figures, solutions) stay folded, so they are left out. Links between chapters
and to the bibliography work, and the reader's outline lists chapters and sections.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
SINGLE = ROOT / "_build" / "singlehtml"
OUT = ROOT / "_build" / "pdf" / "not-on-the-menu.pdf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PRINT = """
@page { size: A4; margin: 18mm 17mm 18mm; }
html { font-size: 11px !important; }
.bd-main .bd-content .bd-article-container { max-width: none; padding: 0; }
.bd-main .bd-content .bd-article-container .bd-article { padding: 0; }
span[id^="document-"] + section { break-before: page; }
h1, h2, h3, .rubric { break-after: avoid; }
figure, .cell_input, .admonition, pre, tr, .math { break-inside: avoid; }
details, .bd-header-article, .prev-next-area, .headerlink, .copybtn { display: none !important; }
"""
PAGE_NUMBER = (
    '<div style="font-size: 8px; width: 100%; text-align: center">'
    '<span class="pageNumber"></span></div>'
)


def main():
    """Build the single page and print it."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(
            "The PDF is printed by Chromium, and there is none here: on Debian or Ubuntu run "
            "'sudo apt install chromium', then make again."
        )
    command = [Path(sys.executable).with_name("jupyter-book"), "build", ROOT]
    subprocess.run([*command, "--builder", "singlehtml", "--quiet"], check=True)
    # The builder writes the page into a folder, with addresses as if it stood above.
    page_path = shutil.copy(SINGLE / "book" / "intro.html", SINGLE / "book.html")
    OUT.parent.mkdir(exist_ok=True)
    with sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        found = driver.chromium.launch(executable_path=browser, args=flags)
        page = found.new_page()
        page.goto(Path(page_path).as_uri(), timeout=300_000)
        page.wait_for_function("window.MathJax?.startup?.promise", timeout=300_000)
        page.evaluate("MathJax.startup.promise.then(() => true)")
        page.emulate_media(media="print")
        page.add_style_tag(content=PRINT)
        page.pdf(
            path=OUT,
            prefer_css_page_size=True,
            outline=True,
            tagged=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=PAGE_NUMBER,
        )
        found.close()
    print(f"The book as a PDF is in {OUT}")


if __name__ == "__main__":
    main()
