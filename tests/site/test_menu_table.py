"""The introduction's table to play with: its numbers against PyMC's, its buttons in a browser."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pymc as pm
import pytest
from playwright._impl._driver import compute_driver_executable
from pytensor.gradient import hessian
from scipy import optimize, stats
from scipy.special import expit, logit, softmax
from scripts import load

from helpers import MaskedMultinomial

pytestmark = pytest.mark.slow
BOOK = Path(__file__).parents[2] / "book"
SCRIPT = BOOK / "_static" / "menu_table.js"
FULL = [[True] * 4] * 5


def by_node(expression):
    """The value of an expression in JavaScript, `menu` being the script."""
    node, _ = compute_driver_executable()
    code = f"const menu = require({json.dumps(str(SCRIPT))});"
    code += f"console.log(JSON.stringify({expression}))"
    done = subprocess.run([node, "-e", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def laplace():
    """Shares and their 89 % intervals from PyMC's mode and curvature, for any counts and menus."""
    with pm.Model() as model:
        counts = pm.Data("counts", np.ones((5, 4), dtype=int))
        menus = pm.Data("menus", np.ones((5, 4), dtype=bool))
        logits = pm.Normal("logits", 0, 1.5, shape=4)
        MaskedMultinomial(
            "y", n=counts.sum(axis=1), logits=logits, available=menus, observed=counts
        )
    log_density, slope = model.compile_logp(), model.compile_dlogp()
    curvature = model.compile_fn(-hessian(model.logp(), model.rvs_to_values[logits]))

    def approximation(counts, menus):
        with model:
            pm.set_data({"counts": np.asarray(counts), "menus": np.asarray(menus)})
        mode = optimize.minimize(
            lambda at: -log_density({"logits": at}),
            np.zeros(4),
            jac=lambda at: -slope({"logits": at}),
            hess=lambda at: curvature({"logits": at}),
            method="trust-exact",
            options={"gtol": 1e-9},
        ).x
        covariance = np.linalg.inv(curvature({"logits": mode}))
        share = softmax(mode)
        slopes = (np.eye(4) - share) / (1 - share)[:, None]
        sd = np.sqrt(np.einsum("kj,jl,kl->k", slopes, covariance, slopes))
        ends = [expit(logit(share) + stats.norm.ppf(q) * sd) for q in (0.055, 0.945)]
        return np.stack([share, *ends], axis=1)

    return approximation


@pytest.mark.parametrize(
    ("seed", "menus"),
    [
        (1, [[1, 1, 1, 1], [1, 0, 1, 1], [1, 0, 1, 0], [0, 1, 1, 1], [1, 0, 1, 1]]),
        (2, FULL),
        (3, [[1, 0, 1, 1]] * 5),
        (4, [[1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 1]]),
        (5, [[0, 0, 0, 0]] * 5),
    ],
)
def test_numbers_are_those_of_pymc(laplace, seed, menus):
    state = {"seed": seed, "menus": [[bool(on) for on in menu] for menu in menus]}
    answer = by_node(f"menu.answer({json.dumps(state)})")
    counts = np.array(answer["counts"])
    for name, offered in (("plain", FULL), ("masked", state["menus"])):
        # A day without choices says nothing, whatever its menu: PyMC needs one that is not empty.
        menus_with_choices = np.where(counts.sum(axis=1)[:, None] > 0, offered, True)
        found = [[line[key] for key in ("share", "low", "high")] for line in answer[name]]
        np.testing.assert_allclose(found, laplace(counts, menus_with_choices), atol=1e-6)


def test_guests_take_what_there_is_as_they_like_it():
    menu = [True, False, True, True]
    draw = "menu.countChoices(menus, menu.utilities(seed))"
    counts = by_node(
        f"[...Array(100).keys()].map(seed => {{ const menus = Array(5).fill({json.dumps(menu)});"
        f" return {draw}; }})"
    )
    total = np.sum(counts, axis=(0, 1))
    assert total[1] == 0 and total.sum() == 100 * 5 * by_node("menu.GUESTS")
    truth = np.array(by_node("menu.TRUTH"))
    p = np.where(menu, truth, 0) / truth[menu].sum()
    assert stats.chisquare(total[menu], total.sum() * p[menu]).pvalue > 0.001


def test_only_guests_of_a_dish_move_when_it_is_taken_off():
    first, then = by_node(
        "[[true, true, true, true], [true, false, true, true]].map("
        "day => menu.countChoices(Array(5).fill(day), menu.utilities(7)))"
    )
    moved = np.array(then) - np.array(first)
    assert (moved[:, [0, 2, 3]] >= 0).all() and (moved[:, 1] == -np.array(first)[:, 1]).all()


def test_the_canteen_is_the_one_of_the_picture():
    figures = load(BOOK / "make_figures.py")
    assert by_node("menu.DISHES") == figures.DISHES
    assert by_node("menu.TRUTH") == pytest.approx(list(figures.PREFERENCE))
    assert by_node("menu.start().menus") == figures.ON_THE_MENU.tolist()


def test_page_holds_what_the_script_would_draw():
    stored = (BOOK / "menu_table.html").read_text(encoding="utf-8")
    assert by_node("menu.html(menu.start(), false)") in stored
    assert SCRIPT.stat().st_size < 20_000
    assert "http" not in SCRIPT.read_text(encoding="utf-8")


@pytest.fixture
def page(browser, tmp_path):
    """The table on a page of its own."""
    (tmp_path / "_static").mkdir()
    shutil.copy(SCRIPT, tmp_path / "_static")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "intro.html").write_text(
        "<!doctype html><meta charset=utf-8>" + (BOOK / "menu_table.html").read_text("utf-8"),
        encoding="utf-8",
    )
    opened = browser.new_page()
    opened.goto((tmp_path / "book" / "intro.html").as_uri())
    yield opened
    opened.close()


def test_a_click_and_a_key_take_a_dish_off_and_back_on(page):
    cell, said = page.locator('[data-cell="0,1"]'), page.locator(".say")
    before, sentence = page.locator("ul").inner_text(), said.inner_text()
    assert cell.get_attribute("aria-pressed") == "true"
    cell.click()
    assert cell.inner_text() == "off" and cell.get_attribute("aria-pressed") == "false"
    assert page.locator("ul").inner_text() != before
    # The button that was pressed keeps the focus, so that the next key is its own.
    page.keyboard.press("Enter")
    assert cell.get_attribute("aria-pressed") == "true"
    assert page.locator("ul").inner_text() == before and said.inner_text() == sentence
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.locator('[data-cell="0,2"]').inner_text() == "off"


def test_other_guests_and_the_way_back(page):
    first = page.locator("tbody").inner_text()
    page.get_by_role("button", name="Other guests").click()
    assert page.locator("tbody").inner_text() != first
    page.locator('[data-cell="4,0"]').click()
    page.get_by_role("button", name="First menus").click()
    assert page.locator("tbody").inner_text() == first


def test_without_scripts_there_is_a_picture(browser):
    page = browser.new_page(java_script_enabled=False)
    page.set_content((BOOK / "menu_table.html").read_text(encoding="utf-8"))
    assert page.locator("button").count() == 0
    assert page.locator("li").count() == 4 and "knows the menu" in page.locator("ul").inner_text()
    page.close()
