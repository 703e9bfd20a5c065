"""`colonnade report`, as a person runs it."""

import shutil

import pytest

pytest.importorskip("jinja2", reason="the page is made by jinja2")


def test_report_writes_a_page_into_the_folder_of_the_run(here, trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "run")
    result = here("report", folder, "--steps", 1)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{folder / 'report.html'}\n"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Confusion matrix" in page
    assert 'class="missing"' not in page


def test_out_and_data_are_followed_and_what_is_missing_is_said(here, trained, tmp_path):
    result = here("report", trained, "--out", tmp_path / "page.html", "--data", "nowhere", "--steps", 0)
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "There is no data set" in page
    assert "No step was timed" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: expected the folder of a run"),
        (["."], "got none of them"),
        ([".", "--steps", "-1"], "--steps"),
        ([], "RUN"),
    ],
)
def test_what_the_user_got_wrong_is_one_line_and_status_2(here, tmp_path, arguments, message):
    result = here("report", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_page_that_can_not_be_written_is_one_line(here, trained, tmp_path):
    result = here("report", trained, "--steps", 0, "--out", tmp_path / "nowhere" / "page.html")
    assert result.returncode == 2
    assert "there is no such folder" in result.stderr
    assert len(result.stderr.splitlines()) == 1
