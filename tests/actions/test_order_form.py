"""The form: what it asks, what it tells, and where it ends."""

from __future__ import annotations

import pytest

from actions.directory import SampleCustomer
from actions.order_form import MOST_FAILED_ATTEMPTS
from actions.sql_directory import Limits, SqlDirectory
from tests.actions.conftest import today
from tests.actions.world import IMPATIENT, NOON, Broken, Conversation, Silent


async def test_order_number_then_email_then_the_answer(
    directory: SqlDirectory, known: SampleCustomer
) -> None:
    customer = Conversation(directory)

    assert (await customer.says("where's my order?", "order_status")).responses == ["say_ask_order_number"]
    assert customer.slots["requested_slot"] == "order_number"
    assert (await customer.says(known.order_number.lower())).responses == ["say_ask_proof"]
    assert customer.slots["requested_slot"] == "proof"
    heard = await customer.says(f"it's {known.email.upper()}")

    assert heard.responses == []
    assert (customer.slots["form_result"], customer.slots["requested_slot"]) == ("ready", None)
    assert heard.effects == [
        {
            "kind": "set_verification",
            "level": "order",
            "customer": customer.verification["customer"],
            "name": known.name,
            "method": "order_number+email",
        }
    ]


async def test_nothing_is_told_or_kept_of_the_proof(directory: SqlDirectory, known: SampleCustomer) -> None:
    customer = Conversation(directory)
    await customer.says(known.order_number)
    heard = await customer.says(known.email)

    assert customer.slots["proof"] is None
    assert known.email not in repr(heard.messages)
    assert known.postcode not in repr(heard.messages)
    assert heard.lookups[0]["asked"] == {
        "order_number": known.order_number,
        "email": f"{known.email[0]}***@e***.{known.email[-3:]}",
    }


async def test_all_in_one_message(directory: SqlDirectory, known: SampleCustomer) -> None:
    customer = Conversation(directory)

    await customer.says(f"where is {known.order_number}? my postcode is {known.postcode}", "order_status")

    assert customer.slots["form_result"] == "ready"
    assert customer.verification["level"] == "order"


async def test_proof_before_number_is_not_asked_again(directory: SqlDirectory, known: SampleCustomer) -> None:
    customer = Conversation(directory)

    first = await customer.says(f"my email is {known.email}, where is my order", "order_status")
    await customer.says(known.order_number)

    assert first.responses == ["say_ask_order_number"]
    assert (customer.slots["form_result"], customer.slots["proof"]) == ("ready", None)


async def test_a_verified_customer_is_not_asked(directory: SqlDirectory, known: SampleCustomer) -> None:
    customer = Conversation(directory)
    await customer.says(f"{known.order_number} {known.email}")

    heard = await customer.says("and when will it arrive?", "delivery_date")

    assert heard.messages == []
    assert (customer.slots["form_result"], customer.slots["order_number"]) == ("ready", known.order_number)


async def test_an_expired_verification_asks_again(directory: SqlDirectory, known: SampleCustomer) -> None:
    customer = Conversation(directory)
    await customer.says(f"{known.order_number} {known.email}")
    customer.verification["expires_at"] = NOON.isoformat()

    assert (await customer.says("and my bill?", "bill")).responses == ["say_ask_proof"]


async def test_words_never_tell_whether_an_order_exists(
    directory: SqlDirectory, known: SampleCustomer
) -> None:
    heard = []
    for number in (known.order_number, "FY-000001"):
        customer = Conversation(directory, sender_id=number)
        asked = await customer.says(number)
        answer = await customer.says("nobody@example.com")
        asked.words[0].pop("number")
        heard.append(
            (asked.words, answer.words, answer.effects, answer.lookups[0]["result"], dict(customer.slots))
        )
        heard[-1][-1].pop("order_number")

    assert heard[0] == heard[1]


async def test_a_wrong_proof_can_be_put_right(directory: SqlDirectory, known: SampleCustomer) -> None:
    customer = Conversation(directory)
    await customer.says(known.order_number)

    assert (await customer.says("nobody@example.com")).responses == ["say_no_match"]
    await customer.says(known.postcode)

    assert customer.slots["form_result"] == "ready"
    assert customer.verification["failed_attempts"] == 1


async def test_another_order_number_replaces_the_first(
    directory: SqlDirectory, known: SampleCustomer
) -> None:
    customer = Conversation(directory)
    await customer.says("FY-000001")

    assert (await customer.says(known.order_number)).responses == ["say_ask_proof_new_number"]
    await customer.says(known.email)

    assert customer.slots["form_result"] == "ready"


async def test_the_fifth_failed_attempt_hands_over(directory: SqlDirectory, known: SampleCustomer) -> None:
    customer = Conversation(directory)
    await customer.says(known.order_number)

    heard = [await customer.says(f"guess{n}@example.com") for n in range(MOST_FAILED_ATTEMPTS)]

    assert [one.responses for one in heard[:-1]] == [["say_no_match"]] * 4
    assert heard[-1].responses == ["say_handoff_verification_failed"]
    assert customer.slots["form_result"] == "ended"


