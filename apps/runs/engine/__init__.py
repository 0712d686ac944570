"""The engine: claim → (inspect) → gate → call → record, for a whole lane at once.

``drain`` is the loop of one work-horse; ``commit`` its transactions, and ``batch`` what they do;
``isolating`` keeps one step's trouble from the others; ``asking`` puts a step into the gate's
words; ``ending`` says how steps end; ``progress`` and ``watching`` tell a work-horse that is stuck.
"""
