"""WCAG 2.1 AA by axe-core in a real browser: every view of the page, light and dark.

axe-core comes inside the package ``axe-playwright-python``; it is run through the browser's debugging protocol, which the page's
Content-Security-Policy does not concern, so that the policy stays on and nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.test_page import CAPTION, SLOWEST, edit, generate, open_page, open_section, word

pytestmark = pytest.mark.browser

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}
WIDTHS = (360, 768, 1440)
NARROW = (360,)  # where tables and films have to be scrolled
DARK = "document.body.classList.contains('dark')"
STILL = "document.getAnimations().forEach((moving) => moving.finish())"  # colours half-way through a transition are nobody's


def violations(page, widths: Sequence[int] = WIDTHS) -> list[str]:
    """What axe-core finds at these widths in both themes, a line for each element: where, rule, how bad, which element, and why."""
    found = []
    for width in widths:
        page.set_viewport_size({"width": width, "height": 900})
        for _ in range(2):
            page.get_by_role("button", name="Theme").click()
            page.mouse.move(0, 0)
            page.evaluate(STILL)
            where = f"{width} px, {'dark' if page.evaluate(DARK) else 'light'}"
            for rule in Axe().run(page, options=RULES).response["violations"]:
                found += [f"{where}: {rule['id']} ({rule['impact']}): {node['target']}: {node['failureSummary']}" for node in rule["nodes"]]
    return found


def test_a_fault_is_found(explorer, app_url):
    open_page(explorer, app_url)
    explorer.evaluate("document.querySelector('.ex-origin').style.color = '#888888'")
    assert [line.partition(" (")[0] for line in violations(explorer, NARROW)] == ["360 px, light: color-contrast"]


def test_first_page(explorer, app_url):
    open_page(explorer, app_url, selected=True)
    assert violations(explorer) == []


def test_tour(explorer, app_url):
    explorer.goto(app_url)
    explorer.locator(".ex-tour-count").wait_for()
    word(explorer, "yellow").click()
    explorer.locator(".ex-learned-line:visible").wait_for()
    assert violations(explorer) == []


def test_network(explorer, app_url):
    open_page(explorer, app_url)
    explorer.locator(".ex-part").last.click()
    explorer.locator(".ex-numbers summary").first.click()
    assert violations(explorer, NARROW) == []


def test_after_an_intervention(explorer, app_url):
    open_page(explorer, app_url)
    generate(explorer, "this small zorp bird has a red crown")
    word(explorer, "red").click()
    edit(explorer, "mute").get_by_role("button").click()
    explorer.locator(".ex-edits li").wait_for()
    assert violations(explorer) == []


def test_refusal(explorer, app_url):
    open_page(explorer, app_url)
    explorer.get_by_label("Seed").fill("1.5")
    explorer.get_by_role("button", name="Generate").click()
    explorer.get_by_role("alert").filter(has_text="whole number").wait_for()
    assert violations(explorer, NARROW) == []


@pytest.mark.parametrize("asked", ["why", "compare", "sentences", "walk"])
def test_answers(explorer, app_url, asked):
    open_page(explorer, app_url)
    word(explorer, "yellow").click()
    if asked == "walk":
        edit(explorer, asked).get_by_label("words at the end").fill(CAPTION)
    edit(explorer, asked).get_by_role("button").click()
    explorer.locator("#reached .ex-reached").wait_for(timeout=SLOWEST * 6000)
    assert violations(explorer, NARROW) == []


def test_vote(explorer, app_url):
    open_page(explorer, app_url)
    section = open_section(explorer, "Blind vote")
    section.get_by_label("Your name").fill("bea")
    section.get_by_role("button", name="Show me a pair").click()
    left = section.get_by_role("button", name="The left one fits better")
    left.wait_for(timeout=SLOWEST * 1000)
    assert violations(explorer, NARROW) == []
    left.click()
    section.get_by_role("heading", name="Pair 2 of 20").wait_for(timeout=SLOWEST * 1000)
    section.get_by_role("button", name="Show the result").click()
    section.locator("table").wait_for(timeout=SLOWEST * 1000)
    assert violations(explorer, NARROW) == []


def test_redescribe(explorer, app_url):
    open_page(explorer, app_url)
    section = open_section(explorer, "Read back a picture of your own")
    section.locator("input[type=file]").set_input_files("assets/readme/aviary-garden.png")
    section.locator(".ex-readings li").first.wait_for(timeout=SLOWEST * 1000)
    assert violations(explorer, NARROW) == []


def test_take_away(explorer, app_url):
    open_page(explorer, app_url)
    section = open_section(explorer, "Take away")
    section.get_by_role("button", name="Save", exact=True).click()
    section.locator("pre").wait_for(timeout=SLOWEST * 6000)
    assert violations(explorer, NARROW) == []


def test_learning(learner, run_url):
    open_page(learner, run_url)
    open_section(learner, "Memory being learned: my-gan")
    learner.wait_for_selector('.ex[data-step="50"]')
    assert violations(learner) == []
