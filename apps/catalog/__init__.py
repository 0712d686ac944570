"""Catalog: what the company lets agents do, versioned; immutable once published.

Owns: Domain, ServerCheck, ToolServer, Tool, Prompt, LanguageModel, Agent, Job, and of each of the
last six its versions and draft: ToolServerVersion, ToolServerDraft, ToolVersion, ToolDraft,
PromptVersion, PromptDraft, LanguageModelVersion, LanguageModelDraft, AgentVersion, AgentDraft,
ContractVersion, ContractDraft.
Hides: how a pack of YAML becomes rows, how two versions are compared.
Offers: services.apply_packs; drafts (services.save_draft … publish_draft, roll_back: commands);
selectors.contract_for_run, selectors.contract, selectors.tool_versions_for, selectors.pinned;
adapters.resolve (how a tool server is called), adapters.ask (what it offers), adapters.reach (how a
model is asked);
domain.contract.Contract.
"""
