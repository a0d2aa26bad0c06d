"""The built site in a real browser: `make test-docs`, which needs a chromium."""

import functools
import http.server
import shutil
import threading
from pathlib import Path

import pytest

BUILT = Path(__file__).parents[2] / "build" / "site"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PAGES = sorted(str(path.relative_to(BUILT)) for path in BUILT.rglob("*.html") if path.name != "404.html")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}

if CHROMIUM is None:
    pytest.skip("no chromium is installed, so that no page is opened in a browser", allow_module_level=True)

from playwright.sync_api import sync_playwright  # noqa: E402


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Says nothing of each file."""


@pytest.fixture(scope="module")
def address():
    """The site, served as a host would."""
    handler = functools.partial(Quiet, directory=BUILT)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as tool:
        yield tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"])


def test_there_are_pages():
    assert {"index.html", "training.html", "losses/regression.html", "measured/truth.html"} <= set(PAGES)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_opens_whole(address, browser, scheme):
    """No error, no request elsewhere, formulas and pictures drawn, and nothing wider than a phone."""
    wrong = []
    context = browser.new_context(viewport=PHONE, color_scheme=scheme)
    page = context.new_page()
    page.on("console", lambda said: wrong.append((page.url, said.text)) if said.type == "error" else None)
    here = (address, "data:", "blob:")
    page.on("request", lambda asked: asked.url.startswith(here) or wrong.append((page.url, asked.url)))
    for path in PAGES:
        page.goto(f"{address}/{path}")
        for picture in page.locator("article img").all():
            picture.evaluate("x => { x.loading = 'eager'; return x.decode() }")
        wide, flat = page.evaluate(
            """() => {
                const formulas = [...document.querySelectorAll('math')]
                const flat = formulas.filter(formula => formula.getBoundingClientRect().height < 8)
                return [document.documentElement.scrollWidth - window.innerWidth, flat.length]
            }"""
        )
        if wide > 0 or flat:
            wrong.append((path, f"{wide} pixels too wide, {flat} formulas not drawn"))
    context.close()
    assert not wrong, wrong


@pytest.mark.parametrize("word", ["huber", "ignore_index"])
def test_search_finds(address, browser, word):
    page = browser.new_page(viewport=DESK)
    page.goto(f"{address}/index.html")
    page.locator("input.md-search__input").first.click()
    page.keyboard.type(word)
    page.wait_for_selector(".md-search-result__link")
    assert word in page.locator(".md-search-result__list").inner_text().lower()
    page.close()
