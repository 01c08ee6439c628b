// A listener of the program fails: what its logger shows of that.
import bunyan from "bunyan";
import { Presence } from "heartbit";
import pino from "pino";
import winston from "winston";

const make = {
  console: () => console,
  pino: () => pino(),
  winston: () =>
    winston.createLogger({ format: winston.format.json(), transports: [new winston.transports.Console()] }),
  bunyan: () => bunyan.createLogger({ name: "program" }),
};
const logger = make[process.argv[2]]();

const presence = await Presence.open("memory:loggers", { name: "workers", periodMs: 1000, logger });
const other = await Presence.open("memory:loggers", { name: "workers", periodMs: 1000 });
const pinger = presence.pinger("worker/7");
const heard = new Promise((resolve) => {
  pinger.on("killed", () => {
    setImmediate(resolve);
    throw new Error("no such queue");
  });
});
await pinger.start();
await other.kill("worker/7");
await heard;
await other.close();
await presence.close();
