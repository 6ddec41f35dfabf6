"""Makes a compression dictionary from samples: `python -m adapters.event_store.train_dictionary OUT < samples.jsonl`.

Each line of the input is one event body as the mapper encodes it. Run it on headers like those of the observatories
that will use it, never on proprietary ones (a dictionary holds pieces of its samples). A new dictionary gets the next
number and older ones stay: the log is full of states that name them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import zstandard

SIZE = 64 * 1024


def main() -> None:
    """Train on standard input and write the dictionary to the path given."""
    samples = [line.rstrip(b"\n") for line in sys.stdin.buffer]
    dictionary = zstandard.train_dictionary(SIZE, samples, level=3)
    Path(sys.argv[1]).write_bytes(dictionary.as_bytes())
    sys.stderr.write(f"{len(samples)} samples, dictionary {dictionary.dict_id()}, {len(dictionary.as_bytes())} bytes\n")


if __name__ == "__main__":
    main()
