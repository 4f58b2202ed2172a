"""ScanQA's n-gram metrics, by the package that its own scorer uses.

The steps are those of ScanQA's ``scripts/score.py``: all answers and predictions through Stanford's PTB
tokenizer (lower case, punctuation dropped), then BLEU-1 to 4, METEOR, ROUGE-L and CIDEr of ``pycocoevalcap``.
Tokenizer and METEOR are Java programs. Without Java or the package nothing is computed: another tokenizer
would give figures that only look like the published ones (Video-3D-LLM's CIDEr is such a figure).
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NAMES = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "meteor", "rouge_l", "cider")
TOKENIZER = "PTB tokenizer of Stanford CoreNLP 3.4.1, lower case, punctuation dropped"


class NotComputed(Exception):
    """The metrics cannot be had on this machine; the message says why."""


@dataclass(frozen=True)
class NgramScores:
    """The figures of a set of answers.

    Attributes:
        corpus: Value of each metric over all answers; CIDEr can exceed 1.
        by_answer: Values of each answer, of the metrics whose corpus value is their mean.
    """

    corpus: Mapping[str, float]
    by_answer: Mapping[str, Sequence[float]]


def check_available() -> None:
    """Raises NotComputed where the package or Java is missing."""
    if importlib.util.find_spec("pycocoevalcap") is None:
        raise NotComputed("pycocoevalcap is not installed (pip install 'scener1[ngrams]')")
    java = shutil.which("java")
    if java is None:
        raise NotComputed("there is no Java, which the PTB tokenizer and METEOR need")
    tried = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    if tried.returncode:
        raise NotComputed(f"{java} does not run: {(tried.stderr.splitlines() or ['no reason given'])[0]}")


def ngram_scores(predictions: Sequence[str], answers: Sequence[Sequence[str]]) -> NgramScores:
    """Score predictions against their accepted answers.

    Args:
        predictions: At least one; an empty one is of no words.
        answers: As many; each at least one answer.

    Raises:
        NotComputed: The package, Java, or a place for its temporary file is missing.
    """
    check_available()
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    try:
        truths = PTBTokenizer().tokenize(_captions(answers))
        found = PTBTokenizer().tokenize(_captions([[text] for text in predictions]))
    except OSError as error:
        # It writes its input beside its own jar.
        raise NotComputed(f"pycocoevalcap's tokenizer cannot write its temporary file: {error}") from error
    bleu, _ = Bleu(4).compute_score(truths, found, verbose=0)
    meteor, _ = Meteor().compute_score(truths, found)
    rouge, rouges = Rouge().compute_score(truths, found)
    cider, ciders = Cider().compute_score(truths, found)
    values = (*bleu, meteor, rouge, cider)
    return NgramScores(
        {name: float(value) for name, value in zip(NAMES, values, strict=True)},
        {"rouge_l": [float(value) for value in rouges], "cider": [float(value) for value in ciders]},
    )


def _captions(texts: Sequence[Sequence[str]]) -> dict[int, list[dict[str, Any]]]:
    # One line a text: the tokenizer's lines must stay those of its input.
    return {
        number: [{"caption": " ".join(text.split())} for text in group] for number, group in enumerate(texts)
    }
