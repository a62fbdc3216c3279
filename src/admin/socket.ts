import { once } from "node:events";
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { request, type Server } from "node:http";
import { connect } from "node:net";
import { AdminSocketError } from "./errors.ts";
import type { AdminOwner } from "./messages.ts";

const SOCKET_MODE = 0o600;
/** How long a socket that somebody holds may take to say whose it is, in milliseconds. */
const OWNER_TIMEOUT_MS = 2_000;

/**
 * Binds `server` to `path`, private from its first moment. A socket that a dead process left behind is replaced.
 * @throws AdminSocketError naming the owner of a live one, or what else stands at the path
 */
export async function bindSocket(server: Server, path: string): Promise<void> {
  await removeStale(path);
  // Between bind and chmod the socket would be open to others: the mask closes that gap. The bind is synchronous.
  const mask = process.umask(0o177);
  try {
    server.listen({ path });
  } finally {
    process.umask(mask);
  }
  try {
    await once(server, "listening");
  } catch (error) {
    throw new AdminSocketError(`the admin socket ${path} cannot be opened: ${(error as Error).message}`, { cause: error });
  }
  chmodSync(path, SOCKET_MODE);
}

async function removeStale(path: string): Promise<void> {
  const facts = lstatSync(path, { throwIfNoEntry: false });
  if (facts === undefined) return;
  if (!facts.isSocket())
    throw new AdminSocketError(`${path} is in the way of the admin socket and is no socket: move it elsewhere`);
  if (await isAnswered(path))
    throw new AdminSocketError(`this data directory is served already, by ${await describeOwner(path)}`);
  unlinkSync(path);
}

async function isAnswered(path: string): Promise<boolean> {
  const probe = connect({ path });
  try {
    await once(probe, "connect");
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ECONNREFUSED" || code === "ENOENT") return false;
    throw new AdminSocketError(`the admin socket ${path} exists and cannot be tried (${code ?? String(error)})`, {
      cause: error,
    });
  } finally {
    probe.destroy();
  }
}

async function describeOwner(path: string): Promise<string> {
  try {
    const asked = request({ socketPath: path, path: "/admin/process", agent: false, timeout: OWNER_TIMEOUT_MS });
    asked.on("timeout", () => asked.destroy(new Error("no answer")));
    asked.end();
    const [response] = (await once(asked, "response")) as [AsyncIterable<Uint8Array>];
    const chunks: Uint8Array[] = [];
    for await (const chunk of response) chunks.push(chunk);
    const { pid, name, did } = JSON.parse(Buffer.concat(chunks).toString()) as AdminOwner;
    return `process ${pid} ("${name}", ${did}); stop it with \`registry stop\``;
  } catch {
    return "a process that does not say who it is";
  }
}
