"""Names that nobody has: models of which letter comes next, and words made of their guesses.

Three networks of the zoo learn three hundred first names, and then write: a letter is drawn by its probability,
appended, and so on until the end is drawn.

    mlp          sees the last three letters (Bengio et al. 2003, A neural probabilistic language model)
    lstm         reads a name from its beginning, and keeps what it read in its state (Graves 2013, arXiv:1308.0850)
    transformer  looks back at all letters up to the one at hand (Vaswani et al. 2017, arXiv:1706.03762)

How good a model is says its loss: −log p of each letter of names it has not seen. It stands beside that of a table
which knows only how often a letter follows another. exp(loss) is among how many letters it still has to choose.

    python names.py [FILE] [--network mlp|lstm|transformer] [--seed N] [--quick]

FILE has a name a line, in small letters from a to z; without it the names below are taken. --quick is one epoch.
"""

import argparse
from pathlib import Path

import numpy as np

import colonnade as cn

NAMES = """
adam adele agnes ahmed aisha akira alan albert alejandro alex alexander alexandra alfred ali alice alicia alma
amanda amara amelia amir amy ana anders andrea andreas andrew angela angelina anita anke ann anna anne annika anton
antonia antonio arjun arnold arthur astrid audrey aurora ava axel barbara beatrice ben benjamin bernard bianca
birgit boris brenda brian bridget bruno camille carina carl carla carlos carmen carol caroline catherine cecilia
celine charles charlotte chen chiara chloe christian christina christine christopher clara claudia clement colin
connor cora cornelia daniel daniela daphne daria david deborah denis diana diego dieter dmitri dolores dominic
donald dora doris dorothy edgar edith eduardo edward elena eli elias elisa elisabeth elizabeth ella ellen elsa emil
emilia emily emma enrico eric erika ernest esther ethan eugene eva evelyn fatima felicia felix fernando fiona
florence florian frances francesca francis frank franz frederick frida gabriel gabriela george gerald gerda gina
giovanni gisela giulia gloria grace greta gustav hanna hannah hans harold harry hassan heidi heinrich helen helena
helga henrik henry herbert hiroshi holly hugo ibrahim ida ignacio igor ines ingrid irene iris isaac isabel isabella
ivan ivy jacob jade james jamila jan jane janet jasmine javier jean jennifer jessica joan joanna johan johanna john
jonas jonathan jorge jose joseph josephine joshua juan judith julia julian juliana julie june karen karin karl kate
katharina kenji kevin kim klara klaus lara laura lea leah lena leo leon leonard leonie liam lilian lily lina linda
lisa lorenzo louis louisa lucas lucia lucy ludwig luis luisa luke lydia magdalena manuel marco margaret maria marie
marina mario mark marta martha martin martina mary mateo matilda matthew max maya mei michael miguel mila mina
miriam mohammed monica nadia naomi natalia natalie nathan nicolas nina noah nora oliver olivia omar oscar otto pablo
patricia patrick paul paula pedro peter philip pia priya rachel rafael ravi rebecca richard rita robert rosa rose
ruth samir samuel sandra sara sebastian simon sofia sophie stefan susan sven tanya theodore theresa thomas tim
tobias valentina vera victor victoria vincent viola walter william yara yasmin yuki yusuf zoe
""".split()  # noqa: SIM905 - three hundred quotes would read worse

LETTERS = ".abcdefghijklmnopqrstuvwxyz"  # the point is the end of a name, and what stands before its beginning
CONTEXT = 3  # letters that the mlp sees
LEFT_OUT = -100  # a target that does not count: what follows the end of a name

arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("file", nargs="?", type=Path)
arguments.add_argument("--network", choices=("mlp", "lstm", "transformer"), default="lstm")
arguments.add_argument("--seed", type=int, default=0, help="of the weights, the order and the new names")
arguments.add_argument("--quick", action="store_true")
given = arguments.parse_args()
names = given.file.read_text().split() if given.file else NAMES
length = 1 + max(map(len, names))


def numbered(names):
    """Letters as numbers, (n, length): each name behind a point; and at each place the letter that follows."""
    x, following = np.zeros((len(names), length), int), np.full((len(names), length), LEFT_OUT)
    for row, name in enumerate(names):
        letters = [LETTERS.index(letter) for letter in name]
        x[row, 1 : 1 + len(name)] = letters
        following[row, : 1 + len(name)] = [*letters, 0]
    return x, following


def contexts(x):
    """The last letters at each place, (n, length, CONTEXT)."""
    return np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (CONTEXT - 1, 0))), CONTEXT, axis=1)


def examples(names):
    """What the network is given, and what it is to say."""
    x, following = numbered(names)
    if given.network == "mlp":
        return contexts(x)[following != LEFT_OUT], following[following != LEFT_OUT]
    return x, following


def probabilities(x, place):
    """Of each letter behind the one at a place, (n, 27)."""
    if given.network == "mlp":
        return cn.predict_proba(model, contexts(x)[:, place])
    return cn.predict_proba(model, x)[:, :, place]  # what stands behind the place is not looked at


def written(count, rng):
    """New names, all of them letter by letter at once."""
    x = np.zeros((count, length), int)
    for place in range(length - 1):
        drawn = probabilities(x, place).cumsum(axis=1) > rng.random((count, 1))
        x[:, place + 1] = drawn.argmax(axis=1)
    return ["".join(LETTERS[number] for number in row[1:]).partition(".")[0] for row in x]


def loss_of_pairs(train, test):
    """The loss of a table of which letter follows which, each pair counted once more than it was seen."""
    (x, following), (x_test, following_test) = numbered(train), numbered(test)
    counts, counted = np.ones((len(LETTERS),) * 2), following != LEFT_OUT
    np.add.at(counts, (x[counted], following[counted]), 1)
    counted = following_test != LEFT_OUT
    shares = counts / counts.sum(axis=1, keepdims=True)
    return -np.log(shares[x_test[counted], following_test[counted]]).mean()


rng = np.random.default_rng(given.seed)
names = rng.permutation(names)
test, train = names[: len(names) // 10], names[len(names) // 10 :]
print(f"{len(train)} names to learn from, {len(test)} to test on")

make = {"mlp": cn.zoo.name_model, "lstm": cn.zoo.name_lstm, "transformer": cn.zoo.name_transformer}[given.network]
settings = {
    "mlp": {"epochs": 20, "lr": 0.003},
    "lstm": {"epochs": 15, "lr": 0.01},
    "transformer": {"epochs": 15, "lr": 0.003},
}[given.network]
options = {} if given.network == "mlp" else {"dropout": 0.3}
model = make((CONTEXT if given.network == "mlp" else length,), len(LETTERS), seed=given.seed, **options)
history = model.fit(
    *examples(train),
    epochs=1 if given.quick else settings["epochs"],
    batch_size=32,
    optimizer=cn.AdamW(model.parameters(), lr=settings["lr"], weight_decay=0.1),
    schedule="one-cycle",
    validation=examples(test),
    clip=1.0,
)
print(history)
for name, loss in (("a table of pairs", loss_of_pairs(train, test)), (given.network, history[-1]["test_loss"])):
    print(f"{name}: {loss:.3f} nats a letter of the test names, as hard as one of {np.exp(loss):.1f}")
print("new names:", ", ".join(name for name in written(30, rng) if name and name not in names))
model.save("names.safetensors")
