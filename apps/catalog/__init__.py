"""Catalog: what the company lets agents do, versioned; immutable once published.

Owns: Domain, ToolServer, Tool, ToolVersion, Prompt, PromptVersion, Agent, AgentVersion, Job,
ContractVersion, ContractDraft.
Hides: how a pack of YAML becomes rows, how two versions are compared.
Offers: services.apply_pack, services.publish_contract, selectors.contract_for_run,
domain.contract.Contract.
"""
