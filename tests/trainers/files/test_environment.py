import json
import subprocess
import sys

from trainers.files import environment


def test_the_file_says_with_what_and_by_which_command(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/x/tfbert", "pretrain", "--a", "b c"])
    monkeypatch.setenv("XLA_FLAGS", "--flag")
    monkeypatch.setenv("MY_SECRET", "swordfish")
    path = environment.write(tmp_path, strategy="one device")
    text = path.read_text()
    found = json.loads(text)
    assert found["command"] == "tfbert pretrain --a 'b c'"
    assert found["versions"]["tensorflow"].startswith("2.")
    assert found["devices"][0]["type"] == "CPU"
    assert found["cpu"]["model"] and found["cpu"]["cores"] >= 1
    assert found["memory_bytes"] > 2**28
    assert found["variables"]["XLA_FLAGS"] == "--flag"
    assert found["strategy"] == "one device"
    assert "swordfish" not in text


def test_each_start_of_a_run_is_kept(tmp_path):
    environment.write(tmp_path)
    path = environment.write(tmp_path)
    assert len(json.loads(path.read_text())["starts"]) == 2
    path.write_text("{broken")
    environment.write(tmp_path)
    assert len(json.loads(path.read_text())["starts"]) == 1
    path.write_text('{"starts": 3}')
    environment.write(tmp_path)
    assert len(json.loads(path.read_text())["starts"]) == 1


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        check=True,
        capture_output=True,
    )


def test_the_commit_is_told_only_of_our_own_checkout(tmp_path):
    assert environment._git(tmp_path) is None
    git(tmp_path, "init", "-q")
    (tmp_path / "other.py").write_text("")
    git(tmp_path, "add", "other.py")
    git(tmp_path, "commit", "-q", "-m", "first")
    # Installed into the checkout of another project.
    assert environment._git(tmp_path) is None
    (tmp_path / "environment.py").write_text("")
    git(tmp_path, "add", "environment.py")
    git(tmp_path, "commit", "-q", "-m", "second")
    found = environment._git(tmp_path)
    assert len(found["commit"]) == 40 and found["changed"] is False
    (tmp_path / "environment.py").write_text("changed")
    assert environment._git(tmp_path)["changed"] is True


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment._git(tmp_path) is None
