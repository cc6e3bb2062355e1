"""Every format is what its consumer reads, says what the report says, and never makes a zero of our fault."""

from __future__ import annotations

import base64
import copy
import csv
import io
import json
import re
from collections import Counter
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import junitparser
import mistune
import pytest
import sample_reports
from jsonschema import Draft202012Validator
from sample_reports import a_report, an_exercise, our_fault, overflowing, unreadable, wrong_kl

from autograder.formats import NotGraded, canvas, classroom50, github, gradescope, is_graded, junit, moodle
from autograder.formats.rows import rows, telling
from autograder.formats.tables import TableError
from autograder.results import FAILED, FAULT, PASSED, SKIPPED, Report
from autograder.reveal import revealed

SCHEMAS = Path(__file__).parent / "schemas"
CLASS = sample_reports.class_of_week_7()
GRADED = [r for r in CLASS if is_graded(r)]
FAULTY = [r for r in CLASS if not is_graded(r)]
RUNNER = {
    "CLASSROOM": "genai",
    "ASSIGNMENT": "week07",
    "SUBMISSION_TAG": "submit/2026-11-20T12-00-00Z-abcdef0",
    "GITHUB_REPOSITORY": "school/genai-week07-ada",
    "GITHUB_SHA": "abcdef0123456789",
}


def everything(**parts: Any) -> Report:
    """Lost points of every kind, and no fault."""
    return a_report("ada", kl_to_standard_normal=wrong_kl(), bernoulli_log_likelihood=overflowing(), **parts)


def hostile(text: str = sample_reports.HOSTILE) -> Report:
    """Attacks in every string of a report without faults."""
    report = sample_reports.hostile(text)
    report.exercises = [e for e in report.exercises if e.status != FAULT]
    for exercise in report.exercises:
        exercise.checks = [c for c in exercise.checks if c.verdict != FAULT]
    report.tiers = ["public"]
    return report


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_the_class_has_graded_reports_and_faults_whole_and_in_part() -> None:
    assert len(GRADED) > 10
    assert {r.status for r in FAULTY} == {"graded", "fault"}


# Rows


def test_there_is_a_row_for_each_check_and_the_points_add_up() -> None:
    for report in GRADED:
        found = rows(report)
        assert sum(r.points for r in found) == report.score
        assert sum(r.max_points for r in found) == report.max_score
        assert len({r.number for r in found}) == len(found)


def test_an_exercise_without_checks_is_a_row_and_a_fault_is_one_too() -> None:
    report = a_report("ada")
    for exercise, kind in zip(report.exercises, ("passed", "failed", "fault"), strict=False):
        exercise.checks, exercise.status = [], kind
    found = [(r.verdict, r.max_points) for r in rows(report)[:3]]
    assert found == [(PASSED, 7), (FAILED, 9), (FAULT, 0)] and not is_graded(report)


def test_what_is_not_there_is_told_once_and_what_is_skipped_never() -> None:
    report = everything(VAE=an_exercise("VAE", "untouched"))
    report.exercises[0].checks[0].verdict = SKIPPED
    found = Counter(row.exercise for row in telling(report))
    assert found == {"kl_to_standard_normal": 8, "bernoulli_log_likelihood": 1, "VAE": 1}
    hidden = telling(revealed(report, "names"))
    assert Counter(row.exercise for row in hidden) == found  # also where there is nothing to say of them


def test_a_misconception_and_an_example_are_told_once_or_once_for_each_kind_of_check() -> None:
    report = everything()
    for apart, times in ((False, 1), (True, 2)):
        texts = [r.text for r in rows(report, apart) if r.exercise == "kl_to_standard_normal"]
        assert sum(sample_reports.LOG_STD in text for text in texts) == times
    assert sum(sample_reports.KL_BATCH.code in r.text for r in rows(report)) == 1


# Gradescope

GRADESCOPE = validator("gradescope-results")


@pytest.mark.parametrize("report", [*GRADED, hostile()], ids=lambda r: r.student[:20])
def test_gradescope_takes_the_results(report: Report) -> None:
    data = json.loads(gradescope.results(report))
    GRADESCOPE.validate(data)
    assert data["score"] == report.score
    if report.status == "graded" and report.title != sample_reports.HOSTILE:
        assert sum(t.get("score", 0) for t in data["tests"]) == report.score
        assert sum(t.get("max_score", 0) for t in data["tests"]) == report.max_score


