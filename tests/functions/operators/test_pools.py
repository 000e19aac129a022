from state.documents import ResourceState


def test_pools_are_counted_in_the_order_of_the_file(client, scheduler):
    scheduler.record("z", position=0, options={"max": 4, "description": "last letter"})
    scheduler.record("a", position=1, options={"max": 2})
    scheduler.record("left", configured=False, options={"max": 9})
    scheduler.record("empty", configured=False, options={"max": 9})
    scheduler.resource(1, pool="z")
    scheduler.resource(2, pool="z")
    for number, state in enumerate(ResourceState, 3):
        scheduler.resource(number, pool="left", state=state)
    client.post("/tickets", data={"tag": "A"})
    scheduler.assign(1, resource=2)
    assert client.get("/pools").text.splitlines() == [
        "z max=4 up=2 ready=1 taken=1 starting=0 delete_requested=0 deleting=0 releasing=0",
        "a max=2 up=0 ready=0 taken=0 starting=0 delete_requested=0 deleting=0 releasing=0",
        "left max=9 up=1 ready=1 taken=0 starting=1 delete_requested=1 deleting=1 releasing=1",
    ]
    found = client.get("/pools", headers={"Accept": "application/json"}).json
    assert [(pool["name"], pool["configured"], pool["description"]) for pool in found["pools"]] == [
        ("z", True, "last letter"),
        ("a", True, None),
        ("left", False, None),
    ]
    assert found["total"] == {
        "max": 15,
        "up": 3,
        "ready": 2,
        "taken": 1,
        "starting": 1,
        "delete_requested": 1,
        "deleting": 1,
        "releasing": 1,
    }


def test_statistics_are_those_of_configured_pools(client, scheduler):
    scheduler.record(
        "p", startup_success_rate=0.8, startup_time_avg=1.5, last_successful_start=2.0, last_attempt_to_start=3.0
    )
    scheduler.record("new", position=1)
    scheduler.record("left", configured=False)
    assert client.get("/api/stats").json == {
        "p": {
            "startup_success_rate": 0.8,
            "startup_time_avg": 1.5,
            "last_successful_start": 2.0,
            "last_attempt_to_start": 3.0,
        },
        "new": dict.fromkeys(
            ("startup_success_rate", "startup_time_avg", "last_successful_start", "last_attempt_to_start")
        ),
    }
