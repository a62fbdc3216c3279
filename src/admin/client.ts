import { once } from "node:events";
import { Agent, request, type ClientRequest, type IncomingMessage } from "node:http";
import type { AgentRecord } from "../../protocols/record/record.ts";
import type {
  AgentPage,
  AgentView,
  Diagnosis,
  Identity,
  ListQuery,
  Mutation,
  MutationResult,
  PeerAddition,
  Status,
  SyncStatus,
} from "../api.ts";
import type { Svid } from "../ports/credentials.ts";
import { AdminError, isAdminErrorCode, NodeUnreachableError } from "./errors.ts";
import type {
  AdminOwner,
  CertificateOrder,
  CertificatesAnswer,
  ErrorLine,
  ExportLine,
  MutationsLine,
  PeersAnswer,
  SyncLine,
  UnavailableLine,
} from "./messages.ts";
import { NDJSON, parseStrict, readLines } from "./ndjson.ts";
import { findSocket } from "./socket-path.ts";

/**
 * A running node as the command line sees it. Calls reject with `AdminError` when the node refuses and with
 * `NodeUnreachableError` when none answers, or when it goes away in the middle.
 */
export class AdminClient {
  readonly #dataDir: string;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
  }

  process(): Promise<AdminOwner> {
    return this.#json("GET", "/admin/process");
  }

  identity(): Promise<Identity> {
    return this.#json("GET", "/admin/identity");
  }

  status(): Promise<Status> {
    return this.#json("GET", "/admin/status");
  }

  async mutate(mutations: readonly Mutation[]): Promise<readonly MutationResult[]> {
    for await (const results of this.mutateAll([mutations])) return results;
    throw new NodeUnreachableError("the node ended the stream without an answer");
  }

  /** Batches in order, several under way at a time; results in the same order. Stops reading `batches` when the node cannot keep up. */
  async *mutateAll(
    batches: Iterable<readonly Mutation[]> | AsyncIterable<readonly Mutation[]>,
  ): AsyncGenerator<readonly MutationResult[]> {
    const outgoing = this.#request("POST", "/admin/mutations", NDJSON);
    let sourceError: Error | undefined;
    const sent = send(outgoing, batches).catch((error: unknown) => {
      sourceError = error as Error;
      outgoing.destroy(sourceError);
    });
    try {
      const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
      for await (const line of this.#lines<MutationsLine>(incoming)) yield line.results;
      await sent;
    } catch (error) {
      throw sourceError ?? this.#translate(error);
    } finally {
      outgoing.destroy();
    }
  }

  getAgent(id: string): Promise<AgentView> {
    return this.#json("GET", `/admin/agent?${query({ id })}`);
  }

  proveAgent(id: string): Promise<Record<string, unknown>> {
    return this.#json("GET", `/admin/proof?${query({ id })}`);
  }

  listAgents({ limit, minReputation, ...texts }: ListQuery): Promise<AgentPage> {
    const numbers = { limit: String(limit), minReputation: minReputation?.toString() };
    return this.#json("GET", `/admin/agents?${query({ ...texts, ...numbers })}`);
  }

  /**
   * Every agent of one registry, or of all that the node holds.
   * @param onMissing told of each that cannot be read now; without it the first one is an AdminError `damaged`
   */
  async *exportAgents(registry?: string, onMissing?: (missing: UnavailableLine) => void): AsyncGenerator<AgentRecord> {
    for await (const line of this.#stream<ExportLine>("GET", `/admin/export?${query({ registry })}`)) {
      if (!("type" in line)) yield line;
      else if (onMissing === undefined) throw new AdminError("damaged", `a stored record of ${line.registry} is damaged`);
      else onMissing(line);
    }
  }

  listPeers(): Promise<PeersAnswer> {
    return this.#json("GET", "/admin/peers");
  }

  addPeer(address: string): Promise<PeerAddition> {
    return this.#json("POST", "/admin/peers", { address });
  }

  async removePeer(address: string): Promise<void> {
    await this.#json("DELETE", `/admin/peers?${query({ address })}`);
  }

  async syncStatus(): Promise<readonly SyncStatus[]> {
    return (await this.#json<{ sync: readonly SyncStatus[] }>("GET", "/admin/sync")).sync;
  }

  async syncNow(did: string | undefined, onProgress: (sync: readonly SyncStatus[]) => void): Promise<readonly SyncStatus[]> {
    const lines = this.#stream<SyncLine>("POST", "/admin/sync", did === undefined ? {} : { did });
    for await (const { type, sync } of lines) {
      if (type === "result") return sync;
      onProgress(sync);
    }
    throw new NodeUnreachableError("the node ended the stream before the sync was done");
  }

  diagnose(): Promise<Diagnosis> {
    return this.#json("GET", "/admin/doctor");
  }

  certificates(): Promise<CertificatesAnswer> {
    return this.#json("GET", "/admin/certificates");
  }

  issueCertificate(order: CertificateOrder): Promise<Svid> {
    return this.#json("POST", "/admin/certificates", order);
  }

  /** Asks the node to drain and end. Resolves when its process closed the socket, which is the last thing that it does. */
  async stop(onStopping: (owner: AdminOwner) => void): Promise<void> {
    for await (const line of this.#stream<{ type: "stopping" | "stopped" } & AdminOwner>("POST", "/admin/stop", {})) {
      if (line.type === "stopped") return;
      onStopping(line);
    }
    throw new NodeUnreachableError("the node ended before it had stopped cleanly");
  }

  /** Closes kept connections; a client that is not closed keeps the process alive. */
  close(): void {
    this.#agent.destroy();
  }

  async #json<T>(method: string, path: string, body?: unknown): Promise<T> {
    try {
      return (await readJson(await this.#ask(method, path, body))) as T;
    } catch (error) {
      throw this.#translate(error);
    }
  }

  async *#stream<T>(method: string, path: string, body?: unknown): AsyncGenerator<T> {
    try {
      yield* this.#lines<T>(await this.#ask(method, path, body));
    } catch (error) {
      throw this.#translate(error);
    }
  }

  async #ask(method: string, path: string, body?: unknown): Promise<IncomingMessage> {
    const outgoing = this.#request(method, path, "application/json");
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    const [incoming] = (await once(outgoing, "response")) as [IncomingMessage];
    return incoming;
  }

  #request(method: string, path: string, type: string): ClientRequest {
    const headers = method === "POST" ? { "content-type": type } : {};
    const socketPath = findSocket(this.#dataDir);
    if (socketPath === undefined) throw this.#nobody();
    const outgoing = request({ socketPath, agent: this.#agent, method, path, headers });
    // Failures reach the caller through `once`; one more after the answer began must not end the process.
    outgoing.on("error", () => {});
    return outgoing;
  }

  async *#lines<T>(incoming: IncomingMessage): AsyncGenerator<T> {
    if (incoming.statusCode !== 200) await readJson(incoming);
    for await (const line of readLines(incoming)) {
      const { type, code, message } = line as Partial<ErrorLine>;
      if (type === "error") throw refusal(code, message);
      yield line as T;
    }
  }

  #nobody(): NodeUnreachableError {
    const help = "start one with `registry start`, or name its directory with --data-dir";
    return new NodeUnreachableError(`no node is running on ${this.#dataDir}; ${help}`);
  }

  #translate(error: unknown): unknown {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ECONNREFUSED") return this.#nobody();
    if (code === "ECONNRESET" || code === "EPIPE")
      return new NodeUnreachableError("the node went away in the middle", { cause: error });
    if (code === "EACCES")
      return new NodeUnreachableError(`the node of ${this.#dataDir} belongs to another user`, { cause: error });
    return error;
  }
}

async function send(
  outgoing: ClientRequest,
  batches: Iterable<readonly Mutation[]> | AsyncIterable<readonly Mutation[]>,
): Promise<void> {
  const gone = new Promise((resolve) => outgoing.once("close", resolve));
  for await (const mutations of batches) {
    if (outgoing.destroyed) return;
    const isFull = !outgoing.write(JSON.stringify({ mutations }) + "\n");
    if (isFull) await Promise.race([once(outgoing, "drain"), gone]);
  }
  outgoing.end();
}

async function readJson(incoming: IncomingMessage): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of incoming as AsyncIterable<Uint8Array>) chunks.push(chunk);
  const value = parseStrict(Buffer.concat(chunks));
  if (incoming.statusCode === 200) return value;
  const { code, message } = value as { code?: unknown; message?: unknown };
  throw refusal(code, message);
}

function refusal(code: unknown, message: unknown): AdminError {
  const text = typeof message === "string" ? message : "the node refused without a reason";
  return new AdminError(isAdminErrorCode(code) ? code : "internal", text);
}

function query(values: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return new URLSearchParams(given).toString();
}
