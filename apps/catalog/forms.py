"""The main values of a contract as fields, and the filters of the catalog's pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from apps.catalog.domain.contract_schema import CRITICALITIES
from apps.catalog.domain.endpoints import MOST_OF_URL
from apps.catalog.domain.entrydiff import IDEMPOTENCY
from apps.catalog.domain.fields import (
    FIELDS,
    TOOL_FIELDS,
    Spoken,
    default_of,
    form_kind,
    schema_of,
)
from apps.catalog.domain.keys import OF_MODELS, OF_SERVERS
from apps.catalog.models import Agent, Domain, Prompt
from apps.kernel.documents import Path
from apps.kernel.fields import Field, Section
from apps.policy.domain.effects import EFFECTS

KINDS = "model: a live model; reference: follows a script; recorded: replays a recording"
PROVIDERS = "openai: whatever speaks OpenAI's chat completions"
KEYS = f"Its name, beginning with {OF_MODELS.prefix}; never the key itself"
SERVER_KEYS_HELP = f"Its name, beginning with {OF_SERVERS.prefix}; never the key itself"


def contract_sections(
    document: Any, *, agents: frozenset[str], policies: frozenset[str]
) -> list[Section]:
    """The fields for ``document``: fixed ones, and a few for each tool it lists."""
    known = {"decisions.policy": tuple(sorted(policies)), "agent.slug": tuple(sorted(agents))}
    titles = dict.fromkeys(one.form for one in FIELDS.values() if one.form)
    return [*(_section(title, known) for title in titles), *_tool_sections(document)]


def _section(title: str, known: Mapping[str, tuple[str, ...]]) -> Section:
    mine = ((path, one) for path, one in FIELDS.items() if one.form == title)
    return Section(title, tuple(_field(p, one, known.get(p)) for p, one in mine))


def _field(
    path: str, one: Spoken, choices: tuple[str, ...] | None = None, at: Path | None = None
) -> Field:
    """The field of the form for a field of the contract; ``at``: where it is in this document."""
    return Field(
        at or tuple(path.split(".")),
        one.form_label or one.label,
        "choice" if choices is not None else form_kind(path),
        tuple(schema_of(path)[0].get("enum", ())) if choices is None else choices,
        help=one.help,
        unit="" if one.unit == "%" else one.unit,  # it is written as a share
        default=default_of(path),
    )


def tool_sections() -> list[Section]:
    """The fields of a tool."""
    return [
        Section(
            "What a call does",
            (
                Field(("title",), "Title"),
                Field(("effect",), "Effect", "choice", EFFECTS),
                Field(("resource",), "What it is about", help="Such as {order_id}", optional=True),
                Field(
                    ("amount",), "Money at stake", help="Path of an amount in cents", optional=True
                ),
                Field(("sentence",), "What people are asked", "long", optional=True),
            ),
        ),
        Section(
            "If an answer is lost",
            (
                Field(("idempotency",), "Idempotency", "choice", IDEMPOTENCY, default="none"),
                Field(
                    ("lookup",),
                    "Look-up",
                    help="Tool that says whether a key was carried out",
                    optional=True,
                ),
            ),
        ),
        Section(
            "Tried first",
            (
                Field(("preview",), "Preview", help="Tool that makes a dry run", optional=True),
                Field(("preview_then",), "Looks ahead at the plan", "flag", default=False),
            ),
        ),
    ]


def model_sections() -> list[Section]:
    """The fields of a model."""
    price = "US dollars per million tokens"
    return [
        Section(
            "What it is",
            (
                Field(("name",), "Name"),
                Field(("provider",), "Provider", "choice", ("openai",), help=PROVIDERS),
                Field(("url",), "Address", help="Such as https://api.example.com/v1"),
                Field(("model",), "Model", help="As the provider calls it"),
                Field(("output",), "Output", "choice", ("tools", "json"), default="tools"),
            ),
        ),
        Section(
            "Where its key is read",
            (
                Field(("key", "env"), "Variable", help=KEYS, optional=True),
                Field(
                    ("key", "file"), "File", help="In the folder TOWER_MODEL_KEYS", optional=True
                ),
            ),
        ),
        Section(
            "Price and bounds",
            (
                Field(("prices", "input_usd_per_million"), "Input", "number", unit="$", help=price),
                Field(
                    ("prices", "output_usd_per_million"), "Output", "number", unit="$", help=price
                ),
                Field(("max_output_tokens",), "Most tokens of an answer", "whole", optional=True),
                Field(("timeout_s",), "Time-out", "number", unit="s", optional=True),
            ),
        ),
    ]


def server_sections() -> list[Section]:
    """The fields of a tool server."""
    return [
        Section(
            "What it is",
            (
                Field(("name",), "Name"),
                Field(("url",), "Address", help="Such as https://tools.example.com/mcp"),
            ),
        ),
        Section(
            "Where its key is read",
            (
                Field(("key", "env"), "Variable", help=SERVER_KEYS_HELP, optional=True),
                Field(
                    ("key", "file"), "File", help="In the folder TOWER_SERVER_KEYS", optional=True
                ),
            ),
        ),
    ]


def agent_sections(prompts: tuple[str, ...], models: tuple[str, ...] = ()) -> list[Section]:
    """The fields of an agent; ``models`` are those of the catalog."""
    known = f"; the catalog has {', '.join(models[:8])}" if models else ""
    kinds = tuple(Agent.Kind.values)
    return [
        Section(
            "Who it is",
            (
                Field(("name",), "Name"),
                Field(("kind",), "Kind", "choice", kinds, help=KINDS),
                Field(("prompt",), "Prompt", "choice", prompts, optional=True),
            ),
        ),
        Section(
            "Models",
            (
                Field(
                    ("model",),
                    "Model",
                    help=f"One of the catalog, or the provider's name{known}; empty: TOWER_MODEL",
                    optional=True,
                ),
                Field(("fallback_models",), "Fallback models", "names"),
            ),
        ),
    ]


def _tool_sections(document: Any) -> list[Section]:
    tools = document.get("tools") if isinstance(document, dict) else None
    found = []
    for i, tool in enumerate(tools if isinstance(tools, list) else []):
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
            continue
        shown = ((path, one) for path, one in TOOL_FIELDS.items() if one.form_label)
        fields = (
            _field(f"tools.{path}", one, at=("tools", i, *path.split("."))) for path, one in shown
        )
        found.append(Section(f"Tool {tool['name']}", tuple(fields)))
    return found


class JobFilter(forms.Form):
    """What the catalog's list is narrowed by; unknown values are ignored, not errors."""

    SIZES = (20, 50, 100)

    q = forms.CharField(required=False, max_length=120, strip=True)
    domain = forms.SlugField(required=False)
    owner = forms.CharField(required=False, max_length=160)
    criticality = forms.ChoiceField(required=False, choices=[(c, c) for c in CRITICALITIES])
    draft = forms.BooleanField(required=False)
    after = forms.SlugField(required=False)
    size = forms.TypedChoiceField(
        required=False, coerce=int, empty_value=20, choices=[(s, s) for s in SIZES]
    )

    @property
    def chosen(self) -> dict[str, Any]:
        self.is_valid()
        empty = {name: field.to_python("") for name, field in self.fields.items()}
        return {**empty, "size": 20, **self.cleaned_data}


