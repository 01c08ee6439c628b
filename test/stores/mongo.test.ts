import { describe, it } from "vitest";
import { openMongo } from "../../src/stores/mongo/index.ts";
import { storeContract } from "../../src/testing/index.ts";
import { newDatabase } from "../servers/database.ts";

describe("MongoStore on a replica set keeps the contract", () => {
  const uri = newDatabase();
  storeContract(() => openMongo(uri), { describe, it });
});