def test_the_gradescope_schema_tells_good_from_bad() -> None:
    good = json.loads(gradescope.results(everything()))
    for path, value in (
        ("score", "44"),
        ("visibility", "secret"),
        ("comment", "x"),
        ("output_format", "rtf"),
    ):
        assert not GRADESCOPE.is_valid({**good, path: value})
    assert not GRADESCOPE.is_valid({"output": "no score, no tests"})


@pytest.mark.parametrize("hidden", gradescope.VISIBILITIES)
def test_gradescope_shows_hidden_checks_when_the_instructor_says(hidden: str) -> None:
    tests = json.loads(gradescope.results(everything(), hidden))["tests"]
    found = {(t["tags"][-1], t["visibility"]) for t in tests}
    assert found == {("public", "visible"), ("hidden", hidden)}


def test_gradescope_renders_nothing_and_shows_no_output_of_ours() -> None:
    data = json.loads(gradescope.results(hostile()))
    assert {data[f"{what}_format"] for what in ("output", "test_output", "test_name")} == {"text"}
    assert data["stdout_visibility"] == "hidden"


def test_points_that_wait_for_agreement_are_not_passed_on_gradescope() -> None:
    tests = json.loads(gradescope.results(everything()))["tests"]
    zero = [t for t in tests if t["name"].startswith("kl_to_standard_normal: KL is never negative")]
    assert [(t["score"], t["max_score"], t["status"]) for t in zero] == [(0, 1, "failed")]


def test_skipped_checks_have_no_points_and_no_status_on_gradescope() -> None:
    partial = copy.deepcopy(sample_reports.half_way())
    partial.exercises = [e for e in partial.exercises if e.status != FAULT]
    (skipped,) = (t for t in json.loads(gradescope.results(partial))["tests"] if t["tags"][-1] == "gpu")
    assert not {"score", "max_score", "status"} & set(skipped)


@pytest.mark.parametrize(
    ("users", "student"),
    [
        ([{"email": "ada@x.edu", "id": 7, "name": "Ada"}], "ada@x.edu"),
        ([{"email": "bob@x.edu"}, {"email": "ada@x.edu"}], "ada@x.edu + bob@x.edu"),
        ([{"email": "../../etc\n", "id": 7}], "_.._etc_"),
        ([{"id": 7}], "7"),
    ],
)
def test_gradescopes_metadata_say_whose_it_is(users: list[dict[str, Any]], student: str) -> None:
    assert gradescope.student(json.dumps({"id": 1, "users": users})) == student


@pytest.mark.parametrize(
    "metadata", ["[]", "{}", '{"users": []}', '{"users": [{}]}', "no JSON", '{"users": 3}']
)
def test_metadata_without_a_student_are_refused(metadata: str) -> None:
    with pytest.raises(ValueError):
        gradescope.student(metadata)


# Classroom 50

CLASSROOM50 = validator("classroom50-result")


@pytest.mark.parametrize("report", [*GRADED, hostile()], ids=lambda r: r.student[:20])
def test_classroom50_takes_the_result(report: Report) -> None:
    data = json.loads(classroom50.result(report, RUNNER))
    CLASSROOM50.validate(data)
    assert all(type(x[key]) is int for x in (data, *data["tests"]) for key in ("score", "max-score"))
    assert data["score"] == sum(t["score"] for t in data["tests"])
    assert all(t["score"] <= t["max-score"] for t in data["tests"])
    if report.title != sample_reports.HOSTILE:
        assert (data["score"], data["max-score"]) == (report.score, report.max_score)


def test_classroom50_knows_where_it_runs() -> None:
    when = datetime(2026, 11, 20, 12, 30, 5, tzinfo=UTC)
    data = json.loads(classroom50.result(everything(), RUNNER, when))
    assert (data["owner"], data["assignment_type"]) == ("ada", "individual")
    assert data["datetime"] == "2026-11-20T12:30:05Z"
    assert data["commit"] == "https://github.com/school/genai-week07-ada/commit/abcdef0123456789"
    assert data["release"].endswith("/releases/tag/submit%2F2026-11-20T12-00-00Z-abcdef0")
    said = {"USERNAME": "eve", "COMMIT_URL": "c", "RELEASE_URL": "r", "REVIEW_URL": "v", "MODE": "Group"}
    data = json.loads(classroom50.result(everything(), {**RUNNER, **said}))
    assert [data[k] for k in ("owner", "commit", "release", "review")] == ["eve", "c", "r", "v"]
    assert data["assignment_type"] == "group"
    with pytest.raises(ValueError, match="CLASSROOM, ASSIGNMENT"):
        classroom50.result(everything(), {})


