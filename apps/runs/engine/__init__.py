"""The engine: claim → (inspect) → gate → call → record, for a whole lane at once.

``drain`` is the loop of one work-horse; ``commit`` its one transaction; ``asking`` puts a step into
the gate's words; ``ending`` says how steps end.
"""
