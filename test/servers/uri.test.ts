import { describe, expect, it } from "vitest";
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
const BY_DNS = "mongodb+srv://joe:s%2F%40me@cluster.example/?w=majority";

describe("a connection string of the tests", () => {
  it("keeps its hosts, login and options as it is given a database", () => {
    expect(withDatabase("mongodb://a", "y")).toBe("mongodb://a/y");
    expect(withDatabase("mongodb://a,b/x?c=d", "y")).toBe("mongodb://a,b/y?c=d");
    expect(withDatabase(SEVERAL, "y")).toBe("mongodb://joe:s%2F%40me@a:1,b:2,[::1]:3/y?replicaSet=r");
    expect(withDatabase(BY_DNS, "y")).toBe("mongodb+srv://joe:s%2F%40me@cluster.example/y?w=majority");
  });

  it("is given options beside those that it has, and another login or none", () => {
    expect(withOptions(SEVERAL, "w=0&journal=false")).toBe(`${SEVERAL}&w=0&journal=false`);
    expect(withLogin(BY_DNS, "a:b", "p@")).toBe("mongodb+srv://a%3Ab:p%40@cluster.example/?w=majority");
    expect(withoutLoginAndOptions(SEVERAL)).toBe("mongodb://a:1,b:2,[::1]:3/x");
  });

  it("is given one host in place of several", () => {
    expect(withHost(SEVERAL, "127.0.0.1:4")).toBe("mongodb://joe:s%2F%40me@127.0.0.1:4/x?replicaSet=r");
    const secret =
      "mongodb+srv://joe:s%2F%40me@cluster.example/x?tls=true&tlsCAFile=%2Fca&w=majority&srvMaxHosts=2";
    expect(withHost(secret, "127.0.0.1:4")).toBe("mongodb://joe:s%2F%40me@127.0.0.1:4/x?w=majority");
    expect(["mongodb://a/", SEVERAL, BY_DNS].map(isAlone)).toEqual([true, false, false]);
  });

  it("says its database and its first host", () => {
    expect([SEVERAL, BY_DNS].map(databaseOf)).toEqual(["x", ""]);
    expect(["mongodb://a,b:2/", SEVERAL, "mongodb://[::1]:3/"].map(addressOf)).toEqual([
      { host: "a", port: 27017 },
      { host: "a", port: 1 },
      { host: "[::1]", port: 3 },
    ]);
  });
});
