/** What the store reads from a connection string, with each version of the driver. No server is needed. */
import { inspect } from "node:util";
import * as driver7 from "mongodb";
import * as driver6 from "mongodb6";
import { describe, expect, it, onTestFinished } from "vitest";
import { makeClient } from "../../src/stores/mongo/uri.ts";

const DRIVERS: [string, typeof driver7][] = [
  ["7", driver7],
  ["6", driver6 as unknown as typeof driver7],
];

describe.each(DRIVERS)("with driver %s", (_, driver) => {
  function open(uri: string) {
    const { client, db } = makeClient(driver, uri);
    onTestFinished(() => client.close());
    const { hosts, srvHost, credentials, ...options } = client.options;
    const at = srvHost ?? hosts.join(",");
    return { at, database: db.databaseName, login: [credentials?.username, credentials?.password], options };
  }

  it.each([
    ["mongodb://a", "a:27017", "heartbit", undefined, undefined],
    ["mongodb://a/", "a:27017", "heartbit", undefined, undefined],
    ["mongodb://a?appName=x/y", "a:27017", "heartbit", undefined, undefined],
    ["mongodb://a/test", "a:27017", "test", undefined, undefined],
    ["mongodb://a:1,b,[::1]:3/x?replicaSet=r", "a:1,b:27017,[::1]:3", "x", undefined, undefined],
    ["mongodb://joe@a/x", "a:27017", "x", "joe", ""],
    ["mongodb://j%40e:s%2F%40%3F%23me@a,b/x?authSource=admin", "a:27017,b:27017", "x", "j@e", "s/@?#me"],
    ["mongodb+srv://joe:s%3Ame@cluster.example/my%20app", "cluster.example", "my app", "joe", "s:me"],
    ["mongodb+srv://cluster.example/?tls=false", "cluster.example", "heartbit", undefined, undefined],
    ["mongodb://%2Ftmp%2Fmongodb-27017.sock/x", "/tmp/mongodb-27017.sock", "x", undefined, undefined],
  ])("%s", (uri, at, database, user, password) => {
    expect(open(uri)).toMatchObject({ at, database, login: [user, password] });
  });

  it.each([
    ["mongodb://a,b/?replicaSet=r", [10, 3000, 3000, "heartbit", 10_000, "poll"]],
    ["mongodb://a?minPoolSize=20", [20, 3000, 3000, "heartbit", 10_000, "poll"]],
    [
      "mongodb://a?MAXPOOLSIZE=7&serverselectiontimeoutms=30000",
      [7, 3000, 30_000, "heartbit", 10_000, "poll"],
    ],
    ["mongodb://joe:x@a/y?connectTimeoutMS=30000&appname=b", [10, 30_000, 3000, "b", 10_000, "poll"]],
    [
      "mongodb://a?maxPoolSize=100&heartbeatFrequencyMS=700&servermonitoringmode=stream",
      [100, 3000, 3000, "heartbit", 700, "stream"],
    ],
  ])("options that are not said are heartbit's, and those that are said stay: %s", (uri, expected) => {
    const { options } = open(uri);
    const { maxPoolSize, connectTimeoutMS, serverSelectionTimeoutMS, appName } = options;
    const { heartbeatFrequencyMS, serverMonitoringMode } = options;
    const waits = [connectTimeoutMS, serverSelectionTimeoutMS];
    expect([maxPoolSize, ...waits, appName, heartbeatFrequencyMS, serverMonitoringMode]).toEqual(expected);
  });

  it.each([
    ["mongodb://joe:open@sesame@127.0.0.1/x", "percent-encoded"],
    ["mongodb://joe:open/sesame@127.0.0.1/x", "percent-encoded"],
    ["mongodb://joe:open?sesame@127.0.0.1/x", "percent-encoded"],
    ["mongodb://joe:1?sesame=1&a=2@127.0.0.1/x", "percent-encoded"],
    ["mongodb://joe:open#sesame@127.0.0.1/x", "percent-encoded"],
    ["mongodb://joe:sesame%zz@127.0.0.1/x", "percent-encoded"],
    ["mongodb://joe:sesame@127.0.0.1:99999999/x", "99999999"],
    ["mongodb://joe:sesame@127.0.0.1/x?nonsense=1", "nonsense"],
    ["mongodb://joe:sesame@127.0.0.1/x?maxPoolSize=many", /maxPoolSize/i],
    ["mongodb://joe:sesame@127.0.0.1/x?tls=true&ssl=false", "tls"],
    ["mongodb://127.0.0.1/x?tlsCertificateKeyFilePassword=ses&ame=1", "percent-encoded"],
    ["mongodb://127.0.0.1/x?nonsense=1&authMechanismProperties=sesame", "nonsense"],
    ["mongodb://joe:sesame@127.0.0.1/a.b", "cannot contain"],
    ["mongodb:///presence", "not valid"],
    ["redis://joe:sesame@127.0.0.1/x", "scheme"],
  ])("%s is refused, without its secrets", (uri, why) => {
    let refusal: unknown;
    try {
      open(uri);
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toMatchObject({ code: "INVALID_OPTION", message: expect.stringMatching(why) as string });
    expect((refusal as Error).message).not.toContain("open");
    expect(inspect(refusal, { depth: null, showHidden: true })).not.toMatch(/sesame|ses&/);
  });
});
