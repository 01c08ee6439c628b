/** The files of deploy/: that they can be read, that their parts fit, and that heartbit knows what they call it with. */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { Script } from "node:vm";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { isInstalled } from "../support/needs.ts";
import { heartbit, newDirectory } from "./heartbit.ts";

const read = (file: string): Promise<string> =>
  readFile(new URL(`../../deploy/${file}`, import.meta.url), "utf8");

// oxlint-disable-next-line typescript/no-explicit-any -- whatever is in the file: a wrong shape fails the test
type Parsed = any;

/** The documents of a file; what YAML warns of is an error here. */
async function documents(file: string): Promise<Parsed[]> {
  return parseAllDocuments(await read(file), { strict: true, uniqueKeys: true }).map((document) => {
    expect([...document.errors, ...document.warnings]).toEqual([]);
    return document.toJS();
  });
}

/** Heartbit knows the command, and every flag that it is called with. */
async function knows([command = "", ...args]: readonly string[]): Promise<void> {
  const { code, stdout } = await heartbit([command, "--help"]);
  expect(code).toBe(0);
  const flags = args.slice(0, args.includes("--") ? args.indexOf("--") : undefined);
  for (const flag of flags.filter((arg) => arg.startsWith("--"))) expect(stdout).toContain(`${flag} `);
}

describe("the systemd unit", () => {
  it("calls heartbit with what it knows, and hands the stop to it alone", async () => {
    const unit = await read("worker@.service");
    const [, args = ""] = /^ExecStart=\/usr\/bin\/heartbit (.*)$/m.exec(unit) ?? [];
    await knows(args.split(" "));
    expect(unit).toMatch(/^KillMode=mixed$/m);
    const graceS = Number(/--grace (\d+)s/.exec(args)?.[1]);
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1])).toBeGreaterThan(graceS);
  });

  it("is one by systemd-analyze verify", async ({ skip }) => {
    skip(!isInstalled("systemd-analyze"), "systemd-analyze is not on the PATH: install systemd");
    const file = join(await newDirectory(), "worker@1.service");
    const unit = await read("worker@.service");
    await writeFile(file, unit.replaceAll("/usr/bin/heartbit", process.execPath));
    const { stderr } = await promisify(execFile)("systemd-analyze", ["verify", file]);
    expect(stderr).toBe("");
  });
});

it("the Dockerfile has instructions that there are, and serves with what heartbit knows", async () => {
  const lines = (await read("Dockerfile")).replaceAll("\\\n", " ").split("\n");
  const instructions = lines.filter((line) => line !== "" && !line.startsWith("#"));
  const names = instructions.map((line) => line.split(" ")[0]).join(" ");
  expect(names).toBe("FROM RUN USER EXPOSE HEALTHCHECK ENTRYPOINT CMD");
  const arrays = instructions.map((line) => /(?:ENTRYPOINT|CMD) (\[.*\])$/.exec(line)?.[1]).filter(Boolean);
  const [health, entry, command] = arrays.map((array) => JSON.parse(array ?? "") as string[]);
  expect(() => new Script(health?.[2] ?? "(")).not.toThrow();
  expect(entry).toEqual(["heartbit"]);
  await knows(command ?? []);
});

it("the compose file builds that image, waits for MongoDB, and gives the token where it is looked for", async () => {
  const [{ services, secrets, volumes }] = await documents("compose.yaml");
  const { mongo, heartbit: serving } = services;
  expect(serving.build).toBe(".");
  expect(Object.keys(serving.depends_on)).toEqual(["mongo"]);
  expect(mongo.healthcheck.test[0]).toBe("CMD");
  expect(mongo.command[1]).toBe(new URL(serving.environment.HEARTBIT_STORE).searchParams.get("replicaSet"));
  expect(Object.keys(secrets)).toEqual([serving.secrets[0].source]);
  expect(await read("Dockerfile")).toContain(`"/run/secrets/${serving.secrets[0].target}"`);
  expect(serving.command.at(-1)).toBe(`/run/secrets/${serving.secrets[0].target}`);
  expect(serving.command).toContain(Object.keys(services)[1]); // the host name by which other services reach it
  await knows(serving.command);
  expect(Object.keys(volumes)).toEqual([mongo.volumes[0].split(":")[0]]);
});

it("the Kubernetes manifest's parts fit together, and serve with what heartbit knows", async () => {
  const [secret, deployment, service] = await documents("kubernetes.yaml");
  expect([secret.kind, deployment.kind, service.kind]).toEqual(["Secret", "Deployment", "Service"]);
  const { selector, template } = deployment.spec;
  const [container] = template.spec.containers;
  const [volume] = template.spec.volumes;
  const [mount] = container.volumeMounts;
  const store = container.env.find(({ name }: Parsed) => name === "HEARTBIT_STORE").valueFrom.secretKeyRef;
  expect(template.metadata.labels).toEqual(selector.matchLabels);
  expect(service.spec.selector).toEqual(selector.matchLabels);
  expect(service.spec.ports[0].targetPort).toBe(container.ports[0].name);
  expect([store.name, volume.secret.secretName]).toEqual([secret.metadata.name, secret.metadata.name]);
  expect(Object.keys(secret.stringData)).toEqual([store.key, volume.secret.items[0].key]);
  expect(mount.name).toBe(volume.name);
  expect(container.args.at(-1)).toBe(`${mount.mountPath}/${volume.secret.items[0].path}`);
  expect(container.args).toContain(service.metadata.name); // the host name by which other pods reach it
  await knows(container.args);
});

it("the alert rules have what Prometheus asks of a rule", async () => {
  const [{ groups }] = await documents("prometheus-alerts.yml");
  const rules = groups.flatMap(({ rules: some }: Parsed) => some) as Parsed[];
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  for (const { expr, labels, annotations, for: duration = "1m", alert, ...unknown } of rules) {
    expect([typeof expr, typeof alert, unknown]).toEqual(["string", "string", {}]);
    expect(duration).toMatch(/^\d+[smh]$/);
    expect(["info", "warning", "critical"]).toContain(labels.severity);
    expect(annotations.summary).toMatch(/\w/);
    for (const [open, close] of ["()", "{}"]) expect(expr.split(open).length).toBe(expr.split(close).length);
  }
});

it("the Grafana dashboard has panels with names of their own that lie beside one another", async () => {
  const { panels }: { panels: Parsed[] } = JSON.parse(await read("grafana-dashboard.json"));
  const cells: string[] = [];
  for (const { title, targets, gridPos } of panels) {
    expect(title).toMatch(/\w/);
    expect(targets.length).toBeGreaterThan(0);
    expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
    for (let cell = 0; cell < gridPos.w * gridPos.h; cell++) {
      cells.push(`${gridPos.x + (cell % gridPos.w)} ${gridPos.y + Math.floor(cell / gridPos.w)}`);
    }
  }
  expect(new Set(cells).size).toBe(cells.length);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
});
