"""The page in a real Chromium: Debian's, through Playwright (`pip install -e '.[browser]'`); skipped without either."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.record.report import Report
from harness.report import page
from tests.report import example

api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install -e '.[browser]'")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]

WIDE, PHONE, NARROW = 1280, 380, 360
REPORTS: dict[str, Callable[[], Report]] = {
    "several": example.several,
    "many": example.many,
    "long": example.long,
    "crashed": example.crashed,
    "interrupted": example.interrupted,
}
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
DRAWN = """canvas => {
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return new Set(new Uint32Array(pixels.buffer)).size;
}"""
"""How many colours are on a canvas: an empty one has one."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM)
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Where the page of an example lies."""
    folder = tmp_path_factory.mktemp("pages")

    def address(name: str) -> str:
        path = folder / f"{name}.html"
        if not path.exists():
            path.write_text(page.html(REPORTS[name]()), encoding="utf-8")
        return path.as_uri()

    return address


@pytest.fixture
def opened(browser: Any, pages: Callable[[str], str]) -> Iterator[Callable[..., Any]]:
    """Opens an example; the test fails if the console said anything, or if anything was asked of a network."""
    said: list[str] = []
    contexts = []

    def open_page(name: str = "several", width: int = WIDE, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        context.set_default_timeout(15_000)
        tab = context.new_page()
        tab.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda asked: said.extend([] if asked.url.startswith("file:") else [asked.url]))
        tab.goto(pages(name))
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def settled(tab: Any) -> None:
    """Waits until what was asked for is drawn: two frames."""
    tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def span(tab: Any, scenario: int = 6) -> tuple[str, str]:
    """From when to when the time line shows."""
    settled(tab)
    start, _, rest = tab.locator(f"#scenario-{scenario} .range").inner_text().partition(" \u2013 ")
    return start, rest.partition(",")[0]


def wheel(tab: Any, x: float, y: float, by: float) -> tuple[str, str]:
    """Turns the wheel there, waits until the time line has another stretch, and tells which."""
    before = tab.locator("#scenario-6 .range").inner_text()
    tab.mouse.move(x, y)
    tab.mouse.wheel(0, by)  # returns before the page has heard of it
    tab.wait_for_function(
        "before => document.querySelector('#scenario-6 .range').textContent !== before", arg=before
    )
    return span(tab)


def shown(tab: Any) -> str:
    """How many failures the filters leave."""
    text: str = tab.locator("#scenario-6 .found").inner_text()
    return text.partition(" of")[0]


@pytest.mark.parametrize(
    ("width", "scheme"), [(WIDE, "light"), (WIDE, "dark"), (PHONE, "dark"), (NARROW, "light")]
)
@pytest.mark.parametrize("name", ["several", "crashed", "interrupted", "long"])
def test_page_opens_without_a_word_on_the_console_and_fits_its_width(
    opened: Callable[..., Any], name: str, width: int, scheme: str, tmp_path: Path
) -> None:
    tab = opened(name, width, color_scheme=scheme)
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    settled(tab)
    assert tab.evaluate(OVERFLOW) == 0
    assert tab.screenshot(path=tmp_path / f"{name}-{width}-{scheme}.png", full_page=True)
    for canvas in tab.locator("canvas").all():
        assert canvas.evaluate(DRAWN) > 5


def test_system_decides_on_light_or_dark_until_the_button_is_pressed(opened: Callable[..., Any]) -> None:
    tab = opened(color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = tab.evaluate(ground)
    painted = tab.locator("#scenario-6 canvas").evaluate("canvas => canvas.toDataURL()")
    tab.emulate_media(color_scheme="light")
    light = tab.evaluate(ground)
    assert light != dark
    tab.get_by_role("button", name="Dark").click()
    assert tab.evaluate(ground) == dark
    settled(tab)
    assert tab.locator("#scenario-6 canvas").evaluate("canvas => canvas.toDataURL()") == painted
    tab.emulate_media(color_scheme="dark")
    tab.get_by_role("button", name="Light").click()
    assert tab.evaluate(ground) == light
    settled(tab)
    assert tab.locator("#scenario-6 canvas").evaluate("canvas => canvas.toDataURL()") != painted


def test_time_line_zooms_by_mouse(opened: Callable[..., Any]) -> None:
    tab = opened()
    stage = tab.locator("#scenario-6 .stage")
    stage.scroll_into_view_if_needed()
    whole = span(tab)
    box = stage.bounding_box()
    middle = box["y"] + 100
    tab.mouse.move(box["x"] + 300, middle)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 500, middle, steps=4)
    tab.mouse.up()
    dragged = span(tab)
    assert whole[0] < dragged[0] < dragged[1] < whole[1]
    wheeled = wheel(tab, box["x"] + 400, middle, -200)
    assert dragged[0] < wheeled[0] < wheeled[1] < dragged[1]
    tab.mouse.dblclick(box["x"] + 400, middle)
    assert span(tab) == whole


def test_wheel_scrolls_the_page_until_the_time_line_is_meant(opened: Callable[..., Any]) -> None:
    tab = opened()
    stage = tab.locator("#scenario-6 .stage")
    stage.scroll_into_view_if_needed()
    whole, box = span(tab), stage.bounding_box()
    tab.mouse.move(box["x"] + 300, box["y"] + 100)
    before = tab.evaluate("scrollY")
    tab.mouse.wheel(0, -200)
    tab.wait_for_function("before => scrollY < before", arg=before)
    assert span(tab) == whole
    box = stage.bounding_box()
    tab.keyboard.down("Control")
    assert wheel(tab, box["x"] + 300, box["y"] + 100, -200) != whole
    tab.keyboard.up("Control")


def test_time_line_moves_by_keyboard(opened: Callable[..., Any]) -> None:
    tab = opened()
    tab.locator("#scenario-2 > summary").press("Enter")
    stage = tab.locator("#scenario-2 .stage")
    stage.focus()
    whole = span(tab, 2)
    seen = [whole]
    for key in ("+", "ArrowRight", "n", "n", "p", "-"):
        tab.keyboard.press(key)
        assert span(tab, 2) != seen[-1]
        seen.append(span(tab, 2))
    assert seen[3] == seen[5]  # the first upgrade, the second, the first
    tab.keyboard.press("0")
    assert span(tab, 2) == whole


def test_time_line_has_buttons_with_names(opened: Callable[..., Any]) -> None:
    tab = opened()
    whole = span(tab)
    for name in ("zoom in", "later", "earlier", "zoom out", "next upgrade", "previous upgrade", "show all"):
        tab.locator("#scenario-6").get_by_role("button", name=name, exact=True).click()
    assert span(tab) == whole


def test_pointer_is_told_what_it_points_at(opened: Callable[..., Any]) -> None:
    tab = opened()
    tab.locator("#scenario-5 > summary").click()
    stage = tab.locator("#scenario-5 .stage")
    stage.scroll_into_view_if_needed()
    tab.locator("#scenario-5").get_by_role("button", name="next upgrade").click()
    settled(tab)
    box = stage.bounding_box()
    tip = tab.locator("#scenario-5 .tip")
    told = set()
    for x in range(60, int(box["width"]) - 20, 12):
        tab.mouse.move(box["x"] + x, box["y"] + 150)
        told.update(tip.inner_text().splitlines())
    said = "\n".join(told)
    for fact in (
        "requests/s",
        "p99",
        "flv69: migration, 836 ms",
        "kill successor",
        "commit",
        "upgrade 1:",
        "✗ ",
    ):
        assert fact in said


def test_failures_are_filtered_and_searched(opened: Callable[..., Any]) -> None:
    tab = opened()
    filters = tab.get_by_role("search", name="Filter failures").locator("visible=true")
    assert shown(tab) == "240"
    filters.get_by_label("class").select_option("post")
    assert shown(tab) == "60"
    filters.get_by_label("kind").select_option("lost")
    assert shown(tab) == "36"
    filters.get_by_label("shown").select_option("allowed")
    assert shown(tab) == "0"
    filters.get_by_label("shown").select_option("all")
    filters.get_by_label("kind").select_option("all")
    filters.get_by_label("search").fill("NGSND 502")
    rows = tab.locator("#scenario-6 .failures tbody tr")
    assert int(shown(tab)) == rows.count() > 0
    assert all("502 Bad Gateway" in row.inner_text() and "ngsnd" in row.inner_text() for row in rows.all())


def test_failures_are_shown_a_hundred_at_a_time(opened: Callable[..., Any]) -> None:
    tab = opened()
    rows = tab.locator("#scenario-6 .failures tbody tr")
    assert rows.count() == 100
    tab.get_by_role("button", name="100 more of 140").click()
    assert rows.count() == 200


def test_failure_unfolds_by_keyboard_to_its_neighbours_and_log_lines(opened: Callable[..., Any]) -> None:
    tab = opened()
    toggle = tab.locator("#scenario-6 .failures .toggle").nth(2)
    toggle.focus()
    tab.keyboard.press("Enter")
    assert toggle.get_attribute("aria-expanded") == "true"
    around = tab.locator("#scenario-6 .around")
    for said in (
        "the client's request before",
        "answered",
        "its request after",
        '{"event":"drain"',
        "kubelet",
    ):
        assert said in around.inner_text()
    before = span(tab)
    around.get_by_role("button", name="Show on the time line").click()
    assert span(tab) != before
    toggle.press("Enter")
    assert around.count() == 0


def test_link_in_the_list_opens_its_scenario(opened: Callable[..., Any]) -> None:
    tab = opened()
    assert tab.locator("#scenario-1 canvas").count() == 0
    tab.get_by_role("link", name="hot-upgrade").click()
    tab.locator("#scenario-1[open] canvas").wait_for()
    assert tab.locator("#scenario-1").evaluate("one => Math.abs(one.getBoundingClientRect().top) < 100")


def test_matrix_shows_the_percentile_that_is_chosen(opened: Callable[..., Any]) -> None:
    tab = opened()
    cell = tab.locator("#scenario-6 .matrix tbody td").first
    p99 = cell.inner_text()
    tab.locator("#scenario-6 .matrix [value=p99]").focus()
    tab.keyboard.press("ArrowRight")
    assert tab.locator("#scenario-6 .matrix [value=p999]").is_checked()
    assert cell.inner_text() != p99


def test_command_and_manifest_are_copied(opened: Callable[..., Any]) -> None:
    tab = opened(permissions=["clipboard-read", "clipboard-write"])
    for name, said in (
        ("The exact command", "--profile all"),
        ("The SidecarSet's manifest", "hotUpgradeEmptyImage"),
    ):
        tab.get_by_role("button", name=f"Copy: {name}").click()
        tab.wait_for_function("async said => (await navigator.clipboard.readText()).includes(said)", arg=said)
        assert tab.get_by_role("status").filter(has_text="Copied").count() == 1


def test_everything_that_can_be_pressed_has_a_name_and_shows_its_focus(opened: Callable[..., Any]) -> None:
    tab = opened()
    for control in tab.locator("button, select, input, a, summary").locator("visible=true").all():
        assert control.evaluate("one => one.labels?.length || one.ariaLabel || one.textContent.trim()")
    tab.locator("body").press("Tab")
    for _ in range(25):
        outline = tab.evaluate("""() => {
            const one = document.activeElement, seen = one.closest("label") ?? one;
            return getComputedStyle(seen).outlineStyle;
        }""")
        assert outline != "none"
        tab.keyboard.press("Tab")


def test_page_is_read_without_javascript(opened: Callable[..., Any]) -> None:
    tab = opened(java_script_enabled=False)
    assert tab.get_by_role("heading", level=1).inner_text() == "Failed"
    assert tab.get_by_text("240 of 86,424 requests failed").is_visible()
    assert tab.locator("#scenario-6 .failures tbody tr").count() == 50
    assert tab.locator("#scenario-6").get_by_text("The time line needs JavaScript").is_visible()
    assert tab.locator("#theme").is_hidden()


@pytest.mark.parametrize("name", ["many", "long"])
def test_page_of_a_large_run_opens(opened: Callable[..., Any], name: str) -> None:
    """How long it takes is printed, not judged: `pytest -s`. The page should be there within two seconds."""
    tab = opened(name)
    settled(tab)
    took = tab.evaluate("performance.now()")
    size = len(tab.content().encode()) / 1e6
    print(f"\n{name}: {size:.1f} MB, drawn {took / 1000:.2f} s after it was asked for")  # noqa: T201
    assert tab.locator("canvas").first.evaluate(DRAWN) > 5
