from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from apps.accounts.views import enrolment, people, sessions

app_name = "accounts"
urlpatterns: list[URLPattern | URLResolver] = [
    path("login/", sessions.LogIn.as_view(), name="login"),
    path("logout/", sessions.log_out, name="logout"),
    path("enrol/", enrolment.enrol, name="enrol"),
    path("back/", sessions.back, name="back"),
    path("kept/", sessions.kept, name="kept"),
    path("kept/drop/", sessions.drop_kept, name="drop_kept"),
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
    path("users/<int:user_id>/role/", people.change_role, name="role"),
    path("users/<int:user_id>/disable/", people.disable_user, name="disable"),
    path("users/<int:user_id>/enable/", people.enable_user, name="enable"),
    path("users/<int:user_id>/reset/", people.reset_user, name="reset"),
    path("users/<int:user_id>/confirm/", people.confirm_user, name="confirm"),
]
