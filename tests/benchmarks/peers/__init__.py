"""Scripts that run inside the peers' environments; they import nothing of ours.

Each prepares itself, says ``{"ready": steps of its warm-up}``, and for each line ``{"runs": n}`` on
its standard input does that many runs and says ``{"steps": n}``.
"""
