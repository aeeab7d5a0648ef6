"""What people write before the object: requests, questions, and where or how it happens.

``request`` works on text and takes off what says nothing ("show me", "why is"); ``fronted`` works on tagged
words and finds what belongs to the motion ("slowly, …", "on a windy beach …").
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import frozen

from uni4d.retrieval.phrases import DETERMINERS, PLACE_WORDS
from uni4d.retrieval.tagging import Word

__all__ = ["Request", "fronted", "request"]

_LEAD_IN = re.compile(
    r"""^\s*(?:please[,\s]+)?
    (?:(?:can|could|would|will)\s+you\s+(?:please\s+)?)?
    (?:
        (?P<causative>(?:make|let|have|watch|see|help|animate)\s+(?!me\b|us\b)
            |(?:i\s+(?:want|would\s+like|'d\s+like|wish)\s+(?:to\s+see\s+)?)
            |i'd\s+like\s+(?:to\s+see\s+)?
            |let'?s\s+see\s+|let\s+(?:me|us)\s+see\s+)
        |(?:show|give|make|create|generate|render|draw|display|imagine|find|get|bring|build|produce|film)\s+
            (?:me\s+|us\s+)?(?:how\s+)?
        |there\s+(?:is|are|was|were)\s+|here\s+(?:is|are)\s+|this\s+is\s+|it\s+is\s+
    )?
    (?:an?\s+|the\s+|some\s+)??
    (?P<medium>(?:an?\s+|the\s+)?(?:short\s+|looping\s+)?(?:3d|4d|three-dimensional)?\s*
        (?:model|animation|video|clip|scene|movie|gif|asset|mesh|object|picture|image)s?\s+
        (?:of|where|in\s+which|showing|with)\s+)?
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""Requests: "show me", "make", "a 3D animation of", "there is".

After a causative the verb is a bare infinitive ("make the bear dance").
"""

_QUESTION = re.compile(
    r"""^\s*(?:
        (?:how|why|when|where|what)\s+(?P<wh>is|are|was|were|does|do|did|would|will|can|could|should|if)\s+
        |(?P<yes_no>is|are|was|were|does|do|did|would|will|can|could|should)\s+
            (?=(?:an?|the|this|that|my|your|his|her|our|their|two|three|some)\s)
    )""",
    re.IGNORECASE | re.VERBOSE,
)
"""Questions: "why is", "how would", "can" (before an article)."""
_PROGRESSIVE = ("is", "are", "was", "were", "if")

_LOOK_LIKE = re.compile(r"\s+looks?\s+like\s+(?:when|while|as|if)\s+(?:it|they|he|she)\b", re.IGNORECASE)
_SO_THAT = re.compile(r"\s+so\s+(?:that\s+)?(?=(?:it|they|he|she)\s)", re.IGNORECASE)


@frozen
class Request:
    """A prompt without its request or question."""

    text: str
    bare_verbs: bool
    """Whether the verb that follows the object is an infinitive: "make the bear *dance*"."""


def request(text: str) -> Request:
    """Take off the request or the question, if there is one and anything is left."""
    text = _SO_THAT.sub(" that ", _LOOK_LIKE.sub(" that", text))
    text = re.sub(r"(?<=\S)\s+look\s+like$", "", text, flags=re.IGNORECASE)
    question = _QUESTION.match(text)
    if question and question.end() < len(text):
        auxiliary = (question["wh"] or question["yes_no"]).lower()
        return Request(text[question.end() :], auxiliary not in _PROGRESSIVE)
    lead = _LEAD_IN.match(text)
    if lead and 0 < lead.end() < len(text):
        return Request(text[lead.end() :], bool(lead["causative"]))
    return Request(text, False)


def fronted(words: Sequence[Word]) -> int:
    """How many words stand before the object that belong to the motion: adverbs, or a place and a comma."""
    adverbs = 0
    while adverbs < len(words) and words[adverbs].part == "ADV":
        adverbs += 1
    if 0 < adverbs < len(words):
        return adverbs
    if words[0].lower not in PLACE_WORDS:
        return 0
    for index in range(2, len(words) - 1):
        if words[index].text == ",":
            return index
        # "On a windy beach a striped umbrella …": a second noun phrase that nothing joins to the first.
        if words[index].lower in DETERMINERS and words[index - 1].is_noun:
            return index
    return 0
