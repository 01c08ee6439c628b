import { expect, it } from "vitest";
import {
  addressOf,
  databaseOf,
  isAlone,
  withDatabase,
  withHost,
  withLogin,
  withoutLoginAndOptions,
  withOptions,
} from "./uri.ts";

const SEVERAL = "mongodb://joe:s%2F%40me@a:1,b:2,[::1]:3/x?replicaSet=r";
const BY_DNS = "mongodb+srv://joe:s%2F%40me@cluster.example/x?tls=true&w=majority&srvMaxHosts=2";

it("a connection string of the tests may name several hosts, or a record of the DNS", () => {
  expect(withDatabase(SEVERAL, "y")).toBe("mongodb://joe:s%2F%40me@a:1,b:2,[::1]:3/y?replicaSet=r");
  expect(withOptions(SEVERAL, "w=0&journal=false")).toBe(`${SEVERAL}&w=0&journal=false`);
  expect(withLogin("mongodb+srv://b.c/?w=1", "a:b", "p@")).toBe("mongodb+srv://a%3Ab:p%40@b.c/?w=1");
  expect(withoutLoginAndOptions(SEVERAL)).toBe("mongodb://a:1,b:2,[::1]:3/x");
  expect(withHost(SEVERAL, "c:4")).toBe("mongodb://joe:s%2F%40me@c:4/x?replicaSet=r");
  expect(withHost(BY_DNS, "c:4")).toBe("mongodb://joe:s%2F%40me@c:4/x?w=majority");
  expect(["mongodb://a/", SEVERAL, BY_DNS].map(isAlone)).toEqual([true, false, false]);
  expect([SEVERAL, BY_DNS, "mongodb://a"].map(databaseOf)).toEqual(["x", "x", ""]);
  expect(addressOf(SEVERAL)).toEqual({ host: "a", port: 1 });
  expect(addressOf("mongodb://[::1]/")).toEqual({ host: "[::1]", port: 27017 });
});
