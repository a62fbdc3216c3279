import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Outcome, Site } from "../site.ts";

/** Clients that share no code with this package: what they take is what the standards say. */
export const MISSING: readonly string[] = ["curl", "openssl"].filter(
  (tool) => spawnSync(tool, [tool === "curl" ? "--version" : "version"]).status !== 0,
);

/** What curl received. */
export interface Received {
  readonly status: number;
  /** `2` or `1.1`. */
  readonly httpVersion: string;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  json<T>(): T;
}

/** How curl ended when there was no answer, such as 60 for a certificate that does not verify. */
export class CurlError extends Error {
  override readonly name = "CurlError";
  readonly exit: number | null;

  constructor(exit: number | null, message: string) {
    super(message);
    this.exit = exit;
  }
}

/** curl and openssl in the directory of a site. */
export class Tools {
  readonly #site: Site;
  #requests = 0;

  constructor(site: Site) {
    this.#site = site;
  }

  path(name: string): string {
    return join(this.#site.directory, name);
  }

  /** Never with `--insecure`: whom it trusts is among the arguments. @throws CurlError */
  async curl(...argv: readonly string[]): Promise<Received> {
    const [headers, body] = [this.path(`headers-${this.#requests}`), this.path(`body-${this.#requests++}`)];
    const fixed = ["--silent", "--show-error", "--path-as-is", "--dump-header", headers, "--output", body];
    const format = "%{http_code} %{http_version}";
    const { exit, stdout, stderr } = await this.#site.spawn("curl", [...fixed, "--write-out", format, ...argv]).outcome;
    if (exit !== 0) throw new CurlError(exit, stderr);
    const [status = "", httpVersion = ""] = stdout.split(" ");
    return received(Number(status), httpVersion, readFileSync(headers, "utf8"), readIfThere(body));
  }

  /** @throws Error unless it succeeds */
  async openssl(argv: readonly string[], stdin?: string): Promise<string> {
    const { exit, stdout, stderr } = await this.tryOpenssl(argv, stdin);
    if (exit === 0) return stdout + stderr;
    throw new Error(`openssl ${argv.join(" ")} ended with ${exit}: ${stderr}`);
  }

  tryOpenssl(argv: readonly string[], stdin?: string): Promise<Outcome> {
    return this.#site.spawn("openssl", argv, { stdin }).outcome;
  }
}

function received(status: number, httpVersion: string, head: string, body: Buffer): Received {
  // An interim answer comes before the last one.
  const last =
    head
      .trimEnd()
      .split(/\r?\n\r?\n/)
      .at(-1) ?? "";
  const fields = last.split(/\r?\n/).slice(1);
  const headers = new Map(
    fields.map((field) => {
      const colon = field.indexOf(":");
      return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()] as const;
    }),
  );
  return { status, httpVersion, headers, body, json: <T>() => JSON.parse(body.toString()) as T };
}

/** curl makes no file for an answer without a body. */
function readIfThere(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}
