"""The demo pool `addresses`."""

import pytest

from .farm import Farm


@pytest.mark.parametrize(("id_in_pool", "address"), [(0, "192.0.2.1"), (7, "192.0.2.8"), (253, "192.0.2.254")])
def test_each_number_in_the_pool_is_an_address(farm: Farm, id_in_pool: int, address: str) -> None:
    done = farm.run("hooks/address-new", "addresses_1", id_in_pool)

    assert (done.returncode, done.stdout, done.stderr) == (0, f"{address}\n", "")


def test_the_network_can_be_chosen(farm: Farm) -> None:
    done = farm.run("hooks/address-new", "addresses_1", 0, ADDRESS_NETWORK="198.51.100")

    assert done.stdout == "198.51.100.1\n"


@pytest.mark.parametrize("id_in_pool", [254, 1000, 10**20, "None", "", "-1"])
def test_a_number_outside_of_the_range_is_reported(farm: Farm, id_in_pool: int | str) -> None:
    done = farm.run("hooks/address-new", "addresses_1", id_in_pool)

    assert done.returncode == 1
    assert done.stdout == ""
    assert f'RESALLOC_ID_IN_POOL is "{id_in_pool}"' in done.stderr
