def test_a_server_without_scheduler_says_so(client):
    reply = client.get("/healthz")
    assert (reply.status_code, reply.text) == (200, "web: ok\nstore: ok\nscheduler: not running\n")


def test_faults_and_quarantined_documents_are_reported(client, scheduler):
    scheduler.show_pools(faults=["pools.yaml:3: no"], quarantine=["tickets-open-7"], warnings=["hm"])
    with scheduler.leading():
        facts = client.get("/healthz", headers={"Accept": "application/json"}).json
        text = client.get("/healthz").text
    assert (facts["scheduler"], facts["leader"], facts["faults"]) == (
        "ok",
        {"pid": 1, "since": 1.0},
        ["pools.yaml:3: no"],
    )
    assert text.endswith("scheduler: ok\nconfig fault: pools.yaml:3: no\nin quarantine: tickets-open-7\n")


def test_folders_that_cannot_be_written_by_the_archive_are_reported(client, scheduler):
    scheduler.show_pools(not_archived=["tickets/done/0: Not a directory"])
    with scheduler.leading():
        facts = client.get("/healthz", headers={"Accept": "application/json"}).json
        text = client.get("/healthz").text
    assert facts["not_archived"] == ["tickets/done/0: Not a directory"]
    assert text.endswith("cannot be archived: tickets/done/0: Not a directory\n")


def test_a_corrupt_view_counts_as_missing(client, store):
    store.show("pools.json", b"{")
    assert client.get("/healthz").status_code == 200


def test_an_unwritable_store_is_unhealthy(client, store):
    (store.root / "tmp").rmdir()
    assert client.get("/healthz").status_code == 503


def test_the_start_page_lists_commands_to_try(client):
    text = client.get("/").text
    assert "curl -fsS http://localhost/tickets -d tag=" in text
