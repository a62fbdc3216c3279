import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { ClientHttp2Session } from "node:http2";
import { encodeBundle } from "../../../protocols/bundle/bundle.ts";
import type { DescriptorFields } from "../../../protocols/descriptor/descriptor.ts";
import { encodeIntroduction, INTRODUCTION_PATH } from "../../../protocols/http/introduction-documents.ts";
import { CHECKPOINT_PATH } from "../../../protocols/http/head-document.ts";
import { createRegistryIdentity, type RegistryIdentity } from "../../../src/identity/registry-identity.ts";
import type { Authority, Validity } from "../../../src/ports/certificates.ts";
import type { Svid } from "../../../src/ports/credentials.ts";
import { http2To, send, signedBy, type Connecting, type Received, type Sending, type Signing } from "../../facade/client.ts";
import { descriptorOf, HOUR_MS, leafOf, newAuthority, validFor } from "../../facade/registry-documents.ts";
import type { RegistryProcess } from "./process.ts";

/** A process that sheds serves at least every tenth request, whosever that is. */
const SHED_TRIES_MAX = 200;

/** Each has a /24 of its own, so that no limit by address is shared. */
let addresses = 0;
export function freshAddress(): string {
  addresses += 1;
  return `127.${1 + (addresses >> 8)}.${addresses & 0xff}.1`;
}

/**
 * Another registry as it is seen on the wire: a key, an authority, a leaf, a descriptor, and requests by hand. It does whatever a
 * test tells it, right or wrong.
 */
export class Foreign {
  readonly identity: RegistryIdentity;
  readonly address: string = freshAddress();
  readonly #sessions = new Set<ClientHttp2Session>();
  authority: Authority;
  svid: Svid;
  /** Of the descriptor that was made last. */
  sequence = 0;
  #session: ClientHttp2Session | undefined;

  private constructor(identity: RegistryIdentity, authority: Authority, svid: Svid) {
    this.identity = identity;
    this.authority = authority;
    this.svid = svid;
  }

  static async create(name: string, leaf: Validity = validFor(HOUR_MS)): Promise<Foreign> {
    const identity = createRegistryIdentity(randomBytes(32), name);
    const authority = await newAuthority(identity);
    return new Foreign(identity, authority, await leafOf(identity, authority, leaf));
  }

  get did(): string {
    return this.identity.did;
  }

  get bundle(): string {
    return encodeBundle({ authorities: [this.authority.certificate], sequence: 1, refreshHintSeconds: 300 });
  }

  /** A leaf in our name, whoever's authority signs it. */
  leaf(validity: Validity = validFor(HOUR_MS), authority: Authority = this.authority): Promise<Svid> {
    return leafOf(this.identity, authority, validity);
  }

  /** Another authority and leaf in the place of those before; nobody knows of it until a descriptor says so. */
  async replaceAuthority(): Promise<void> {
    this.authority = await newAuthority(this.identity);
    this.svid = await this.leaf();
    this.#session = undefined;
  }

  /** A signed descriptor, of the next sequence unless told otherwise. */
  describe(more: Partial<DescriptorFields> = {}): Uint8Array {
    this.sequence = more.sequence ?? this.sequence + 1;
    return descriptorOf(this.identity, { bundle: this.bundle, ...more, sequence: this.sequence });
  }

  sign(target: RegistryProcess, signing: Signing): Required<Sending> {
    return signedBy(this.identity, target, signing);
  }

  /** A request that every registry which is known may make. */
  signedRead(target: RegistryProcess, more: Partial<Signing> = {}): Sending {
    const { body: _none, ...request } = this.sign(target, {
      ...{ method: "GET", path: CHECKPOINT_PATH, body: new Uint8Array(0) },
      ...more,
    });
    return request;
  }

  announcement(target: RegistryProcess, descriptor: Uint8Array = this.describe()): Required<Sending> {
    return this.sign(target, { path: INTRODUCTION_PATH, body: encodeIntroduction({ descriptor }) });
  }

  /** @throws AssertionError unless it is taken */
  async announce(target: RegistryProcess, descriptor?: Uint8Array): Promise<void> {
    const { status, body } = await this.ask(target, this.announcement(target, descriptor));
    assert.equal(status, 200, body.toString());
  }

  /** With our certificate and from our address unless told otherwise; `present: null` is none. */
  connect({ port }: RegistryProcess, connecting: Connecting = {}): ClientHttp2Session {
    const session = http2To(port, { present: this.svid, address: this.address, ...connecting });
    this.#sessions.add(session);
    session.once("close", () => this.#sessions.delete(session));
    return session;
  }

  /** One exchange on a connection that is kept; asked again where the process sheds load. */
  ask(target: RegistryProcess, sending: Sending): Promise<Received> {
    return sendShed(this.#kept(target), sending);
  }

  /** The same, where being shed is an answer. */
  askOnce(target: RegistryProcess, sending: Sending): Promise<Received> {
    return send(this.#kept(target), sending);
  }

  #kept(target: RegistryProcess): ClientHttp2Session {
    const isOpen = this.#session?.closed === false && !this.#session.destroyed;
    return (this.#session = isOpen ? (this.#session as ClientHttp2Session) : this.connect(target));
  }

  close(): void {
    for (const session of this.#sessions) session.destroy();
  }
}

/** `send` that is patient with a process whose machine is busy: what was shed was not looked at. */
export async function sendShed(session: ClientHttp2Session, sending: Sending): Promise<Received> {
  for (let tries = 1; ; tries++) {
    const answer = await send(session, sending);
    if (answer.problem?.code !== "busy" || tries === SHED_TRIES_MAX) return answer;
  }
}