@pytest.mark.parametrize(
    ("points", "score", "most"),
    [((1.0, 2.0), 1, 3), ((0.5, 2.0), 5, 25), ((0.25, 2.5), 25, 275), ((1 / 3, 1 / 3), 3333, 6666)],
)
def test_classroom50_scores_are_whole_and_their_ratio_stays(
    points: tuple[float, float], score: int, most: int
) -> None:
    report = a_report("ada")
    report.exercises = [an_exercise("VAE")]
    report.exercises[0].checks = report.exercises[0].checks[:2]
    right, wrong = report.exercises[0].checks
    right.points = right.max_points = points[0]
    wrong.points, wrong.max_points, wrong.verdict = 0, points[1], FAILED
    data = json.loads(classroom50.result(report, RUNNER))
    assert (data["score"], data["max-score"]) == (score, most)
    assert data["score"] / data["max-score"] == pytest.approx(points[0] / sum(points))


# GitHub


class Tags(HTMLParser):
    """Tags and links of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(markdown: str) -> Tags:
    """Markdown as GitHub's dialect renders it: with HTML, tables and links of bare addresses."""
    return Tags(
        str(mistune.create_markdown(escape=False, plugins=["table", "url", "strikethrough"])(markdown))
    )


def test_a_summary_says_what_the_report_says() -> None:
    page = rendered(github.summary(everything()))
    assert f"{sample_reports.LOG_STD.replace('`', '')}" in page.text
    assert "34 of 44 points" in page.text
    assert page.text.count("kl_to_standard_normal(mu, logvar)") == 2 == page.text.count("# shape (2,)\ngot")
    assert page.tags["table"] == 1 and page.tags["tr"] == 7 and not page.tags["a"]
    assert "advise" not in page.text and "advise" in rendered(github.summary(everything(), True)).text


MARKDOWN = (
    "# a\n* b ~~c~~ **d** [e](http://f) <g> ![h](i) http://j.k www.l.m @n #1 | ``` ` \\ <!-- "
    "- o\n1. p &lt; $q$"
)


