"""Optimizers, schedules and averages that Keras lacks."""

import math

from helpers.backend import keras

ops = keras.ops


class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """From zero to `peak` in `warmup_steps`, then to zero at `steps`; Keras has none with both."""

    def __init__(self, peak: float, steps: int, warmup_steps: int):
        self.peak, self.steps, self.warmup_steps = peak, steps, warmup_steps

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        fraction = (self.steps - step) / (self.steps - self.warmup_steps)
        if self.warmup_steps:
            fraction = keras.ops.minimum(fraction, step / self.warmup_steps)
        return self.peak * keras.ops.maximum(fraction, 0.0)

    def get_config(self):
        return {"peak": self.peak, "steps": self.steps, "warmup_steps": self.warmup_steps}


class Muon(keras.optimizers.SGD):
    """Momentum made orthogonal for convolutions, Nesterov's SGD for everything else.

    Each kernel, as a matrix with a column per filter, is first scaled to the norm
    sqrt(filters), then moved by its momentum, whose singular values a Newton-Schulz iteration
    has brought near 1, unless they were tiny (Jordan et al. 2024, "Muon: An optimizer for hidden
    layers in neural networks"; the scaling, and three steps instead of five, are those of
    airbench94's Muon variant).  What follows a convolution has to undo the scale, as batch
    normalisation does; the scaling also undoes a weight decay.  Keras's own `Muon` leaves
    convolutions to AdamW.

    Args:
        learning_rate: of SGD.
        kernel_rate: a convolution's learning rate, as a share of SGD's.
        momentum: of both.
    """

    COEFFICIENTS = 3.4445, -4.7750, 2.0315
    STEPS = 3

    def __init__(self, learning_rate, kernel_rate, momentum, **kwargs):
        super().__init__(learning_rate, momentum=momentum, nesterov=True, **kwargs)
        self.kernel_rate = kernel_rate

    def update_step(self, gradient, variable, learning_rate):
        if len(variable.shape) != 4:
            super().update_step(gradient, variable, learning_rate)
            return
        filters = variable.shape[-1]
        buffer = self.momentums[self._get_variable_index(variable)]
        self.assign(buffer, self.momentum * buffer + gradient)
        update = self._orthogonal(ops.reshape(gradient + self.momentum * buffer, (-1, filters)))
        norm = ops.sqrt(ops.sum(ops.square(variable)))
        rate = ops.cast(learning_rate, variable.dtype) * self.kernel_rate
        scaled = variable * (math.sqrt(filters) / norm)
        self.assign(variable, scaled - rate * ops.reshape(update, variable.shape))

    def _orthogonal(self, matrix):
        a, b, c = self.COEFFICIENTS
        is_tall = matrix.shape[0] > matrix.shape[1]
        x = ops.transpose(matrix) if is_tall else matrix
        x = x / (ops.sqrt(ops.sum(ops.square(x))) + 1e-7)
        for _ in range(self.STEPS):
            gram = x @ ops.transpose(x)
            x = a * x + (b * gram + c * gram @ gram) @ x
        return ops.transpose(x) if is_tall else x

    def get_config(self):
        config = {**super().get_config(), "kernel_rate": self.kernel_rate}
        del config["nesterov"]  # always
        return config


class Lookahead(keras.callbacks.Callback):
    """Every fifth step a slow copy of the weights follows them, and they go back to it.

    Zhang et al. 2019, with the schedule of Jordan 2024 (section 3.4): the copy goes
    1 - 0.95^5 (step / steps)^3 of the way, so that it holds back more and more.  An epoch ends
    with such a step, too, so that going on from there needs no copy.
    """

    EVERY = 5

    def __init__(self, steps: int):
        super().__init__()
        self.steps = steps

    def on_epoch_begin(self, epoch, logs=None):
        self._slow = self.model.get_weights()

    def on_train_batch_end(self, batch, logs=None):
        if not self.pulls(batch, self.params["steps"]):
            return
        share = self.share(int(ops.convert_to_numpy(self.model.optimizer.iterations)))
        self._slow = [
            slow + share * (fast - slow)
            for slow, fast in zip(self._slow, self.model.get_weights(), strict=True)
        ]
        self.model.set_weights(self._slow)

    def pulls(self, batch: int, batches: int) -> bool:
        """Whether the weights go back to the copy after this batch, from 0, of an epoch's."""
        return (batch + 1) % self.EVERY == 0 or batch + 1 == batches

    def share(self, done: int) -> float:
        """The part of the way to the weights that the copy goes after so many steps."""
        return 1 - 0.95**self.EVERY * (done / self.steps) ** 3
