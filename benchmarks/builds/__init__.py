"""Two builds of this project side by side: what a change cost or saved.

__main__.py   the command: options, turns, table
cases.py      what can be measured, mostly by command lines of the verbs
checkout.py   one build: runs its verbs and the probes, in processes
prepared.py   what cases need, made once by each build for itself
made_data.py  text and tables, the same for both
comparison.py figures of the turns -> ratios and their spread
machine.py    processor, versions, commits
probes/       measured from inside, where no verb shows it
"""
