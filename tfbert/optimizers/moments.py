"""What AdamW and LAMB share: settings and two moments of each variable."""

import keras

from tfbert.optimizers.decay import decays


class MomentOptimizer(keras.optimizers.Optimizer):
    """Keeps two moments of every variable, and knows which ones decay.

    A subclass defines `update_step(gradient, variable, learning_rate)`, which
    does all that concerns one variable. It may be called for each variable by
    itself, also inside `strategy.extended.update`, on gradients that were
    reduced and clipped before. Who does so increments `iterations` once per
    update, and may hand in what `shared_terms` gives once for all variables.

    Args:
      learning_rate: float or schedule.
      weight_decay: decay per update, relative to the learning rate.
      beta_1: memory of the first moment.
      beta_2: memory of the second moment.
      epsilon: added to the square root of the second moment.
    """

    def __init__(
        self,
        learning_rate,
        weight_decay: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        **options,
    ):
        # Keras' own weight_decay would run outside of update_step.
        super().__init__(
            learning_rate=learning_rate, weight_decay=None, **options
        )
        self.decay = weight_decay
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def build(self, variables):
        """Creates both moments of every variable."""
        if self.built:
            return
        super().build(variables)
        self._first = self.add_optimizer_variables(variables, "first_moment")
        self._second = self.make_second_moments(variables)
        self._decays = [decays(variable.path) for variable in variables]

    def make_second_moments(self, variables) -> list:
        """One for each variable; None for one that needs none."""
        return self.add_optimizer_variables(variables, "second_moment")

    def shared_terms(self) -> dict:
        """What `update_step` takes by name that is the same for all variables.

        Returns:
          name -> float32 scalar, from the number of updates so far.
        """
        raise NotImplementedError

    def get_config(self) -> dict:
        config = super().get_config()
        config.update(
            weight_decay=self.decay,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
        )
        return config
