from trainers.files import reading_bar


def test_progress_off_a_terminal_is_a_line_now_and_then(capsys):
    update = reading_bar._plain(every=0.0)
    update(5_000_000, 10_000_000, 9, "7 documents, ")
    update(5_000_000, 0, 9)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "50 %, 5 MB read, 7 documents, 9 rows"
    assert second == "5 MB read, 9 rows"
