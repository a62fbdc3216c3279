import { once } from "node:events";
import {
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { createSecureContext, type SecureContextOptions, type TLSSocket } from "node:tls";
import { encodeBundle } from "../../../protocols/bundle/bundle.ts";
import { signDescriptor } from "../../../protocols/descriptor/codec.ts";
import type { DescriptorFields } from "../../../protocols/descriptor/descriptor.ts";
import { rawHeadersOf } from "../../../protocols/http/header-fields.ts";
import { encodeIntroduction } from "../../../protocols/http/introduction-documents.ts";
import {
  checkAudience,
  checkAuthority,
  checkDigest,
  checkSignature,
  checkSkew,
  readSignedRequest,
  type SignedRequest,
} from "../../../protocols/http/signed-request.ts";
import { signResponse } from "../../../protocols/http/signed-response.ts";
import { certificateIssuer } from "../../../src/adapters/certificates/issuer.ts";
import { systemClock } from "../../../src/adapters/system/clock.ts";
import { systemRandom } from "../../../src/adapters/system/random.ts";
import { createWeb, type WebOptions } from "../../../src/adapters/web/web.ts";
import { createRegistryIdentity, type RegistryIdentity } from "../../../src/identity/registry-identity.ts";
import { checkSvid } from "../../../src/identity/svid.ts";
import type { Authority, Validity } from "../../../src/ports/certificates.ts";
import type { Clock } from "../../../src/ports/clock.ts";
import type { Credentials, Svid } from "../../../src/ports/credentials.ts";
import type { Log } from "../../../src/ports/log.ts";
import type { Web, WebPeer } from "../../../src/ports/web.ts";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

const quiet = (): void => undefined;
export const SILENT: Log = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => SILENT };

export const HURRY = 100;

/** A clock on which timers fire a hundred times sooner: bounds of seconds are met in milliseconds. */
export function hurried(times: number = HURRY): Clock {
  const clock = systemClock();
  return {
    ...clock,
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    after: (ms, fire) => clock.after(ms / times, fire),
  };
}

/** Credentials whose rotation a test decides. */
export class TestCredentials implements Credentials {
  readonly identity: RegistryIdentity;
  authority: Authority;
  #svid: Svid;
  readonly #listeners = new Set<(what: "svid" | "bundle") => void>();

  private constructor(identity: RegistryIdentity, authority: Authority, svid: Svid) {
    this.identity = identity;
    this.authority = authority;
    this.#svid = svid;
  }

  static async create(identity: RegistryIdentity, validity: Validity = validFor(HOUR_MS)): Promise<TestCredentials> {
    const issuer = certificateIssuer(identity.trustDomain, systemRandom());
    const authority = await issuer.createAuthority(validFor(7 * DAY_MS));
    return new TestCredentials(identity, authority, await leafOf(identity, authority, identity.name, validity));
  }

  svid(): Svid {
    return this.#svid;
  }

  bundle(): string {
    return encodeBundle({ authorities: [this.authority.certificate], sequence: 1, refreshHintSeconds: 300 });
  }

