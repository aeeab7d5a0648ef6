"""The motion verbs and their words: one row a verb. What each means is in :mod:`uni4d_shared.motions`, which
the panel's editor reads too; the geometry is in :mod:`uni4d.video.motions`.
"""

from __future__ import annotations

from attrs import asdict, field, frozen

from uni4d_shared.motions import MOTION_VERBS, MotionVerb

__all__ = ["DEFAULT_VERB", "OPPOSITES", "VERBS", "Verb", "words"]


def words(text: str) -> tuple[str, ...]:
    """The words or phrases of a comma-separated row of a table."""
    return tuple(word.strip() for word in text.split(","))


@frozen(kw_only=True)
class Verb(MotionVerb):
    """One row of the lexicon."""

    synonyms: tuple[str, ...] = field(converter=words)
    """Base forms, comma-separated in the table; several words are a phrase (without articles and
    possessives)."""


_WORDS = {
    # --- turns: rigid, about the body itself -------------------------------------------------------
    "spin": (
        "rotate, turn, turn around, revolve, twirl, whirl, pirouette, gyrate, swivel, quarter turn, half "
        "turn, full turn, about face, whirr, screw"
    ),
    "roll": "roll over, trundle",
    "barrel_roll": "barrel roll, do barrel roll, corkscrew",
    "tumble": (
        "somersault, flip, cartwheel, backflip, do flip, flip end over end, tumble end over end, go end "
        "over end, loop the loop, do loop the loop, turn over, flip over"
    ),
    "rock": "teeter, seesaw, cradle, pitch",
    "swing": "dangle, oscillate, hang",
    "tilt": "lean, tip, lean over, slant, bank, list",
    "wobble": "stagger, totter, reel, waver",
    "shake": "shiver, tremble, vibrate, rattle, quiver, jitter, quake, shudder, judder, buzz",
    "fall": "topple, tip over, fall over, collapse, faint, keel over, knock over",
    # --- paths: rigid, through the world -----------------------------------------------------------
    "fly": "soar, glide, sail, fly forward, wing, swoop",
    "circle": "fly in circle, circle around, go in circle, loop around",
    "orbit": "travel around, go around, go round, go round and round, go around and around",
    "hover": (
        "float, levitate, bob, bob up and down, drift in air, hang in air, go up and down, move up and down"
    ),
    "rise": (
        "ascend, lift off, take off, climb, launch, float up, go up, float away, shoot up, shoot straight "
        "up, shoot into sky, blast off, fly up"
    ),
    "drop": "fall down, plunge, plummet, fall from sky, sink, fall to ground, fall to floor",
    "slide": "drift, slip, skate, shift, skid, move, glide along, sidestep, push, pull, shove, drag, ski",
    "drive": (
        "ride, cruise, motor, travel, race along, roll along, move forward, speed past, speed along, zoom, "
        "whizz, back up, reverse, go forward"
    ),
    "approach": "come, arrive, advance, come closer, charge, draw near",
    "leave": "depart, retreat, go away, withdraw, escape, back away",
    # --- bodies: smooth deformation ----------------------------------------------------------------
    "dance": "boogie, groove, disco, jive, waltz, samba, salsa, party, breakdance, tango, do dance",
    "bounce": "bounce up and down, boing, hop, rebound, skip, dribble",
    "jump": "leap, spring, vault, jump up and down, pounce",
    "sway": "sway in wind, sway in breeze, undulate, lilt, ripple, flutter in wind",
    "bend": "bow, curtsy, stoop, bend over, lean forward, bend down, hunch",
    "twist": "contort, wring, twist around, coil",
    "wiggle": "squirm, wriggle, shimmy, jiggle, writhe, wobble like jelly, swagger",
    "stretch": "elongate, extend, lengthen, reach up, yawn, wake up",
    "squash": "squish, crouch, duck, squat, compress, flatten, sit down, squeeze, do squat",
    "breathe": "inhale, exhale, sigh, sleep, snore, rest, pant, doze, idle, nap",
    "pulse": "pulsate, throb, beat, pump, beat like heart, puff",
    "grow": (
        "enlarge, expand, swell, inflate, get bigger, become bigger, bloat, blow up, grow up, double in "
        "size, triple in size, swell up, puff up, get larger, grow tall, grow taller"
    ),
    "shrink": "get smaller, become smaller, dwindle, deflate, contract, diminish, halve in size",
    "melt": "dissolve, liquefy, sag, wilt, thaw, droop",
    "swim": "slither, swim around, snake, paddle",
    # --- parts -------------------------------------------------------------------------------------
    "walk": (
        "stroll, crawl, march, stride, step, trot, strut, wander, toddle, hike, pace, prance, plod, limp, "
        "walk in place, sneak, tiptoe, shuffle, waddle, scuttle, stomp, amble, trudge, creep, saunter"
    ),
    "run": "sprint, gallop, jog, dash, scamper, race, rush, canter, chase, scurry",
    "nod": "nod head, bob head, peck, nod off, headbang, agree, lower head, dip head, hang head",
    "look": (
        "shake head, look around, turn head, look left and right, look, disagree, glance, search, watch, "
        "gaze, rotate head, head turn, spin head"
    ),
    "wave": (
        "wave arm, wave hand, wave goodbye, greet, hail, salute, beckon, wave hello, raise arm, gesture, "
        "swing arm"
    ),
    "flap": "flap wing, beat wing, flutter, flap arm, wing flap, flutter wing",
    "wag": "wag tail, swish tail, wave tail, tail wag",
    "open": (
        "open up, unfold, unlock, open lid, open door, gape, bloom, blossom, unfurl, lift lid, pop lid, "
        "raise lid, lid open, door open"
    ),
    "close": "shut, close lid, close door, fold, slam, clap, snap shut",
    # --- light -------------------------------------------------------------------------------------
    "light_up": (
        "light, lighten, switch on, turn on, illuminate, shine, brighten, ignite, come on, get brighter, "
        "become brighter, grow brighter, get brighter and brighter, come alight"
    ),
    "blink": (
        "flash, flicker, strobe, twinkle, blink on and off, flicker on and off, flash on and off, go on and "
        "off, wink"
    ),
    "glow": "burn, blaze, shimmer, gleam, radiate, sparkle, glimmer, glitter, burst into flame, catch fire",
    "fade": "dim, darken, switch off, turn off, go dark, go out, fade out, fade away, turn dark, get darker",
}

VERBS: dict[str, Verb] = {
    name: Verb(**asdict(verb), synonyms=_WORDS[name]) for name, verb in MOTION_VERBS.items()
}
"""Name → verb."""

DEFAULT_VERB = "hover"
"""What a body does when the prompt names no motion: it floats gently, which suits every object."""

OPPOSITES: dict[str, str] = {
    "close": "open",
    "fade": "light_up",
    "light_up": "fade",
    "shrink": "grow",
    "grow": "shrink",
    "drop": "rise",
    "rise": "drop",
    "leave": "approach",
    "approach": "leave",
}
"""Verb → the one whose end it takes back when it follows it."""