def _slug(**more: Any) -> forms.RegexField:
    return forms.RegexField(
        r"^[a-z0-9][a-z0-9_-]*\Z",
        max_length=50,
        error_messages={"invalid": "Use small letters, digits, - and _."},
        **more,
    )


class BeginForm(forms.Form):
    """A new job or policy set. Its slug is what contracts, runs and packs call it, for good."""

    domain = forms.ModelChoiceField(Domain.objects.order_by("slug"), to_field_name="slug")
    slug = _slug()
    name = forms.CharField(max_length=120)


class AgentForm(BeginForm):
    """A new agent. Runs find the agents of a domain by the beginning of their slugs."""

    kind = forms.ChoiceField(choices=Agent.Kind.choices, initial=Agent.Kind.MODEL, help_text=KINDS)
    model = forms.CharField(
        max_length=400,
        required=False,
        help_text="One of the catalog, or as the provider that the tower is set up with calls it;"
        " empty: that one's.",
    )
    prompt = forms.ModelChoiceField(
        Prompt.objects.filter(current_number__gt=0).order_by("slug"),
        to_field_name="slug",
        required=False,
        empty_label="none",
    )

    def clean(self) -> dict[str, Any]:
        found = super().clean() or self.cleaned_data
        domain, slug, prompt = (found.get(key) for key in ("domain", "slug", "prompt"))
        if domain and slug and not slug.startswith(f"{domain.slug}-"):
            self.add_error("slug", f"Begin it with “{domain.slug}-”: runs find it by that.")
        if domain and prompt and prompt.domain_id != domain.pk:
            self.add_error("prompt", f"It is a prompt of {prompt.domain}, not of {domain}.")
        return found


class ModelForm(BeginForm):
    """A new model."""

    url = forms.CharField(
        label="Address",
        max_length=300,
        help_text=f"Such as https://api.example.com/v1. {PROVIDERS}.",
    )
    model = forms.CharField(max_length=160, help_text="As its provider calls it.")
    key = forms.RegexField(
        OF_MODELS.variable,
        required=False,
        max_length=80,
        label="Variable that holds its key",
        help_text=f"{KEYS}. Empty for a provider that asks for none.",
        error_messages={"invalid": f"{KEYS}."},
    )


class NewDomainForm(forms.Form):
    """A domain that is there, or a new one by its name."""

    domain = _slug(
        help_text="One that is there, or a new one.",
        widget=forms.TextInput({"list": "domains", "autocomplete": "off"}),
    )
    domain_name = forms.CharField(
        label="Name of the domain",
        max_length=120,
        required=False,
        help_text="Of a new domain, such as “Shop support”.",
    )

    def clean(self) -> dict[str, Any]:
        found = super().clean() or self.cleaned_data
        slug = found.get("domain")
        known = Domain.objects.filter(slug=slug).exists()
        if slug and not known and not found.get("domain_name"):
            self.add_error("domain_name", "It is a new domain: give it a name.")
        return found


class ToolServerForm(NewDomainForm):
    """A new tool server, or the document of one that is known otherwise."""

    field_order = ("domain", "domain_name", "slug", "name", "url", "key")
    slug = _slug()
    name = forms.CharField(max_length=120)
    url = forms.CharField(
        label="Address",
        max_length=MOST_OF_URL,
        help_text="Such as https://tools.example.com/mcp. Nothing is sent to it before a second"
        " admin has published it.",
    )
    key = forms.RegexField(
        OF_SERVERS.variable,
        required=False,
        max_length=80,
        label="Variable that holds its key",
        help_text=f"{SERVER_KEYS_HELP}. Empty for a server that asks for none.",
        error_messages={"invalid": f"{SERVER_KEYS_HELP}."},
    )


class PromptForm(BeginForm):
    """A new prompt."""

    field_order = ("domain", "slug")
    name = None  # type: ignore[assignment]  # a prompt has none


class ServerForm(NewDomainForm):
    """Which server's tools are picked, and for which domain."""

    server = _slug(help_text="One of the catalog, or as the environment or the file calls it.")
    note = forms.CharField(max_length=400, required=False, widget=forms.HiddenInput)
    part = forms.IntegerField(min_value=0, required=False, widget=forms.HiddenInput)
