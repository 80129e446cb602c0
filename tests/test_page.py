"""The report's page in a real browser."""

from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, sync_playwright

from fastgen_k8s.stages import report
from tests.report_artifacts import whole_report

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
FACTS = "[...document.querySelectorAll('video')].map(v => [v.readyState, v.currentTime, v.paused, v.error !== null])"
ONCE = "() => new Promise(done => {{ const look = () => {} ? done() : requestAnimationFrame(look); look(); }})"
MOVED = ONCE.format("[...document.querySelectorAll('video')].every(v => v.currentTime > 0.2)")
BACK = ONCE.format("document.querySelector('video').currentTime < 0.1")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="wants Debian's chromium"),
]


class Seen(NamedTuple):
    """What a browser says of a page."""

    problems: list[str]
    videos: list[Any]
    wide: int  # pixels that the page is wider than the window


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of all kinds of input."""
    job = whole_report(tmp_path_factory.mktemp("page"))
    report.run(job)
    return Path(job.work.output) / "index.html"


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    """Headless Chromium."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module", params=[1280, 390], ids=["laptop", "phone"])
def seen(request: pytest.FixtureRequest, browser: Browser, page_file: Path) -> Generator[Seen]:
    """The page in a window of some width, once its videos have moved."""
    page = browser.new_page(viewport={"width": request.param, "height": 900})
    problems = list[str]()
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda asked: problems.append(asked.url[:80]))
    page.goto(page_file.as_uri())
    page.evaluate(MOVED)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    yield Seen(problems, page.evaluate(FACTS), wide)
    page.close()


def test_the_browser_has_nothing_to_say(seen: Seen) -> None:
    assert seen.problems == []


def test_every_video_plays(seen: Seen) -> None:
    assert [(ready >= 2, time > 0.2, error) for ready, time, _, error in seen.videos] == [(True, True, False)] * 12


def test_the_page_fits_its_window(seen: Seen) -> None:
    assert seen.wide <= 0


def test_videos_stop_at_a_click_and_go_on_at_the_next(browser: Browser, page_file: Path) -> None:
    page = browser.new_page()
    page.goto(page_file.as_uri())
    page.evaluate(MOVED)
    states = list[Any]()
    for _ in range(2):
        page.click("#play")
        states.append({paused for _, _, paused, _ in page.evaluate(FACTS)})
    page.close()
    assert states == [{True}, {False}]


def test_videos_start_over_together(browser: Browser, page_file: Path) -> None:
    page = browser.new_page()
    page.goto(page_file.as_uri())
    page.evaluate(MOVED)
    page.evaluate(BACK)
    times = [time for _, time, _, _ in page.evaluate(FACTS)]
    page.close()
    assert max(times) - min(times) < 0.3


def test_a_script_that_is_not_the_page_s_own_does_not_run(browser: Browser, page_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "index.html"
    other.write_text(page_file.read_text().replace("</main>", "</main><script>document.title = 'another'</script>"))
    page = browser.new_page()
    problems = list[str]()
    page.on("console", lambda message: problems.append(message.text))
    page.goto(other.as_uri())
    page.evaluate(MOVED)  # which the page's own sees to
    title = page.title()
    page.close()
    assert title != "another"
    assert [problem for problem in problems if "Content Security Policy" in problem]
