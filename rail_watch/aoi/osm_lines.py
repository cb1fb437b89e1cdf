"""Lines of a map made whole: split where tracks part, merged where nothing does, said once."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import shapely
from shapely import LineString

SHORTEST_M, BETWEEN_M = 40.0, 60.0
"""Bits of track shorter than this are left out, those between two switches if shorter than that: no train stands on
them alone, for it must keep about 20 m clear of a switch."""
BEND_M = 0.5
"""Vertices that move a line by less are dropped."""
TWICE_M, TWICE_SHARE = 1.0, 0.9
"""A line so close to another over so much of its length is that track drawn again: tracks lie at least 3 m apart."""

Tags = Mapping[str, str]
Pair = tuple[LineString, Tags]
Vertex = tuple[float, float]


def _edges(pairs: Sequence[Pair]) -> dict[tuple[Vertex, Vertex], int]:
    """Return every stretch between two vertices once, with the number of its line, however often it is drawn."""
    found: dict[tuple[Vertex, Vertex], int] = {}
    for number, (line, _) in enumerate(pairs):
        vertices = [(round(x, 2), round(y, 2)) for x, y in line.coords]
        for one, other in itertools.pairwise(vertices):
            if one != other:
                found.setdefault((min(one, other), max(one, other)), number)
    return found


def _chains(edges: Iterable[tuple[Vertex, Vertex]]) -> Iterator[list[Vertex]]:
    """Give vertices from one switch or end to the next; what has neither is a ring."""
    beside: dict[Vertex, list[Vertex]] = defaultdict(list)
    for one, other in edges:
        beside[one].append(other)
        beside[other].append(one)
    used: set[tuple[Vertex, Vertex]] = set()

    def walk(first: Vertex, second: Vertex) -> list[Vertex]:
        chain = [first, second]
        used.update(((first, second), (second, first)))
        while len(beside[chain[-1]]) == 2 and chain[-1] != first:
            ahead = next(one for one in beside[chain[-1]] if one != chain[-2])
            used.update(((chain[-1], ahead), (ahead, chain[-1])))
            chain.append(ahead)
        return chain

    forks = [vertex for vertex, near in beside.items() if len(near) != 2]
    for start in [*forks, *beside]:
        for ahead in beside[start]:
            if (start, ahead) not in used:
                yield walk(start, ahead)


def _common(chain: Sequence[Vertex], edges: Mapping[tuple[Vertex, Vertex], int], pairs: Sequence[Pair]) -> Tags:
    """Return the tags of a chain: of each key what most of its length says, of those stretches that say anything."""
    told: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for one, other in itertools.pairwise(chain):
        length = float(np.hypot(*np.subtract(one, other)))
        for key, text in pairs[edges[min(one, other), max(one, other)]][1].items():
            told[key][text] += length
    return {key: max(texts, key=lambda text: (texts[text], text)) for key, texts in told.items()}


def _without_stubs(edges: dict[tuple[Vertex, Vertex], int]) -> dict[tuple[Vertex, Vertex], int]:
    """Drop short dead ends, so that they do not split the track they leave."""
    degree: dict[Vertex, int] = defaultdict(int)
    for edge in edges:
        for vertex in edge:
            degree[vertex] += 1
    stubs: set[tuple[Vertex, Vertex]] = set()
    for chain in _chains(edges):
        ends = sorted((degree[chain[0]], degree[chain[-1]]))
        if ends[0] == 1 and ends[1] > 2 and LineString(chain).length < SHORTEST_M:
            stubs.update((min(pair), max(pair)) for pair in itertools.pairwise(chain))
    return {edge: number for edge, number in edges.items() if edge not in stubs}


def merged(pairs: Iterable[Pair]) -> list[Pair]:
    """Return lines split where others share a vertex with them and merged where nothing does, with their tags.

    Lines that cross without a vertex of both lie one above the other, and are no switch.

    Parameters
    ----------
    pairs : lines on a plane, metres, with tags, cut up, turned and repeated in any way.
    """
    own = list(pairs)
    edges = _without_stubs(_edges(own))
    return [(LineString(chain), _common(chain, edges, own)) for chain in _chains(edges)]


def trains_stand_on(pairs: Iterable[Pair]) -> list[Pair]:
    """Return those of merged lines on which a train can stand alone, each track once, without needless vertices."""
    own = list(pairs)
    ends = Counter(end for line, _ in own for end in (line.coords[0], line.coords[-1]))

    def shortest(line: LineString) -> float:
        return BETWEEN_M if min(ends[line.coords[0]], ends[line.coords[-1]]) > 2 else SHORTEST_M

    long = [
        (line.simplify(BEND_M), tags)
        for line, tags in own
        if line.length >= shortest(line) and tags.get("service") != "crossover"
    ]
    return _once(long)


def _once(pairs: list[Pair]) -> list[Pair]:
    """Leave out lines that lie on longer ones."""
    order = sorted(range(len(pairs)), key=lambda number: (-pairs[number][0].length, number))
    rank = {number: place for place, number in enumerate(order)}
    lines = [line for line, _ in pairs]
    tree, dropped = shapely.STRtree(lines), set[int]()
    for number in order:
        near = tree.query(lines[number], predicate="dwithin", distance=TWICE_M).tolist()
        longer = [lines[one] for one in near if rank[one] < rank[number] and one not in dropped]
        if longer:
            covered = lines[number].intersection(shapely.union_all(longer).buffer(TWICE_M)).length
            if covered >= TWICE_SHARE * lines[number].length:
                dropped.add(number)
    return [pair for number, pair in enumerate(pairs) if number not in dropped]