async def test_beyond_the_limits_even_right_words_hand_over(sqlite_accounts: str) -> None:
    directory = SqlDirectory(sqlite_accounts, Limits(per_order=2), today=today)
    known = (await directory.sample(1))[0]
    for name in ("one", "two"):
        await Conversation(directory, sender_id=name).says(f"{known.order_number} nobody@example.com")

    customer = Conversation(directory, sender_id="owner", source="elsewhere")
    heard = await customer.says(f"{known.order_number} {known.email}")

    assert heard.responses == ["say_handoff_verification_failed"]
    assert heard.effects == [{"kind": "set_verification", "level": "none", "failed": True}]
    assert customer.verification["level"] == "none"
    await directory.close()


async def test_a_repeated_turn_is_answered_alike(directory: SqlDirectory, known: SampleCustomer) -> None:
    first = Conversation(directory)
    heard = [await first.says(f"{known.order_number} {known.email}", turn="t1")]
    again = Conversation(directory)
    heard.append(await again.says(f"{known.order_number} {known.email}", turn="t1"))

    assert heard[0].effects == heard[1].effects
    assert first.slots == again.slots


@pytest.mark.parametrize("requested", ["order_number", "proof"])
async def test_three_unusable_answers_hand_over(
    directory: SqlDirectory, known: SampleCustomer, requested: str
) -> None:
    customer = Conversation(directory)
    await customer.says("where is my order", "order_status")
    if requested == "proof":
        await customer.says(known.order_number)

    heard = [await customer.says("erm, what?", "nlu_fallback") for _ in range(3)]

    words = "order_number" if requested == "order_number" else "proof"
    assert [one.responses for one in heard] == [[f"say_{words}_unreadable"]] * 2 + [
        ["say_handoff_form_failed"]
    ]
    assert customer.slots["form_result"] == "ended"


async def test_a_usable_answer_forgives_the_unusable_ones(
    directory: SqlDirectory, known: SampleCustomer
) -> None:
    customer = Conversation(directory)
    await customer.says("where is my order", "order_status")
    for _ in range(2):
        await customer.says("no idea", "deny")
    await customer.says(known.order_number)

    heard = [await customer.says("no idea", "deny") for _ in range(2)]

    assert [one.responses for one in heard] == [["say_proof_unreadable"]] * 2


@pytest.mark.parametrize("intent", ["greet", "bot_challenge", "stop", "goodbye", "help", "thank"])
async def test_an_interjection_is_left_to_the_rules(directory: SqlDirectory, intent: str) -> None:
    customer = Conversation(directory)
    await customer.says("where is my order", "order_status")
    before = dict(customer.slots)

    heard = await customer.says("by the way", intent)

    assert (heard.messages, customer.slots) == ([], before)


async def test_after_an_interjection_the_question_comes_back(
    directory: SqlDirectory, known: SampleCustomer
) -> None:
    customer = Conversation(directory)
    await customer.says(known.order_number, "order_status")
    await customer.says("are you a bot", "bot_challenge")
    customer.events += [{"event": "user"}, {"event": "action_execution_rejected", "name": "order_form"}]

    from actions.order_form import OrderForm
    from tests.actions.world import Heard

    heard = Heard()
    events = await OrderForm(directory)(heard, customer, {})

    assert heard.responses == ["say_ask_proof_again"]
    assert [(event["name"], event["value"]) for event in events] == [("requested_slot", "proof")]


async def test_another_question_in_the_form_gets_its_own_words(directory: SqlDirectory) -> None:
    customer = Conversation(directory)
    await customer.says("where is my order", "order_status")

    assert (await customer.says("what do i owe", "bill")).responses == ["say_ask_order_number_first"]


async def test_a_silent_account_system_hands_over(directory: SqlDirectory, known: SampleCustomer) -> None:
    silent = Silent(directory)
    customer = Conversation(silent, patience=IMPATIENT)

    heard = await customer.says(f"{known.order_number} {known.email}")

    assert heard.responses == ["say_handoff_lookup_timeout"]
    assert [(one["ok"], one["error"]) for one in heard.lookups] == [(False, "timeout")] * 2
    assert (heard.effects, customer.slots["form_result"], silent.calls) == ([], "ended", 2)


async def test_one_error_is_tried_again_unnoticed(directory: SqlDirectory, known: SampleCustomer) -> None:
    customer = Conversation(Broken(directory, times=1))

    heard = await customer.says(f"{known.order_number} {known.email}")

    assert [one["ok"] for one in heard.lookups] == [False, True]
    assert customer.slots["form_result"] == "ready"


async def test_two_errors_hand_over(directory: SqlDirectory, known: SampleCustomer) -> None:
    customer = Conversation(Broken(directory))

    heard = await customer.says(f"{known.order_number} {known.email}")

    assert heard.responses == ["say_handoff_lookup_error"]
    assert [one["error"] for one in heard.lookups] == ["error", "error"]
