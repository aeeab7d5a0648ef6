"""Prompts of many shapes, each with its object and its motion."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uni4d.retrieval.query import parse
from uni4d_shared.errors import Uni4DError

PROMPTS = [
    # the paper's example, and the product's five
    ("A red bag of potato chips is spinning", "A red bag of potato chips", "spinning"),
    ("a teddy bear is dancing", "a teddy bear", "dancing"),
    ("an old biplane flies in circles", "an old biplane", "flies in circles"),
    ("a desk lamp is nodding", "a desk lamp", "nodding"),
    ("a dog is walking", "a dog", "walking"),
    ("a grand piano is spinning", "a grand piano", "spinning"),
    # the paper's short forms
    ("teddy bear dancing", "teddy bear", "dancing"),
    ("bot dancing", "bot", "dancing"),
    ("bird flying", "bird", "flying"),
    ("desk lamp lighting", "desk lamp", "lighting"),
    # participles before the noun: acts, and names of things
    ("a dancing teddy bear", "a teddy bear", "dancing"),
    ("a slowly spinning globe", "a globe", "slowly spinning"),
    ("bouncing ball", "ball", "bouncing"),
    ("a running horse", "a horse", "running"),
    ("a spinning top", "a spinning top", ""),
    ("a spinning top is spinning", "a spinning top", "spinning"),
    ("the folding chair opens", "the folding chair", "opens"),
    ("a rocking horse", "a rocking horse", ""),
    ("a rocking horse rocks gently", "a rocking horse", "rocks gently"),
    ("a wooden rocking horse is rocking", "a wooden rocking horse", "rocking"),
    ("my grandmother's rocking chair rocks", "my grandmother's rocking chair", "rocks"),
    ("swimming pool", "swimming pool", ""),
    ("a swimming pool with waves", "a swimming pool with waves", ""),
    ("a sewing machine", "a sewing machine", ""),
    ("a washing machine shakes violently", "a washing machine", "shakes violently"),
    ("running shoes", "running shoes", ""),
    ("a floating shelf", "a floating shelf", ""),
    ("a hanging lamp swings", "a hanging lamp", "swings"),
    ("a sitting girl waves", "a sitting girl", "waves"),
    # things spelled like verbs
    ("a porch swing", "a porch swing", ""),
    ("the porch swing is swinging", "the porch swing", "swinging"),
    ("a swing swings", "a swing", "swings"),
    ("a fly is flying", "a fly", "flying"),
    ("christmas lights", "christmas lights", ""),
    ("the christmas lights are blinking", "the christmas lights", "blinking"),
    ("a ceiling fan rotates clockwise", "a ceiling fan", "rotates clockwise"),
    ("an oil painting", "an oil painting", ""),
    ("a spiral staircase", "a spiral staircase", ""),
    # verbs that the tagger takes for nouns, and nouns that it takes for verbs
    ("teddy bear bounce", "teddy bear", "bounce"),
    ("two chairs spin", "two chairs", "spin"),
    ("a teddy bear happily dancing", "a teddy bear", "happily dancing"),
    ("a bunch of flowers sways in the wind", "a bunch of flowers", "sways in the wind"),
    ("a vase with roses wobbles", "a vase with roses", "wobbles"),
    ("a tulip blooming", "a tulip", "blooming"),
    # orders and wishes
    ("make the teddy bear dance", "the teddy bear", "dance"),
    ("make a bear jump and spin", "a bear", "jump and spin"),
    ("show me a dog that is walking", "a dog", "walking"),
    ("I want to see an old biplane flying in circles", "an old biplane", "flying in circles"),
    ("spin a grand piano slowly", "a grand piano", "spin slowly"),
    ("rotate the chair twice", "the chair", "rotate twice"),
    ("let the toy train drive around", "the toy train", "drive around"),
    ("could you please make a toaster jump?", "a toaster", "jump"),
    ("Generate a video of a cat jumping", "a cat", "jumping"),
    ("an animation of a horse running", "a horse", "running"),
    ("a 3d model of a guitar", "a guitar", ""),
    ("there is a horse galloping", "a horse", "galloping"),
    # passive, several verbs, relative clauses, places, possessions
    ("a chair being rotated", "a chair", "rotated"),
    ("the table is shaken by an earthquake", "the table", "shaken by an earthquake"),
    ("a bear jumps and spins around", "a bear", "jumps and spins around"),
    ("a chair spins, then jumps", "a chair", "spins, then jumps"),
    ("a wooden door that opens and closes", "a wooden door", "opens and closes"),
    ("a car which drives forward", "a car", "drives forward"),
    ("a teddy bear is dancing on a table", "a teddy bear", "dancing on a table"),
    ("the lamp on the desk is nodding", "the lamp on the desk", "nodding"),
    ("a man with a hat is walking", "a man with a hat", "walking"),
    ("a bowl of fruit spinning", "a bowl of fruit", "spinning"),
    ("an angry bulldog shakes its head", "an angry bulldog", "shakes its head"),
    ("A cartoon biplane, flying upside down", "A cartoon biplane", "flying upside down"),
    ("slowly, a dog walks", "a dog", "walks slowly"),
    ("a robot vacuuming the floor", "a robot", "vacuuming the floor"),
    ("the desk lamp lights up", "the desk lamp", "lights up"),
    ("an armchair gently rocking back and forth", "an armchair", "gently rocking back and forth"),
    # no verb at all
    ("a grand piano", "a grand piano", ""),
    ("a red chair", "a red chair", ""),
    ("cup", "cup", ""),
    # a description after "is"
    ("the chair is red", "the chair, red", ""),
    # nothing but a motion
    ("dancing", "dancing", "dancing"),
]


@pytest.mark.parametrize(("prompt", "object_text", "motion_text"), PROMPTS, ids=[row[0] for row in PROMPTS])
def test_a_prompt_is_taken_apart(prompt: str, object_text: str, motion_text: str) -> None:
    query = parse(prompt)
    assert (query.object_text, query.motion_text) == (object_text, motion_text)
    assert query.prompt == prompt


@pytest.mark.parametrize("prompt", ["", "   ", "\n\t", "...", "?!", "—"])
def test_an_empty_prompt_is_a_clear_error(prompt: str) -> None:
    with pytest.raises(Uni4DError) as caught:
        parse(prompt)
    assert caught.value.code == "prompt-empty"
    assert "teddy bear" in caught.value.cure


@pytest.mark.parametrize(
    "prompt", ["  A Teddy Bear IS dancing. ", "a teddy bear is dancing!", '"a teddy bear is dancing"']
)
def test_case_space_and_punctuation_do_not_matter(prompt: str) -> None:
    query = parse(prompt)
    assert query.object_text.lower() == "a teddy bear"
    assert query.motion_text == "dancing"


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80))
def test_any_text_gives_an_object_or_says_that_it_is_empty(prompt: str) -> None:
    try:
        query = parse(prompt)
    except Uni4DError as error:
        assert error.code == "prompt-empty"
        return
    assert query.object_text.strip()


def test_a_prompt_without_end_is_cut() -> None:
    assert len(parse("a dog " * 50_000).object_text) <= 1000
