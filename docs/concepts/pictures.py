# SPDX-License-Identifier: MIT OR Apache-2.0
"""Draws the pictures of this directory: python3 docs/concepts/pictures.py

What happens on the timelines is computed by `scenario`, by the rules of policies.md. The tests play each scenario with
real links, and compare.
"""

from pathlib import Path

HERE = Path(__file__).parent
TICKS = 12
SLOTS = 3
PERIOD = 3

# class: properties in light, properties in dark
COLOURS = {
    "ground": ("fill:#ffffff", "fill:#0d1117"),
    "panel": ("fill:#f4f6f8", "fill:#161b22"),
    "ink": ("fill:#1f2933", "fill:#e6edf3"),
    "soft": ("fill:#52606d", "fill:#a3b0bd"),
    "line": ("stroke:#b8c2cc;fill:none", "stroke:#4a5562;fill:none"),
    "arrow": ("stroke:#52606d;fill:none", "stroke:#a3b0bd;fill:none"),
    "tip": ("fill:#52606d", "fill:#a3b0bd"),
    "frame": ("fill:#3b6fb5", "fill:#4f86d1"),
    "held": ("fill:#2a7f72", "fill:#2f8f80"),
    "wait": ("fill:#f3dfb3", "fill:#5c4715"),
    "waitword": ("fill:#7a5200", "fill:#f0c75e"),
    "lost": ("stroke:#c2413b;fill:none", "stroke:#ff8078;fill:none"),
    "lostword": ("fill:#b3362f", "fill:#ff8078"),
    "white": ("fill:#ffffff", "fill:#ffffff"),
}


def scenario(read, when_full, keep):
    """What happens when a producer has a frame at every tick and a reader asks for one at every third.

    The link has 3 slots; the reader keeps its last `keep` frames. Returns (published, dropped, waits, received):
    published is [(tick, number)], dropped [tick], waits [(first tick, last tick)], received [(tick, number, missed)].
    """
    slots = [0] * SLOTS
    held, published, dropped, waits, received = [], [], [], [], []
    waiting_since = None

    def room():
        newest = max(slots)
        cursor = received[-1][1] if received else 0
        kept = [n for n in slots if n > cursor] if (read, when_full) == ("every", "block") else []
        free = [n for n in slots if n == 0 or n not in held and n != newest and n not in kept]
        return min(free, default=None)

    def publish(tick):
        oldest = room()
        if oldest is None:
            return False
        number = max(slots) + 1
        slots[slots.index(oldest)] = number
        published.append((tick, number))
        return True

    for tick in range(1, TICKS + 1):
        if waiting_since is None and not publish(tick):
            if when_full == "drop":
                dropped.append(tick)
            else:
                waiting_since = tick
        if tick % PERIOD == 1:
            before = received[-1][1] if received else 0
            newer = [number for number in slots if number > before]
            if newer:
                number = min(newer) if read == "every" else max(newer)
                received.append((tick, number, number - before - 1))
                held = (held + [number])[-keep:]
        if waiting_since is not None and publish(tick):
            waits.append((waiting_since, tick))
            waiting_since = None
    if waiting_since is not None:
        waits.append((waiting_since, TICKS + 1))
    return published, dropped, waits, received


def text(x, y, words, kind="ink", size=13, anchor="start", weight=None, mono=False):
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    more = f' font-weight="{weight}"' if weight else ""
    more += " font-family=\"ui-monospace, 'DejaVu Sans Mono', monospace\"" if mono else ""
    return f'<text x="{x}" y="{y}" class="{kind}" font-size="{size}" text-anchor="{anchor}"{more}>{words}</text>'


def box(x, y, width, height, kind, rx=3, more=""):
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{rx}" class="{kind}"{more}/>'


def arrow(x1, y1, x2, y2, bend=None):
    path = f"M{x1} {y1}L{x2} {y2}" if bend is None else f"M{x1} {y1}Q{bend[0]} {bend[1]} {x2} {y2}"
    return f'<path d="{path}" class="arrow" stroke-width="1.6" marker-end="url(#tip)"/>'


def svg(width, height, title, parts):
    light = "".join(f".{name}{{{colours[0]}}}" for name, colours in COLOURS.items())
    dark = "".join(f".{name}{{{colours[1]}}}" for name, colours in COLOURS.items())
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        "font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\" role=\"img\">\n"
        f"<title>{title}</title>\n<style>{light}\n@media (prefers-color-scheme: dark){{{dark}}}</style>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" class="tip"/></marker></defs>\n'
    )
    return head + "\n".join([box(0, 0, width, height, "ground", 0), *parts]) + "\n</svg>\n"


STEP = 30
LABEL = 78


