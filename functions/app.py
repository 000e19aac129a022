"""create_app() builds the application that gunicorn serves: routes, functions, pages and the error handler."""

import os
import time
from typing import Any

from flask import Flask

from config import logs as server_log
from config.settings import Settings, load_settings
from functions.operators import events, health, history, logs, metrics, pools, preview, resources, verbs
from functions.pages import api, layout
from functions.pages import events as events_page
from functions.pages import pools as pools_page
from functions.pages import preview as preview_page
from functions.pages import resources as resources_page
from functions.pages import tickets as tickets_page
from functions.pages.verbs import redirecting
from functions.tickets import check, close, create, explain, wait, xmlrpc
from functions.web import errors, openapi, replies, request_counts
from functions.web.context import Context
from state.store import Store

ROUTES: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/", openapi.show_start),
    ("GET", "/healthz", health.report_health),
    ("GET", "/openapi.json", openapi.show_description),
    ("GET", "/readyz", health.report_readiness),
    ("GET", "/metrics", metrics.report),
    ("POST", "/", xmlrpc.call),
    ("POST", "/RPC2", xmlrpc.call),
    ("POST", "/tickets", create.ticket),
    ("GET", "/tickets", resources.list_tickets),
    ("GET", "/tickets/<ticket_id>", check.ticket),
    ("GET", "/tickets/<ticket_id>/explain", explain.ticket),
    ("DELETE", "/tickets/<ticket_id>", close.ticket),
    ("POST", "/tickets/<ticket_id>/close", close.by_post),
    ("GET", "/tickets/<ticket_id>/output", check.output),
    ("GET", "/tickets/<ticket_id>/wait", wait.output),
    ("GET", "/resources", resources.list_resources),
    ("POST", "/resources/delete", verbs.delete_some),
    ("GET", "/resources/<id_or_name>", resources.show_resource),
    ("DELETE", "/resources/<id_or_name>", verbs.delete),
    ("POST", "/resources/<id_or_name>/delete", verbs.delete_by_post),
    ("POST", "/resources/<id_or_name>/hold", verbs.hold),
    ("POST", "/resources/<id_or_name>/release", verbs.release),
    ("GET", "/resources/<id_or_name>/logs", logs.list_logs),
    ("GET", "/resources/<id_or_name>/logs/<kind>", logs.read_log),
    ("GET", "/resources/<id_or_name>/history", history.show_history),
    ("GET", "/logs", logs.list_logs_of_several),
    ("GET", "/events", events.list_events),
    ("GET", "/fsck", health.check_state),
    ("GET", "/pools", pools.list_pools),
    ("GET", "/pools/<name>", pools.show_pool),
    ("POST", "/pools/<name>/pause", verbs.pause),
    ("POST", "/pools/<name>/resume", verbs.resume),
    ("POST", "/pools/<name>/drain", verbs.drain),
    ("POST", "/pools/<name>/retry", verbs.retry),
    ("POST", "/pools/<name>/delete-unused", verbs.delete_unused),
    ("GET", "/plan", preview.show_usage),
    ("POST", "/plan", preview.show_preview),
    ("GET", "/api", api.list_functions),
    ("GET", "/api/stats", pools.show_stats),
    ("GET", "/assets/<name>", layout.send_asset),
)

PAGES: dict[tuple[str, str], Any] = {
    ("GET", "/"): pools_page.show_overview,
    ("GET", "/api"): api.show,
    ("GET", "/tickets"): tickets_page.show_list,
    ("GET", "/tickets/<ticket_id>"): tickets_page.show_one,
    ("GET", "/resources"): resources_page.show_list,
    ("GET", "/resources/<id_or_name>"): resources_page.show_one,
    ("GET", "/pools"): pools_page.show_list,
    ("GET", "/pools/<name>"): pools_page.show_one,
    ("GET", "/events"): events_page.show,
    ("GET", "/plan"): preview_page.show_form,
    ("POST", "/plan"): preview_page.show,
    ("POST", "/tickets/<ticket_id>/close"): redirecting(close.by_post, "/tickets/{ticket_id}", "close"),
    ("POST", "/resources/<id_or_name>/delete"): redirecting(verbs.delete_by_post, "/resources/{id_or_name}", "delete"),
    ("POST", "/resources/<id_or_name>/hold"): redirecting(verbs.hold, "/resources/{id_or_name}", "hold"),
    ("POST", "/resources/<id_or_name>/release"): redirecting(verbs.release, "/resources/{id_or_name}", "release"),
    ("POST", "/pools/<name>/pause"): redirecting(verbs.pause, "/pools/{name}", "pause"),
    ("POST", "/pools/<name>/resume"): redirecting(verbs.resume, "/pools/{name}", "resume"),
    ("POST", "/pools/<name>/drain"): redirecting(verbs.drain, "/pools/{name}", "drain"),
    ("POST", "/pools/<name>/retry"): redirecting(verbs.retry, "/pools/{name}", "retry"),
    ("POST", "/pools/<name>/delete-unused"): redirecting(verbs.delete_unused, "/pools/{name}", "unused"),
}
"""The pages that browsers get at these routes. Other clients get the replies of `ROUTES`."""


def create_app(settings: Settings | None = None, store: Store | None = None) -> Flask:
    """Build the application. Settings come from the environment unless given, the store from the settings."""
    if settings is None:
        settings = load_settings(os.environ)
        server_log.set_up(settings.log_dir, settings.loglevel, settings.log_format)
    app = Flask("functions", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = errors.BODY_LIMIT
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = True
    routes = [metrics.route(method, path) for method, path, _ in ROUTES]
    context = Context(
        settings, store, time.time, request_counts.for_routes([*routes, metrics.NO_ROUTE]), layout.error_page
    )
    context.open()
    app.extensions["resalloc"] = context
    app.before_request(metrics.note_route)
    app.before_request(replies.refuse_cross_site)
    app.after_request(replies.finish)
    app.register_error_handler(Exception, replies.reply_to_error)
    for method, path, function in ROUTES:
        page = PAGES.get((method, path))
        view = replies.for_browsers(page, function) if page else function
        name = metrics.route(method, path)
        app.add_url_rule(path, name, view, methods=[method], provide_automatic_options=False)
    app.wsgi_app = request_counts.count_replies(app.wsgi_app, context.request_counts, metrics.NO_ROUTE)  # type: ignore[assignment,method-assign]
    return app
