"""How often the process looks for garbage that only a collector finds; knows nothing of what the process does.

Reading a large body makes many objects that are all needed. With Python's own threshold of 700 the collector then
walks over all of them, and over every module, again and again: a batch of 1,000 operations took a third longer, and
now and then twice as long. What is made here is nearly always freed by its reference count.
"""

import gc

THRESHOLD = 50_000
"""Objects made and not yet freed until the youngest are looked at."""


def ease_collector() -> None:
    """Leave what has been loaded so far alone for good, and look at younger objects less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(THRESHOLD, 20, 20)
