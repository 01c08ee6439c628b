/** What is said where the driver cannot be loaded: a missing package is named only if that is the cause. */
import { expect, it } from "vitest";
import { notLoaded } from "../../src/stores/mongo/index.ts";

const failure = (code: string, message: string): Error => Object.assign(new Error(message), { code });

it.each([
  failure(
    "ERR_MODULE_NOT_FOUND",
    "Cannot find package 'mongodb' imported from /app/node_modules/heartbit/x.js",
  ),
  failure("MODULE_NOT_FOUND", "Cannot find module 'mongodb'\nRequire stack:\n- /app/x.js"),
  failure("MODULE_NOT_FOUND", "heartbit tried to access mongodb (a peer dependency) but it isn't provided"),
])("it is missing: $message", (error) => {
  expect(notLoaded(error)).toMatchObject({
    code: "UNSUPPORTED_SERVER",
    message: "The package that speaks to MongoDB is missing: run `npm install mongodb`.",
    cause: error,
  });
});

it.each([
  failure(
    "ERR_MODULE_NOT_FOUND",
    "Cannot find package 'bson' imported from /app/node_modules/mongodb/lib/bson.js",
  ),
  failure(
    "ERR_MODULE_NOT_FOUND",
    "Cannot find package 'mongodb-connection-string-url' imported from /app/x.js",
  ),
  new SyntaxError("Unexpected token '?'"),
])("it is there and does not load: $message", (error) => {
  expect(notLoaded(error).message).toBe(
    `The package mongodb is installed but does not load: ${error.message}.`,
  );
});
