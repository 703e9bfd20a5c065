"""A network as one of scikit-learn's estimators: cross-validation, a pipeline, and a search for good settings.

`ImageClassifier` takes images as (n, h, w), (n, c, h, w), (n, h, w, c) or as the flat rows that scikit-learn's own
data sets are made of. It needs scikit-learn: pip install "colonnade[sklearn]". About twenty seconds; fewer epochs as
the argument make it shorter.
"""

import sys

from sklearn.datasets import load_digits
from sklearn.metrics import classification_report
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import colonnade as cn
from colonnade.sklearn import ImageClassifier

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
X, y = load_digits(return_X_y=True)  # (1797, 64): rows of 64 pixels, which are square images of 8×8
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)

# How well does the standard CNN do, and how sure is that? Three networks, each tested on what it has not seen.
scores = cross_val_score(ImageClassifier(epochs=epochs, random_state=0), X_train, y_train, cv=3)
print(f"standard CNN: accuracy {scores.mean():.4f} ± {scores.std():.4f}")


# Which network and which learning rate are best? A network may be a name of the zoo or a function.
def narrow(input_shape, classes, seed):
    channels, height, width = input_shape
    layers = [cn.Conv2d(channels, 8, 3, padding=1), cn.BatchNorm2d(8), cn.ReLU(), cn.MaxPool2d(2), cn.Flatten()]
    return cn.Model([*layers, cn.Dense(8 * (height // 2) * (width // 2), classes)], seed=seed)


pipeline = make_pipeline(MinMaxScaler(), ImageClassifier(epochs=epochs, random_state=0))
grid = {"imageclassifier__model": ["cnn", narrow], "imageclassifier__lr": [1e-3, 1e-2]}
search = GridSearchCV(pipeline, grid, cv=2).fit(X_train, y_train)
for settings, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
    network, lr = settings["imageclassifier__model"], settings["imageclassifier__lr"]
    print(f"accuracy {score:.4f} with {getattr(network, '__name__', network)} and a learning rate of {lr}")
print(classification_report(y_test, search.predict(X_test), digits=3))

# Inside is an ordinary model: its file is one for `cn.load`, and for `colonnade predict`.
search.best_estimator_[-1].model_.save("searched.safetensors")
