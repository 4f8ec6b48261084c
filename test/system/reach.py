"""Reachability matrix: who opens a TCP connection, or gets a ping answered, to whom.

SPDX-License-Identifier: Apache-2.0
"""

import concurrent.futures


def matrix(sources, destinations, port=None):
    """{(source name, address): reached} of every pair, asked from all sources at the same time.

    sources: guests with .name, .reaches() and .opens().  destinations: addresses.
    """

    def row(source):
        return [source.opens(d, port) if port else source.reaches(d) for d in destinations]

    with concurrent.futures.ThreadPoolExecutor(len(sources)) as pool:
        rows = list(pool.map(row, sources))
    return {(s.name, d): reached for s, r in zip(sources, rows) for d, reached in zip(destinations, r)}


def check(sources, destinations, allowed, port=None):
    """Fails with the whole picture unless exactly the pairs in `allowed` reach each other.

    allowed: {source name: addresses that it must reach}.
    """
    seen = matrix(sources, destinations, port)
    wanted = {(s.name, d): d in allowed.get(s.name, ()) for s in sources for d in destinations}
    wrong = [pair for pair in wanted if wanted[pair] != seen[pair]]
    if wrong:
        lines = [f"{s} -> {d}: {'reached' if seen[s, d] else 'not reached'}, wanted the opposite" for s, d in wrong]
        raise AssertionError("\n".join(lines))
