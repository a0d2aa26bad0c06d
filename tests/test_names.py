"""A name of another library, or a word, leads to what it is here."""

import re

import pytest

import jaxloss
from jaxloss.cli.commands import main
from jaxloss.names import LIBRARIES, find, not_here
from jaxloss.names.words import WORDS

LOOKED_FOR = {
    "BCEWithLogitsLoss": "sigmoid_binary_cross_entropy",
    "CrossEntropyLoss": "softmax_cross_entropy_with_integer_labels",
    "KLDivLoss": "kl_divergence",
    "MeanSquaredError": "squared_error",
    "SmoothL1Loss": "smooth_l1",
    "fused": "linear_softmax_cross_entropy",
    "huber_loss": "huber",
    "ignore_index": "where=labels != -100",
    "perplexity": "jnp.exp",
    "pos_weight": "positive_weight",
    "ranking": "listwise_softmax",
}


@pytest.mark.parametrize("name", LOOKED_FOR)
def test_a_name_is_found(name, capsys):
    assert LOOKED_FOR[name] in find(name)[0].here
    assert main(["search", name]) == 0
    assert LOOKED_FOR[name] in capsys.readouterr().out


def test_a_name_that_is_not_there_is_translated():
    with pytest.raises(AttributeError, match=r"cross_entropy is jaxloss\.softmax_cross_entropy_with_integer_labels"):
        _ = jaxloss.cross_entropy
    with pytest.raises(KeyError, match=r"huber_loss is jaxloss\.huber"):
        jaxloss.catalogue["huber_loss"]
    assert jaxloss.catalogue.get("huber_loss") is None
    assert not hasattr(jaxloss, "hubr")
    assert not_here("hubr", jaxloss.catalogue) == "there is no loss named 'hubr'; did you mean huber?"


def test_the_words_name_what_is_there():
    texts = [*WORDS.values(), *(text for library in LIBRARIES for _, text in library.elsewhere)]
    for path in re.findall(r"jaxloss\.([\w.]+)", " ".join(texts)):
        found = jaxloss
        for part in path.rstrip(".").split("."):
            found = getattr(found, part)
