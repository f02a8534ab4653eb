"""A run asked as its export would be, without writing one."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tfbert.errors import UserError
from tfbert.serving.graphs.servable import Servable


class ServedSession:
    """What `c_session.Session` is of an export, of what would be exported.

    Args:
      servable: what is exported of the run.
      signature: the one that will be asked.

    Attributes:
      inputs: signature -> name of an input -> its dtype, of the one that will
        be asked; of others nothing.
      outputs: likewise names of outputs.
    """

    def __init__(self, servable: Servable, signature: str):
        # It holds the layer's variables, and has to live on.
        self._servable = servable
        names = sorted(servable.functions)
        self.inputs = {name: {} for name in names}
        self.outputs = {name: {} for name in names}
        if signature not in names:
            return
        function = servable.functions[signature]
        if hasattr(function, "get_concrete_function"):
            function = function.get_concrete_function()
        self._function = function
        self._specs = tf.nest.flatten(function.structured_input_signature)
        for spec in self._specs:
            dtype = np.dtype(spec.dtype.as_numpy_dtype)
            self.inputs[signature][spec.name] = dtype
        for name, tensor in function.structured_outputs.items():
            self.outputs[signature][name] = tensor.dtype

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """The outputs of the signature, by name.

        Args:
          signature: the one that was named before.
          inputs: name -> array of the dtype that `inputs` says.

        Raises:
          UserError: the model refuses the inputs.
        """
        given = {
            spec.name: tf.constant(inputs[spec.name], spec.dtype)
            for spec in self._specs
        }
        try:
            outputs = self._function(**given)
        except tf.errors.OpError as error:
            # What stands before is where in our code the node was made.
            said = error.message.split("\n\n")[-1].split("\n")[0]
            raise UserError(f"the model refuses it: {said}") from error
        return {name: value.numpy() for name, value in outputs.items()}
