"""More words for the verbs, read in a motion text only.

In a whole prompt many of them are things ("a wheel", "a tick", "a taxi"), so the parser of prompts does not
take them for motions of the lexicon; by the time a motion text is read, that question is settled. Collected
from WordNet's verbs of motion (:mod:`uni4d.retrieval.motion_verbs`), the commonest first.
"""

from __future__ import annotations

__all__ = ["MORE_WORDS"]

MORE_WORDS: dict[str, str] = {
    "spin": (
        "swirl, pivot, spin round, turn round, wheel, twiddle, turn about, spin on spot, circulate, corkscrew"
    ),
    "roll": "bowl, rumble along, capsize",
    "tumble": ("somersault over, turn head over heels, do cartwheel, do somersault, do backflip, handspring"),
    "rock": "pitch back and forth, heave, lilt from side to side",
    "swing": "tick, tick tock, swing back, go to and fro, flail",
    "tilt": "heel, slope, cock, keel, tip forward, lean back, lean backward, careen",
    "wobble": "lurch, flounder, wobble about, stumble, trip, boggle, sway drunkenly, teeter on edge",
    "shake": (
        "jolt, joggle, jostle, jerk, twitch, fidget, rumble, convulse, wince, flinch, quail, shudder all over"
    ),
    "fall": "slump, crumple, flop, crash, overturn, tip onto side, fall on side, fall flat, drop dead",
    "fly": "waft, skim, flit, wing way, take wing, cruise through air, streak, scud",
    "circle": "spiral, loop, fly in ring, wheel around, wheel overhead, circle overhead",
    "orbit": "chase tail, chase own tail",
    "hover": "rise and fall gently, tread water, drift up and down, hang motionless",
    "rise": (
        "pop up, mount, surge, emerge, boost, soar up, climb up, jump up into sky, lift, spring up, come up"
    ),
    "drop": (
        "descend, land, touch down, come down, go down, dive, nosedive, subside, alight, swoop "
        "down, fall out of sky, settle"
    ),
    "slide": "flow, edge, coast, inch, slither sideways, scoot, steam, row, seep, sidle",
    "drive": (
        "taxi, accelerate, travel forward, roll forward on wheel, trundle along, speed, hurtle, "
        "race forward, career, tear along, motor along"
    ),
    "approach": "near, lunge, come near, loom, move closer, get closer, come forward, head towards us",
    "leave": (
        "flee, skedaddle, run off, bolt, set off, move away, get away, scram, zip away, zip off, "
        "zoom off, speed off, speed away, dart away, drive off"
    ),
    "dance": (
        "cavort, frolic, caper, romp, quickstep, skylark, sashay, swing hips, bust move, do jig, polka"
    ),
    "bounce": "ricochet, bounce along, boggle up and down",
    "jump": (
        "bound, hurdle, leap up, spring into air, pop, spring up into air, leapfrog, lollop, gambol, hop over"
    ),
    "sway": (
        "billow, ripple in wind, flap in wind, flap in strong wind, flap in breeze, swish, blow in wind"
    ),
    "bend": "cringe, grovel, prostrate, kowtow, curl up, fold over, lean down, flex, buckle, arch",
    "twist": "screw up, twist round, twirl round itself, wrench",
    "wiggle": "flex like worm, waggle, wobble like jello, quiver like jelly, thresh, undulate like snake",
    "stretch": "uncurl, straighten, straighten up, sit up, stand up, stand tall, rear up on toe",
    "squash": ("kneel, huddle, cower, cringe down, hunker, hunker down, lie down, get squashed, shrink down"),
    "breathe": "rest quietly, heave chest, slumber, pant heavily, fall asleep",
    "pulse": "thump, pulse rhythmically, hammer, palpitate",
    "grow": "burgeon, balloon, mushroom, widen, rise like dough, fill out, get fat",
    "shrink": "dwindle away, wither, shrivel, get tiny, narrow, condense",
    "melt": "drip, drip away, ooze, crumble, dribble, turn into puddle, trickle",
    "swim": "dart through water, row through water, snake along, worm along, meander, zigzag, tack",
    "walk": (
        "tread, tramp, hobble, stalk, prowl, clomp, lumber, mill about, roam, rove, shamble, wend, "
        "wade, traipse, mosey, lope along, parade, ramble, go for walk, perambulate, promenade, "
        "frogmarch"
    ),
    "run": ("hurry, hustle, bustle, lope, stampede, dart, scramble, hotfoot, hare, tear around, run wild"),
    "nod": "bow head, drop head, bob head up and down",
    "look": "peer, look over shoulder, crane neck, turn face, scan, peep, stare",
    "wave": "wave at us, wave paw, wave both hand, raise hand, lift arm, wave hi, brandish",
    "flap": "beat its wing, spread wing, flap about, whisk wing",
    "wag": "wag its tail, waggle tail, flick tail",
    "open": "uncoil, unroll, spread open, split, part, come open, fly open, spread, yawn wide",
    "close": "slam shut, bang shut, swing shut, seal, clamp, clench, fold up",
    "light_up": "fade in, light, glow up, flare, flare up, turn bright, lit up, come to life",
    "blink": "blip, strobe on and off, flutter light, flash on and off",
    "glow": "smoulder, smolder, glare, fluoresce, shine softly, glow on and off, flame",
    "fade": (
        "vanish, disappear, darken slowly, disappear slowly, black out, blow out, die down, dim down, die out"
    ),
}
"""Verb → comma-separated words and phrases in base forms."""
