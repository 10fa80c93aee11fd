"""The vendored excerpt of the core types: fresh, and complete where the spec embeds them."""

import json

import pytest

from coordinator.api.corev1 import core_type

corev1_schema = pytest.importorskip("hack.corev1_schema")


def test_the_committed_excerpt_is_what_the_script_makes():
    committed = json.loads(corev1_schema.TARGET.read_text(encoding="utf-8"))

    assert committed == corev1_schema.excerpt(), "run `python hack/corev1_schema.py`"


@pytest.mark.parametrize("kind", corev1_schema.KINDS)
def test_every_embedded_type_is_there(kind):
    assert core_type(kind)["type"] == "object"


def test_an_unknown_type_is_an_error():
    with pytest.raises(KeyError):
        core_type("Pod")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("One. Two.", "One"),
        ("Such as v1.2 and so on. More", "Such as v1.2 and so on"),
        ("Broken\nover lines", "Broken over lines"),
        ("word " * 50, ("word " * 31).strip() + "..."),
    ],
    ids=["two", "dots", "lines", "long"],
)
def test_a_description_is_its_first_sentence(text, first):
    assert corev1_schema.first_sentence(text) == first
