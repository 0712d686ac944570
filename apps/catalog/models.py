"""Domains, jobs, contracts, tools, agents and prompts."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from apps.catalog.domain.entries import agent_entry
from apps.documents.models import NONE_YET, Draft, Version
from apps.kernel.models import JSONField
from apps.kernel.patching import dumped


class Domain(models.Model):
    """A company's field of work. ``replay`` says how recordings of it are read, ``server`` who
    offers its tools; none for what a release before this column knew."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    replay = JSONField(default=dict, blank=True)
    server = models.ForeignKey(
        "ToolServer", null=True, on_delete=models.PROTECT, related_name="domains"
    )

    def __str__(self) -> str:
        return self.slug


class ToolServer(models.Model):
    """A company's tool service. Where it is the environment or a file says, by slug, since that
    differs from machine to machine; for whom neither knows, its published document does, and
    ``url`` is what its pack states for one without. ``domain`` is whose pack holds the document,
    none where there is none: tools of every domain may be offered by it."""

    slug = models.SlugField(unique=True)
    protocol = models.CharField(max_length=16, default="mcp")
    url = models.CharField(max_length=300, blank=True)
    name = models.CharField(max_length=120, blank=True, default="", db_default="")
    domain = models.ForeignKey(
        Domain, null=True, on_delete=models.PROTECT, related_name="tool_servers"
    )
    current_number = models.PositiveIntegerField(default=0, db_default=0)

    def __str__(self) -> str:
        return self.slug

    @property
    def label(self) -> str:
        """What people are told. Rows of the release before have no name."""
        return str(self.name or self.slug)

    @property
    def is_known_otherwise(self) -> bool:
        """Whether it stays when its only draft is discarded."""
        return bool(self.url) or self.tools.exists() or self.domains.exists()


class ServerCheck(models.Model):
    """How a server answered when it was last asked what it offers. ``answered_at`` is the last time
    that it did, ``error`` why it didn't this time. ``unused`` are tools it offers that no pack
    names; ``findings`` are sentences about what contradicts the catalog."""

    server = models.OneToOneField(
        ToolServer, on_delete=models.CASCADE, primary_key=True, related_name="check_row"
    )
    checked_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    is_answering = models.BooleanField(default=False)
    error = models.CharField(max_length=600, blank=True)
    latency_ms = models.FloatField(null=True)
    protocol = models.CharField(max_length=40, blank=True)
    software = models.CharField(max_length=200, blank=True)
    unused = JSONField(default=list)
    findings = JSONField(default=list)

    def __str__(self) -> str:
        return f"{self.server_id}: {self.error or 'answers'}"


class Published(models.Model):
    """What versions of tools, agents and prompts have beside their number: what was said on their
    way, and who wrote and approved them; a pack's have neither author nor approver."""

    note = models.TextField(blank=True, default="", db_default="")
    notes = JSONField(default=list, db_default=NONE_YET)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    approver = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        abstract = True

    @property
    def published_at(self) -> datetime:
        return self.created_at


class WrittenEntry(Published):
    """A version whose ``document`` is its entry, and ``written`` the YAML of it, letter by
    letter."""

    number = models.PositiveIntegerField()
    document = JSONField()
    written = models.TextField()
    digest = models.CharField(max_length=64)

    class Meta:
        abstract = True

    @property
    def text(self) -> str:
        return self.written


class ToolServerVersion(WrittenEntry):
    """``document``: address and where its key is read, never the key."""

    server = models.ForeignKey(ToolServer, on_delete=models.PROTECT, related_name="versions")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["server", "number"], name="catalog_toolserverversion_number_unique"
            )
        ]
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"{self.server_id} v{self.number}"


class ToolServerDraft(Draft):
    server = models.OneToOneField(ToolServer, on_delete=models.CASCADE, related_name="draft")

    def __str__(self) -> str:
        return f"{self.server_id} draft {self.revision}"


class Tool(models.Model):
    domain = models.ForeignKey(Domain, on_delete=models.PROTECT, related_name="tools")
    server = models.ForeignKey(ToolServer, on_delete=models.PROTECT, related_name="tools")
    name = models.CharField(max_length=80)
    current_number = models.PositiveIntegerField(default=0)
    # What the server said of it when it was last asked, and the digest of that; none before.
    live = JSONField(null=True)
    live_digest = models.CharField(max_length=64, blank=True, db_default="")
    live_since = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["domain", "name"], name="catalog_tool_name_unique")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def slug(self) -> str:
        """What the audit log calls it."""
        return f"{self.domain.slug}/{self.name}"


class ToolVersion(Published):
    """What a tool is: schema, effect and idempotency class. ``document`` is the pack's entry with
    the input schema filled in, ``written`` the YAML of it, as far as somebody wrote it in a file
    of its own or in the browser; ``served`` what the server said of the tool when it was published,
    if it could be asked; ``fingerprint`` the digest of both. Columns repeat what queries need."""

    class Effect(models.TextChoices):
        READ = "read", "Read"
        DRAFT = "draft", "Draft"
        WRITE = "write", "Write"
        IRREVERSIBLE = "irreversible", "Irreversible"

    class Idempotency(models.TextChoices):
        KEYED = "keyed", "Keyed"
        LOOKUP = "lookup", "Look-up"
        NONE = "none", "None"

    tool = models.ForeignKey(Tool, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    document = JSONField()
    written = models.TextField(blank=True, default="", db_default="")
    served = JSONField(null=True)
    served_digest = models.CharField(max_length=64, blank=True, db_default="")
    fingerprint = models.CharField(max_length=64)
    effect = models.CharField(max_length=12, choices=Effect.choices)
    idempotency = models.CharField(max_length=8, choices=Idempotency.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tool", "number"], name="catalog_toolversion_number_unique"
            )
        ]
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"{self.tool_id} v{self.number}"

    @property
    def text(self) -> str:
        return self.written or dumped(self.document)

    @property
    def digest(self) -> str:
        return self.fingerprint


