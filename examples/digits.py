"""Handwritten digits in 15 lines: build a network, train it, test it, save it, use it. About two seconds."""

import colonnade as cn

digits = cn.data.load("digits")  # 1,442 images to learn from and 355 to test on, 1×8×8 bytes each, in the package
model = cn.Model(
    [
        *(cn.Conv2d(1, 16, 3, padding=1), cn.BatchNorm2d(16), cn.ReLU(), cn.MaxPool2d(2)),  # 16×4×4
        *(cn.Conv2d(16, 32, 3, padding=1), cn.BatchNorm2d(32), cn.ReLU(), cn.MaxPool2d(2)),  # 32×2×2
        *(cn.Flatten(), cn.Dense(32 * 2 * 2, 10)),  # a number for each digit: the greater, the likelier
    ],
    seed=0,
)
print(model.summary(digits.input_shape))
print(model.fit(*digits.train, epochs=10, batch_size=32, validation=digits.test))
model.save("digits.safetensors")
print("predicted", cn.load("digits.safetensors").predict(digits.test.x[:10]), "true", digits.test.y[:10])
