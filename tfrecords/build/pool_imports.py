"""What workers need to have imported; see `tfrecords.build.pool`.

The process that they are forked from imports this module, and does nothing
else. TensorFlow's notices would come once for each build.
"""

from tfbert.startup_notices import hide_startup_notices

hide_startup_notices()

import tfbert.text.tokenizer  # noqa: E402, F401
