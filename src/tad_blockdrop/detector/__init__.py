"""The detector: backbones, necks and heads, the model made of them, its checkpoints and weights."""