class ToolDraft(Draft):
    tool = models.OneToOneField(Tool, on_delete=models.CASCADE, related_name="draft")

    def __str__(self) -> str:
        return f"{self.tool_id} draft {self.revision}"


class Prompt(models.Model):
    slug = models.SlugField(unique=True)
    domain = models.ForeignKey(Domain, on_delete=models.PROTECT, related_name="prompts")
    current_number = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.slug

    @property
    def name(self) -> str:
        return self.slug


class PromptVersion(Published):
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    text = models.TextField()
    digest = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["prompt", "number"], name="catalog_promptversion_number_unique"
            )
        ]
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"{self.prompt_id} v{self.number}"


class PromptDraft(Draft):
    prompt = models.OneToOneField(Prompt, on_delete=models.CASCADE, related_name="draft")

    def __str__(self) -> str:
        return f"{self.prompt_id} draft {self.revision}"


class Agent(models.Model):
    """Who proposes steps. ``domain`` is whose pack holds it; none for what a release before this
    column knew, and nobody has applied since."""

    class Kind(models.TextChoices):
        REFERENCE = "reference", "Reference"
        RECORDED = "recorded", "Recorded"
        MODEL = "model", "Model"

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    domain = models.ForeignKey(Domain, null=True, on_delete=models.PROTECT, related_name="agents")
    current_number = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.slug


class AgentVersion(Published):
    """``document``: {"prompt", "prompt_number", "prompt_version" (id or None), "model",
    "fallback_models", "settings", "models"}; ``models`` pins those of its models that the catalog
    holds: {slug: id of a LanguageModelVersion}, and isn't there if it holds none. ``written`` is
    its YAML, without the numbers that a name meant when it was published."""

    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    document = JSONField(default=dict)
    written = models.TextField(blank=True, default="", db_default="")
    digest = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["agent", "number"], name="catalog_agentversion_number_unique"
            )
        ]
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"{self.agent_id} v{self.number}"

    @property
    def text(self) -> str:
        if self.written:
            return self.written
        found: Agent = self.agent
        entry = agent_entry(found.slug, found.name, found.kind, self.document)
        return dumped(entry)


class AgentDraft(Draft):
    agent = models.OneToOneField(Agent, on_delete=models.CASCADE, related_name="draft")

    def __str__(self) -> str:
        return f"{self.agent_id} draft {self.revision}"


class LanguageModel(models.Model):
    """A model that agents may be asked of, beside the one that the installation is set up with.
    ``domain`` is whose pack holds it; agents of every domain may name it."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    domain = models.ForeignKey(Domain, on_delete=models.PROTECT, related_name="language_models")
    current_number = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.slug


class LanguageModelVersion(WrittenEntry):
    """``document``: address, the provider's name for it, where its key is read (never the key), and
    what it costs."""

    model = models.ForeignKey(LanguageModel, on_delete=models.PROTECT, related_name="versions")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["model", "number"], name="catalog_languagemodelversion_number_unique"
            )
        ]
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"{self.model_id} v{self.number}"


class LanguageModelDraft(Draft):
    model = models.OneToOneField(LanguageModel, on_delete=models.CASCADE, related_name="draft")

    def __str__(self) -> str:
        return f"{self.model_id} draft {self.revision}"


class Job(models.Model):
    """A job to be done. Columns mirror its current contract, for lists and search."""

    domain = models.ForeignKey(Domain, on_delete=models.PROTECT, related_name="jobs")
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=160)
    owner = models.CharField(max_length=160)
    purpose = models.TextField(blank=True)
    criticality = models.CharField(max_length=16, default="normal")
    current_number = models.PositiveIntegerField(default=0)
    is_active = models.BooleanField(default=True)
    # Digest of the contract as a pack last stated it: tells a browser's edit from a pack's.
    applied_digest = models.CharField(max_length=64, blank=True)

    def __str__(self) -> str:
        return self.slug


class ContractVersion(Version):
    """A published contract: what the job promises and within which bounds. Immutable (trigger);
    a run pins the version it started under. ``text`` is the YAML people wrote, ``document`` the
    same as JSON. ``resolved`` pins what its names meant when it was published: {"tools": {name:
    ToolVersion id}, "agents": {slug: AgentVersion id}, "prompts": {agent slug: PromptVersion
    id}}."""

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="versions")
    document = JSONField()
    resolved = JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["job", "number"], name="catalog_contractversion_number_unique"
            )
        ]
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"{self.job_id} v{self.number}"


class ContractDraft(Draft):
    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="draft")

    def __str__(self) -> str:
        return f"{self.job_id} draft {self.revision}"
