"""create_app(): the application that gunicorn serves. It wires routes and the error handler, and decides nothing."""

import os
import time
from typing import Any

from flask import Flask

from config import logs as server_log
from config.settings import Settings, load_settings
from functions import health
from functions.operators import events, fsck, history, logs, metrics, pool_verbs, pools, resource_verbs, resources
from functions.operators import health as readiness
from functions.operators import preview as plan
from functions.operators import tickets as operators_tickets
from functions.pages import api, assets, overview, pool, resource
from functions.pages import events as events_page
from functions.pages import pools as pools_page
from functions.pages import preview as plan_page
from functions.pages import resources as resources_page
from functions.pages import ticket as ticket_page
from functions.pages import tickets as tickets_page
from functions.pages.acts import then
from functions.pages.layout import error_page
from functions.tickets import check, close, create, explain, wait, xmlrpc
from functions.web import about, errors, request_counts
from functions.web import replies as http
from functions.web.context import Context
from state.store import Store

ROUTES: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/", about.start),
    ("GET", "/healthz", health.report),
    ("GET", "/openapi.json", about.openapi),
    ("GET", "/readyz", readiness.report),
    ("GET", "/metrics", metrics.report),
    ("POST", "/", xmlrpc.call),
    ("POST", "/RPC2", xmlrpc.call),
    ("POST", "/tickets", create.ticket),
    ("GET", "/tickets", operators_tickets.every),
    ("GET", "/tickets/<ticket_id>", check.ticket),
    ("GET", "/tickets/<ticket_id>/explain", explain.ticket),
    ("DELETE", "/tickets/<ticket_id>", close.ticket),
    ("POST", "/tickets/<ticket_id>/close", close.by_post),
    ("GET", "/tickets/<ticket_id>/output", check.output),
    ("GET", "/tickets/<ticket_id>/wait", wait.output),
    ("GET", "/resources", resources.every),
    ("POST", "/resources/delete", resource_verbs.delete_some),
    ("GET", "/resources/<id_or_name>", resources.one),
    ("DELETE", "/resources/<id_or_name>", resource_verbs.delete),
    ("POST", "/resources/<id_or_name>/delete", resource_verbs.delete_by_post),
    ("POST", "/resources/<id_or_name>/hold", resource_verbs.hold),
    ("POST", "/resources/<id_or_name>/release", resource_verbs.release),
    ("GET", "/resources/<id_or_name>/logs", logs.every),
    ("GET", "/resources/<id_or_name>/logs/<kind>", logs.one),
    ("GET", "/resources/<id_or_name>/history", history.of_resource),
    ("GET", "/logs", logs.of_several),
    ("GET", "/events", events.every),
    ("GET", "/fsck", fsck.check),
    ("GET", "/pools", pools.every),
    ("GET", "/pools/<name>", pools.one),
    ("POST", "/pools/<name>/pause", pool_verbs.pause),
    ("POST", "/pools/<name>/resume", pool_verbs.resume),
    ("POST", "/pools/<name>/drain", pool_verbs.drain),
    ("POST", "/pools/<name>/retry", pool_verbs.retry),
    ("POST", "/pools/<name>/delete-unused", resource_verbs.delete_unused),
    ("GET", "/plan", plan.usage),
    ("POST", "/plan", plan.tell),
    ("GET", "/api", api.lines),
    ("GET", "/api/stats", pools.stats),
    ("GET", "/assets/<name>", assets.file),
)

PAGES: dict[tuple[str, str], Any] = {
    ("GET", "/"): overview.show,
    ("GET", "/api"): api.show,
    ("GET", "/tickets"): tickets_page.show,
    ("GET", "/tickets/<ticket_id>"): ticket_page.show,
    ("GET", "/resources"): resources_page.show,
    ("GET", "/resources/<id_or_name>"): resource.show,
    ("GET", "/pools"): pools_page.show,
    ("GET", "/pools/<name>"): pool.show,
    ("GET", "/events"): events_page.show,
    ("GET", "/plan"): plan_page.ask,
    ("POST", "/plan"): plan_page.show,
    ("POST", "/tickets/<ticket_id>/close"): then(close.by_post, "/tickets/{ticket_id}", "close"),
    ("POST", "/resources/<id_or_name>/delete"): then(
        resource_verbs.delete_by_post, "/resources/{id_or_name}", "delete"
    ),
    ("POST", "/resources/<id_or_name>/hold"): then(resource_verbs.hold, "/resources/{id_or_name}", "hold"),
    ("POST", "/resources/<id_or_name>/release"): then(resource_verbs.release, "/resources/{id_or_name}", "release"),
    ("POST", "/pools/<name>/pause"): then(pool_verbs.pause, "/pools/{name}", "pause"),
    ("POST", "/pools/<name>/resume"): then(pool_verbs.resume, "/pools/{name}", "resume"),
    ("POST", "/pools/<name>/drain"): then(pool_verbs.drain, "/pools/{name}", "drain"),
    ("POST", "/pools/<name>/retry"): then(pool_verbs.retry, "/pools/{name}", "retry"),
    ("POST", "/pools/<name>/delete-unused"): then(resource_verbs.delete_unused, "/pools/{name}", "unused"),
}
"""What browsers get at these routes; everybody else gets what `ROUTES` says."""


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
    context = Context(settings, store, time.time, request_counts.for_routes([*routes, metrics.NO_ROUTE]), error_page)
    context.open()
    app.extensions["resalloc"] = context
    app.before_request(metrics.note_route)
    app.before_request(http.refuse_cross_site)
    app.after_request(http.finish)
    app.register_error_handler(Exception, http.reply_to_error)
    for method, path, function in ROUTES:
        page = PAGES.get((method, path))
        view = http.for_browsers(page, function) if page else function
        name = metrics.route(method, path)
        app.add_url_rule(path, name, view, methods=[method], provide_automatic_options=False)
    app.wsgi_app = request_counts.count_replies(app.wsgi_app, context.request_counts, metrics.NO_ROUTE)  # type: ignore[assignment,method-assign]
    return app
