"""The built site: no warnings, no dead links, nothing from another address, one search box,
and pages that everybody can read, where a browser can look."""

import importlib
import pkgutil
import re
import subprocess
import sys
import threading
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup
from scripts import load

import helpers

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
REMOTE = re.compile(r"(https?:)?//", re.IGNORECASE)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    build = "import sys; from jupyter_book.cli.main import main; main(sys.argv[1:])"
    options = ["--path-output", str(out), "-W", "-n", "--keep-going", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", build, "build", str(ROOT), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"The book does not build:\n{done.stdout}\n{done.stderr}"
    return out / "_build" / "html"


@pytest.fixture(scope="module")
def pages(site):
    return sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)


@cache
def parse(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(path):
    return {
        tag[key] for tag in parse(path).find_all(True) for key in ("id", "name") if key in tag.attrs
    }


def loaded_addresses(soup):
    """What a browser fetches by itself on a page's first view."""
    for tag in soup.find_all(["script", "img", "iframe", "source", "video", "audio", "embed"]):
        yield from (tag[key] for key in ("src", "srcset", "poster") if tag.get(key))
    for tag in soup.find_all("object"):
        yield tag.get("data", "")
    fetched = {
        "stylesheet",
        "preload",
        "prefetch",
        "modulepreload",
        "icon",
        "manifest",
        "dns-prefetch",
        "preconnect",
    }
    for tag in soup.find_all("link"):
        if fetched & set(tag.get("rel", [])):
            yield tag.get("href", "")
    for tag in soup.find_all("style"):
        yield from css_addresses(tag.get_text())
    for tag in soup.find_all(style=True):
        yield from css_addresses(tag["style"])


def css_addresses(text):
    for url, imported in re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", text):
        yield url or imported


def test_internal_links_lead_somewhere(site, pages):
    dead = []
    for page in pages:
        for link in parse(page).find_all("a", href=True):
            target = urlsplit(link["href"])
            if target.scheme or target.netloc:
                continue
            path = (page.parent / unquote(target.path)).resolve() if target.path else page
            if not path.is_file() or not path.is_relative_to(site.resolve()):
                dead.append(f"{page.relative_to(site)}: {link['href']} (no such file)")
            elif target.fragment and path.suffix == ".html":
                if unquote(target.fragment) not in anchors(path):
                    dead.append(f"{page.relative_to(site)}: {link['href']} (no such place)")
    assert not dead, "\n".join(dead)


def test_pages_load_nothing_from_elsewhere(site, pages):
    remote = [
        f"{page.relative_to(site)}: {address}"
        for page in pages
        for address in loaded_addresses(parse(page))
        if REMOTE.match(address.strip())
    ]
    for script in (tag for page in pages for tag in parse(page).find_all("script", src=False)):
        remote += re.findall(r"https?://[^'\"\s]+", script.get_text())
    for sheet in site.rglob("*.css"):
        remote += [
            f"{sheet.relative_to(site)}: {address}"
            for address in css_addresses(sheet.read_text(encoding="utf-8"))
            if REMOTE.match(address.strip())
        ]
    assert not remote, "\n".join(remote)


def test_every_loaded_file_is_there(site, pages):
    missing = [
        f"{page.relative_to(site)}: {address}"
        for page in pages
        for address in loaded_addresses(parse(page))
        if address
        and not address.startswith(("data:", "#"))
        and not (page.parent / unquote(urlsplit(address).path)).is_file()
    ]
    assert not missing, "\n".join(missing)


def test_old_addresses_lead_to_the_new_ones(site):
    moved = ROOT / "book" / "_moved"
    assert (stubs := list(moved.rglob("*.html")))
    for stub in stubs:
        page = parse(site / stub.relative_to(moved))
        new = page.find("a")["href"]
        assert page.find("meta", {"http-equiv": "refresh"})["content"] == f"0; url={new}"
        assert new != stub.name and (site / stub.parent.relative_to(moved) / new).is_file()


def test_one_search_entry(site, pages):
    """A button in the sidebar, or in the header where the sidebar is folded; one form behind."""
    for page in pages:
        soup = parse(page)
        name = page.relative_to(site)
        if soup.find("main") is None:  # the front page only redirects
            continue
        dialog = soup.find(id="pst-search-dialog")
        assert len(dialog.select("form.bd-search")) == 1, name
        if name.name != "search.html":
            assert len(soup.select("form.bd-search")) == 1, name
        assert len(soup.select(".bd-sidebar-primary .search-button-field")) == 1, name
        assert len(soup.select(".search-button-field")) == 1, name
        assert len(soup.select(".bd-header-article .search-button")) == 1, name
        assert len(soup.select(".search-button")) == 1, name
        header = soup.select_one("header.bd-header")
        assert header is None or not header.get_text(strip=True), f"{name}: a second header"


def test_every_picture_has_a_description(site, pages):
    silent = [
        f"{page.relative_to(site)}: {picture.get('src', '')[:80]}"
        for page in pages
        for picture in parse(page).select("main img")
        if not picture.get("alt", "").strip()
    ]
    assert not silent, "\n".join(silent)


def test_all_functions_and_classes_on_offer_are_described(site):
    described = anchors(site / "book" / "api.html")
    assert [name for name in helpers.__all__ if f"helpers.{name}" not in described] == []
    for room in (found.name for found in pkgutil.iter_modules(helpers.__path__) if found.ispkg):
        module = importlib.import_module(f"helpers.{room}")
        offered = {name for name in module.__all__ if callable(getattr(module, name))}
        here = {name for name in offered if f"helpers.{room}.{name}" in described}
        assert offered - here <= set(helpers.__all__), room


def test_introduction_tells_what_its_picture_shows():
    counts, plain, masked = (figures := load(ROOT / "book" / "make_figures.py")).canteen()
    assert (counts[~figures.ON_THE_MENU] == 0).all() and (counts[figures.ON_THE_MENU] > 0).all()
    assert abs(masked - figures.PREFERENCE).max() < 1e-9
    curry, salad = figures.DISHES.index("Curry"), figures.DISHES.index("Salad")
    assert plain[curry] < plain[salad] and figures.PREFERENCE[curry] > figures.PREFERENCE[salad]
    text = (ROOT / "book" / "intro.md").read_text(encoding="utf-8")
    for told in (
        f"{100 * figures.PREFERENCE[curry]:.0f} % of them would take it",
        f"It puts curry at {100 * plain[curry]:.0f} %",
        f"puts curry at {100 * plain[curry]:.0f} per cent instead of "
        f"{100 * figures.PREFERENCE[curry]:.0f} and salad at {100 * plain[salad]:.0f} per cent "
        f"instead of {100 * figures.PREFERENCE[salad]:.0f}",
    ):
        assert told in text, told


@pytest.mark.parametrize("url", ["", "https://github.com/someone/a-book"])
def test_one_setting_shows_or_hides_the_repository_buttons(url):
    extension = load(ROOT / "book" / "_ext" / "menu_site.py")
    options = {"repository_url": url, "launch_buttons": {"binderhub_url": "https://mybinder.org"}}
    extension.follow_the_repository_setting(None, SimpleNamespace(html_theme_options=options))
    assert ("launch_buttons" in options) == bool(url)
    assert options.get("use_repository_button", False) == bool(url)


# What a reader at this width cannot see: tables and code wider than the box that they stand in.
LOOK = """() => {
  const wide = (e, box) => box.clientWidth && e.scrollWidth > box.clientWidth + 2;
  const cut = [];
  document.querySelectorAll("main table").forEach(
    e => wide(e, e.parentElement) && cut.push("table: " + e.textContent.slice(0, 60)));
  document.querySelectorAll("main pre").forEach(
    e => wide(e, e) && cut.push("code: " + e.textContent.slice(0, 60)));
  if (document.documentElement.scrollWidth > innerWidth + 1) cut.push("the page scrolls sideways");
  return cut;
}"""


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(site):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def seen(browser, address, themes=("light", "dark")):
    """What is wrong with a page: what is cut off, what axe finds, errors of its scripts."""
    page = browser.new_page(viewport={"width": 1280, "height": 900}, color_scheme="light")
    wrong = []
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    page.goto(address)
    wrong += page.evaluate(LOOK)
    for theme in themes:
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        page.wait_for_timeout(500)  # colours move over to those of the theme
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa"]})
        for violation in found.response["violations"]:
            places = [node["html"][:80] for node in violation["nodes"]]
            wrong += [f"{violation['id']} ({theme}): {place}" for place in places]
    page.set_viewport_size({"width": 390, "height": 900})
    if page.evaluate("document.documentElement.scrollWidth > innerWidth + 1"):
        wrong.append("the page scrolls sideways on a phone")
    page.close()
    return wrong


def test_nothing_is_cut_off_and_everybody_can_read_it(site, pages, address, browser):
    # Old addresses lead on at once, so there is nothing to look at.
    shown = [p for p in pages if p.parent.name in ("book", "notebooks") and parse(p).find("main")]
    content = [p.relative_to(site) for p in shown]
    found = {}
    for p in content:
        # Chapters are of one kind, and axe takes seconds for each: two of them in the dark, too.
        both = p.parent.name == "book" or p.name.startswith(("01", "11"))
        themes = ("light", "dark") if both else ("light",)
        found[str(p)] = seen(browser, address + p.as_posix(), themes)
    assert len(found) > 15
    assert not any(found.values()), {page: wrong for page, wrong in found.items() if wrong}


def test_what_is_wrong_with_a_page_is_seen(site, address, browser):
    page = site / "notebooks" / "01_zeros_that_are_not_choices.html"  # old addresses lead away
    wrong = f"<pre>{'x' * 999}</pre><img src='x.png'></article>"
    (site / "wrong.html").write_text(
        page.read_text(encoding="utf-8").replace("</article>", wrong, 1)
    )
    found = seen(browser, f"{address}wrong.html")
    assert any(text.startswith("code: xxx") for text in found)
    assert any(text.startswith("image-alt") for text in found)
