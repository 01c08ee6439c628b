// The same by require, which Node has for modules since 20.19.
import heartbit = require("heartbit");
import testing = require("heartbit/testing");

const opened: Promise<heartbit.Presence> = heartbit.Presence.open(new testing.MemoryStore());
export = opened;
