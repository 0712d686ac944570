"""Starting, watching and stopping the tower on one machine.

Owns: the embedded PostgreSQL and Valkey, the supervisor, the `up`, `down`, `reset` and
`doctor` commands, and everything under `var/` that is not the product's data.
Hides: where binaries come from, how privileges are dropped, how stale files are found.
Offers: `EmbeddedPostgres`, `EmbeddedValkey`, `Supervisor`, and `python -m controltower.launch`.

Nothing here imports Django: a tower whose settings do not load must still be able to say so.
"""
