"""New jobs and policy sets, begun in the browser: a name, and a first draft to write on."""

from __future__ import annotations

from typing import Any

from apps.catalog import selectors
from apps.catalog.models import Domain, Job
from apps.catalog.services.drafts import CONTRACTS
from apps.catalog.services.reading import policy_schema
from apps.documents import services as documents
from apps.kernel.errors import ConflictError
from apps.kernel.patching import scalar
from apps.kernel.transactions import command
from apps.policy import selectors as policies
from apps.policy import services as policy

FIRST = """\
# What this job promises. Nothing runs under it before a second admin has published it.
job: {slug}
name: {name}
owner: {owner}
purpose: >
  Say in a sentence what comes of it, and for whom.
outcome:
  success: resolved
  target: 0.9
agent: {{slug: {agent}, fallbacks: []}}
tools:
{tools}
limits: {{deadline_s: 14400, steps: 40}}
decisions:
  policy: {policy}
  votes: 1
  window_s: 3600
  on_timeout: reject
data: {{classification: confidential}}
criticality: normal
"""


@command
def begin_job(*, domain: Domain, slug: str, name: str, author: Any) -> Job:
    """A job that has no contract yet, and its first draft: it may read with every tool of its
    domain that only reads, and change nothing. Raises ConflictError when the slug is taken."""
    documents.require(CONTRACTS, author)
    # The unique slug decides between two who begin it at once: the second finds the first one's.
    job, is_new = Job.objects.get_or_create(slug=slug, defaults={"domain": domain, "name": name})
    if not is_new:
        raise ConflictError(f"There is a job “{slug}” already.", code="slug_taken")
    documents.start(CONTRACTS, job, text=_first(domain, slug, name, author), author=author)
    return job


def _first(domain: Domain, slug: str, name: str, author: Any) -> str:
    reading = sorted(n for n, e in selectors.tool_effects(domain.pk).items() if e == "read")
    own = sorted(policies.slugs(domain.slug))
    agents = sorted(selectors.agent_slugs())
    of_domain = [a for a in agents if a.startswith(domain.slug)] or agents
    return FIRST.format(
        slug=slug,
        name=scalar(name),
        owner=scalar(author.display_name),
        agent=scalar(of_domain[0] if of_domain else ""),
        tools="\n".join(f"  - name: {scalar(tool)}" for tool in reading) or "  []",
        policy=scalar(own[0] if own else ""),
    )


@command
def begin_policy(*, domain: Domain, slug: str, name: str, author: Any) -> str:
    """A policy set that has no version yet, and its first draft, checked against the tools of its
    domain as they are. Returns its slug; raises ConflictError when that is taken."""
    documents.require(policy.POLICIES, author)
    schema = policy_schema(selectors.tool_documents(domain.slug))
    made = policy.begin(slug=slug, name=name, domain_slug=domain.slug, schema=schema, author=author)
    return str(made.slug)
