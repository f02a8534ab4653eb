#!/usr/bin/env bash
# rich: printing to a pipe whose reader has gone ends the program.
#
# A good engineer would guess: Console.print raises BrokenPipeError, as Python's
# print does, and `except Exception` (or OSError) around it keeps a long job
# alive.
# What happens: it raises SystemExit(1), which neither catches, and points
# standard output at /dev/null. The program ends with status 1 and no message.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check rich==15.0.0
cat > "$folder/job.py" <<'PYTHON'
import importlib.metadata
import os
import sys
import time

import rich.console

how, note = sys.argv[1:]
console = rich.console.Console()
print("rich", importlib.metadata.version("rich"), how, file=sys.stderr)
time.sleep(1)  # The reader has gone by now.
for number in range(3):
    try:
        if how == "print":
            print("a line of a long job", flush=True)
        else:
            console.print("a line of a long job")
    except Exception as error:
        print(f"caught {type(error).__name__}", file=sys.stderr)
    except BaseException as error:
        print(f"not caught: {error!r}", file=sys.stderr)
        raise
with open(note, "w") as stream:
    stream.write("the job is done")
# Python flushes its output at the end, and would complain.
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
PYTHON
for how in print rich; do
    set +e
    "$folder/venv/bin/python" "$folder/job.py" $how "$folder/$how" | true
    status=${PIPESTATUS[0]}
    set -e
    done=$([ -e "$folder/$how" ] && echo yes || echo no)
    echo "$how: status $status, job done: $done" | tee -a "$folder/seen"
done
diff - "$folder/seen" <<'WANTED'
print: status 0, job done: yes
rich: status 1, job done: no
WANTED
