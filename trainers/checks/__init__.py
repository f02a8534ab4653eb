"""What `tfbert doctor` looks at; a file for each part of a set-up.

findings.py      what was found, and how it is told
machine.py       versions, devices, cluster, ports, folders, disk, memory
pretraining.py   records, held-out data and the model that learns from them
finetuning.py    labelled files, labels and the encoder that they start from

Wherever a run itself refuses something at its start, the doctor calls the
same function, so that both say the same. It starts no strategy, trains
nothing and writes nothing.
"""
