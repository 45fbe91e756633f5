"""A recipe that learns clicks and tones in seconds, and the processor that the tests train on."""

from respire.recipe.fields import Features, Model, Optimisation
from respire.recipe.recipe import Recipe
from respire.runtime.compute import Compute

RECIPE = Recipe(
    features=Features(window_seconds=1.0, n_mels=32, hop=128, colour_map="grey", upsample=1),
    model=Model(backbone="resnet18", weights="none", dropout=0.1),
    optimisation=Optimisation(
        optimiser="adamw", schedule="one-cycle", learning_rate=2e-3, epochs=6, batch_size=16
    ),
)
CPU = Compute("cpu", "fp32")
