from tfbert.errors import UserError
from trainers.checks.findings import Findings


def test_a_file_that_cannot_be_read_is_a_mistake():
    def read():
        raise PermissionError(13, "Permission denied", "records/shard")

    findings = Findings()
    assert findings.attempt("records", read) is None
    assert "records/shard, got: Permission denied" in str(findings.mistakes[0])


def test_a_check_gives_its_value_or_a_mistake():
    told = []
    findings = Findings(told.append)
    assert findings.attempt("sums", lambda a, b: a + b, 1, 2) == 3
    assert not findings.all

    def refuse():
        raise UserError("wanted one thing, got another;\ndo a third")

    for _ in range(2):  # what is found twice is told once
        assert findings.attempt("settings", refuse) is None
    assert told == findings.mistakes and len(told) == 1
    lines = str(told[0]).splitlines()
    assert lines[0] == "MISTAKE settings: wanted one thing, got another;"
    assert lines[1] == "        do a third"
