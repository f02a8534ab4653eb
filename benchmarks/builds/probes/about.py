"""Which packages a build's processes import, and the versions beneath."""

import platform

import keras
import tensorflow as tf

import tfbert
import tfrecords
import trainers


def main() -> None:
    """Prints NAME=VALUE lines."""
    for package in (tfbert, tfrecords, trainers):
        print(f"{package.__name__}={package.__file__}")
    print(f"tensorflow={tf.__version__}")
    print(f"keras={keras.__version__}")
    print(f"python={platform.python_version()}")


if __name__ == "__main__":
    main()
