import { afterAll, beforeAll, describe, it } from "vitest";
import { openMongo } from "../../src/stores/mongo/index.ts";
import { storeContract } from "../../src/testing/index.ts";
import { newDatabase } from "../servers/database.ts";
import { startServer, type TestServer } from "../servers/index.ts";

describe("MongoStore on a standalone server, without a feed, keeps the contract", () => {
  let server: TestServer;
  let uri: string;
  beforeAll(async () => {
    server = await startServer({ standalone: true });
    uri = newDatabase(server.uri);
  });
  afterAll(() => server.stop());
  storeContract(() => openMongo(uri), { describe, it });
});
