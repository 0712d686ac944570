"""The lists inside airline arguments, read strictly enough to refuse what the company would.

The class names appear in the refusal's text, which recordings show word for word.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from controltower.practice.world.errors import BadArgumentsError
from controltower.practice.world.state import Entity


class FlightInfo(BaseModel):
    """One flight of one day."""

    flight_number: str
    date: str


class Passenger(BaseModel):
    """One traveller."""

    first_name: str
    last_name: str
    dob: str


class Payment(BaseModel):
    """An amount drawn from a stored payment method, in whole dollars."""

    payment_id: str
    amount: int


Model = TypeVar("Model", bound=BaseModel)


def read_flights(items: list[Any]) -> list[Entity]:
    """Return the flights with only the fields that count; refuses what does not fit."""
    return _read(FlightInfo, items)


def read_passengers(items: list[Any]) -> list[Entity]:
    """Return the passengers with only the fields that count; refuses what does not fit."""
    return _read(Passenger, items)


def read_payments(items: list[Any]) -> list[Entity]:
    """Return the payments with only the fields that count; refuses what does not fit."""
    return _read(Payment, items)


def _read(model: type[Model], items: list[Any]) -> list[Entity]:
    try:
        return [model.model_validate(item).model_dump() for item in items]
    except ValidationError as error:
        raise BadArgumentsError(str(error)) from error
