"""The page in a browser: what it shows, without a pointer, in light and dark, wide and on a phone. Screenshots are kept
in CURATOR_SCREENSHOTS, if that is set."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from serve.models import RunRequest
from serve.routes import recipes
from serve.states import State
from serve.training_models import TrainingRequest
from tests.command import installed_package
from tests.runs import make_texts, write_jsonl
from tests.serve.servers import SMALL, Running, await_state, await_that, make_settings, running, small_request
from tests.serve.test_trainings import TINY

expect.set_options(timeout=20_000)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]

SCHEMES = ("light", "dark")
WIDTHS = (1280, 390)
HOSTILE = "<img src=x onerror=alert(1)><script>alert(1)</script>"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, list[str]]]:
    """A server with two runs that succeeded, of documents with hostile ids and texts and a line that is broken, and a
    training on the first."""
    folder = tmp_path_factory.mktemp("page")
    with running(make_settings(folder, concurrency=1)) as server, server.client() as client:
        texts = make_texts(60)
        texts.append({"id": HOSTILE, "text": f"{HOSTILE} " * 10, "source": "web"})
        write_jsonl(folder / "in" / "texts.jsonl", texts)
        with (folder / "in" / "texts.jsonl").open("a") as file:
            file.write("{broken\n")
        runs = []
        for output in ("first", "second"):
            body = small_request(folder, output, labels={"team": "web"})
            runs.append(client.submit(RunRequest.model_validate(body)).id)
            assert await_state(client, runs[-1]).state == State.SUCCEEDED
        config = {**TINY, "steps": 30}
        request = TrainingRequest.model_validate({"runs": [runs[0]], "output": "model", "config": config})
        training = client.train(request).id
        await_that(lambda: client.training(training).state.is_terminal, seconds=120)
        # More than is done in the time that a test looks.
        once = make_texts(4000, units=(100, 300))
        large = [{**text, "id": f"{text['id']}-{n}", "text": f"{n} {text['text']}"} for n in range(8) for text in once]
        write_jsonl(folder / "in" / "large" / "texts.jsonl", large)
        yield server, runs


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(
    params=[(scheme, width) for scheme in SCHEMES for width in WIDTHS], ids=lambda found: f"{found[0]}-{found[1]}"
)
def page(request: pytest.FixtureRequest, browser: Browser, served: tuple[Running, list[str]]) -> Iterator[Page]:
    """A page that is signed in; whatever its console says is a failure."""
    scheme, width = request.param
    with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme) as context:
        context.set_default_timeout(20_000)
        opened = context.new_page()
        said: list[str] = []
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("dialog", lambda dialog: said.append(dialog.message))
        sign_in(opened, served[0])
        yield opened
        width_shown = opened.evaluate("document.documentElement.scrollWidth")
        keep(opened, f"{request.node.name}")
        assert width_shown == width, "it scrolls sideways"
        assert said == []


def sign_in(page: Page, server: Running) -> None:
    page.goto(server.url)
    page.get_by_label("Token").fill(server.token)
    page.keyboard.press("Enter")
    page.wait_for_selector("table")


def keep(page: Page, name: str) -> None:
    folder = os.environ.get("CURATOR_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{re.sub('[^a-z0-9-]+', '-', name)}.png", full_page=True)


def test_the_list_shows_every_run_and_leads_to_each(page: Page, served: tuple[Running, list[str]]) -> None:
    _, runs = served
    for run in runs:
        expect(page.get_by_role("link", name=run)).to_be_visible()
    page.get_by_role("link", name=runs[0]).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Funnel")).to_be_visible()


def test_a_run_shows_its_funnel_languages_documents_and_shards(page: Page, served: tuple[Running, list[str]]) -> None:
    server, runs = served
    page.goto(f"{server.url}/#/runs/{runs[0]}")
    expect(page.get_by_role("row", name=re.compile("^kept"))).to_be_visible()
    expect(page.get_by_role("rowheader", name="el", exact=True)).to_be_visible()
    page.get_by_label("Id or key").fill(HOSTILE)
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"{HOSTILE} kept")).to_be_visible()
    page.get_by_role("button", name="Look into").first.click()
    expect(page.locator("blockquote").first).to_be_visible()
    page.get_by_text("What it wrote").click()
    expect(page.get_by_text("[4/4] write")).to_be_visible()


def test_what_could_not_be_read_is_shown_with_what_to_do(page: Page, served: tuple[Running, list[str]]) -> None:
    server, runs = served
    page.goto(f"{server.url}/#/runs/{runs[0]}")
    expect(page.get_by_role("heading", name="Could not be read")).to_be_visible()
    expect(page.get_by_text("the line is not valid JSON").first).to_be_visible()


def test_a_training_shows_its_losses(page: Page, served: tuple[Running, list[str]]) -> None:
    page.goto(f"{served[0].url}/#/trainings")
    expect(page.get_by_text("succeeded", exact=True)).to_be_visible()
    page.get_by_role("rowheader").get_by_role("link").click()
    expect(page.get_by_role("heading", name="Loss")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Loss from step 1 to 30"))).to_be_visible()
    expect(page.get_by_text("30 of 30")).to_be_visible()


def test_the_form_for_trainings_names_the_runs(page: Page, served: tuple[Running, list[str]]) -> None:
    server, runs = served
    page.goto(f"{server.url}/#/runs/{runs[0]}")
    page.get_by_role("link", name="Train a model on it").click()
    expect(page.get_by_role("option", name=re.compile(runs[0]))).to_be_attached()
    assert page.get_by_label("Runs", exact=True).evaluate("one => one.selectedOptions[0].value") == runs[0]


def test_two_runs_are_compared(page: Page, served: tuple[Running, list[str]]) -> None:
    server, runs = served
    page.goto(f"{server.url}/#/compare")
    page.get_by_label("Run", exact=True).select_option(runs[0])
    page.get_by_label("Beside it").select_option(runs[1])
    expect(page.get_by_role("row", name=re.compile("^kept"))).to_be_visible()


def test_the_form_has_the_parameters_of_the_stages(page: Page, served: tuple[Running, list[str]]) -> None:
    page.goto(f"{served[0].url}/#/submit")
    page.get_by_text("Parameters of the stages").click()
    expect(page.get_by_label("permutations")).to_be_visible()
    expect(page.get_by_label("min_bits", exact=True)).to_be_visible()


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[None]:
    """A package that adds two stages, neither of which can be loaded."""
    recipes._stages.cache_clear()
    with installed_package(tmp_path, "theirs", "curator.stages", ["one = theirs:One", "two = their_gone:Two"], ""):
        yield
    recipes._stages.cache_clear()


def test_the_form_tells_which_stages_cannot_be_loaded_and_why(
    page: Page, served: tuple[Running, list[str]], broken: None
) -> None:
    page.goto(f"{served[0].url}/#/submit")
    told = "the package theirs 0.1, which adds"
    expect(page.get_by_text(f"{told} 'one', cannot be imported: AttributeError")).to_be_visible()
    expect(page.get_by_text(f"{told} 'two', cannot be imported: there is no module 'their_gone'")).to_be_visible()


def test_a_form_says_nothing_of_stages_where_all_are_loaded(page: Page, served: tuple[Running, list[str]]) -> None:
    page.goto(f"{served[0].url}/#/submit")
    expect(page.get_by_text("Parameters of the stages")).to_be_visible()
    expect(page.get_by_text("cannot be loaded")).to_have_count(0)


@pytest.fixture
def plain(browser: Browser, served: tuple[Running, list[str]]) -> Iterator[Page]:
    with browser.new_context() as context:
        context.set_default_timeout(20_000)
        yield context.new_page()


def test_a_run_is_submitted_from_the_form_with_the_keyboard_and_followed(
    plain: Page, served: tuple[Running, list[str]]
) -> None:
    server, _ = served
    sign_in(plain, server)
    plain.get_by_role("link", name="Submit", exact=True).focus()
    plain.keyboard.press("Enter")
    plain.get_by_label("Recipe").select_option("web")
    plain.get_by_label("Inputs").fill("/etc/passwd")
    plain.get_by_label("Output").fill("formed")
    plain.get_by_role("button", name="Submit").press("Enter")
    expect(plain.get_by_text("does not lie below an input root")).to_be_visible()
    plain.get_by_label("Inputs").fill(str(server.settings.state.parent / "in" / "large"))
    plain.get_by_text("Parameters of the stages").click()
    plain.get_by_label("alpha").fill("0.5")
    plain.get_by_role("button", name="Submit").press("Enter")
    expect(plain.get_by_role("button", name="Cancel")).to_be_visible()
    expect(plain.get_by_text("does not lie below an input root")).to_have_count(0)
    plain.get_by_role("button", name="Cancel").focus()
    shown = plain.get_by_role("button", name="Cancel").element_handle()
    with server.client() as client:
        run = next(run for run in client.runs() if run.output.endswith("formed"))
        assert client.run(run.id).request.overrides == ("sampling.alpha=0.5",)
        expect(plain.get_by_text("Funnel, so far")).to_be_visible()
        assert not shown.evaluate("one => one.isConnected"), "it was drawn anew meanwhile"
        expect(plain.get_by_role("button", name="Cancel")).to_be_focused()
        plain.keyboard.press("Enter")
        expect(plain.get_by_role("button", name="Resume")).to_be_visible()
        assert client.run(run.id).state == State.CANCELLED


def test_a_run_with_too_many_broken_records_is_resumed_with_another_rate(
    plain: Page, served: tuple[Running, list[str]]
) -> None:
    server, _ = served
    broken = server.settings.state.parent / "in" / "broken" / "broken.jsonl"
    broken.parent.mkdir(exist_ok=True)
    broken.write_text('{"text": "A line that is whole."}\n' + "{\n" * 101)
    with server.client() as client:
        run = client.submit(RunRequest(inputs=(str(broken),), output="broken", recipe=SMALL))
        await_state(client, run.id, State.FAILED)
        sign_in(plain, server)
        plain.goto(f"{server.url}/#/runs/{run.id}")
        expect(plain.get_by_text("Funnel, so far")).to_be_visible()  # behind which nothing is drawn anew
        plain.get_by_label("Share of records that may fail").fill("0.995")
        plain.get_by_role("button", name="Resume").click()
        await_that(lambda: client.run(run.id).attempt == 2)
        await_state(client, run.id, State.SUCCEEDED)
        assert client.run(run.id).request.overrides == ("max_error_rate=0.995",)
        expect(plain.get_by_label("Share of records that may fail")).to_have_count(0)


def test_ids_times_and_names_stay_whole_beside_a_long_message(plain: Page, served: tuple[Running, list[str]]) -> None:
    server, runs = served
    write_jsonl(server.settings.state.parent / "in" / "fails" / "texts.jsonl", [{"content": "a"}] * 200)
    with server.client() as client:
        body = small_request(server.settings.state.parent, "fails")
        body["inputs"] = [str(server.settings.state.parent / "in" / "fails")]
        failed = client.submit(RunRequest.model_validate(body))
        assert await_state(client, failed.id).state == State.FAILED
    sign_in(plain, server)
    expect(plain.get_by_text("records could not be read")).to_be_visible()
    # Boxes of a text are as many as its lines.
    words = (plain.locator(f"td {kind}").first for kind in ("time", ".state"))
    cells = (plain.locator(f"td.{kind}").first for kind in ("owner", "place"))
    for text in (*(plain.get_by_role("link", name=run) for run in runs), *words, *cells):
        lines = "one => { const all = new Range(); all.selectNodeContents(one); return all.getClientRects().length }"
        assert text.evaluate(lines) == 1


def test_who_uses_the_keyboard_stays_where_they_are_when_the_list_is_drawn_anew(
    plain: Page, served: tuple[Running, list[str]]
) -> None:
    server, runs = served
    sign_in(plain, server)
    expect(plain.locator("main")).to_be_focused()
    link = plain.get_by_role("link", name=runs[0])
    link.focus()
    shown = link.element_handle()
    plain.wait_for_function("one => !one.isConnected", arg=shown)
    expect(link).to_be_focused()


def test_a_page_whose_token_is_revoked_asks_for_another(plain: Page, served: tuple[Running, list[str]]) -> None:
    server, _ = served
    with running(make_settings(server.settings.state.parent / "resting"), work=False) as resting:
        token = resting.create_token("looks-on", "read")
        with resting.client() as client:
            body = small_request(resting.settings.state.parent, "waits")
            run = client.submit(RunRequest.model_validate(body)).id
            sign_in(plain, replace(resting, token=token))
            plain.goto(f"{resting.url}/#/runs/{run}")
            expect(plain.get_by_text("queued").first).to_be_visible()
            resting.server.service.tokens.revoke("looks-on", "test")
            client.cancel(run)
        expect(plain.get_by_label("Token")).to_be_focused()
        expect(plain.get_by_text("The token is not valid: it is not known, has expired, or is revoked")).to_be_visible()


@pytest.mark.long
def test_a_training_is_submitted_from_the_form_and_followed(plain: Page, served: tuple[Running, list[str]]) -> None:
    server, runs = served
    sign_in(plain, server)
    plain.goto(f"{server.url}/#/train/{runs[0]}")
    plain.get_by_label("Output").fill("formed-model")
    plain.get_by_label("Steps").fill("100000")
    plain.get_by_label("More of the configuration").fill(json.dumps({**TINY, "checkpoint": {"every": 100_000}}))
    plain.get_by_role("button", name="Train").press("Enter")
    plain.get_by_role("button", name="Cancel").press("Enter")
    expect(plain.get_by_role("button", name="Resume")).to_be_visible(timeout=60_000)
    with server.client() as client:
        made = next(client.trainings())
    assert (made.runs, made.output.rpartition("/")[2]) == ((runs[0],), "formed-model")


def test_a_token_that_is_no_good_is_said_and_forgotten(plain: Page, served: tuple[Running, list[str]]) -> None:
    plain.goto(served[0].url)
    plain.get_by_label("Token").fill("curator_000000000000_" + "a" * 43)
    plain.keyboard.press("Enter")
    expect(plain.get_by_text("it is not known, has expired, or is revoked")).to_be_visible()
    assert plain.evaluate("sessionStorage.length") == 0


def test_the_token_is_in_no_url_and_goes_when_it_is_forgotten(plain: Page, served: tuple[Running, list[str]]) -> None:
    server, _ = served
    asked: list[str] = []
    plain.on("request", lambda request: asked.append(request.url))
    sign_in(plain, server)
    assert not [url for url in asked if server.token in url or server.token.split("_", 2)[2] in url]
    plain.get_by_role("button", name="Forget token").click()
    expect(plain.get_by_label("Token")).to_be_visible()
    assert plain.evaluate("sessionStorage.length + localStorage.length") == 0
    assert plain.context.cookies() == []


def test_a_link_on_a_page_of_another_origin_opens_a_run(plain: Page, served: tuple[Running, list[str]]) -> None:
    server, runs = served
    plain.goto(server.url.replace("127.0.0.1", "localhost"))
    plain.evaluate("url => { location.href = url; }", f"{server.url}/#/runs/{runs[0]}")
    plain.wait_for_url(f"{server.url}/**")
    plain.get_by_label("Token").fill(server.token)
    plain.keyboard.press("Enter")
    expect(plain.get_by_role("heading", name="Funnel")).to_be_visible()


def test_the_policy_stops_a_script_that_got_in(plain: Page, served: tuple[Running, list[str]]) -> None:
    sign_in(plain, served[0])
    plain.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=/nothing onerror=\"window.got = 1\">')")
    plain.wait_for_timeout(300)
    assert plain.evaluate("window.got === undefined")
