"""Practice: companies to try the tower at, the cases that arrive there, and how well it did.

Owns: Desk; the processes `python -m controltower.practice.world` (a company's system of record,
    reached over MCP) and `python -m controltower.practice.localmodel`; the packs of both companies.
Hides: where the published data lies, how tasks and recordings become cases, what labels say.
Offers: the commands `manage.py desk`, `replay` and `measure`; a panel of the home page. The
    product runs without it (`TOWER_PRACTICE=0`).

A guest: it speaks to the product through services, selectors, the domain of policies, the API and
pack files, and no app imports it (`pyproject.toml` names the doors).
"""
