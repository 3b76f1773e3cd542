"""``--auth``: the file of names and passwords, and how many wrong tries are heard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.exceptions import HTTPException

from explorer.launch import launch_options
from explorer.request_guard import CLIENT, LARGEST
from explorer.sign_in import RULE, TRIES, WAIT, SignIn, read_passwords

PAIR, ADDRESS, NAME = (TRIES[name][0] for name in ("tries_of_a_pair", "tries_of_an_address", "tries_for_a_name"))


def test_names_and_passwords_are_read(tmp_path):
    file = tmp_path / "class.txt"
    file.write_text("ann:one:two\n\n bea :three \n")
    assert read_passwords(file) == [("ann", "one:two"), ("bea", "three")] and read_passwords(None) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ann:one\nbea", "entry 2: expected name:password"),
        ("ann:one\n ann :two", "entry 2: this name stands here a second time"),
        (" \n", "found no line"),
        (None, "No such file"),
    ],
)
def test_a_file_of_passwords_that_is_none_is_refused(tmp_path, text, said):
    file = tmp_path / "class.txt"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ValueError, match=said):
        read_passwords(file)


class Clock:
    """Seconds that go as a test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Iterator[Clock]:
    """A clock; afterwards nobody asks any more."""
    token = CLIENT.set("10.0.0.1")
    yield Clock()
    CLIENT.reset(token)


def refused(sign_in: SignIn, name: str, password: str = "one", address: str = "10.0.0.1") -> bool:
    """Is a try not even heard?"""
    CLIENT.set(address)
    try:
        sign_in(name, password)
    except HTTPException as error:
        assert error.status_code == 429 and int(error.headers["Retry-After"]) > 0 and "Too many wrong passwords. Wait" in error.detail
        return True
    return False


def test_a_pair_is_refused_after_its_wrong_tries_and_heard_again_later(clock):
    sign_in = SignIn([("ann", "one"), ("bea", "two")], clock)
    assert [sign_in("ann", "x") for _ in range(PAIR)] == [False] * PAIR
    assert refused(sign_in, "ann"), "the right password is not heard either"
    assert not refused(sign_in, "bea") and not refused(sign_in, "ann", address="10.0.0.2")
    clock.now = WAIT - 1
    assert refused(sign_in, "ann") and not refused(sign_in, "bea", "x")
    clock.now = WAIT
    assert not refused(sign_in, "ann") and sign_in("ann", "one")


def test_a_right_password_ends_the_count_of_its_pair_only(clock):
    sign_in = SignIn([("ann", "one")], clock)
    for _ in range(ADDRESS // (PAIR - 1)):
        assert not any(sign_in("ann", "x") for _ in range(PAIR - 1)) and sign_in("ann", "one")
    for _ in range(ADDRESS % (PAIR - 1)):
        assert not sign_in("ann", "x")
    assert refused(sign_in, "ann"), "who has a name has no further tries for it"


def test_an_address_that_tries_many_names_and_a_name_that_many_addresses_try(clock):
    sign_in = SignIn([("ann", "one")], clock)
    for number in range(ADDRESS):
        assert not refused(sign_in, f"nobody {number}", address="2001:db8::1")
    assert refused(sign_in, "ann", address="2001:db8::ffff:2") and not refused(sign_in, "ann", address="2001:db8:0:1::1")
    for number in range(NAME):
        assert not refused(sign_in, "ann", "x", f"10.0.1.{number}")
    assert refused(sign_in, "ann", address="10.0.2.1") and not refused(sign_in, "bea", address="10.0.2.1")


def test_what_is_counted_is_bounded(clock):
    sign_in, most = SignIn([("ann", "one")], clock), TRIES["tries_kept"][0]
    for number in range(most // 3 + 100):
        assert not refused(sign_in, "x" * 1000 + str(number), "x", f"10.{number >> 8}.{number & 255}.1")
    assert most - 3 < len(sign_in._wrong) <= most and {len(key) for key in sign_in._wrong} == {32}
    clock.now = 2 * WAIT
    assert sign_in("ann", "one") and not sign_in._wrong


@pytest.mark.parametrize("name", ["", "ann\ud800", "\0"])
def test_odd_names_are_wrong_ones(clock, name):
    assert SignIn([("ann", "one")], clock)(name, "one\ud800") is False


def test_a_page_with_passwords_is_shown_to_who_signs_in():
    import gradio as gr
    from gradio.routes import App
    from starlette.testclient import TestClient

    with gr.Blocks() as blocks:
        gr.HTML("secret")
    options = launch_options(people=[("ann", "one")])
    blocks.auth, blocks.auth_message = options["auth"], options["auth_message"]  # what launch() sets
    client = TestClient(App.create_app(blocks, app_kwargs=options["app_kwargs"]), base_url="http://127.0.0.1:7860")
    assert client.get("/config").status_code == 401
    assert client.post("/login", data={"username": "ann", "password": "two"}).status_code == 400
    assert client.post("/login", data={"username": "ann", "password": "x" * LARGEST}).status_code == 413
    assert client.post("/login", data={"username": "ann", "password": "one"}, headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.post("/login", data={"username": "ann", "password": "one"}).json() == {"success": True}
    assert client.get("/config").status_code == 200


def test_a_page_counts_wrong_tries():
    import gradio as gr
    from gradio.routes import App
    from starlette.testclient import TestClient

    with gr.Blocks() as blocks:
        gr.HTML("secret")
    options = launch_options(people=[("ann", "one"), ("bea", "two")])
    blocks.auth, blocks.auth_message = options["auth"], options["auth_message"]  # what launch() sets
    app = App.create_app(blocks, app_kwargs=options["app_kwargs"])

    def sign_in(password: str, address: str):
        client = TestClient(app, base_url="http://127.0.0.1:7860", client=(address, 1))
        return client.post("/login", data={"username": "ann", "password": password})

    assert [sign_in("x", "10.0.0.1").status_code for _ in range(PAIR)] == [400] * PAIR
    answer = sign_in("one", "10.0.0.1")
    assert answer.status_code == 429 and answer.json()["detail"] == "Too many wrong passwords. Wait 10 min, then try again."
    assert 0 < int(answer.headers["Retry-After"]) <= WAIT
    assert sign_in("one", "10.0.0.2").json() == {"success": True}
    client = TestClient(app, base_url="http://127.0.0.1:7860")
    assert RULE in client.get("/").text and "secret" not in client.get("/").text
