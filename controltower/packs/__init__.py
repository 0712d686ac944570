"""Packs: jobs, tools and policies as files; see README.md in this folder."""
