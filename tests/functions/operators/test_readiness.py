import pytest

from functions.app import create_app
from functions.operators.health import TOLERANCE

JSON = {"Accept": "application/json"}


@pytest.fixture
def shown(scheduler, app):
    """A scheduler has made a pass at 1000 and shows what it knows; it is 1010 now."""
    scheduler.show_pools({"name": "p"})
    scheduler.show_metrics(last_pass=1000.0)
    app.extensions["resalloc"].clock = lambda: 1010.0
    return scheduler


def test_a_complete_server_is_ready(client, shown):
    with shown.leading():
        reply = client.get("/readyz")
        assert (reply.status_code, reply.text) == (200, "ready\n")
        assert client.get("/readyz", headers=JSON).json == {"ready": True, "problems": [], "warnings": []}


def test_without_a_leader_it_is_not_ready(client, shown):
    reply = client.get("/readyz")
    assert reply.status_code == 503
    assert reply.text == "not ready\nproblem: No scheduler is running, so nothing is assigned, started or deleted.\n"


def test_json_has_the_problems_and_the_usual_error(client, shown):
    reply = client.get("/readyz", headers=JSON)
    sentence = "No scheduler is running, so nothing is assigned, started or deleted."
    error = {"code": "not_ready", "message": sentence, "field": None, "status": 503}
    assert reply.status_code == 503
    assert reply.json == {"ready": False, "problems": [sentence], "warnings": [], "error": error}


@pytest.mark.parametrize("now", [1000.0 + 2 * 20 + TOLERANCE + 1, 1000.0 - 2 * 20 - TOLERANCE - 1])
def test_a_scheduler_that_makes_no_passes_is_not_ready(client, shown, app, now):
    app.extensions["resalloc"].clock = lambda: now
    with shown.leading():
        reply = client.get("/readyz")
    assert reply.status_code == 503
    assert "The scheduler completed its last pass 71 s ago, but should complete one every 20 s." in reply.text


def test_a_scheduler_that_is_a_little_late_is_ready(client, shown, app):
    app.extensions["resalloc"].clock = lambda: 1000.0 + 2 * 20 + TOLERANCE - 1
    with shown.leading():
        assert client.get("/readyz").status_code == 200


def test_a_leader_that_has_made_no_pass_is_not_ready(client, scheduler):
    with scheduler.leading():
        assert "The scheduler has not completed a pass yet." in client.get("/readyz").text
        scheduler.show_metrics(last_pass=None)
        assert "The scheduler has not completed a pass yet." in client.get("/readyz").text


def test_a_faulty_file_with_earlier_valid_pools_is_a_warning(client, shown):
    shown.show_pools({"name": "p"}, faults=["pools.yaml:3: no"], quarantine=["a", "b"])
    with shown.leading():
        reply = client.get("/readyz")
    assert reply.status_code == 200
    assert reply.text.splitlines() == [
        "ready",
        "warning: pools.yaml:3: no; the last valid pools stay in force.",
        "warning: Corrupt or unreadable documents: 2; /healthz lists them.",
    ]


def test_an_unwritable_archive_is_a_warning(client, shown):
    shown.show_pools({"name": "p"}, not_archived=["tickets/done/0: Not a directory"])
    with shown.leading():
        reply = client.get("/readyz")
    assert reply.status_code == 200
    assert "warning: Finished documents cannot be archived in tickets/done/0: Not a directory." in reply.text


def test_a_faulty_file_without_earlier_valid_pools_is_a_problem(client, shown):
    shown.show_pools(faults=["pools.yaml:3: no"])
    with shown.leading():
        reply = client.get("/readyz")
    assert reply.status_code == 503
    assert "problem: pools.yaml:3: no; there are no earlier valid pools, so nothing is started." in reply.text


def test_a_server_file_that_would_prevent_a_restart_is_a_warning(client, shown, settings):
    """Given a server.yaml that became faulty after the start, then a warning is reported until it is corrected."""
    settings.config_dir.mkdir(exist_ok=True)
    file = settings.config_dir / "server.yaml"
    with shown.leading():
        file.write_text("sleeptime: 20\nport: often\n")
        reply = client.get("/readyz")
        file.write_text("sleeptime: 20\n")
        assert client.get("/readyz").text == "ready\n"
    assert reply.status_code == 200
    (warning,) = reply.text.splitlines()[1:]
    assert warning.startswith(f'warning: {file}:2: option "port": must be ')
    assert warning.endswith("; the server would not start with this file.")


def test_only_the_first_of_many_faults_are_listed(client, shown):
    shown.show_pools({"name": "p"}, faults=[f"fault {number}" for number in range(500)])
    with shown.leading():
        warnings = client.get("/readyz", headers=JSON).json["warnings"]
    assert len(warnings) == 11
    assert warnings[-1].startswith("490 more faults in the configuration")


def test_an_unwritable_store_is_a_problem(client, shown, store):
    (store.root / "tmp").rmdir()
    with shown.leading():
        reply = client.get("/readyz")
    assert reply.status_code == 503
    assert reply.text == "not ready\nproblem: The state folder cannot be written: No such file or directory.\n"


def test_a_state_folder_that_cannot_be_opened_is_a_problem(settings):
    settings.state_dir.mkdir()
    (settings.state_dir / "FORMAT").write_text("99\n")
    reply = create_app(settings).test_client().get("/readyz")
    assert (reply.status_code, reply.text) == (
        503,
        "not ready\nproblem: The state folder was written by a newer version.\n",
    )


def test_unknown_parameters_are_refused(client):
    assert client.get("/readyz?x=1").status_code == 400
