"""Eight logical CPUs, for tests of strategies with several replicas."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 8,
)

# TensorFlow starts with them now: later requests for fewer must not win.
tf.config.list_logical_devices()
