"""The pages of drafts, the same for every kind of document."""
