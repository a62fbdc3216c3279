import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { connect, type TLSSocket } from "node:tls";
import { parseArgs } from "node:util";
import { Agent, request } from "undici";
import { decodeBundle } from "../protocols/bundle/bundle.ts";
import { startRegistry } from "../src/compose.ts";
import { CONFIG_DEFAULTS } from "../src/config.ts";
import { ServerProcess, type Served } from "./facade/process.ts";

/**
 * Certificates that live 4 s, so that they are renewed every 2 s, under load (T7): several clients count the requests that fail,
 * of which there must be none: `node bench/rotation.ts [--seconds 60] [--json]`.
 */
const { values } = parseArgs({
  options: { seconds: { type: "string", default: "60" }, json: { type: "boolean", default: false } },
});
const SECONDS = Number(values.seconds);
const LIFETIME_SECONDS = 4;
const AGENTS = 1_000;
/** Between two requests of one client, so that the load is steady and not an overload. */
const PAUSE_MS = 30;
const PROBE_MS = 250;
const OPERATOR_LIFETIME_MS = 3_600_000;
const FAILURES_SHOWN = 5;
const WARM_UP_MS = 2_000;
const WARM_UPS_MAX = 15;

interface Credentials {
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
}

interface Client {
  readonly name: string;
  /** One request. @throws for one that failed */
  readonly once: () => Promise<void>;
  readonly close: () => Promise<void>;
}

interface Row {
  readonly client: string;
  readonly requests: number;
  /** Sent away as overload, with 503 and Retry-After: what else the machine does, not the rotation. */
  readonly busy: number;
  readonly failed: number;
}

class BusyError extends Error {
  override readonly name = "BusyError";
}

async function get(url: string, dispatcher: Agent): Promise<void> {
  const { statusCode, body } = await request(url, { dispatcher });
  const text = await body.text();
  if (statusCode === 503) throw new BusyError(text.slice(0, 200));
  if (statusCode !== 200) throw new Error(`${statusCode} ${text.slice(0, 200)}`);
}

function makeAgent(credentials: Credentials, allowH2: boolean): Agent {
  return new Agent({ connect: { ...credentials }, allowH2, connections: 1 });
}

/** One connection for all requests. */
function keeping(name: string, url: string, credentials: Credentials, allowH2: boolean): Client {
  const agent = makeAgent(credentials, allowH2);
  return { name: `${name}, kept`, once: () => get(url, agent), close: () => agent.close() };
}

/** A connection for each request. */
function connecting(name: string, url: string, credentials: Credentials, allowH2: boolean): Client {
  const once = async (): Promise<void> => {
    const agent = makeAgent(credentials, allowH2);
    try {
      await get(url, agent);
    } finally {
      await agent.destroy();
    }
  };
  return { name: `${name}, new each time`, once, close: () => Promise.resolve() };
}

/** Another registry, whose own certificate ends as often: announces itself and syncs over HTTP, mTLS and signatures. */
async function following({ did, url }: Served, dataDir: string): Promise<Client> {
  const node = await startRegistry({
    ...CONFIG_DEFAULTS,
    ...{ name: "follower", dataDir, listen: ["/ip4/127.0.0.1/tcp/0"], announce: ["/ip4/127.0.0.1/tcp/1"], logLevel: "error" },
    ...{ http: "127.0.0.1:0", allowPrivateAddresses: true, peers: [url], svidLifetimeSeconds: LIFETIME_SECONDS },
  });
  while ((await node.status()).peers.every(({ syncedRoot }) => syncedRoot === null)) await pause(PAUSE_MS);
  const once = async (): Promise<void> => {
    const [sync] = await node.syncNow(did);
    if (sync === undefined) throw new Error("it is not followed");
    if (sync.lastError?.includes("busy") === true) throw new BusyError(sync.lastError);
    if (sync.lastError !== null) throw new Error(sync.lastError);
  };
  return { name: "registry syncing, mTLS and signed", once, close: () => node.stop() };
}

