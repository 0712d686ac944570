"""Documents: the one way in which a document gets its next version.

Owns: the abstract Draft and Version that every kind's tables inherit; no table of its own.
Hides: who may do what when, how two editors are kept apart, when a version is published.
Offers: domain.kinds.DocumentKind (what a kind plugs in), selectors.declare; services.save_draft …
publish_draft, roll_back, publish_due (commands); services.look (findings); views.editor.Editor (the
requests of a draft's editor); domain.changes (how a change is classed).
"""
