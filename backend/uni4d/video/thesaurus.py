"""More words for the verbs, read in a motion text only.

In a whole prompt many of them are things ("a wheel", "a tick", "a taxi"), so the parser of prompts does not
take them for motions of the lexicon; by the time a motion text is read, that question is settled. Collected
from WordNet's verbs of motion (:mod:`uni4d.retrieval.motion_verbs`), the commonest first.
"""

from __future__ import annotations

__all__ = ["MORE_WORDS"]

MORE_WORDS: dict[str, str] = {
    "spin": (
        "turn full circle, swirl, pivot, spin round, turn round, wheel, twiddle, turn about, spin on spot, "
        "circulate, corkscrew, whip round, sweep round, whip around, turn on axis, turn on spot, turn on "
        "itself, churn, crank, spiral round, twizzle"
    ),
    "roll": "bowl, rumble along, capsize",
    "tumble": (
        "turn upside down, "
        "somersault over, turn head over heel, do cartwheel, do somersault, do backflip, handspring, "
        "do handstand, do forward roll, somersault forward, go head over heel, turn somersault, "
        "turn cartwheel"
    ),
    "rock": ("pitch back and forth, heave, lilt from side to side, totter back and forth, jounce"),
    "swing": ("sweep, tick, tick tock, swing back, go to and fro, flail, ring, toll, brandish about"),
    "tilt": (
        "recline, "
        "heel, slope, cock, keel, tip forward, lean back, lean backward, careen, swerve, veer, "
        "tilt over, lean in, lean out, heel over"
    ),
    "wobble": "lurch, flounder, wobble about, stumble, trip, boggle, sway drunkenly, teeter on edge",
    "shake": (
        "flick, "
        "rustle, "
        "jolt, joggle, jostle, jerk, twitch, fidget, rumble, convulse, wince, flinch, quail, "
        "shudder all over, rev, clatter, jangle, jingle, throw fit, tremor, vibrate in place"
    ),
    "fall": (
        "blow over, bowl over, "
        "slump, crumple, flop, crash, overturn, tip onto side, fall on side, fall flat, drop dead, "
        "sprawl, tumble down, flop over, slump over, crumple to ground, drop to floor, "
        "come crash down, go down like tree"
    ),
    "fly": "waft, skim, flit, wing way, take wing, cruise through air, streak, scud",
    "circle": (
        "spiral, loop, fly in ring, wheel around, wheel overhead, circle overhead, buzz around, "
        "buzz about, wheel about, patrol sky"
    ),
    "orbit": "chase tail, chase own tail",
    "hover": (
        "float up and down, fly up and down, "
        "rise and fall gently, tread water, drift up and down, hang motionless, dangle in air, "
        "hang in midair, stay in air"
    ),
    "rise": (
        "pop up, mount, surge, emerge, boost, soar up, climb up, jump up into sky, lift, spring up, "
        "come up, hoist, raise, elevate, float off ground, shoot upward, rocket, rocket up, zoom up, "
        "whoosh up, clamber up, scale, move up, go upward, climb into sky, drift up, "
        "winch up, come back up"
    ),
    "drop": (
        "slide down, "
        "descend, land, touch down, come down, go down, dive, nosedive, subside, alight, swoop down, "
        "fall out of sky, settle, climb down, drift down, "
        "flutter down, move down, get down, lower, sink down, come in to land, plop, "
        "winch down, come down to earth, parachute down, spiral down"
    ),
    "slide": (
        "flow, edge, coast, inch, slither sideways, scoot, steam, row, seep, sidle, glide forward, "
        "dodge, sidle along, move sideways, shunt, sweep across"
    ),
    "drive": (
        "go backward, go backwards, "
        "taxi, accelerate, travel forward, roll forward on wheel, trundle along, speed, hurtle, "
        "race forward, career, tear along, motor along, chug, chug along, putter, putt, puff along, "
        "pootle, steam along, rattle along, roll up, zip, zip along, whizz past, zoom around, brake, "
        "wheel along, pedal, pedal along, trundle forward"
    ),
    "approach": (
        "near, lunge, come near, loom, move closer, get closer, come forward, head towards us, "
        "draw closer, draw nearer, step closer, walk up to us, come at us, close in, edge closer"
    ),
    "leave": (
        "flee, skedaddle, run off, bolt, set off, move away, get away, scram, zip away, zip off, "
        "zoom off, speed off, speed away, dart away, drive off, shoot off, shoot away, dart off, "
        "rush off, rush away, race off, race away, whizz off, whizz away, buzz off, buzz away, bolt off, "
        "streak off, streak away, scoot off, zip past and away, back off, float off, pull away, "
        "pull out, steam off, steam away, chug off, chug away, make off, take to heel, hurry off, "
        "hurry away, slip away, recede, take leave, move off, tear off, roar off, roar away, "
        "fly into distance"
    ),
    "dance": (
        "cavort, frolic, caper, romp, quickstep, skylark, sashay, swing hips, bust move, do jig, polka, "
        "tap dance, bop, jig, do conga, boogie down, do little dance, dance around, hula, "
        "twerk"
    ),
    "bounce": (
        "ricochet, bounce along, boggle up and down, jounce up and down, pogo, hop along, bounce around"
    ),
    "jump": (
        "bound, hurdle, leap up, spring into air, pop, spring up into air, leapfrog, lollop, gambol, "
        "hop over, jump for joy, leap into air, do star jump, do jump jack, jump out, spring out, "
        "pop out, leap out"
    ),
    "sway": (
        "billow, ripple in wind, flap in wind, flap in strong wind, flap in breeze, swish, blow in wind, "
        "wave in wind, wave in breeze, move in breeze, bend in breeze, nod in breeze, blow about, "
        "stream in wind, flutter in breeze, waft in breeze"
    ),
    "bend": (
        "cringe, grovel, prostrate, kowtow, curl up, fold over, lean down, flex, buckle, arch, "
        "do curtsy, take bow, touch toe, bow down, bow low, fold in half"
    ),
    "twist": "screw up, twist round, twirl round itself, wrench",
    "wiggle": (
        "flex like waggle, wobble like jello, quiver like jelly, thresh, undulate like snake, "
        "squiggle, wriggle around, ripple along body"
    ),
    "stretch": (
        "uncurl, straighten, straighten up, sit up, stand up, stand tall, rear up on toe, sit back up, "
        "get up, get to foot, perk up, stand on hind leg, uncurl itself, straighten out, "
        "unbend, stand to attention"
    ),
    "squash": (
        "kneel, huddle, cower, cringe down, hunker, hunker down, lie down, get squash, shrink down, "
        "do push up, do press up, sit, sit back, lie, lie back down, crouch low, curl into ball, "
        "get flatten, deflate flat"
    ),
    "breathe": (
        "rest quietly, heave chest, slumber, pant heavily, fall asleep, take breath, take deep breath, "
        "have nap, take nap, breathe in and out, breathe in, breathe out"
    ),
    "pulse": "thump, pulse rhythmically, hammer, palpitate",
    "grow": (
        "burgeon, balloon, mushroom, widen, rise like dough, fill out, get fat, puff out, plump up, "
        "expand outward, shoot up in size, rise and expand"
    ),
    "shrink": (
        "dwindle away, wither, shrivel, get tiny, narrow, condense, curl up and shrink, go down in size, "
        "shrink away, shrink to nothing, collapse in on itself, get thinner"
    ),
    "melt": (
        "drip, drip away, ooze, crumble, dribble, turn into puddle, trickle, melt away, droop down, "
        "slump into puddle, go limp, run down side"
    ),
    "swim": (
        "dart through water, row through water, snake along, worm along, meander, zigzag, tack, "
        "swim along, swim about, swim forward, squirm along"
    ),
    "walk": (
        "tread, tramp, hobble, stalk, prowl, clomp, lumber, mill about, roam, rove, shamble, wend, wade, "
        "traipse, mosey, lope along, parade, ramble, go for walk, perambulate, promenade, frogmarch, "
        "patrol, slink, pad, pad along, stamp, stamp foot, stamp its foot, tap foot, kick leg, clamber, "
        "clump, strut about, totter along, crawl along, crawl forward, crawl on all four, go on patrol, "
        "sneak up, step aside, pace to and fro, strut along, inch along like caterpillar"
    ),
    "run": (
        "hurry, hustle, bustle, lope, stampede, dart, scramble, hotfoot, hare, tear around, run wild, "
        "pelt, pelt along, bolt along, career around, hare off, run about, run along, "
        "trot along quickly, scuttle off"
    ),
    "nod": (
        "bow head, drop head, bob head up and down, raise head, lift head, throw back head, "
        "throw head back, graze, sniff, sniff around, sniff ground, nuzzle, nod in agreement, nod along, "
        "peck at ground, give nod"
    ),
    "look": (
        "peer, look over shoulder, crane neck, turn face, scan, peep, stare, peek, peek out, peep out, "
        "peek around, glance around, glance over shoulder, look back, look up, look down, "
        "look over its shoulder, look from side to side, survey"
    ),
    "wave": (
        "wave at us, wave paw, wave both hand, raise hand, lift arm, wave hi, brandish, give wave, "
        "give salute, raise hat, raise paw, lift paw, throw ball, high five, point, raise fist, "
        "raise finger, wave farewell, wave bye"
    ),
    "flap": (
        "beat its wing, spread wing, flap about, whisk wing, preen, stretch wing out, flap around, beat air"
    ),
    "wag": (
        "wag its tail, waggle tail, flick tail, thump tail, lift tail, swing tail, sway tail, "
        "wiggle tail, thrash tail, twitch tail, lash tail, wag about"
    ),
    "open": (
        "uncoil, unroll, spread open, split, part, come open, fly open, spread, yawn wide, crack open, "
        "creak open, ease open, burst open, gape open, part in middle, fan out, open out, open wide, "
        "lift open"
    ),
    "close": (
        "slam shut, bang shut, swing shut, seal, clamp, clench, fold up, snap, snap close, close up, "
        "bang, click shut, creak shut, slam close, slam down, shut tight"
    ),
    "light_up": (
        "fade in, light, glow up, flare, flare up, turn bright, lit up, come to life, power up, "
        "power on, boot up, turn itself on, switch itself on, get lit, kindle, lighten up, "
        "light come on, light go on, be lit"
    ),
    "blink": (
        "blip, strobe on and off, flutter light, flash on and off, sputter, gutter, glint on and off, "
        "scintillate, wink on and off, flutter on and off, signal"
    ),
    "glow": (
        "smoulder, smolder, glare, fluoresce, shine softly, glow on and off, flame, glint, dazzle, beam, "
        "catch fire, catch alight, burst into flame, be on fire, go up in flame, glow with light, "
        "flame up"
    ),
    "fade": (
        "vanish, disappear, darken slowly, disappear slowly, black out, blow out, die down, dim down, "
        "die out, power down, power off, shut down, shut off, light go out, light go off, light go down, "
        "turn itself off, switch itself off, burn out, flicker out, be extinguished, "
        "be snuffed out, go black, get dimmer"
    ),
}
"""Verb → comma-separated words and phrases in base forms."""