async function drive(client: Client, untilMs: number, failures: string[]): Promise<Row> {
  let [requests, busy, failed] = [0, 0, 0];
  while (performance.now() < untilMs) {
    requests += 1;
    try {
      await client.once();
    } catch (error) {
      const isBusy = error instanceof BusyError;
      if (isBusy) busy += 1;
      else failed += 1;
      if (!isBusy) failures.push(`${client.name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    }
    await pause(PAUSE_MS);
  }
  return { client: client.name, requests, busy, failed };
}

/** Until nobody is sent away any more: filling the catalogue and starting a registry is more than the load to be measured. */
async function warmUp(clients: readonly Client[]): Promise<void> {
  for (let left = WARM_UPS_MAX; left > 0; left--) {
    const untilMs = performance.now() + WARM_UP_MS;
    const rows = await Promise.all(clients.map((client) => drive(client, untilMs, [])));
    if (rows.every(({ busy }) => busy === 0)) return;
  }
}

/** Serial numbers of the certificates that were served. */
async function watch(url: URL, ca: string, untilMs: number): Promise<number> {
  const serials = new Set<string>();
  while (performance.now() < untilMs) {
    serials.add(await serialOf(url, ca));
    await pause(PROBE_MS);
  }
  return serials.size;
}

function serialOf({ hostname, port }: URL, ca: string): Promise<string> {
  return new Promise((done, fail) => {
    const socket: TLSSocket = connect({ host: hostname, port: Number(port), ca }, () => {
      done(socket.getPeerX509Certificate()?.serialNumber ?? "");
      socket.end();
    });
    socket.on("error", fail);
  });
}

async function measure(): Promise<void> {
  const base = mkdtempSync(join(tmpdir(), "registry-bench-"));
  const server = new ServerProcess(join(base, "home"), String(AGENTS), String(LIFETIME_SECONDS));
  const clients: Client[] = [];
  try {
    const served = await server.served;
    const ca = decodeBundle(served.bundle)
      .authorities.map((der) => new X509Certificate(der).toString())
      .join("");
    const operator = await server.ask<{ certificate: string; key: string }>({ do: "operator", lifetimeMs: OPERATOR_LIFETIME_MS });
    const mutual = { ca, cert: operator.certificate, key: operator.key };
    const agent = `${served.url}/agents/${encodeURIComponent(served.agent)}`;
    const admin = `${served.url}/admin/status`;
    for (const [protocol, allowH2] of [
      ["HTTP/2", true],
      ["HTTP/1.1", false],
    ] as const) {
      clients.push(keeping(protocol, agent, { ca }, allowH2), connecting(protocol, agent, { ca }, allowH2));
      clients.push(keeping(`${protocol} mTLS`, admin, mutual, allowH2), connecting(`${protocol} mTLS`, admin, mutual, allowH2));
    }
    clients.push(await following(served, join(base, "follower")));
    await warmUp(clients);
    const failures: string[] = [];
    const untilMs = performance.now() + SECONDS * 1_000;
    const watching = watch(new URL(served.url), ca, untilMs);
    const rows = await Promise.all(clients.map((client) => drive(client, untilMs, failures)));
    const certificates = await watching;
    const sum = (what: "requests" | "busy" | "failed"): number => rows.reduce((total, row) => total + row[what], 0);
    const [requests, busy, failed] = [sum("requests"), sum("busy"), sum("failed")];
    if (values.json)
      console.log(JSON.stringify({ bench: "rotation", seconds: SECONDS, certificates, requests, busy, failed, rows }));
    else {
      console.table(rows);
      console.log(
        `${certificates} certificates in ${SECONDS} s, ${requests} requests, ${busy} busy, ${failed} failed (target 0)`,
      );
    }
    for (const failure of failures.slice(0, FAILURES_SHOWN)) console.error(failure);
    if (failed > 0) process.exitCode = 1;
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    await server.stop();
    rmSync(base, { recursive: true, force: true });
  }
}

await measure();
