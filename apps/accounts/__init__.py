"""Accounts: who is acting, and what their role allows.

Owns: User, Identity, Enrolment, Totp, RecoveryCode, Passkey, LogInGuard, OpenSession,
Sending (what a person sends in a minute), SavedView, Team, Membership, ServiceAccount, ApiToken.
Hides: how a person logs in and how attempts are limited.
Offers: domain.roles (Role, Permission), registry (add_permissions, add_entries, allows),
authn.requires, selectors.user_by_id.
"""
