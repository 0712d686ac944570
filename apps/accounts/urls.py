from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from apps.accounts import views

app_name = "accounts"
urlpatterns: list[URLPattern | URLResolver] = [
    path("login/", views.LogIn.as_view(), name="login"),
    path("logout/", views.log_out, name="logout"),
    path("settings/", views.settings_page, name="settings"),
    path("users/", views.users, name="users"),
    path("users/create/", views.create_user, name="create"),
    path("users/services/", views.service_accounts, name="services"),
    path("users/services/create/", views.create_service, name="service_create"),
    path("users/services/<int:account_id>/token/", views.create_token, name="token_create"),
    path("users/services/<int:account_id>/disable/", views.disable_service, name="service_disable"),
    path("users/services/tokens/<int:token_id>/revoke/", views.revoke_token, name="token_revoke"),
    path("users/<int:user_id>/role/", views.change_role, name="role"),
    path("users/<int:user_id>/disable/", views.disable_user, name="disable"),
    path("users/<int:user_id>/enable/", views.enable_user, name="enable"),
    path("users/<int:user_id>/password/", views.reset_password, name="password"),
]
