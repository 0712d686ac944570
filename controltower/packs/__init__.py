"""Packs: jobs, tools and policies as files; see ``docs/packs.md``."""
