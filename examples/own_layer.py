"""Writing a layer of your own: the mathematics, the class, the check that it is right, and a network that learns it.

    y = x · σ(β x)        σ(z) = 1 / (1 + e⁻ᶻ)

is Swish (Ramachandran et al. 2017, arXiv:1710.05941), with a β for each channel that is learned. By the product rule,
with g = σ(β x) and σ' = σ (1 − σ),

    ∂y/∂x = g + β x g (1 − g)        ∂y/∂β = x² g (1 − g)

and a layer's backward pass multiplies these by the gradient that comes in. β serves all images and pixels of its
channel, so its gradient is the sum over them. docs/own_layer.md tells more. About five seconds.
"""

import numpy as np

import colonnade as cn


class Swish(cn.Layer):
    """y = x · σ(β x), with a learned β for each channel; x and y (n, channels, h, w)."""

    reads = {"input"}  # what backward looks at; memory that nobody declares to read is used for something else
    rectifies = True  # it cuts about half of its input, as ReLU does: the layer before begins with He's weights

    def __init__(self, channels):
        self.channels = channels  # arguments are kept under their names: a model file stores them
        self.beta = cn.Parameter((channels,), cn.initializers.ones)

    def build(self, shape, rng):
        """Called once with the shape of one image: check it, and say what comes out."""
        if shape[0] != self.channels:
            raise cn.errors.ShapeError(f"Swish: expected {self.channels} channels, got an input of shape {shape}.")
        return shape

    def gate(self, x):
        """σ(β x), by way of tanh, which does not overflow; and β as (channels, 1, 1)."""
        beta = self.beta.array[:, None, None]
        return 0.5 + 0.5 * np.tanh(0.5 * beta * x), beta

    def forward(self, x, y, block):
        """A few images at a time: read x.value, write y.value."""
        gate, _ = self.gate(x.value)
        np.multiply(x.value, gate, out=y.value)

    def backward(self, x, y, block):
        """Read y.grad; add to the parameter's gradient; write x.grad, if somebody below needs it."""
        gate, beta = self.gate(x.value)
        slope = x.value * gate * (1 - gate)
        block.add_grad(self.beta, np.einsum("nchw,nchw,nchw->c", y.grad, x.value, slope))
        if x.has_grad:
            np.multiply(y.grad, gate + beta * slope, out=x.grad)


class Forgetful(Swish):
    """The same with a mistake in its backward pass: the second term of the product rule is forgotten."""

    def backward(self, x, y, block):
        gate, _ = self.gate(x.value)
        block.add_grad(self.beta, np.einsum("nchw,nchw,nchw->c", y.grad, x.value, x.value * gate * (1 - gate)))
        if x.has_grad:
            np.multiply(y.grad, gate, out=x.grad)


def main() -> None:
    cn.testing.check_layer(Swish(3), (3, 4, 5))
    print("Swish keeps the contract of a layer.")

    try:
        cn.testing.check_layer(Forgetful(3), (3, 4, 5))
    except AssertionError as error:
        print(error)

    digits = cn.data.load("digits")
    for make in (lambda channels: cn.ReLU(), Swish):
        model = cn.Model(
            [
                *(cn.Conv2d(1, 16, 3, padding=1), make(16), cn.MaxPool2d(2)),
                *(cn.Conv2d(16, 32, 3, padding=1), make(32), cn.MaxPool2d(2)),
                *(cn.Flatten(), cn.Dense(128, 10)),
            ]
        )
        history = model.fit(*digits.train, epochs=5, batch_size=32, validation=digits.test)
        print(f"{type(model[1]).__name__}: test accuracy {history[-1]['test_accuracy']:.4f}")
    print("learned β", model[1].beta.value.round(2))

    model.save("swish.safetensors")  # the file names the layer; its code is yours to hand in
    again = cn.load("swish.safetensors", custom=[Swish])
    assert (again.predict(digits.test.x) == model.predict(digits.test.x)).all()


if __name__ == "__main__":
    main()
