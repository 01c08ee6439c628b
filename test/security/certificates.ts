/** Certificates for tests, made with openssl. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

export interface Certificate {
  readonly cert: string;
  readonly key: string;
  /** A file with both. */
  readonly both: string;
}

export interface CertificateOptions {
  /** Self-signed where there is none. */
  readonly by?: Certificate;
  readonly host?: string;
  readonly days?: number;
  readonly isAuthority?: boolean;
}

/** A folder of certificates. */
export class Certificates implements AsyncDisposable {
  readonly #directory = mkdtemp(join(tmpdir(), "heartbit-certificates-"));

  async make(name: string, options: CertificateOptions = {}): Promise<Certificate> {
    const { by, host = "IP:127.0.0.1", days = 2, isAuthority = false } = options;
    const path = join(await this.#directory, name);
    const [cert, key, both] = [`${path}.crt`, `${path}.key`, `${path}.pem`];
    const request = ["-subj", `/O=heartbit/CN=${name}`, "-keyout", key, "-out", `${path}.csr`];
    await run("openssl", ["req", "-new", ...KEY, ...request]);
    const extensions = isAuthority
      ? "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign"
      : `basicConstraints=CA:FALSE\nsubjectAltName=${host}`;
    await writeFile(`${path}.ext`, extensions);
    const signer =
      by === undefined ? ["-signkey", key] : ["-CA", by.cert, "-CAkey", by.key, "-CAcreateserial"];
    const from = ["-req", "-in", `${path}.csr`, "-extfile", `${path}.ext`];
    await run("openssl", ["x509", ...from, ...signer, "-days", `${days}`, "-out", cert]);
    await writeFile(both, `${await readFile(cert, "utf8")}${await readFile(key, "utf8")}`);
    return { cert, key, both };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(await this.#directory, { recursive: true, force: true });
  }
}
