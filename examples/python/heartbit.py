"""Holds keys and lists who is alive, in the format of heartbit: written from docs/format.md alone.

    python heartbit.py mongodb://localhost/app hold worker/1      until it is interrupted
    python heartbit.py mongodb://localhost/app list               the keys that are alive

The namespace is "presence". Something of heartbit must have set it up: `heartbit wait x --timeout 0` does.
"""

import os
import re
import socket
import sys
import time
from datetime import timedelta

from pymongo import MongoClient, ReadPreference, ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

OPEN = 2**53 - 1
STAMP = {"$currentDate": {"changed": True}}


class Namespace:
    def __init__(self, uri, name="presence"):
        db = MongoClient(uri, appname="heartbit.py", tz_aware=True).get_default_database("heartbit")
        hello = db.command("hello")
        is_alone = "setName" not in hello and hello.get("msg") != "isdbgrid"
        write = WriteConcern(1, j=True) if is_alone else WriteConcern("majority", wtimeout=10_000)
        read = ReadConcern("local" if is_alone else "majority")
        options = (None, ReadPreference.PRIMARY, write, read)
        parts = [db.get_collection(f"{name}.{part}", *options) for part in ("meta", "records", "pings")]
        self.meta, self.records, self.pings = parts
        self.config = self.meta.find_one({"_id": "config"})
        if self.config is None or self.config["version"] != 2:
            raise SystemExit(f"{name} is not set up in version 2 of the format")
        self.ask_time()

    def ask_time(self):
        clock = self.meta.with_options(write_concern=WriteConcern(1))
        self.take(upsert(clock, "clock", {"$currentDate": {"now": True}}))

    def take(self, document):
        """Takes in a stamp of the server. Until the next one the monotonic clock carries it on."""
        self.stamp, self.at = document["now"], time.monotonic()

    def now(self):
        return self.stamp + timedelta(seconds=time.monotonic() - self.at)

    def position(self, at=None):
        return (at or self.now()).timestamp() * 1000 / self.config["period"] + self.config["offset"]

    def living(self):
        """The keys that are alive, from all that is stored."""
        self.ask_time()
        j, oldest = int(self.position() - 0.5), int(self.position()) - self.config["retention"]
        bits, pinged = {}, {j}
        for document in filter(is_pings, self.pings.find({"slot": {"$gte": oldest}})):
            slot, segment = map(int, document["_id"].split("."))
            words = {int(name): word for name, word in document.items() if name.isdigit()}
            for index in range(1024):
                if words.get(index // 32, 0) & 1 << index % 32:
                    seq = segment * 1024 + index
                    bits[seq] = max(slot, bits.get(seq, 0))
                    pinged.add(slot)
        g = next((slot for slot in range(j - 1, oldest, -1) if {slot - 1, slot, slot + 1} <= pinged), oldest)
        sessions, latest = {}, {}
        for record in filter(is_record, self.records.find()):
            if not isinstance(record["_id"], str):
                sessions[record["_id"]] = record
            elif latest.get(pinger := (record["session"], record["pinger"]), record)["start"] <= record["start"]:
                latest[pinger] = record

        def last_ping(registration, session):
            ends = [record["last"] for record in (registration, session) if record["last"] < OPEN]
            return ends[0] if ends else max(registration["slot"], session["slot"], bits.get(session["_id"], 0))

        held = ((one, sessions[one["session"]]) for one in latest.values() if one["session"] in sessions)
        return sorted({one["key"] for one, session in held if last_ping(one, session) >= max(g, 1)})


def is_record(document):
    """Anybody may have written what lies in a collection."""
    id, key = document["_id"], document.get("key")
    others = ("pinger", "start") if isinstance(id, str) else ("pid",)
    if not all(is_count(document.get(name)) for name in ("session", "slot", "last", *others)):
        return False
    if not isinstance(id, str):
        return id == document["session"]
    named = ".".join(str(int(document[name])) for name in ("session", "pinger", "start"))
    return id == named and isinstance(key, str) and key != ""


def is_count(value):
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= value <= OPEN and value == int(value)


def is_pings(document):
    named = re.compile(r"(0|[1-9]\d{0,14})\.(0|[1-9]\d{0,11})", re.ASCII).fullmatch(str(document["_id"]))
    others = document.keys() - {"_id", "slot", "now", "count", "mail", "expireAt"}
    words = map(str, range(32))
    return named and others <= set(words) and all(isinstance(document[word], int) for word in others)


def printable(key):
    """A key may have any character, such as a line break."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in key)


class Session:
    """A minimal holder."""

    def __init__(self, namespace):
        self.ns, self.ids, self.slot = namespace, [], 0
        self.seq = int(namespace.config["base"] + upsert(namespace.meta, "sessions", {"$inc": {"seq": 1}})["seq"])
        self.ping()
        own = {"session": self.seq, "host": socket.gethostname(), "pid": os.getpid(), "opened": self.ns.now()}
        self.records_slot = self.slot
        create = {"$setOnInsert": {**own, "slot": self.slot, "last": OPEN}, **STAMP}
        self.ns.records.update_one({"_id": self.seq, "changed": {"$exists": False}}, create, upsert=True)

    def ping(self):
        """Pings in the current slot: if it is over when the ping arrives, in the next one too. No slot comes twice."""
        while True:
            if int(self.ns.position()) < self.slot:  # the clock has stepped back: somebody may raise the offset
                self.ns.config = self.ns.meta.find_one({"_id": "config"}) or self.ns.config
            self.slot = slot = max(self.slot, int(self.ns.position()))
            word, bit = str(self.seq % 1024 // 32), 1 << self.seq % 32
            kept = timedelta(milliseconds=2 * self.ns.config["retention"] * self.ns.config["period"])
            update = {
                "$bit": {word: {"or": bit - 2**32 if bit == 2**31 else bit}},
                "$inc": {"count": 1},
                "$currentDate": {"now": True},
                "$setOnInsert": {"slot": slot, "expireAt": self.ns.now() + kept},
            }
            answer = upsert(self.ns.pings, f"{slot}.{self.seq // 1024}", update, {"now": 1, f"mail.{word}": 1})
            self.ns.take(answer)
            if int(self.ns.position(answer["now"])) <= slot:
                return

    def hold(self, key, meta="null"):
        own = {"session": self.seq, "pinger": len(self.ids), "start": 1, "key": key}
        self.ids.append(id := f"{self.seq}.{own['pinger']}.1")
        create = {**own, "since": self.ns.now(), "meta": meta, "revision": 0}
        raising = {"$max": {"slot": self.slot}, "$min": {"last": OPEN}, **STAMP}
        upsert(self.ns.records, id, {"$setOnInsert": create, **raising})

    def keep_alive(self):
        """Pings once in every slot, for ever."""
        while True:
            due = int(self.ns.position()) + 1.25  # a quarter into the next slot
            time.sleep(max(0, due - self.ns.position()) * self.ns.config["period"] / 1000)
            try:
                self.ping()
                if self.slot - self.records_slot > self.ns.config["retention"] / 2:
                    self.ns.records.update_one({"_id": self.seq}, {"$max": {"slot": self.slot}})
                    self.records_slot = self.slot
            except PyMongoError as error:  # the next slot is another chance
                print(error, file=sys.stderr)

    def close(self):
        """Ends all that it holds at once, and itself."""
        for id in [*self.ids, self.seq]:
            self.ns.records.update_one({"_id": id, "last": {"$gt": 0}}, {"$min": {"last": 0}, **STAMP})


def upsert(collection, id, update, fields=None, attempts=10):
    """Makes or updates a document, and gives it as it is then. Of many that make it at once all but one may fail."""
    for attempt in range(1, attempts + 1):
        try:
            after = ReturnDocument.AFTER
            made = collection.find_one_and_update({"_id": id}, update, fields, upsert=True, return_document=after)
            if made is not None:  # some servers say so that it failed
                return made
        except DuplicateKeyError:
            if attempt == attempts:
                raise
    raise PyMongoError(f"{id} is contended")


def main(uri, command, *keys):
    namespace = Namespace(uri)
    if command == "list":
        print("\n".join(map(printable, namespace.living())))
        return
    if command != "hold" or "" in keys or not keys:
        raise SystemExit(__doc__)
    session = Session(namespace)
    try:
        for key in keys:
            session.hold(key)
        print("holds", *map(printable, keys), flush=True)
        session.keep_alive()
    except KeyboardInterrupt:
        session.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
