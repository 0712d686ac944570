"""Workers: the processes that do the engine's work, and what becomes of it when one is lost.

Owns: nothing in the database.
Hides: RQ, work-horses and their signals, how the end of a process is read.
Offers: the commands ``worker`` and ``sweep``, recovery (the duties that find what crashes
    and lost bells left behind).
"""
