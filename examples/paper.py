"""The paper, equation by equation: each in naive loops, in the paper's own NumPy, and in the framework.

*Convolutional Neural Network Architecture in NumPy*, Aaron Avram, 2025. It describes three classes (Tensor, Layer,
Model) and derives the layers that are particular to convolutional networks: convolution, batch normalisation, pooling.
Every section below quotes it, computes what it says one number at a time, and asserts that the framework's result is
the same. Which function says which sentence is told in docs/paper.md. All in float64, so that equal means equal to a
dozen digits. About a second.
"""

# ruff: noqa: N816 - X, K, G are the paper's names
from itertools import product

import numpy as np

import colonnade as cn
from colonnade.ops import convolution, normalization
from colonnade.ops.window import Window

rng = np.random.default_rng(2025)
n, c_in, c_out, d, k = 2, 3, 4, 6, 3  # images, channels in and out, size of an image, size of a kernel
p = d - k + 1  # size of the output
X = rng.normal(size=(n, c_in, d, d))


def same(what: str, ours: np.ndarray, theirs: np.ndarray) -> None:
    """Assert that two arrays are equal but for rounding, and say so."""
    difference = np.abs(ours - theirs).max()
    assert ours.shape == theirs.shape, f"{what}: shapes {ours.shape} and {theirs.shape}"
    assert difference < 1e-12, f"{what}: differs by {difference}"
    print(f"{what:58} {difference:.0e}")


def through(layers: list[cn.Layer], x: np.ndarray) -> tuple[cn.Model, np.ndarray]:
    """A model of these layers in float64, and its output for x; `backward` may follow."""
    model = cn.Model(layers, dtype="float64")
    return model, model(x, training=True)


print(f"{'equation':58} greatest difference")

# --- "a class with two NumPy arrays as attributes, one representing a value matrix and the other a gradient matrix" ---

tensor = cn.Tensor((2, 3), dtype="float64")
before = tensor.value.copy()
tensor.add_grad(np.full((2, 3), 4.0))  # "will support gradient update ..."
tensor.step(0.5)
same("Tensor: value − rate · grad", tensor.value, before - 0.5 * 4.0)
tensor.zero_grad()  # "... and setting the gradient to zero"
same("Tensor: gradient set to zero", tensor.grad, np.zeros((2, 3)))

# --- "(X ∗ K)_{i,j,k,l} = Σ_{r,s,t} X_{i,r,k+s,l+t} K_{j,r,s,t}" -----------------------------------------------------

model, Y = through([cn.Conv2d(c_in, c_out, k, bias=False)], X)
K = model.parameters()[0].value  # (c_out, c_in, k, k)

loops = np.zeros((n, c_out, p, p))
for i, j, row, column in np.ndindex(loops.shape):
    for r, s, t in product(range(c_in), range(k), range(k)):
        loops[i, j, row, column] += X[i, r, row + s, column + t] * K[j, r, s, t]
same("Convolution, one number at a time", Y, loops)

# --- "X^(out) = X^(col) Kᵀ" -------------------------------------------------------------------------------------------

windows = np.lib.stride_tricks.sliding_window_view(X, (k, k), axis=(2, 3))  # "dimension (n, c_in, p, p, k, k)"
X_col = windows.transpose(0, 2, 3, 1, 4, 5)  # "to give it dimension n, p, p, c_in, k, k"
X_col = X_col.reshape(n * p**2, c_in * k**2)  # "then we reshape it to have dimension (np², c_in k²)"
K_row = K.reshape(c_out, c_in * k**2)  # "next we reshape K to dimension (c_out, c_in k²)"
X_out = (X_col @ K_row.T).reshape(n, p, p, c_out).transpose(0, 3, 1, 2)  # "the dimension n, c_out, p, p"
same("Convolution, the columns' product", Y, X_out)
same("Convolution, as one call", convolution.conv2d_forward(X, K, None, Window((k, k))), X_out)

# --- "often times these convolutions are done using strides, i.e. skipping certain windows" ---------------------------

strided = cn.Conv2d(c_in, c_out, k, stride=2, bias=False)
model_2 = cn.Model([strided], dtype="float64")
model_2.load_state_dict({"0.weight": K})
same("Convolution with a stride: every second window", model_2(X), loops[:, :, ::2, ::2])

# --- "Convolution Gradient": from X^(out) = X^(col) Kᵀ by the rule for products ---------------------------------------
# With G the gradient that comes in, ∂L/∂K = Gᵀ X^(col), and ∂L/∂X^(col) = G K; a pixel's gradient is the sum over the
# windows that it was copied into.

G = rng.normal(size=Y.shape)
grad_X = model.backward(G)
grad_K = model.parameters()[0].grad

loops_K, loops_X = np.zeros(K.shape), np.zeros(X.shape)
for i, j, row, column in np.ndindex(Y.shape):
    for r, s, t in product(range(c_in), range(k), range(k)):
        loops_K[j, r, s, t] += G[i, j, row, column] * X[i, r, row + s, column + t]
        loops_X[i, r, row + s, column + t] += G[i, j, row, column] * K[j, r, s, t]
same("Convolution: gradient at the kernel, in loops", grad_K, loops_K)
same("Convolution: gradient at the input, in loops", grad_X, loops_X)

G_row = G.transpose(0, 2, 3, 1).reshape(n * p**2, c_out)
same("Convolution: gradient at the kernel, Gᵀ X^(col)", grad_K, (G_row.T @ X_col).reshape(K.shape))
scattered = np.zeros(X.shape)
grad_windows = (G_row @ K_row).reshape(n, p, p, c_in, k, k)
for s, t in product(range(k), range(k)):
    scattered[:, :, s : s + p, t : t + p] += grad_windows[..., s, t].transpose(0, 3, 1, 2)
