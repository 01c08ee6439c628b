/** What is said where the driver cannot be loaded: a missing package is named only if that is the cause. */
import { expect, it } from "vitest";
import { notLoaded } from "../../src/stores/mongo/index.ts";

it.each([
  ["ERR_MODULE_NOT_FOUND", "Cannot find package 'mongodb' imported from /app/node_modules/heartbit/x.js"],
  ["MODULE_NOT_FOUND", "Cannot find module 'mongodb'\nRequire stack:\n- /app/x.js"],
  ["MODULE_NOT_FOUND", "heartbit tried to access mongodb (a peer dependency) but it isn't provided"],
])("it is missing: %s, %s", (code, said) => {
  const cause = Object.assign(new Error(said), { code });
  const message = "The package that speaks to MongoDB is missing: run `npm install mongodb`.";
  expect(notLoaded(cause)).toMatchObject({ code: "UNSUPPORTED_SERVER", message, cause });
});

it.each([
  ["ERR_MODULE_NOT_FOUND", "Cannot find package 'bson' imported from /app/node_modules/mongodb/lib/bson.js"],
  ["ERR_MODULE_NOT_FOUND", "Cannot find package 'mongodb-connection-string-url' imported from /app/x.js"],
  [undefined, "Unexpected token '?'"],
])("it is there and does not load: %s, %s", (code, said) => {
  const { message } = notLoaded(Object.assign(new Error(said), { code }));
  expect(message).toBe(`The package mongodb is installed but does not load: ${said}.`);
});
