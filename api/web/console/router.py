"""The console's pages, in one router."""

from __future__ import annotations

from litestar import Router

from api.web.console import frame_changes, frame_pages, service_pages, user_pages
from api.web.console.asking import HANDLERS

CONSOLE = Router(
    "/admin",
    route_handlers=[
        service_pages.overview,
        service_pages.service,
        service_pages.show_event,
        frame_pages.search_frames,
        frame_pages.show_frame,
        frame_pages.show_thumbnail,
        frame_changes.change_frame,
        frame_changes.confirm_deletion,
        frame_changes.remove_frame,
        user_pages.list_users,
        user_pages.new_user,
        user_pages.show_user,
        user_pages.change_rights,
        user_pages.change_password,
        user_pages.new_user_token,
        user_pages.end_user_token,
    ],
    exception_handlers={**HANDLERS},
)
