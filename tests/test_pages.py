"""Pages say what a report says, to students, instructors and terminals, and nothing in them runs."""

from __future__ import annotations

import dataclasses
import io
import itertools
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import sample_reports
from jinja2 import UndefinedError
from markupsafe import escape
from rich.console import Console

from autograder import dashboard, pages, templating
from autograder.pages import plain
from autograder.results import CheckResult, Counterexample, ExerciseResult, Report
from tests.contrast import CONTRAST


class Reader(HTMLParser):
    """The text and the tags of a page, without what <style> holds."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.style = False
        self.feed(sample_reports.without_ours(page))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.style = tag == "style"
        self._part(tag)

    def handle_endtag(self, tag: str) -> None:
        self.style = False
        self._part(tag)

    def _part(self, tag: str) -> None:
        if tag not in ("code", "wbr", "mark", "a", "b", "bdi", "span"):
            self.pieces.append(" ")

    def handle_data(self, data: str) -> None:
        if not self.style:
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.pieces).split())

    def ids(self) -> list[str]:
        return [str(a["id"]) for _, a in self.tags if "id" in a]


def student(report: Report) -> Reader:
    return Reader(pages.student_page(report))


def one(**changes: Any) -> Report:
    """A report of a single exercise with a single failed check, changed."""
    check = CheckResult("agrees", "It agrees.", "hidden", "failed", 0, 2, "a different value")
    for name in (set(changes) & set(vars(check))) - {"title"}:
        setattr(check, name, changes.pop(name))
    exercise = ExerciseResult("elbo", check.points, 2, [check], changes.pop("status", "failed"))
    report = Report("week07_vae", "Variational autoencoders", "ada", check.points, 2, [exercise])
    for name, value in changes.items():
        setattr(report, name, value)
    return report


# plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x\ty\n\u00e9 \u05d0 \U0001f600", "x\ty\n\u00e9 \u05d0 \U0001f600"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[38:5:241mgrey\x1b[m\x1b[2J\x1b[?25l", "grey"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r\x1b\\a\x1b(Bb\x1bc", "ab"),
        ("\x1b[31", ""),
        ("a\x1b", "a"),
        ("\x1b]0;never ended\nnext line", "\nnext line"),
        ("10%\r20%\r\n30%", "10%\n20%\n30%"),
        ("\x00a\x07\x08b\x7f\x85c", "ab\nc"),
        ("\u202egnp.exe\u2069", "[U+202E]gnp.exe[U+2069]"),
        ("a\u200f\u061c\ufeffb\U000e0041", "ab"),
        ("\ud800x", "\ufffdx"),
        ("\x1b\x1b[31m[31mx", "[31mx"),
    ],
)
def test_plain_leaves_text_alone(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_plain_keeps_both_ends_of_what_is_too_long() -> None:
    text = plain("a" * 10**6 + "b" * 10**6, 1000)
    assert len(text) <= 1000 and text.startswith("aaa") and text.endswith("bbb")
    assert "characters left out" in text


def test_plain_is_quick_on_what_makes_patterns_slow() -> None:
    for piece in ("\x1b", "\x1b[", "\x1b]", "\x1bP;", "[" * 50, "\r", "`", "\x9b0;"):
        assert len(plain(piece * 10**6)) <= pages.LIMIT


def test_plain_is_done_after_the_first_time() -> None:
    once = plain(sample_reports.HOSTILE * 1000)
    assert plain(once) == once


# Small words


@pytest.mark.parametrize(
    ("value", "expected"), [(3.0, "3"), (14.5, "14.5"), (1 / 3, "0.33"), (0, "0"), (10, "10"), (100.0, "100")]
)
def test_scores_are_written_as_people_do(value: float, expected: str) -> None:
    assert pages.number(value) == expected


@pytest.mark.parametrize(
    ("text", "where", "element"),
    [
        ("[0.0, -1.5]  # shape (2,)", "[1]", "-1.5"),
        ('[[1.0, 2.0], [float("nan"), 4.0]]  # shape (2, 2)', "[1, 0]", "nan"),
        ("(torch.tensor([1.0, 2.0]), torch.tensor([[3.0]]))", "[1][0, 0]", "3.0"),
        ("{'mu': torch.tensor([1.0, 7.0]), 'n': 3}", "['mu'][1]", "7.0"),
        ("[True, False]  # shape (2,)", "[1]", "False"),
    ],
)
def test_the_first_difference_is_marked(text: str, where: str, element: str) -> None:
    html = str(pages.marked(text, where))
    assert html.replace("&#34;", '"').replace("&#39;", "'").count(f"<mark>{element}</mark>") == 1
    assert Reader(html).text == " ".join(text.split()).replace('float("nan")', "nan")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("0.5", ""),
        ("[1.0, 2.0", "[1]"),
        ("[1.0, 2.0]", "[5]"),
        ("[1.0, 2.0]", "[0, 0]"),
        ("[1.0, …", "[0]"),
        ("[" * 5000, "[0]"),
        ("x" * 10**6, "[0]"),
        ("[1.0]", "[" * 10**6),
        ("[1.0]", "[__import__('os')]"),
        ("{**a, 'b': 1}", "['c']"),
        ("['\\d', 1 is 1]", "[3]"),
        ("f()", "[0]"),
        ("[1,\n2]", "[1]"),
        ("[1.0, 2.0]", "[-9]"),
        ("\x00", "[0]"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_cannot_be_found_is_not_marked(text: str, where: str) -> None:
    assert "<mark>" not in pages.marked(text, where)


def test_backticks_become_code_and_nothing_else_does() -> None:
    assert pages.inline("use `a < b`, <b>") == "use <code>a &lt; b</code>, &lt;b&gt;"
    assert pages.inline("an odd ` one") == "an odd ` one"
    assert Reader(pages.inline("got -inf, <i>")).text == "got -inf, <i>"


# File names


def test_each_student_has_a_file_of_their_own() -> None:
    awkward = ["ada", "Ada", "index", "INDEX", "con", "nul.txt", "", ".", "..", "../../etc/passwd", "a/b"]
    awkward += ["a\\b", "a b", "a-b", "ש", "李", "é", "e\u0301", "x" * 300, "-rf", "ada.html", "\ud800"]
    awkward += ["a\x00b", "student-", "ada@x.edu"]
    names = pages.file_names([one(student=name) for name in awkward])
    assert len({n.casefold() for n in names}) == len(awkward)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_@][A-Za-z0-9._@-]{0,120}\.html", name)
        assert name.casefold() != "index.html" and name.split(".")[0].casefold() not in ("con", "nul")
    assert names[awkward.index("ada@x.edu")] == "ada@x.edu.html"
    assert names[awkward.index("a-b")] == "a-b.html"


def test_a_name_does_not_depend_on_the_rest_of_the_class() -> None:
    few = pages.file_names([one(student="Zoë"), one(student="bob")])
    many = pages.file_names([one(student=s) for s in ("bob", "eve", "zoe", "Zoë")])
    assert few == [many[3], many[0]]


def test_a_name_made_to_take_another_ones_place_does_not() -> None:
    (taken,) = pages.file_names([one(student="a/b")])
    names = pages.file_names([one(student="a/b"), one(student=taken.removesuffix(".html"))])
    assert names[1] == taken and names[0] != taken


def test_the_same_student_twice_has_two_pages() -> None:
    assert len(set(pages.file_names([one(), one(), one(assignment="week08_gan")]))) == 3


# What the pages say


def test_a_page_for_each_student_and_one_for_the_class(tmp_path: Path) -> None:
    reports = sample_reports.class_of_week_7()
    paths = dashboard.write(tmp_path / "new" / "folder", reports)
    names = pages.file_names(reports)
    made = [str(p.relative_to(tmp_path / "new" / "folder")) for p in paths]
    assert [m for m in made if m.endswith(".html")] == [
        *(page for name in names for page in (name, f"feedback/{name}")),
        "index.html",
    ]
    assert all(p.is_file() for p in paths)
    links = [str(a["href"]) for tag, a in Reader(paths[-1].read_text("utf-8")).tags if tag == "a"]
    assert {p.name for p in paths if p.suffix == ".html"} <= {*links, "index.html"}
    again = dashboard.write(tmp_path / "again", reports)
    assert [p.read_bytes() for p in paths] == [p.read_bytes() for p in again]


def test_students_get_what_may_be_shown_and_a_script_that_runs_it(tmp_path: Path) -> None:
    report = sample_reports.a_report("kurt", kl_to_standard_normal=sample_reports.wrong_kl())
    examples = {c.counterexample.code for e in report.exercises for c in e.checks if c.counterexample}
    for level, count in (("hints", 1), ("examples", 2)):
        dashboard.write(tmp_path / level, [report], level)
        feedback = tmp_path / level / "feedback"
        assert sorted(p.name for p in feedback.iterdir()) == ["kurt-repro.py", "kurt.html"]
        page = (feedback / "kurt.html").read_text("utf-8")
        assert sum(str(escape(code)) in page for code in examples) == count
        assert (feedback / "kurt-repro.py").read_text().count('"exercise":') == count
        assert 'href="kurt-repro.py"' in page
        mine = (tmp_path / level / "kurt.html").read_text("utf-8")
        assert sum(str(escape(code)) in mine for code in examples) == 2 and "kurt-repro.py" not in mine


def test_a_student_reads_everything_that_is_in_the_report() -> None:
    report = sample_reports.half_way()
    text = student(report).text
    assert "28 / 44" in text and "ada.lovelace" in text and "Variational autoencoders" in text
    for e in report.exercises:
        assert e.name in text
        assert e.misconception.replace("`", "") in text
        for note in e.notes:
            assert note.replace("`", "") in text
        for c in e.checks:
            assert " ".join(c.title.split("\n\n")[0].split()) in text
            if e.status != "untouched":
                assert c.message[1:].replace("`", "") in text
            if c.counterexample and e.status != "untouched":
                shown = (c.counterexample.code, c.counterexample.expected, c.counterexample.got)
                assert all(" ".join(pages.readable(s).split()) in text for s in shown)
    for words in ("Passed", "Failed", "Skipped", "Our fault", "Correct", "Partly correct", "Not started"):
        assert words in text
    assert "This score isn't final" in text
    assert "Code cell 7: NameError: name 'loader' is not defined" in text and "Traceback" in text
    for value in (
        "bubblewrap",
        "landlock",
        "public, hidden",
        "c41f9be07d25",
        "torch 2.13.0",
        "sha256:5f0c6d1e9d4b",
    ):
        assert value in text


def test_every_verdict_differs_by_symbol_word_and_colour() -> None:
    css = (templating.template_folder() / "style.css").read_text("utf-8")
    symbols, words, colours = [], [], []
    for verdict in ("passed", "failed", "skipped", "fault"):
        page = pages.student_page(one(verdict=verdict, status=""))
        badge = re.search(
            rf'<span class="(?:badge|state) {verdict}"><svg.*?#(\w+)".*?</svg>\s*([\w ]+)<', page
        )
        badge = badge or re.search(
            rf'<li class="{verdict}"><span class="state"><svg.*?#(\w+)".*?</svg>\s*([\w ]+)<', page
        )
        assert badge is not None
        symbols.append(badge[1])
        words.append(badge[2])
        rule = re.search(rf"\.{verdict}\b[^{{]*{{ --tone: var\((--\w+)\)", css)
        assert rule is not None
        colours.append(rule[1])
    assert len(set(symbols)) == len(set(words)) == len(set(colours)) == 4


def test_a_fault_of_ours_is_no_zero() -> None:
    text = student(sample_reports.our_fault()).text
    assert "Not graded yet: our fault" in text and "not graded" in text
    assert not re.search(r"\b0 / 44", text)
    assert "No space left on device" in text
    assert "Not correct yet" not in text, "an exercise that was not judged is not wrong"


def test_a_submission_that_cannot_be_read_says_why_and_what_to_do() -> None:
    text = student(sample_reports.unreadable()).text
    assert (
        "could not read what you handed in" in text
        and "expected a comma" in text
        and "hand that file in" in text
    )


def test_a_missing_and_an_untouched_exercise_list_no_failures() -> None:
    for status, words in (("missing", "We found no elbo"), ("untouched", "haven't written this one yet")):
        text = student(one(status=status)).text
        assert words in text and "It agrees." in text
        assert "Failed" not in text


def test_a_check_that_passed_for_nothing_says_why() -> None:
    assert "this counts once" in student(one(verdict="passed", message="")).text.lower()
    assert "not until elbo" in student(one(verdict="passed", message="not until elbo")).text.lower()


def test_what_fails_in_the_same_way_is_folded_but_there() -> None:
    report = one(counterexample=Counterexample("f(1)", "2", "3"))
    first = report.exercises[0].checks[0]
    again = dataclasses.replace(first, title="It agrees again.")
    elsewhere = dataclasses.replace(
        first, title="Elsewhere too.", counterexample=Counterexample("f(9)", "2", "3")
    )
    other = dataclasses.replace(first, title="It is pure.", message="the input is not the same")
    report.exercises[0].checks += [again, elsewhere, other]
    text = student(report).text
    assert (
        text.count("f(1)") == 1 and text.count("f(9)") == 1 and text.count("fails on the example above") == 2
    )
    folded = text[text.index("2 more checks fail in the same way") : text.index("It is pure.")]
    assert "It agrees again." in folded and "Elsewhere too." in folded
    printout = printed(report)
    assert printout.count("f(1)") == 1 and printout.count("In the same way as above.") == 2


def test_students_do_not_see_each_other() -> None:
    hrefs = [str(a["href"]) for tag, a in student(sample_reports.half_way()).tags if tag == "a"]
    assert hrefs and all(h.startswith("#") for h in hrefs)


def test_an_unconfined_grade_says_that_it_cannot_be_trusted() -> None:
    loose = one(confinement={"box": "none", "seal": "none"})
    assert "could change its own grade" in student(loose).text
    assert "1 submission ran without confinement" in Reader(dashboard.class_page([loose])).text
    assert "without confinement" not in Reader(dashboard.class_page([sample_reports.half_way()])).text


def test_the_class_page_counts() -> None:
    reports = sample_reports.class_of_week_7()
    text = Reader(dashboard.class_page(reports)).text
    settled = [r.score for r in reports if r.student not in ("ada.lovelace", "grace", "li.wei")]
    assert "Submissions 16" in text and "Unreadable 1" in text and "Not final: our fault 2" in text
    assert f"Mean {pages.number(sum(settled) / len(settled))} / 44" in text
    first, second = text.index("logarithm of the standard deviation"), text.index("logarithm of a sigmoid")
    assert first < second and "4 students:" in text[:first] and "3 students:" in text[first:second]
    assert (
        text.index("Faults of ours")
        < text.index("did not answer within 60 s")
        < text.index("Points by student")
    )


def test_the_mean_leaves_out_what_we_could_not_grade() -> None:
    broken = one(student="b", verdict="fault", status="fault")
    right = one(student="a", verdict="passed", points=2, status="passed")
    assert "Mean 2 / 2" in Reader(dashboard.class_page([right, broken])).text
    assert "Mean 1 / 2" in Reader(dashboard.class_page([right, one(student="b")])).text


def test_a_class_of_several_weeks_or_of_nobody() -> None:
    text = Reader(
        dashboard.class_page([one(), one(assignment="week08_gan", title="Adversarial networks")])
    ).text
    assert text.index("Variational autoencoders") < text.index("Adversarial networks")
    assert "no submissions" in Reader(dashboard.class_page([])).text


# Structure


@pytest.mark.parametrize("page", ["student", "class", "hostile", "unreadable"])
def test_pages_are_well_built(page: str) -> None:
    html = {
        "student": lambda: pages.student_page(sample_reports.half_way()),
        "class": lambda: dashboard.class_page(
            [*sample_reports.class_of_week_7(), one(assignment="week08_gan")]
        ),
        "hostile": lambda: pages.student_page(sample_reports.hostile()),
        "unreadable": lambda: pages.student_page(sample_reports.unreadable()),
    }[page]()
    reader = Reader(html)
    tags = [tag for tag, _ in reader.tags]
    assert tags.count("main") == tags.count("h1") == tags.count("footer") == tags.count("title") == 1
    levels = [int(t[1]) for t in tags if re.fullmatch("h[1-6]", t)]
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    assert len(set(reader.ids())) == len(reader.ids())
    for tag, attributes in reader.tags:
        assert "style" not in attributes and not any(a.startswith("on") for a in attributes)
        for name in ("aria-labelledby", "aria-describedby"):
            assert str(attributes.get(name, reader.ids()[0])) in reader.ids()
        if str(attributes.get("href", "")).startswith("#"):
            assert str(attributes["href"])[1:] in reader.ids()
        if tag == "th":
            assert attributes.get("scope") in ("row", "col")
    assert not set(tags) & {"script", "img", "iframe", "object", "embed", "form", "base", "textarea"}
    assert "http://" not in html.replace(sample_reports.HOSTILE, "").replace("https://example.com", "")


def test_markup_of_students_stays_text() -> None:
    report = sample_reports.hostile()
    for html in (pages.student_page(report), dashboard.class_page([report])):
        assert "<script>document" not in html and "<iframe" not in html
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
        assert "{{ 7 * 7 }}" in html and "redlink" in html


def test_huge_texts_make_no_huge_page() -> None:
    page = pages.student_page(sample_reports.hostile("<&\x1b[31m\u202e" * 200_000))
    assert len(page) < 8_000_000
    assert "characters left out" in page


# The environment


def test_a_template_that_names_what_is_not_there_is_an_error() -> None:
    environment = templating.environment()
    with pytest.raises(UndefinedError):
        environment.from_string("{{ nothing }}").render()


def test_html_is_escaped_and_other_text_is_not() -> None:
    autoescape = templating.environment().autoescape
    assert callable(autoescape)
    assert autoescape("report/student.html.j2") and not autoescape("notebook.md.j2")


def test_the_installed_package_brings_its_templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = templating.template_folder()
    assert (repository / "report" / "student.html.j2").is_file()
    package = tmp_path / "autograder"
    package.mkdir()
    monkeypatch.setattr(templating, "__file__", str(package / "templating.py"))
    with pytest.raises(FileNotFoundError, match="install"):
        templating.template_folder()
    (package / "templates").mkdir()
    assert templating.template_folder() == package / "templates"


# The terminal


def printed(report: Report, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    pages.show(report, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_terminal_says_the_same() -> None:
    report = sample_reports.half_way()
    text = " ".join(printed(report).split())
    for e in report.exercises:
        assert re.search(rf"{e.name} +{pages.number(e.score)} / {pages.number(e.max_score)} ", text)
        assert e.misconception in text
    for words in ("28 / 44", "not final", "got 2.194528", "expected 0.35914091", "first difference at [1]"):
        assert words in text
    assert "Our fault: Its gradients" in text and "name 'loader' is not defined" in text


def test_code_in_the_terminal_can_be_pasted() -> None:
    code = f"x = torch.tensor({[0.125] * 100})\nfor i in range(2):\n    f(x)"
    assert f"\n{code}\n" in printed(one(counterexample=Counterexample(code, "1", "2")), width=40)


def test_nothing_that_students_write_reaches_the_terminal_as_a_command() -> None:
    markup = "[bold red]x[/bold red] [link=https://example.com]y[/link]"
    text = printed(sample_reports.hostile(f"{markup} \x1b[31mz\x9b1m"))
    assert f"{markup} z" in " ".join(text.split())
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    printed(sample_reports.hostile())


def test_a_fault_of_ours_is_no_zero_in_the_terminal() -> None:
    text = printed(sample_reports.our_fault())
    assert "not graded: our fault" in text and "0 / 44" not in text


# In a browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    dashboard.write(folder, sample_reports.class_of_week_7())
    (folder / "hostile.html").write_text(pages.student_page(sample_reports.hostile()), "utf-8")
    (folder / "hostile-class.html").write_text(dashboard.class_page([sample_reports.hostile()]), "utf-8")
    (folder / "long.html").write_text(pages.student_page(sample_reports.hostile("W" * 3000)), "utf-8")
    return folder


PAGES = ("ada.lovelace", "index", "grace", "li.wei", "carl", "hostile", "hostile-class", "long")


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_nothing_runs_and_nothing_is_fetched(browser: Any, folder: Path, name: str) -> None:
    page = browser.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    url = (folder / f"{name}.html").as_uri()
    page.goto(url, wait_until="networkidle")
    title = page.title()
    for link in page.query_selector_all("summary, a[href^='#']"):
        link.evaluate("e => e.click()")
    assert [u for u in asked if u.partition("#")[0] not in (url, "data:,")] == []
    assert said == []
    assert page.title() == title and title != "run"
    assert page.evaluate("getComputedStyle(document.body).display") == "block"
    page.close()


@pytest.mark.browser
def test_the_policy_stops_what_would_slip_through(browser: Any, folder: Path) -> None:
    """The second lock: even markup that got into the page could do nothing."""
    slipped = folder / "slipped.html"
    html = pages.student_page(sample_reports.half_way())
    attack = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
    attack = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
    slipped.write_text(html.replace("</main>", f"{attack}</main>"), "utf-8")
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(slipped.as_uri(), wait_until="networkidle")
    assert page.title() != "run"
    assert len(said) >= 2 and all("Content Security Policy" in s for s in said)
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_text_stands_out_in_both_schemes(browser: Any, folder: Path, name: str, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.goto((folder / f"{name}.html").as_uri())
    contrast, text, count = page.locator("body").evaluate(CONTRAST)
    assert count > 5 and contrast >= 4.5, text
    dark = sum(map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))))
    assert (dark < 200) == (scheme == "dark")
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_screen(browser: Any, folder: Path, name: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto((folder / f"{name}.html").as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.browser
def test_code_is_selected_by_a_click(browser: Any, folder: Path) -> None:
    page = browser.new_page()
    page.goto((folder / "ada.lovelace.html").as_uri())
    page.locator("pre.copy").first.click()
    assert page.evaluate("getSelection().toString()").strip() == sample_reports.KL.code
    page.close()


@pytest.mark.browser
def test_paper_shows_what_is_folded(browser: Any, folder: Path) -> None:
    page = browser.new_page()
    page.goto((folder / "ada.lovelace.html").as_uri())
    hidden = page.locator("details:not([open]) li, details:not([open]) pre").first
    height = "e => e.getBoundingClientRect().height"
    assert hidden.is_visible() is False
    page.emulate_media(media="print")
    assert hidden.evaluate(height) > 0 and hidden.is_visible()
    assert not page.locator("nav.overview").is_visible()
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_that_shuts_anybody_out(browser: Any, folder: Path, name: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)  # axe is a script
    page = context.new_page()
    page.goto((folder / f"{name}.html").as_uri())
    found = axe.run(page).response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found] == []
    context.close()
