"""Names that nobody has: a model of which letter comes next, and words made of its guesses.

    y = U tanh(d + H · [C(x₁), C(x₂), C(x₃)]) + b

Each of the last three letters is looked up in a table C of learned vectors; two dense layers make of them a number for
each letter that may follow (Bengio et al. 2003, A neural probabilistic language model). It learns three hundred first
names, and then writes: a letter is drawn by its probability, appended, and so on until the end is drawn.

    python names.py [--quick]

--quick is one epoch. About two seconds.
"""

import sys

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
CONTEXT = 3
quick = "--quick" in sys.argv


def examples(names):
    """Every letter of every name, and the three before it, as numbers."""
    contexts, following = [], []
    for name in names:
        numbers = [0] * CONTEXT + [LETTERS.index(letter) for letter in name] + [0]
        for place in range(CONTEXT, len(numbers)):
            contexts.append(numbers[place - CONTEXT : place])
            following.append(numbers[place])
    return np.array(contexts), np.array(following)


rng = np.random.default_rng(0)
names = rng.permutation(NAMES)
held_out = len(names) // 10
train, test = examples(names[held_out:]), examples(names[:held_out])
print(f"{len(names)} names, {len(train[1])} letters to learn from and {len(test[1])} to test on")

model = cn.zoo.name_model((CONTEXT,), len(LETTERS), seed=0)
history = cn.fit(
    model,
    *train,
    epochs=1 if quick else 20,
    batch_size=32,
    optimizer=cn.AdamW(model.parameters(), lr=0.003, weight_decay=0.1),
    schedule=lambda optimizer, steps: cn.OneCycleLR(optimizer, 0.003, steps),
    validation=test,
)
print(history)
print(f"each letter is as hard to guess as one of {np.exp(history[-1]['test_loss']):.1f} (of 27 without learning)")


def write():
    """A new name, letter by letter."""
    numbers = [0] * CONTEXT
    while len(numbers) == CONTEXT or (numbers[-1] != 0 and len(numbers) < 20):
        probabilities = cn.predict_proba(model, np.array([numbers[-CONTEXT:]]))[0].astype(np.float64)
        numbers.append(rng.choice(len(LETTERS), p=probabilities / probabilities.sum()))
    return "".join(LETTERS[number] for number in numbers[CONTEXT:]).rstrip(".")


print("new names:", ", ".join(name for name in (write() for _ in range(20)) if name not in NAMES))
model.save("names.safetensors")
