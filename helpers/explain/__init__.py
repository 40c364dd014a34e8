"""What a model looks at: maps of relevance, by the common methods, all asked for in one way.

`method(model, images, labels)` takes a functional Keras model from pixels to logits, whose layers
are called once each; its own input, uint8 (N, H, W, 3); and the class to explain, one int for all
or (N,).  It gives float32 (N, H, W): high
where the method finds the image relevant to that class.  Magnitudes are kept, `normalise` scales
them for display.  A map that says nothing, because it is zero everywhere or not finite, is NaN:
count such dead maps and leave them out.  How far a map can be trusted,
`helpers.explain.faithfulness` measures.  A new method, or test of one, goes here.

What else is asked of recorded models, with their weights and without training, is here as well:
what corrupted images do to them (`robustness`), and how their last features lie (`embedding`).
"""

from helpers.explain.attention import (
    attention_distance,
    attention_rollout,
    attention_weights,
    gradient_weighted_attention,
)
from helpers.explain.catalogue import (
    METHODS,
    OF_ATTENTION,
    centre_gaussian,
    maps_or_dead,
    methods,
    random_maps,
)
from helpers.explain.gradients import with_float_input
from helpers.explain.inputs import NoGradient, checked, is_dead, mean_colour, normalise
from helpers.explain.maps import (
    grad_cam,
    grad_cam_plus_plus,
    hires_cam,
    occlusion,
    smooth_gradient,
)

__all__ = [
    "METHODS",
    "OF_ATTENTION",
    "NoGradient",
    "attention_distance",
    "attention_rollout",
    "attention_weights",
    "centre_gaussian",
    "checked",
    "grad_cam",
    "grad_cam_plus_plus",
    "gradient_weighted_attention",
    "hires_cam",
    "is_dead",
    "maps_or_dead",
    "mean_colour",
    "methods",
    "normalise",
    "occlusion",
    "random_maps",
    "smooth_gradient",
    "with_float_input",
]
