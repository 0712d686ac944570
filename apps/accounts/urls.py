from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from apps.accounts.views import (
    enrolment,
    people,
    provider,
    saved,
    second,
    security,
    sessions,
    teams,
)

app_name = "accounts"
urlpatterns: list[URLPattern | URLResolver] = [
    path("login/", sessions.LogIn.as_view(), name="login"),
    path("logout/", sessions.log_out, name="logout"),
    path("enrol/", enrolment.enrol, name="enrol"),
    path("second/", second.second, name="second"),
    path("provider/", provider.leave, name="provider"),
    path("provider/back/", provider.come_back, name="provider_back"),
    path("passkey/ask/", second.ask_passkey, name="passkey_ask"),
    path("passkey/show/", second.show_passkey, name="passkey_show"),
    path("active/", sessions.active, name="active"),
    path("security/", security.security, name="security"),
    path("security/password/", security.change_password, name="password"),
    path("security/again/", security.log_in_again, name="again"),
    path("security/totp/", security.begin_totp, name="totp_begin"),
    path("security/totp/add/", security.add_totp, name="totp_add"),
    path("security/passkey/", security.make_passkey, name="passkey_make"),
    path("security/passkey/add/", security.add_passkey, name="passkey_add"),
    path("security/remove/", security.remove_factor, name="factor_remove"),
    path("security/codes/", security.new_codes, name="codes"),
    path("security/sessions/end/", security.end_others, name="sessions_end"),
    path("security/sessions/<int:session_id>/end/", security.end_session, name="session_end"),
    path("back/", sessions.back, name="back"),
    path("kept/", sessions.kept, name="kept"),
    path("kept/drop/", sessions.drop_kept, name="drop_kept"),
    path("views/save/", saved.save, name="view_save"),
    path("views/<int:view_id>/delete/", saved.delete, name="view_delete"),
    path("settings/", people.settings_page, name="settings"),
    path("users/", people.users, name="users"),
    path("users/create/", people.create_user, name="create"),
    path("users/services/", people.service_accounts, name="services"),
    path("users/services/create/", people.create_service, name="service_create"),
    path("users/services/<int:account_id>/token/", people.create_token, name="token_create"),
    path(
        "users/services/<int:account_id>/disable/", people.disable_service, name="service_disable"
    ),
    path("users/services/tokens/<int:token_id>/revoke/", people.revoke_token, name="token_revoke"),
    path("users/teams/", teams.index, name="teams"),
    path("users/teams/new/", teams.make, name="team_make"),
    path("users/teams/<int:team_id>/", teams.change, name="team"),
    path("users/teams/<int:team_id>/remove/", teams.remove, name="team_remove"),
    path("users/<int:user_id>/role/", people.change_role, name="role"),
    path("users/<int:user_id>/disable/", people.disable_user, name="disable"),
    path("users/<int:user_id>/enable/", people.enable_user, name="enable"),
    path("users/<int:user_id>/reset/", people.reset_user, name="reset"),
    path("users/<int:user_id>/confirm/", people.confirm_user, name="confirm"),
]
