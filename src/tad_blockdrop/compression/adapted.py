"""The linear layer that ``lora`` puts in: peft's, with its update added to the weight."""

import torch
from peft.tuners.lora import Linear
from torch import Tensor
from torch.nn import functional


class AdaptedLinear(Linear):
    """Computes ``(W + scaling·B·A) x``, where peft does ``W x + scaling·B·(A x)``.

    Both are the same but for rounding. A window has many more tokens than a layer has channels, so
    it pays to form the small sum and send the tokens through one product instead of three; the
    backward pass then keeps the tokens once, too.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        layer, (name,) = self.get_base_layer(), self.active_adapters
        a, b = self.lora_A[name].weight, self.lora_B[name].weight
        weight = torch.addmm(layer.weight, b, a, alpha=self.scaling[name])
        return functional.linear(x, weight, layer.bias)
