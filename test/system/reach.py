"""Reachability matrix: who opens a TCP connection, or gets a ping answered, to whom.

SPDX-License-Identifier: Apache-2.0
"""

import concurrent.futures


def matrix(sources, destinations, port=None, seconds=lambda name, address: 2):
    """{(source name, address): reached} of every pair, all asked at the same time.

    sources: guests with .name, .reaches() and .opens().  destinations: addresses.  seconds: how
    long to wait for that pair.
    """
    pairs = [(source, destination) for source in sources for destination in destinations]

    def ask(pair):
        source, destination = pair
        limit = seconds(source.name, destination)
        return source.opens(destination, port, limit) if port else source.reaches(destination, limit)

    with concurrent.futures.ThreadPoolExecutor(len(pairs)) as pool:
        reached = list(pool.map(ask, pairs))
    return {(source.name, destination): yes for (source, destination), yes in zip(pairs, reached)}


def check(sources, destinations, allowed, port=None):
    """Fails with the whole picture unless exactly the pairs in `allowed` reach each other.

    allowed: {source name: addresses that it must reach}.
    """
    wanted = {(s.name, d): d in allowed.get(s.name, ()) for s in sources for d in destinations}
    seen = matrix(sources, destinations, port, lambda *pair: 5 if wanted[pair] else 1)
    wrong = [pair for pair in wanted if wanted[pair] != seen[pair]]
    if wrong:
        lines = [f"{s} -> {d}: {'reached' if seen[s, d] else 'not reached'}, wanted the opposite" for s, d in wrong]
        raise AssertionError("\n".join(lines))
