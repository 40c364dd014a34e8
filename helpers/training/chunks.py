"""Train many steps in one call, where the device is faster than Python: JAX on a GPU.

A step of a small model takes such a device a fraction of the time that Python takes to ask for
it.  Here `jax.lax.scan` goes through the trainer's own `train_step`, and threads prepare batches
ahead.  Order, augmentation, dropout and averages are those of step by step: weights differ by
rounding; several devices share each batch.  On a CPU XLA runs convolutions inside such a loop 16
times slower.
"""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from copy import copy

import numpy as np

from helpers.backend import keras, on_gpu
from helpers.records import provenance
from helpers.training import devices
from helpers.training.optimizers import Lookahead

MOST_STEPS, MOST_IMAGES = 100, 25_000  # in a call
MOST_VALIDATED = 500  # images at a time
MOST_THREADS = 4  # that prepare batches

_compiled = {}  # of the last kind of training: the next seed need not be traced again


def pay() -> bool:
    """Whether calls of many steps are faster than single steps, and possible."""
    return keras.backend.backend() == "jax" and on_gpu()


class Given(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule whose rates a compiled function can be given, rather than compiled with.

    Recipes that differ in their rates alone are so compiled once.
    """

    def __init__(self, schedule):
        self.schedule = schedule
        self.rate = None  # while it is not None, the rate of every step

    def __call__(self, step):
        return self.schedule(step) if self.rate is None else self.rate

    def get_config(self):
        return self.schedule.get_config()


def fit(model, settings, batches, validation, callbacks, initial_epoch=0):
    """As `model.fit` does, with the callbacks that look at whole epochs only.

    Args:
        model: compiled; its learning rate is constant or `Given`.
        settings: the recipe; its averages and Lookahead need no callback.
        batches: `helpers.training.batches.Batches`.
        validation: images and one-hot labels.
        callbacks: of Keras; epochs and validation are announced to them, single steps not.
        initial_epoch: how many are done.
    """
    import jax

    model._symbolic_build(data_batch=batches[0])
    epochs = min(settings.epochs, keras.config.max_epochs() or settings.epochs)
    callbacks = keras.callbacks.CallbackList(
        callbacks, add_history=False, model=model, epochs=epochs, steps=len(batches)
    )
    train, validate, results = _functions(model, settings, batches)
    inputs = _Inputs(model, settings, len(batches))
    calls = _calls(len(batches.index), batches.batch_size)
    place = _placement()  # threads do not know over how many devices
    validated = [
        place([_stacked(values, *call) for values in validation])
        for call in _validation_calls(len(validation[0]), devices.number())
    ]
    model.stop_training = False
    callbacks.on_train_begin()
    jobs = ((place, at, *call) for at in _epochs(batches, initial_epoch, epochs) for call in calls)
    threads = min(MOST_THREADS, provenance.threads())
    with closing(_ahead(_prepared, jobs, threads)) as prepared:
        for epoch in range(initial_epoch, epochs):
            model.reset_metrics()
            callbacks.on_epoch_begin(epoch)
            variables = _variables(model)
            state = [[v.value for v in group] for group in variables]
            slow = [jax.numpy.copy(v.value) for v in model.weights] if settings.lookahead else []
            for first, count in calls:
                given = inputs.of(epoch, first, count)
                state, slow = train(state, slow, next(prepared), given, inputs.decay)
            _assign(variables, state)
            logs = results(state[3])

            callbacks.on_test_begin()
            if settings.average:
                _swap_averages(model)
            model.reset_metrics()
            trainable, fixed, _, metrics = ([v.value for v in group] for group in variables)
            for part in validated:
                metrics = validate(trainable, fixed, metrics, part)
            logs |= {f"val_{name}": value for name, value in results(metrics).items()}
            logs = {name: float(value) for name, value in logs.items()}
            callbacks.on_test_end(logs)
            if settings.average:
                _swap_averages(model)
            callbacks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
    callbacks.on_train_end(logs)


# ---- what is compiled


def _functions(model, settings, batches):
    """Training of a chunk, validation and results of metrics, compiled when first called.

    They are functions of all that changes, and so serve every model of the same kind.
    """
    kind = _kind(model, settings, batches)
    if kind not in _compiled:
        _compiled.clear()
        _compiled[kind] = _new_functions(model)
    return _compiled[kind]


def _kind(model, settings, batches):
    """All that the compiled functions know of a training, as text."""
    of = (
        # Sizes, penalties and rates of dropout, too, which no variable tells; names may be counted.
        [(type(layer).__name__, layer.get_config() | {"name": ""}) for layer in model.layers],
        [(v.shape, v.dtype) for v in model.variables],
        (settings.optimizer, settings.momentum, settings.kernel_rate, bool(settings.weight_decay)),
        (settings.schedule == "constant", settings.average, settings.lookahead),
        # What balanced softmax is compiled with.
        settings.loss != "cross_entropy" and np.bincount(batches.labels[batches.index]).tolist(),
    )
    return repr(of)


def _new_functions(model):
    import jax

    places = {id(v): (group, i) for group in (0, 1) for i, v in enumerate(_variables(model)[group])}
    of_weights = [places[id(v)] for v in model.weights]

    def pulled(state, slow, share):
        """Lookahead's copy goes a share of the way to the weights, and they back to it."""
        fast = [state[group][i] for group, i in of_weights]
        slow = [s + share * (f - s) for s, f in zip(slow, fast, strict=True)]
        state = [list(group) for group in state]
        for (group, i), pulled_back, own in zip(of_weights, slow, fast, strict=True):
            state[group][i] = jax.numpy.where(share > 0, pulled_back, own)
        return state, slow

    def train(state, slow, batches, given, decay):
        def step(carry, each):
            state, slow = carry
            batch, (rate, share) = each
            with _given(model.optimizer, rate, decay):
                _, state = model.train_step(state, batch)
            state = list(state)
            return (pulled(state, slow, share) if slow else (state, slow)), None

        return jax.lax.scan(step, (state, slow), (batches, given))[0]

    def validate(trainable, fixed, metrics, batches):
        def step(metrics, batch):
            _, (_, _, metrics) = model.test_step((trainable, fixed, metrics), batch)
            return metrics, None

        return jax.lax.scan(step, metrics, batches)[0]

    def results(metrics):
        with keras.StatelessScope(zip(model.metrics_variables, metrics, strict=True)):
            return model.get_metrics_result()

    return jax.jit(train, donate_argnums=(0, 1)), jax.jit(validate), jax.jit(results)


@contextmanager
def _given(optimizer, rate, decay):
    """While it lasts, the optimizer's rate and weight decay are these."""
    schedule, own = optimizer._learning_rate, optimizer.weight_decay
    if isinstance(schedule, Given):
        schedule.rate = rate
    if own:
        optimizer.weight_decay = decay
    try:
        yield
    finally:
        optimizer.weight_decay = own
        if isinstance(schedule, Given):
            schedule.rate = None


class _Inputs:
    """What a step needs beside its batch: learning rate, and Lookahead's share (0: no pull)."""

    def __init__(self, model, settings, steps):
        import jax

        schedule, total = model.optimizer._learning_rate, settings.epochs * steps
        rates = np.zeros(total, np.float32)
        if isinstance(schedule, Given):
            rates = jax.jit(jax.vmap(schedule))(np.arange(total))
        shares = np.zeros(total, np.float32)
        if settings.lookahead:
            lookahead = Lookahead(total)
            for step in range(total):
                if lookahead.pulls(step % steps, steps):
                    shares[step] = lookahead.share(step + 1)
        self._steps, self._arrays = steps, (np.asarray(rates, np.float32), shares)
        self.decay = np.float32(settings.weight_decay)

    def of(self, epoch, first, count):
        start = epoch * self._steps + first
        return tuple(values[start : start + count] for values in self._arrays)


# ---- variables


def _variables(model):
    """In the order of a state: trained, others, the optimizer's, those of metrics."""
    return (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )


def _assign(variables, state):
    for group, values in zip(variables, state, strict=True):
        for variable, value in zip(group, values, strict=True):
            variable.assign(value)


def _swap_averages(model):
    """Weights for their moving averages and back; Keras's own callback takes them off the GPU."""
    averages = model.optimizer._model_variables_moving_average
    for variable, average in zip(model.trainable_variables, averages, strict=True):
        value = variable.value
        variable.assign(average.value)
        average.assign(value)


# ---- batches


def _calls(images, batch_size):
    """(first step, steps) of each call of an epoch, few of them different in shape."""
    whole, over = divmod(images, batch_size)
    calls = []
    if whole:
        most = min(whole, MOST_STEPS, max(1, MOST_IMAGES // batch_size))
        # As many steps as leave the fewest for a call of another shape, which is compiled anew.
        count = min(range(most, -(-most // 4) - 1, -1), key=lambda count: whole % count)
        calls = [(first, min(count, whole - first)) for first in range(0, whole, count)]
    return calls + ([(whole, 1)] if over else [])


def _validation_calls(images, parts=1):
    """(first image, batches, images a batch) of each call; `parts` divide every batch."""
    size = min(images, MOST_VALIDATED) // parts * parts
    size = next((n for n in range(size, size // 2, -parts) if images % n == 0), size)
    whole, over = divmod(images, size)
    return [(0, whole, size)] + ([(whole * size, 1, over)] if over else [])


def _stacked(values, first, count, size):
    return values[first : first + count * size].reshape(count, size, *values.shape[1:])


def _epochs(batches, first, last):
    for epoch in range(first, last):
        of_epoch = copy(batches)  # the next epoch's are prepared while this one is validated
        of_epoch.epoch = epoch
        yield of_epoch


def _placement():
    """A function that puts arrays (steps, images a step, ...) on this context's devices."""
    import jax

    distribution = keras.distribution.distribution()
    if distribution is None:
        return jax.device_put
    axes = None, distribution.batch_dim_name
    layout = keras.distribution.TensorLayout(axes, distribution.device_mesh).backend_layout
    return lambda arrays: jax.device_put(arrays, layout)


def _prepared(job):
    """Batches on the device, each part stacked: (steps, images a step, ...)."""
    place, batches, first, count = job
    parts = zip(*(batches[step] for step in range(first, first + count)), strict=True)
    return place(tuple(np.stack(part) for part in parts))


def _ahead(function, jobs, threads):
    """What the function gives for each job, in their order, computed ahead by threads."""
    waiting = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for job in jobs:
                waiting.append(pool.submit(function, job))
                if len(waiting) > threads + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
