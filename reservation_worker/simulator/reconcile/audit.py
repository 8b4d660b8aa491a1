"""Checks the invariants about seats in a ledger's dump, whatever was published. Pure.

It goes through the journal in order and through the final stock: no seat is sold twice or freed
after it was sold, no finished reservation keeps one, every effect happens once, and inventory moves
only after reservation-api's decision.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_OVER = ("EXPIRED", "CANCELLED")
# The state that reservation-api must be in before inventory may move.
_LEAVE = {"release": _OVER, "commit": ("CONFIRMED",)}


@dataclass(frozen=True, slots=True)
class Defects:
    """One sentence for each defect, by kind."""

    oversold: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    premature: list[str] = field(default_factory=list)


def audit(dump: Mapping[str, Any], seen: Collection[str] = ()) -> Defects:
    """Check a dump of `Ledger.dump`.

    `seen`: reservations with a dead letter that asks a person to check their places.
    """
    defects = Defects()
    applied = [row for row in dump["journal"] if row["outcome"] == "applied"]
    _journal(applied, defects)
    _doubled(applied, defects)
    _rows(dump, defects, seen)
    _pools(dump, defects, seen)
    return defects


def _journal(applied: list[Any], defects: Defects) -> None:
    """The defects that show in the order of events."""
    states: dict[str, str] = {}
    committed: set[str] = set()
    released: set[str] = set()
    buyers: dict[tuple[str, str], str] = {}
    for row in applied:
        rid, op = row["reservation_id"], row["op"]
        at = f"at entry {row['seq']}"
        if op in ("seed", "status"):
            states[rid] = row["after"]
            if op == "seed" and row["after"] == "CONFIRMED":
                committed.add(rid)
            continue
        state = states.get(rid)
        if state is not None and state not in _LEAVE[op]:
            defects.premature.append(f"{rid}: {op} while it was {state} {at}")
        if op == "release":
            if rid in committed:
                what = ", ".join(row["seats"]) or f"{row['quantity']} places"
                defects.oversold.append(f"{row['show']}: {what} freed after {rid} bought them {at}")
            released.add(rid)
            continue
        if rid in released:
            defects.oversold.append(f"{row['show']}: sold to {rid} after its release {at}")
        committed.add(rid)
        for seat in row["seats"]:
            other = buyers.setdefault((row["show"], seat), rid)
            if other != rid:
                defects.oversold.append(f"{row['show']} {seat}: sold to {other} and to {rid} {at}")


def _doubled(applied: list[Any], defects: Defects) -> None:
    effects = Counter(effect for row in applied for effect in _effects(row))
    for (rid, op, part), times in effects.items():
        if times > 1:
            defects.doubled.append(f"{rid}: {op} of {part} took effect {times} times")


def _effects(row: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The effects that must happen once: changes of state, releases and sales."""
    if row["op"] == "status":
        yield row["reservation_id"], "status", "the state"
    elif row["op"] in _LEAVE:
        for part in row["seats"] or ["a quantity"]:
            yield row["reservation_id"], row["op"], part


def _rows(dump: Mapping[str, Any], defects: Defects, seen: Collection[str]) -> None:
    """Compare each numbered seat with its reservation, and each reservation with its seats."""
    reservations = dump["reservations"]
    for show, rows in dump["seats"].items():
        for seat, (state, rid) in rows.items():
            status = reservations.get(rid, {}).get("status")
            if status in _OVER and rid not in seen:
                defects.leaked.append(f"{show} {seat}: {state} for {rid}, which is {status}")
    for rid, record in reservations.items():
        if record["status"] != "CONFIRMED":
            continue
        rows = dump["seats"].get(record["event_id"], {})
        for seat in record["seat_ids"]:
            if rows.get(seat) != ["SOLD", rid]:
                state = " for ".join(rows.get(seat) or ["gone"])
                defects.leaked.append(f"{seat}: {state}, but {rid} is CONFIRMED")


def _pools(dump: Mapping[str, Any], defects: Defects, seen: Collection[str]) -> None:
    """Compare each pool's count with its reservations' places, and those with their states."""
    reservations = dump["reservations"]
    for show, pool in dump["pools"].items():
        held, sold = sum(pool["held"].values()), sum(pool["sold"].values())
        spare = pool["capacity"] - held - sold
        if sold > pool["capacity"] or pool["available"] > spare:
            defects.oversold.append(
                f"{show}: {pool['available']} on sale, {held} held, {sold} sold"
                f" of {pool['capacity']}"
            )
        elif pool["available"] < spare:
            defects.leaked.append(f"{show}: {spare - pool['available']} places are nobody's")
        for book in ("held", "sold"):
            for rid, count in pool[book].items():
                status = reservations.get(rid, {}).get("status")
                if status in _OVER and rid not in seen:
                    defects.leaked.append(f"{show}: {count} {book} for {rid}, which is {status}")
    for rid, record in reservations.items():
        if record["status"] == "CONFIRMED" and not record["seat_ids"]:
            pool = dump["pools"].get(record["event_id"], {"sold": {}})
            if pool["sold"].get(rid, 0) != record["quantity"]:
                defects.leaked.append(f"{record['quantity']} places of {rid}: CONFIRMED, not sold")