def panel(x, y, read, when_full, keep, says):
    """One timeline: when frames are published, and which the reader holds when."""
    published, dropped, waits, received = scenario(read, when_full, keep)
    parts = [box(x, y, 450, 128 + 22 * (keep - 1), "panel", 6)]
    left = x + LABEL
    at = lambda tick: left + (tick - 1) * STEP
    parts += [text(x + 12, y + 31, "publishes", "soft", 12), text(x + 12, y + 73, "holds", "soft", 12)]
    for first, last in waits:
        end = min(last, TICKS + 1)
        if end > first:
            parts.append(box(at(first), y + 16, (end - first) * STEP - 4, 22, "wait"))
            word = "waits" if end - first > 1 else "…"
            parts.append(text(at(first) + (end - first) * STEP / 2 - 2, y + 31, word, "waitword", 11, "middle"))
    for tick, number in published:
        parts.append(box(at(tick), y + 16, STEP - 4, 22, "frame"))
        parts.append(text(at(tick) + STEP / 2 - 2, y + 32, str(number), "white", 13, "middle", 600))
    for tick in dropped:
        parts.append(box(at(tick) + 1, y + 17, STEP - 6, 20, "lost", 3, ' stroke-width="1.5" stroke-dasharray="3 2"'))
        parts.append(text(at(tick) + STEP / 2 - 2, y + 32, "×", "lostword", 13, "middle", 600))
    for index, (tick, number, missed) in enumerate(received):
        later = received[index + keep :]
        end = later[0][0] if later else TICKS + 1
        row = y + 58 + 22 * (index % keep)
        parts.append(box(at(tick), row, (end - tick) * STEP - 4, 20, "held"))
        parts.append(text(at(tick) + 10, row + 15, str(number), "white", 13, "start", 600))
        if missed:
            parts.append(text(at(tick) + 15 + 9 * len(str(number)), row + 14.5, f"missed {missed}", "white", 11))
    parts.append(text(x + 12, y + 111 + 22 * (keep - 1), says, "soft", 12))
    return parts


def eviction(x, y):
    """A reader that hangs, and what becomes of its slot."""
    left = x + 130
    at = lambda tick: left + (tick - 1) * 48
    parts = [box(x, y, 920, 196, "panel", 6)]
    for row, label in [(31, "publishes"), (79, "hangs"), (127, "other readers")]:
        parts.append(text(x + 12, y + row, label, "soft", 12))
    for tick, number in [(1, 1), (2, 2), (3, 3), (8, 4), (9, 5), (10, 6), (11, 7), (12, 8), (13, 9), (14, 10), (15, 11)]:
        parts.append(box(at(tick), y + 16, 44, 22, "frame"))
        parts.append(text(at(tick) + 22, y + 32, str(number), "white", 13, "middle", 600))
    parts.append(box(at(4), y + 16, 4 * 48 - 4, 22, "wait"))
    parts.append(text(at(6) - 2, y + 31, "waits for room: evict_after", "waitword", 12, "middle"))
    parts.append(box(at(1), y + 64, 12 * 48 - 4, 22, "held"))
    parts.append(text(at(1) + 12, y + 80, "1", "white", 13, "start", 600))
    parts.append(text(at(8) + 6, y + 80, "still its own, never overwritten", "white", 12))
    parts.append(f'<path d="M{at(8) - 2} {y + 10}V{y + 150}" class="lost" stroke-width="1.6" stroke-dasharray="4 3"/>')
    parts.append(text(at(8) - 2, y + 164, "evicted: gets nothing new", "lostword", 12, "middle", 600))
    parts.append(f'<path d="M{at(13) - 2} {y + 60}V{y + 150}" class="arrow" stroke-width="1.2" stroke-dasharray="2 3"/>')
    parts.append(text(at(13) - 2, y + 164, "goes on: its next call raises Evicted,", "soft", 12, "middle"))
    parts.append(text(at(13) - 2, y + 181, "the one after joins anew", "soft", 12, "middle"))
    for tick, number in [(1, 1), (2, 2), (3, 3), (8, 4), (9, 5), (10, 6), (11, 7), (12, 8), (13, 9), (14, 10), (15, 11)]:
        end = {3: 8}.get(tick, tick + 1)
        parts.append(box(at(tick), y + 112, (end - tick) * 48 - 4, 22, "held"))
        parts.append(text(at(tick) + 12, y + 128, str(number), "white", 13, "start", 600))
    return parts