@pytest.mark.parametrize("text", [sample_reports.HOSTILE, MARKDOWN, "1. one", "- x", "> y", "    code"])
def test_nothing_that_students_write_is_markup_in_a_summary(text: str) -> None:
    page = rendered(github.summary(hostile(text)))
    ours = {
        "h2",
        "h3",
        "p",
        "strong",
        "ul",
        "li",
        "code",
        "pre",
        "br",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert set(page.tags) <= ours, page.tags
    plain_text = rendered(github.summary(hostile("harmless")))
    assert {k: page.tags[k] for k in ("h2", "h3", "ul", "li", "table", "tr", "td")} == {
        k: plain_text.tags[k] for k in ("h2", "h3", "ul", "li", "table", "tr", "td")
    }


def test_a_summary_is_never_longer_than_github_takes() -> None:
    report = hostile("é" * 30_000)
    report.exercises *= 60
    text = github.summary(report)
    assert len(text.encode()) < github.MOST_SUMMARY and "not room for it here" in text
    assert "not room" not in github.summary(hostile())


def obeyed(text: str) -> list[tuple[str, dict[str, str], str]]:
    """Workflow commands, as GitHub's runner reads them."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"::([a-z-]+)(?: (.*?))?::(.*)", line)
        assert match, line
        parts = dict(part.split("=", 1) for part in (match[2] or "").split(",") if part)
        found.append((match[1], {k: _unescaped(v) for k, v in parts.items()}, _unescaped(match[3])))
    return found


def _unescaped(text: str) -> str:
    for code, char in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, char)
    return text


def test_there_is_an_annotation_for_each_exercise_that_lost_points() -> None:
    first, second = obeyed(github.commands(everything(), "week 7,a:b.ipynb"))
    assert first[0] == "error" and first[1]["title"] == "kl_to_standard_normal: 0 of 9 points"
    assert first[1]["file"] == second[1]["file"] == "week 7,a:b.ipynb"
    assert first[2].startswith("What probably went wrong: You treat `logvar`")
    assert {kind for kind, *_ in obeyed(github.commands(everything(), advisory=True))} == {"warning"}
    assert github.commands(a_report("ada")) == ""


@pytest.mark.parametrize(
    "text", ["a\n::set-output name=x::y\r\n::error::z", "100% %0A::warning::", sample_reports.HOSTILE]
)
def test_no_text_becomes_a_workflow_command(text: str) -> None:
    commands = obeyed(github.commands(hostile(text), text))
    assert len(commands) == len(hostile().exercises) and {kind for kind, *_ in commands} == {"error"}
    ((name, properties, message),) = obeyed(github.command("error", "50%\na: b", title="x,y: 5%"))
    assert (name, properties, message) == ("error", {"title": "x,y: 5%"}, "50%\na: b")


def test_no_more_annotations_than_github_shows() -> None:
    report = a_report("mary", **{n: an_exercise(n, "untouched") for n in sample_reports.EXERCISES})
    report.exercises *= 3
    commands = obeyed(github.commands(report))
    assert len(commands) == github.MOST_ANNOTATIONS and "9 more exercises" in commands[-1][2]


def test_the_grading_reporter_reads_the_step_output() -> None:
    for report in GRADED:
        encoded = github.grading_result(report)
        assert re.fullmatch(r"[A-Za-z0-9+/=]+", encoded)
        data = json.loads(base64.b64decode(encoded))
        assert data["version"] == 1 and data["max_score"] == report.max_score
        assert data["status"] == ("pass" if report.score == report.max_score else "fail")
        assert {t["status"] for t in data["tests"]} <= {"pass", "fail"}
        assert sum(t["score"] for t in data["tests"]) == report.score


# JUnit


def cases(reports: list[Report]) -> list[Any]:
    return [case for suite in junitparser.JUnitXml.fromstring(junit.xml(reports).encode()) for case in suite]


def test_junit_is_read_back_with_every_verdict() -> None:
    kinds = {
        PASSED: None, FAILED: junitparser.Failure, SKIPPED: junitparser.Skipped, FAULT: junitparser.Error
    }  # fmt: skip
    for report in CLASS:
        for case, row in zip(cases([report]), rows(report), strict=True):
            assert case.name == row.title
            assert (type(case.result[0]) if case.result else None) is kinds[row.verdict]


def test_junit_counts_what_is_in_it() -> None:
    for suite in junitparser.JUnitXml.fromstring(junit.xml(CLASS).encode()):
        before = (suite.tests, suite.failures, suite.errors, suite.skipped)
        suite.update_statistics()
        assert (suite.tests, suite.failures, suite.errors, suite.skipped) == before
    names = [s.name for s in junitparser.JUnitXml.fromstring(junit.xml(CLASS).encode())]
    assert "Zoë Müller-Lüdenscheidt.week07_vae.elbo" in names and len(set(names)) == len(names)


def test_junit_stays_xml_whatever_students_write() -> None:
    text = "\x00\x01\x08\x0b\x1b[31m\ud800\ufffe\uffff]]></failure><x a='\"&"
    (failure,) = (c.result[0] for c in cases([hostile(text)])[1:2])
    assert "</failure>" in failure.text and "\x00" not in failure.text
    assert all(len(c.result) <= 1 for c in cases([hostile()]))


# Canvas

ROSTER = """\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,Week 6 (70),Week 7 (71),Total (read only)
    Points Possible,,,,,10,88,(read only)
"Lovelace, Ada",501,S1,ada,A,5,,
"=Gödel, Kurt",502,S2,kurt,A,6,,
"Noether, Emmy",503,S3,emmy.noether,A,7,,
"Wei, Li",504,S4,li.wei,A,7,3,
"Student, Test",505,,,A,,,
"""


def test_canvas_imports_by_login_and_makes_no_new_assignment() -> None:
    text, remarks = canvas.gradebook([everything(), our_fault()], "Week 7 (71)")
    points, ada = table(text)
    assert list(points) == [*canvas.COLUMNS, "Week 7 (71)"]
    assert (points["Student"], points["Week 7 (71)"]) == ("Points Possible", "44")
    assert (ada["SIS Login ID"], ada["Week 7 (71)"]) == ("ada", "34")
    assert ["li.wei" in remark for remark in remarks] == [True]
    for title in ("", "Week 7", "Week 7 ()"):
        with pytest.raises(TableError, match="Canvas makes a new assignment"):
            canvas.gradebook([everything()], title)


def test_canvas_fills_in_its_own_gradebook_scaled_to_its_points() -> None:
    reports = [
        everything(),
        a_report("lovelace_502_99_week07"),
        a_report("S3"),
        our_fault(),
        a_report("nobody"),
    ]
    text, remarks = canvas.gradebook(reports, "Week 7", ROSTER)
    points, *found = table(text)
    assert points["Week 7 (71)"] == "88"
    assert [(r["ID"], r["Week 7 (71)"]) for r in found] == [("501", "68"), ("502", "88"), ("503", "88")]
    assert found[1]["Student"] == "'=Gödel, Kurt"
    assert sum("nobody" in r for r in remarks) == sum("li.wei" in r for r in remarks) == 1


def test_nobody_gets_anothers_score_in_canvas() -> None:
    text, remarks = canvas.gradebook([a_report("ada"), a_report("501")], "Week 7", ROSTER)
    assert len(table(text)) == 1 and len(remarks) == 2
    twins = ROSTER.replace("kurt", "ada")
    text, remarks = canvas.gradebook([a_report("ada")], "Week 7", twins)
    assert len(table(text)) == 1 and "not in the gradebook" in remarks[0]


def test_a_report_that_can_not_be_read_is_zero_in_canvas() -> None:
    assert table(canvas.gradebook([unreadable()], "Week 7 (71)")[0])[1]["Week 7 (71)"] == "0"


# Moodle

WORKSHEET = """\ufeff\
Identifier,"Full name","Email address",Status,Grade,"Maximum Grade",\
"Last modified (submission)","Last modified (grade)","Feedback comments"
"Participant 17","Ada Lovelace",ada@x.edu,Submitted,,100.00,"Friday, 20 November 2026, 1:00 PM",-,
"Participant 18","=Kurt Gödel",kurt@x.edu,Submitted,50.00,100.00,-,"Friday, 20 November 2026, 2:00 PM",old
"Participant 19","Wei Li",li.wei,Submitted,,100.00,-,-,
"Participant 20","Emmy Noether",emmy@x.edu,"No submission",,100.00,-,-,
"""
GERMAN = WORKSHEET
for english, german in (
    ("Identifier", "ID"),
    ("Participant", "Teilnehmer/in"),
    ("100.00", '"100,00"'),
    ("Maximum Grade", "Bestwertung"),
    ("Grade", "Bewertung"),
    ("Feedback comments", "Feedback als Kommentar"),
):
    GERMAN = GERMAN.replace(english, german)


def moodle_class() -> list[Report]:
    ada, kurt = everything(), a_report("KURT@x.edu")
    ada.student = "Ada Lovelace_17"
    return [kurt, ada, our_fault(), a_report("nobody_99")]


def test_moodles_worksheet_is_filled_in() -> None:
    text, remarks = moodle.worksheet(moodle_class(), WORKSHEET)
    ada, kurt = table(text)
    assert list(ada) == list(table(WORKSHEET.removeprefix("\ufeff"))[0])
    assert (ada["Identifier"], float(ada["Grade"])) == ("Participant 17", pytest.approx(77.2727, abs=1e-4))
    assert (kurt["Identifier"], kurt["Grade"], kurt["Full name"]) == ("Participant 18", "100", "'=Kurt Gödel")
    assert kurt["Last modified (grade)"] == "Friday, 20 November 2026, 2:00 PM"
    assert "You treat" in ada["Feedback comments"] and "44 of 44" in kurt["Feedback comments"]
    assert sorted("li.wei" in r for r in remarks) == [False, True] and any("nobody_99" in r for r in remarks)


def test_moodles_worksheet_may_be_in_another_language() -> None:
    text, remarks = moodle.worksheet(moodle_class(), GERMAN, feedback_column="Feedback als Kommentar")
    ada, kurt = table(text)
    assert kurt["Bewertung"] == "100" and "You treat" in ada["Feedback als Kommentar"]
    text, remarks = moodle.worksheet(moodle_class(), GERMAN)
    assert any("--feedback-column" in remark for remark in remarks)
    assert table(text)[1]["Feedback als Kommentar"] == "old"


@pytest.mark.parametrize(
    ("sheet", "options", "complaint"),
    [
        ("", {}, "empty"),
        (ROSTER, {}, "does not identify participants"),
        (WORKSHEET, {"grade_column": "Note"}, "no column 'Note'"),
        (WORKSHEET, {"feedback_column": "Note"}, "no column 'Note'"),
        (re.sub("100.00", "", GERMAN.replace('"100,00"', "")), {}, "--grade-column"),
    ],
)
def test_a_worksheet_that_is_none_is_refused(sheet: str, options: dict[str, str], complaint: str) -> None:
    with pytest.raises(TableError, match=complaint):
        moodle.worksheet(moodle_class(), sheet, **options)


@pytest.mark.parametrize(
    ("student", "row"),
    [("Ada Lovelace_17", 1), ("ada lovelace", 1), ("ada@x.edu", 1), ("Participant_17", 1),
     ("=kurt gödel_18", 1), ("ada_17", 0), ("Ada Lovelace_18", 0), ("17", 0), ("lovelaceada_501_17", 0),
     ("Submitted", 0), ("_17", 0)],
)  # fmt: skip
def test_a_number_alone_is_nobody_in_moodle(student: str, row: int) -> None:
    text, remarks = moodle.worksheet([a_report(student)], WORKSHEET)
    assert len(table(text)) == row == 1 - len(remarks)


def test_nobody_gets_anothers_grade_in_moodle() -> None:
    other = a_report("ada@x.edu")
    text, remarks = moodle.worksheet([*moodle_class()[1:2], other], WORKSHEET)
    assert table(text) == [] and sum("another one" in r for r in remarks) == 2


def test_feedback_in_moodle_is_html_without_anything_of_students() -> None:
    page = Tags(moodle.feedback(hostile()))
    assert set(page.tags) <= {"p", "pre", "strong", "br"}
    assert "<script>document.title" in page.text
    assert not re.search(r"[=+@\t\n-]", moodle.feedback(hostile("=1+1\n-2\t@x")))


# All of them


def test_a_fault_of_ours_is_a_zero_in_no_format() -> None:
    for report in FAULTY:
        with pytest.raises(NotGraded, match="by a fault of ours"):
            gradescope.results(report)
        with pytest.raises(NotGraded, match="by a fault of ours"):
            classroom50.result(report, RUNNER)
        assert "Not graded, by a fault of ours" in github.summary(report)
        data = json.loads(base64.b64decode(github.grading_result(report)))
        assert (data["status"], data["max_score"]) == ("error", 0)
        assert [(t["status"], "score" in t) for t in data["tests"]] == [("error", False)]
        assert any(isinstance(r, junitparser.Error) for case in cases([report]) for r in case.result)
        assert len(table(canvas.gradebook([report], "Week 7 (71)", ROSTER)[0])) == 1
        assert [row["Week 7 (71)"] for row in table(canvas.gradebook([report], "Week 7 (71)")[0])[1:]] in (
            [""],
            [],
        )
        sheet = WORKSHEET.replace("emmy@x.edu", report.student)
        assert table(moodle.worksheet([report], sheet)[0]) == []


def test_no_cell_of_a_table_is_calculated() -> None:
    reports = []
    for i, text in enumerate(["=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1"]):
        report = a_report(text)
        report.title = text
        reports.append(report)
        roster = ROSTER.replace("emmy.noether", text.strip()).replace("Noether", text.strip())
        sheet = WORKSHEET.replace("emmy@x.edu", text.strip()).replace("Emmy", text.strip())
        for made in (
            canvas.gradebook([report], "=Week (71)")[0],
            canvas.gradebook([report], "Week 7", roster)[0],
            moodle.worksheet([report], sheet)[0],
        ):
            lines = list(csv.reader(io.StringIO(made, newline="")))
            assert len(lines) >= 2, i
            assert not [c for line in lines for c in line if c.startswith(("=", "+", "-", "@", "\t", "\r"))]


@pytest.mark.parametrize("level", ["names", "hints"])
def test_what_is_not_revealed_is_in_no_format(level: str) -> None:
    report = everything()
    code = "tell_tale(987654)"
    for exercise in report.exercises:
        for check in exercise.checks:
            if check.tier != "public" and check.counterexample:
                check.counterexample = copy.copy(check.counterexample)
                check.counterexample.code = code
                check.message = "telling 13579" if check.verdict == FAILED else ""
    seen = revealed(report, level)
    made = [
        gradescope.results(seen, "visible"),
        classroom50.result(seen, RUNNER),
        github.summary(seen),
        github.commands(seen),
        base64.b64decode(github.grading_result(seen)).decode(),
        junit.xml([seen]),
        moodle.feedback(seen),
    ]
    assert not [text for text in made if "987654" in text]
    assert bool([text for text in made if "13579" in text]) == (level == "hints")
    assert "987654" in github.summary(revealed(report, "examples"))
