"""Profiles in the format of pprof: each distinct stack once, with its values, gzipped."""

import gzip
import time
from collections.abc import Iterable

from reservation_worker.stubs.proto.pprof.v1 import profile_pb2

Frame = tuple[str, str, int]
"""Function, file, line."""


class ProfileBuilder:
    """Collects samples; `types` are the names and units of each sample's values."""

    def __init__(self, types: Iterable[tuple[str, str]], period: int = 0) -> None:
        self._texts = {"": 0}
        self._functions: dict[tuple[str, str], int] = {}
        self._locations: dict[Frame, int] = {}
        named = [self._value_type(name, unit) for name, unit in types]
        self._profile = profile_pb2.Profile(
            sample_type=named,
            period_type=named[-1],
            period=period,
            time_nanos=time.time_ns(),
        )

    def add(self, frames: Iterable[Frame], values: Iterable[int], thread: str = "") -> None:
        """One stack, innermost first, with a value for each type."""
        sample = self._profile.sample.add(
            location_id=[self._location(frame) for frame in frames], value=values
        )
        if thread:
            sample.label.add(key=self._text("thread"), str=self._text(thread))

    def encode(self, seconds: float = 0.0) -> bytes:
        """The serialized profile; `seconds` is its duration."""
        self._profile.duration_nanos = round(seconds * 1e9)
        del self._profile.string_table[:]
        self._profile.string_table.extend(self._texts)
        return gzip.compress(self._profile.SerializeToString())

    def _value_type(self, name: str, unit: str) -> profile_pb2.ValueType:
        return profile_pb2.ValueType(type=self._text(name), unit=self._text(unit))

    def _text(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))

    def _location(self, frame: Frame) -> int:
        number = self._locations.get(frame)
        if number is None:
            number = self._locations[frame] = len(self._locations) + 1
            location = self._profile.location.add(id=number)
            location.line.add(function_id=self._function(*frame[:2]), line=frame[2])
        return number

    def _function(self, name: str, file: str) -> int:
        number = self._functions.get((name, file))
        if number is None:
            number = self._functions[name, file] = len(self._functions) + 1
            self._profile.function.add(id=number, name=self._text(name), filename=self._text(file))
        return number