same("Convolution: gradient at the input, G K put back", grad_X, scattered)
same("Convolution: as one call each", convolution.conv2d_backward_weight(X, G, Window((k, k))), grad_K)
same("", convolution.conv2d_backward_input(G, K, Window((k, k))), grad_X)

# --- "Batch Norm" -----------------------------------------------------------------------------------------------------
# For each channel, over its m = n d² values: x̂ = (x − μ) / √(v + ε), y = γ x̂ + β; and backward
# ∂L/∂x = γ / √(v + ε) · (g − mean(g) − x̂ mean(g x̂)).

model, Y = through([cn.BatchNorm2d(c_in)], X)
gamma, beta = (parameter.value for parameter in model.parameters())
gamma[...], beta[...] = rng.normal(size=(2, c_in))
Y = model(X, training=True)
G = rng.normal(size=X.shape)
grad_X = model.backward(G)

loops_Y, loops_X = np.zeros(X.shape), np.zeros(X.shape)
loops_gamma, loops_beta = np.zeros(c_in), np.zeros(c_in)
m, epsilon = n * d * d, 1e-5
places = list(product(range(n), range(d), range(d)))
for r in range(c_in):
    mu = sum(X[i, r, row, column] for i, row, column in places) / m
    v = sum((X[i, r, row, column] - mu) ** 2 for i, row, column in places) / m
    hat = {(i, row, column): (X[i, r, row, column] - mu) / np.sqrt(v + epsilon) for i, row, column in places}
    for i, row, column in places:
        loops_Y[i, r, row, column] = gamma[r] * hat[i, row, column] + beta[r]
        loops_beta[r] += G[i, r, row, column]
        loops_gamma[r] += G[i, r, row, column] * hat[i, row, column]
    for i, row, column in places:
        inner = G[i, r, row, column] - loops_beta[r] / m - hat[i, row, column] * loops_gamma[r] / m
        loops_X[i, r, row, column] = gamma[r] / np.sqrt(v + epsilon) * inner
same("Batch norm", Y, loops_Y)
same("Batch norm: gradient at γ", model.parameters()[0].grad, loops_gamma)
same("Batch norm: gradient at β", model.parameters()[1].grad, loops_beta)
same("Batch norm: gradient at the input, three terms", grad_X, loops_X)
same("Batch norm: as one call each", normalization.batch_norm_forward(X, gamma, beta), loops_Y)
same("", normalization.batch_norm_backward(X, G, gamma), loops_X)

# --- "Pooling" --------------------------------------------------------------------------------------------------------
# The greatest number of each window; its gradient goes to where the greatest was.

model, Y = through([cn.MaxPool2d(2)], X)
G = rng.normal(size=Y.shape)
loops_Y, loops_X = np.zeros(Y.shape), np.zeros(X.shape)
for i, r, row, column in np.ndindex(Y.shape):
    window = {(s, t): X[i, r, 2 * row + s, 2 * column + t] for s, t in product(range(2), range(2))}
    s, t = max(window, key=window.__getitem__)
    loops_Y[i, r, row, column] = window[s, t]
    loops_X[i, r, 2 * row + s, 2 * column + t] += G[i, r, row, column]
same("Max pooling", Y, loops_Y)
same("Max pooling: gradient at the input", model.backward(G), loops_X)

# --- "the model class which has a list of layers, which chain together from input to output, using aliasing" ----------
# Layer after layer, each in a model of its own, gives what the model gives, whose layers share their memory.

model, Y = through(
    [cn.Conv2d(c_in, 8, 3, padding=1), cn.BatchNorm2d(8), cn.ReLU(), cn.MaxPool2d(2), cn.Flatten(), cn.Dense(72, 10)], X
)
x, alone = X, []
for position, layer in enumerate(model):
    one = cn.Model([type(layer)(**layer.config())], dtype="float64").build(x.shape[1:])
    own = {name: array for name, array in model.state_dict().items() if name.startswith(f"{position}.")}
    one.load_state_dict({name.replace(f"{position}.", "0."): array for name, array in own.items()})
    x = one(x, training=True)  # "it has an input ... and an output"
    alone.append(one)
same("Model: the layers chained", Y, x)

for layer in model.trace(X):  # "an input, parameters and an output, all stored as Tensor objects"
    assert all(isinstance(each, cn.Tensor) for each in (layer.input, layer.output, *layer.parameters.values()))

labels = np.array([3, 7])
loss, G = cn.CrossEntropyLoss()(Y, labels)  # the mean of −log of the probability of an image's class
probability = np.exp(Y) / np.exp(Y).sum(axis=1, keepdims=True)
same("Cross-entropy", np.array(loss), -np.log(probability[[0, 1], labels]).mean())
same("Cross-entropy: gradient, (probability − one-hot) / n", G, (probability - np.eye(10)[labels]) / n)

grad_X = model.backward(G)
for one in reversed(alone):
    G = one.backward(G)
same("Model: the gradients chained, last layer first", grad_X, G)

# "... to conserve memory": known from the shapes alone, before anything is allocated.
for training in (True, False):
    shared, unshared = (
        cn.zoo.cnn(share_memory=share).plan((128, 1, 28, 28), training=training).bytes for share in (True, False)
    )
    what = "training" if training else "inference"
    assert shared < unshared
    print(f"the standard CNN on 128 images, {what}: {unshared / 1e6:.1f} MB, with aliasing {shared / 1e6:.1f} MB")
