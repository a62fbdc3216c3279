import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect as connectHttp2, type ClientHttp2Session, type IncomingHttpHeaders } from "node:http2";
import { connect as connectTcp } from "node:net";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { signRequest } from "../../protocols/http/signed-request.ts";
import type { RegistryIdentity } from "../../src/identity/registry-identity.ts";
import type { Svid } from "../../src/ports/credentials.ts";

/** Whoever comes to the web face of a registry on this machine, and does what a test tells it, right or wrong. */

/** A certificate and its key, PEM. */
export type Presented = Pick<Svid, "certificate" | "key">;

export interface Connecting {
  /** No certificate by default. */
  readonly present?: Presented | null | undefined;
  /** As whom the connection comes; any of 127.0.0.0/8. */
  readonly address?: string | undefined;
  readonly tls?: ConnectionOptions | undefined;
}

/** A TLS connection, whose errors are the caller's to hear. */
export function tlsTo(port: number, { present, address, tls }: Connecting = {}): TLSSocket {
  const socket = connectTcp({ host: "127.0.0.1", port, ...(address !== undefined && { localAddress: address }) });
  return connectTls({
    ...{ socket, servername: "localhost", rejectUnauthorized: false },
    ...(present && { cert: present.certificate, key: present.key }),
    ...tls,
  });
}

/** The same when its handshake is done. */
export async function handshake(port: number, connecting?: Connecting): Promise<TLSSocket> {
  const socket = tlsTo(port, connecting);
  await once(socket, "secureConnect");
  return socket;
}

/** An HTTP/2 session over a connection of its own; what goes wrong shows in its requests. */
export function http2To(port: number, { tls, ...connecting }: Connecting = {}): ClientHttp2Session {
  const session = connectHttp2(`https://127.0.0.1:${port}`, {
    createConnection: () => tlsTo(port, { ...connecting, tls: { ALPNProtocols: ["h2"], ...tls } }),
  });
  session.on("error", () => undefined);
  return session;
}

export interface Received {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  readonly problem: { readonly code: string; readonly detail: string } | undefined;
}

export interface Sending {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Uint8Array | string;
}

/** One exchange over HTTP/2. */
export function send(session: ClientHttp2Session, { method = "GET", path, headers = {}, body }: Sending): Promise<Received> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":method": method, ":path": path, ...headers } as Record<string, string>, {
      endStream: body === undefined,
    });
    const chunks: Buffer[] = [];
    let received: { headers: IncomingHttpHeaders; raw: readonly string[] } | undefined;
    stream.on("response", (got, _flags, raw: readonly string[]) => (received = { headers: got, raw }));
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", reject);
    stream.on("close", () => {
      if (received === undefined) return reject(new Error(`no answer; stream closed with code ${stream.rstCode}`));
      const bytes = Buffer.concat(chunks);
      resolve({
        ...{ status: Number(received.headers[":status"]), headers: received.headers, rawHeaders: received.raw, body: bytes },
        problem: problemIn(received.headers, bytes),
      });
    });
    if (body !== undefined) stream.end(body);
  });
}

function problemIn(headers: IncomingHttpHeaders, body: Buffer): Received["problem"] {
  if (!String(headers["content-type"]).startsWith("application/problem+json") || body.length === 0) return undefined;
  const { type, detail } = JSON.parse(body.toString()) as { type: string; detail: string };
  return { code: type.slice(type.lastIndexOf(":") + 1), detail };
}

export interface Signing {
  readonly method?: string;
  readonly path: string;
  readonly body?: Uint8Array;
  readonly timestampMs?: number;
  readonly nonce?: Uint8Array;
  /** Those of the receiver by default. */
  readonly audience?: string;
  readonly authority?: string;
}

/** Whom a signed request is for. */
export interface Receiver {
  readonly did: string;
  readonly authority: string;
}

/** The headers and the rest of a signed request: a POST of `{}` unless told otherwise. */
export function signedBy(sender: RegistryIdentity, receiver: Receiver, signing: Signing): Required<Sending> {
  const { method = "POST", path, body = Buffer.from("{}"), authority = receiver.authority } = signing;
  const { audience = receiver.did, timestampMs = Date.now(), nonce = randomBytes(16) } = signing;
  const headers = signRequest({ method, authority, target: path, body, id: sender.did, audience, timestampMs, nonce }, (bytes) =>
    sender.sign(bytes),
  );
  return { method, path, body, headers: { ":authority": authority, ...headers, "content-type": "application/json" } };
}