def policies():
    parts = [
        text(20, 34, "What a slow reader gets, and what its producer does", size=19, weight=600),
        text(20, 56, "A frame is there at every tick; the reader asks for one at every third. The link has 3 slots.", "soft"),
        text(20, 90, 'when_full="drop"', size=14, weight=600, mono=True),
        text(490, 90, 'when_full="block"', size=14, weight=600, mono=True),
    ]
    rows = [
        (102, "latest", 1, 'read="latest"', "skips to the newest; there is always room", "the same: a reader of the newest is in nobody's way"),
        (268, "every", 1, 'read="every"', "in order; what was overwritten meanwhile is missed", "each frame; the producer goes at the reader's pace"),
        (434, "latest", 2, 'read="latest", and keeps two frames', "no room (newest + two held): × is dropped and counted", "no room: the frame waits for its turn"),
    ]  # fmt: skip
    for y, read, keep, title, drop, block in rows:
        parts.append(text(20, y + 18, title, size=13, weight=600, mono=True))
        parts += panel(20, y + 28, read, "drop", keep, drop)
        parts += panel(490, y + 28, read, "block", keep, block)
    parts.append(text(20, 648, 'when_full="block", evict_after=…, read="every"', size=13, weight=600, mono=True))
    parts += eviction(20, 658)
    return svg(960, 874, "Policies: read and when_full", parts)


def slot():
    """The life of one slot, and who may do what with it."""
    parts = [text(20, 34, "The life of a slot", size=19, weight=600)]
    states = [
        (20, "free", ["nobody's", "", ""]),
        (262, "writing", ["the producer's alone:", "a loan", ""]),
        (504, "published", ["nobody may write;", "any reader may take it", ""]),
        (746, "held", ["nobody may write;", "1 to 16 readers see it,", "a bit for each"]),
    ]
    for x, name, lines in states:
        parts.append(box(x, 92, 174, 104, "panel", 8))
        parts.append(text(x + 14, 118, name, size=15, weight=600))
        parts += [text(x + 14, 140 + 19 * row, line, "soft", 13) for row, line in enumerate(lines) if line]
    for x, word in [(194, "loan"), (436, "publish"), (678, "recv")]:
        parts.append(arrow(x + 2, 132, x + 66, 132))
        parts.append(text(x + 34, 124, word, "ink", 12, "middle", mono=True))
    parts.append(arrow(744, 172, 682, 172))
    parts.append(text(712, 192, "last view", "ink", 12, "middle"))
    parts.append(text(712, 207, "is gone", "ink", 12, "middle"))
    parts.append(arrow(590, 198, 350, 200, (470, 286)))
    parts.append(text(470, 268, "the producer takes the oldest that nobody holds, never the newest", "ink", 12, "middle"))
    parts.append(arrow(330, 90, 110, 90, (220, 30)))
    parts.append(text(220, 52, "the loan is dropped", "ink", 12, "middle"))
    return svg(940, 290, "The life of a slot: free, writing, published, held", parts)


def lifetimes():
    """What keeps what alive."""
    parts = [text(20, 34, "What lives where, and for how long", size=19, weight=600)]
    columns = [(20, "producer's process"), (330, "the kernel, for as long as anybody has it"), (720, "reader's process")]
    widths = [280, 360, 220]
    for (x, title), width in zip(columns, widths):
        parts.append(box(x, 56, width, 224, "panel", 8))
        parts.append(text(x + 14, 80, title, "soft", 13, weight=600))
    things = [
        (34, 96, 252, "frame", "Publisher"),
        (34, 140, 252, "frame", "views kept from a loan"),
        (344, 96, 332, "frame", "camera.sock, camera.lock: the name"),
        (344, 140, 332, "held", "frame memory: the slots"),
        (344, 184, 332, "held", "control memory: words, descriptions"),
        (734, 96, 192, "held", "Subscriber"),
        (734, 140, 192, "held", "frames, views, tensors"),
    ]
    for x, y, width, kind, words in things:
        parts.append(box(x, y, width, 30, kind, 5))
        parts.append(text(x + 12, y + 20, words, "white", 13, weight=600))
    parts += [arrow(288, 111, 342, 111), arrow(288, 116, 342, 148), arrow(288, 121, 342, 192)]
    parts += [arrow(288, 155, 342, 157)]
    parts += [arrow(732, 111, 678, 148), arrow(732, 119, 678, 190)]
    parts += [arrow(732, 155, 678, 157), arrow(732, 163, 678, 199)]
    parts.append(text(344, 240, "the name is free once the producer has ended;", "soft", 12))
    parts.append(text(344, 258, "memory is given back when the last arrow to it is gone", "soft", 12))
    parts.append(text(34, 200, "an arrow: keeps alive", "soft", 12))
    return svg(960, 300, "What keeps the name, the memory and the frames of a link alive", parts)


PICTURES = {"policies.svg": policies, "slot.svg": slot, "lifetimes.svg": lifetimes}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (HERE / name).write_text(draw())
