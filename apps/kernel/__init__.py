"""Kernel: the few pure pieces that every floor stands on.

Owns: nothing in the database.
Hides: how values are made canonical, how identifiers are made, how a transaction is opened.
Offers: exactjson (the door for JSON from outside), models.JSONField, canonical.digest,
ids.new_id, moments.moment, errors.TowerError, transactions.command/participant,
documents.load (strict YAML), patching.patch and fields.take (a form on a document),
jsontext.load_json, rewriting.rewritten (a text that comes to state another value), textdiff,
databases (which PostgreSQL and Redis), environment (settings that are more than text),
patterns.pattern and schemas.misfit (regular expressions and JSON Schemas from outside).
"""