  onChange(listener: (what: "svid" | "bundle") => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  issue(): Promise<Svid> {
    return Promise.resolve(this.#svid);
  }

  close(): void {
    this.#listeners.clear();
  }

  /** A new leaf, of another authority where one is given. */
  async rotate(validity: Validity = validFor(HOUR_MS), authority: Authority = this.authority): Promise<void> {
    this.authority = authority;
    this.#svid = await leafOf(this.identity, authority, this.identity.name, validity);
    for (const listener of this.#listeners) listener("svid");
  }
}

export function validFor(ms: number): Validity {
  return { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + ms };
}

export function newAuthority(identity: RegistryIdentity): Promise<Authority> {
  return certificateIssuer(identity.trustDomain, systemRandom()).createAuthority(validFor(7 * DAY_MS));
}

/** A leaf that says it is of `identity`, whoever's `authority` signs it. */
export function leafOf(
  identity: RegistryIdentity,
  authority: Authority,
  name: string,
  validity: Validity = validFor(HOUR_MS),
): Promise<Svid> {
  const issuer = certificateIssuer(identity.trustDomain, systemRandom());
  return issuer.createLeaf(authority, { ...validity, path: `/registry/${name}`, names: ["localhost", "127.0.0.1"] });
}

export function identityOf(name: string): RegistryIdentity {
  return createRegistryIdentity(systemRandom().bytes(32), name);
}

export interface PeerAnswer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: Uint8Array;
}

export interface PeerCall {
  readonly method: string;
  readonly path: string;
  readonly body: Uint8Array;
  readonly signed: SignedRequest | undefined;
  readonly stream: ServerHttp2Stream;
  /** SPIFFE ID of the client's certificate; `undefined` without one. */
  readonly client: string | undefined;
  readonly session: ServerHttp2Session;
}

/** Another registry's web face: real TLS, real HTTP/2, and answers that a test decides. */
export class PeerServer {
  readonly identity: RegistryIdentity;
  readonly credentials: TestCredentials;
  readonly server: Http2SecureServer;
  readonly calls: PeerCall[] = [];
  readonly sessions: Set<ServerHttp2Session> = new Set();
  sessionsMade = 0;
  handshakes = 0;
  port = 0;
  /** `undefined` for no answer at all. */
  answer: (call: PeerCall) => PeerAnswer | undefined | Promise<PeerAnswer | undefined> = () => ({ body: Buffer.from("{}") });
  /** Falsifies the headers of signed answers. */
  twist: (headers: Record<string, string>) => Record<string, string> = (headers) => headers;
  /** Shown to those who do not ask for the trust domain. */
  webCertificate: { cert: string; key: string } | undefined;
  /** Shown instead of our own leaf. */
  impostor: Svid | undefined;

  private constructor(credentials: TestCredentials) {
    this.credentials = credentials;
    this.identity = credentials.identity;
    this.server = createSecureServer({
      ...{ minVersion: "TLSv1.2", requestCert: true, rejectUnauthorized: false, ALPNProtocols: ["h2"] },
      SNICallback: (name, callback) => callback(null, createSecureContext(this.#context(name))),
      ...this.#context(""),
    });
    this.server.on("secureConnection", () => void (this.handshakes += 1));
    this.server.on("session", (session) => {
      this.sessionsMade += 1;
      this.sessions.add(session);
      session.on("close", () => this.sessions.delete(session));
      session.on("error", quiet);
    });
    this.server.on("stream", (stream, headers) => void this.#serve(stream, headers));
    this.server.on("sessionError", quiet);
  }

  static async start(name: string, validity: Validity = validFor(HOUR_MS)): Promise<PeerServer> {
    const peer = new PeerServer(await TestCredentials.create(identityOf(name), validity));
    peer.server.listen(0, "127.0.0.1");
    await once(peer.server, "listening");
    peer.port = (peer.server.address() as AddressInfo).port;
    return peer;
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  peer(more: Partial<WebPeer> = {}): WebPeer {
    return { url: this.url, named: true, did: this.identity.did, bundle: this.credentials.bundle(), ...more };
  }

  describe(more: Partial<DescriptorFields> = {}): Uint8Array {
    const { did, name, peerId, spiffeId } = this.identity;
    const now = Date.now();
    const fields = {
      ...{ did, name, peerId, spiffeId, multiaddrs: [], sequence: now, issuedAt: now, expiresAt: now + DAY_MS },
      ...{ catalog: { epoch: 0 }, facade: { urls: [this.url] }, bundle: this.credentials.bundle() },
    };
    return signDescriptor({ ...fields, ...more }, (bytes) => this.identity.sign(bytes));
  }

  introduction(more: Partial<DescriptorFields> = {}): Uint8Array {
    return encodeIntroduction({ descriptor: this.describe(more) });
  }

  async close(): Promise<void> {
    for (const session of this.sessions) session.destroy();
    this.server.close();
    await once(this.server, "close");
  }

  #context(name: string): SecureContextOptions {
    if (this.webCertificate !== undefined && name !== this.identity.trustDomain) return this.webCertificate;
    const { certificate, key } = this.impostor ?? this.credentials.svid();
    return { cert: certificate, key };
  }

  async #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    stream.on("error", quiet);
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const [method, path, authority] = [headers[":method"], headers[":path"], headers[":authority"]].map(String) as [
      string,
      string,
      string,
    ];
    const signed = readSignedRequest(rawHeadersOf(headers), { method, authority, target: path });
    if (signed !== undefined) {
      checkSkew(signed, Date.now());
      checkAudience(signed, this.identity.did);
      checkAuthority(signed, [new URL(this.url).host]);
      checkDigest(signed, body);
      checkSignature(signed);
    }
    const session = stream.session as ServerHttp2Session;
    const client = (session.socket as TLSSocket).getPeerX509Certificate()?.subjectAltName?.replace("URI:", "");
    const call = { method, path, body, signed, stream, client, session };
    this.calls.push(call);
    const answer = await this.answer(call);
    if (answer === undefined || stream.destroyed) return;
    const { status = 200, body: content = new Uint8Array(0) } = answer;
    const proof =
      signed === undefined
        ? {}
        : this.twist(
            signResponse({ status, body: content, requestSignature: signed.signature }, this.identity.did, (bytes) =>
              this.identity.sign(bytes),
            ),
          );
    stream.respond({ ":status": status, ...proof, ...answer.headers });
    stream.end(content);
  }
}

/** The adapter under test, as one registry. */
export async function webOf(more: Partial<WebOptions> = {}): Promise<{ web: Web; credentials: TestCredentials }> {
  const credentials = await TestCredentials.create(identityOf("asker"));
  const { did } = credentials.identity;
  const web = createWeb({
    ...{ credentials, did, sign: (bytes) => credentials.identity.sign(bytes), clock: systemClock(), random: systemRandom() },
    ...{ log: SILENT, allowPrivateAddresses: false },
    verifyPeer: (chain, bundle, peer) => checkSvid(chain, { did: peer, bundle }, Date.now()),
    ...more,
  });
  return { web, credentials };
}

export function signal(): AbortSignal {
  return new AbortController().signal;
}
