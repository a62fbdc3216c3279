import { ANNOUNCE_TOPIC, encodeAnnouncement } from "../../protocols/announce/announcement.ts";
import { exchangeHello, HELLO_HEADS_MAX, HELLO_KNOWN_MAX, HELLO_PROTOCOL, type Hello } from "../../protocols/announce/hello.ts";
import { openDescriptor } from "../../protocols/descriptor/codec.ts";
import type { Descriptor } from "../../protocols/descriptor/descriptor.ts";
import { verifyHead, type SignedHead } from "../../protocols/checkpoint/head.ts";
import { contradicts } from "../../protocols/checkpoint/note.ts";
import { hex } from "../../protocols/lib/bytes.ts";
import { sha256 } from "../../protocols/lib/hash.ts";
import { didOfPeerId } from "../../protocols/lib/did.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import type { Actor, Context, Outcome } from "../actors/actor.ts";
import { NodeError } from "../api.ts";
import type { Published } from "../catalog/messages.ts";
import type { Clock } from "../ports/clock.ts";
import type { Log } from "../ports/log.ts";
import type { Network, PeerEvent } from "../ports/network.ts";
import type { Random } from "../ports/random.ts";
import type { Store } from "../ports/store.ts";
import { AbortAfter } from "../ports/abort-after.ts";
import { loadMembership, type StoredMembership } from "./load.ts";
import type { MembershipEvent, MembershipMessage, MembershipStatus } from "./messages.ts";
import { currentDescriptor, type DescriptorFacts } from "./own-descriptor.ts";
import { addressKey, descriptorKey, evidenceRow, memberKey } from "./rows.ts";
import { MemberTable, REDIAL_MS_MAX, REDIAL_MS_MIN, stateOf, takeDescriptor, takeHead, type Member } from "./table.ts";

/** Our descriptor and head are announced this often (and at once when they change), ± ANNOUNCE_JITTER. */
export const ANNOUNCE_MS = 30_000;
const ANNOUNCE_JITTER = 0.2;
export const DIAL_TICK_MS = 500;
export const DIALS_MAX = 8;
export const DIAL_TIMEOUT_MS = 10_000;
export const HELLO_TIMEOUT_MS = 10_000;
/** The peer with the larger id waits this long for the other's hello before it says its own. */
const HELLO_TURN_MS = 1_000;
export const PROBE_MS = 10_000;
export const PROBE_TIMEOUT_MS = 5_000;
/** Probes in a row that fail before the connection is given up. */
const PROBE_FAILURES_MAX = 2;
export const EVIDENCE_MAX = 1_000;
/** Streams of the hello protocol that one peer may have open. */
export const HELLO_STREAMS_MAX = 2;

export interface MembershipOptions {
  readonly identity: { readonly did: string; readonly name: string; readonly peerId: string; readonly spiffeId: string };
  readonly sign: (bytes: Uint8Array) => Uint8Array;
  readonly domain: string | undefined;
  /** Addresses of registries to meet first, each with its peer id. */
  readonly peers: readonly string[];
  readonly registriesMax: number;
  readonly connectionsMax: number;
  readonly store: Store;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly event: (event: MembershipEvent) => void;
}

/** Who is out there: announces us, learns of others, keeps connections to them, and knows who is alive and how near. */
export class MembershipActor implements Actor<MembershipMessage> {
  readonly #options: MembershipOptions;
  readonly #context: Context<MembershipMessage>;
  readonly #members: MemberTable;
  readonly #evidence = new Set<string>();
  readonly #probeFailures = new Map<string, number>();
  readonly #greeted = new Set<string>();
  #stash: MembershipMessage[] | undefined = [];
  #version: Published | undefined;
  #descriptor: Uint8Array | undefined;
  #replicated = new Map<string, SignedHead>();
  #addresses: readonly string[] = [];

  constructor(options: MembershipOptions, context: Context<MembershipMessage>) {
    this.#options = options;
    this.#context = context;
    this.#members = new MemberTable(options.registriesMax, (did) => options.event({ type: "forgotten", did }));
    this.#task(
      () => loadMembership(options.store),
      (outcome) => this.#loaded(outcome),
    );
  }

  receive(message: MembershipMessage): void {
    if (message.type === "step") return message.run(message.outcome);
    if (this.#stash !== undefined) {
      this.#stash.push(message);
      return;
    }
    switch (message.type) {
      case "published":
        return this.#published(message.version);
      case "announcement": {
        const { opened, raw } = message;
        this.#heardOf(opened.did, opened.descriptor, raw.descriptor, raw.head);
        return;
      }
      case "peer":
        return message.event.type === "connected" ? this.#connected(message.event.peerId) : this.#disconnected(message.event);
      case "hello":
        return this.#descriptor === undefined
          ? message.reply.reject(new NodeError("unreachable", "not ready to say hello yet"))
          : message.reply.resolve(this.#hello(message.peerId, this.#descriptor));
      case "hello_received":
        return this.#helloReceived(message.peerId, message.hello);
      case "replicated":
        this.#replicated.set(message.did, message.head);
        return;
      case "evidence":
        return this.#keepEvidence(message.did, message.evidence);
      case "add_peer":
        return this.#addPeer(message);
      case "remove_peer":
        return this.#removePeer(message);
      case "status":
        return message.reply.resolve(this.#status());
      case "tick":
        if (message.what === "announce") return this.#announceLater();
        return message.what === "dial" ? this.#dialTick() : this.#probeTick();
    }
  }

  #loaded(outcome: Outcome<StoredMembership>): void {
    if (!outcome.ok) throw outcome.error;
    const { own, descriptors, addresses, evidence } = outcome.value;
    this.#descriptor = own;
    for (const hash of evidence) this.#evidence.add(hash);
    for (const address of [...this.#options.peers, ...addresses]) this.#configure(address);
    const stash = this.#stash ?? [];
    this.#stash = undefined;
    for (const bytes of descriptors) {
      const descriptor = this.#open(bytes);
      if (descriptor !== undefined) this.#heardOf(descriptor.did, descriptor, bytes, undefined, false);
    }
    for (const peerId of this.#options.network.connected()) this.#connected(peerId);
    for (const message of stash) this.receive(message);
    this.#context.after(PROBE_MS, { type: "tick", what: "probe" });
    this.#announceLater();
    this.#dialTick();
  }

  // ---- what we say of ourselves

  #published(version: Published): void {
    const epochBefore = this.#version?.epoch;
    this.#version = version;
    if (epochBefore !== version.epoch || this.#descriptor === undefined) return this.#renewDescriptor();
    this.#publish({ head: version.head });
  }

  /** Makes the descriptor current; a new one is stored first and then told. */
  #renewDescriptor(): void {
    if (this.#version === undefined) return;
    const { identity, domain, network, clock, sign, store } = this.#options;
    const { epoch, previous } = this.#version;
    const facts: DescriptorFacts = {
      ...{ did: identity.did, name: identity.name, peerId: identity.peerId, spiffeId: identity.spiffeId },
      multiaddrs: network.addresses(),
      catalog: { epoch, ...(previous !== undefined && { previous }) },
      ...(domain !== undefined && { domain }),
    };
    this.#addresses = facts.multiaddrs;
    const { bytes, isNew } = currentDescriptor(this.#descriptor, facts, clock.now(), sign);
    if (!isNew) {
      this.#descriptor = bytes;
      return this.#announce();
    }
    this.#task(
      () => store.batch([{ type: "put", key: memberKey("own"), value: bytes }], { durable: true }),
      (outcome) => {
        if (!outcome.ok)
          return this.#options.log.error("our descriptor could not be stored, so it is not announced", { error: outcome.error });
        this.#descriptor = bytes;
        this.#announce();
        for (const member of this.#members.all())
          if (member.connected && !this.#greeted.has(member.peerId)) this.#greet(member.peerId);
      },
    );
  }

  #announce(): void {
    if (this.#descriptor === undefined) return;
    this.#publish({ descriptor: this.#descriptor, ...(this.#version && { head: this.#version.head }) });
  }

  #publish(announcement: Parameters<typeof encodeAnnouncement>[0]): void {
    this.#task(
      () => this.#options.network.publish(ANNOUNCE_TOPIC, encodeAnnouncement(announcement)),
      (outcome) => {
        if (!outcome.ok) this.#options.log.debug("an announcement could not be published", { error: outcome.error });
      },
    );
  }

  #announceLater(): void {
    this.#renewDescriptor();
    const jitter = 1 + ANNOUNCE_JITTER * (2 * this.#options.random.unit() - 1);
    this.#context.after(ANNOUNCE_MS * jitter, { type: "tick", what: "announce" });
  }

  // ---- what we hear of others

  #open(bytes: Uint8Array): Descriptor | undefined {
    try {
      return openDescriptor(bytes, this.#options.clock.now());
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#options.log.debug("a descriptor was ignored", { code: error.code, reason: error.message });
      return undefined;
    }
  }

  /** Takes a verified descriptor or head, whoever brought it. */
  #heardOf(
    did: string,
    descriptor: Descriptor | undefined,
    bytes: Uint8Array | undefined,
    head: SignedHead | undefined,
    persist = true,
  ): void {
    if (did === this.#options.identity.did) {
      if (head !== undefined) this.#options.event({ type: "own_head", head });
      return;
    }
    const member = this.#members.get(did) ?? (descriptor === undefined ? undefined : this.#members.ensure(did));
    if (member === undefined) return;
    if (descriptor !== undefined && bytes !== undefined) {
      const verdict = takeDescriptor(member, descriptor, bytes);
      if (typeof verdict === "object") this.#keepEvidence(did, verdict.evidence);
      else if (verdict === "newer") {
        if (persist) this.#store([{ type: "put", key: descriptorKey(did), value: Uint8Array.from(bytes) }]);
        this.#options.event({ type: "member", descriptor, configured: member.configured });
        if (member.connected) this.#reportConnected();
      }
    }
    if (head === undefined) return;
    const before = member.checkpoint;
    if (takeHead(member, head)) this.#options.event({ type: "head", did, head });
    else if (before !== undefined) {
      const evidence = contradicts(before, verifyHead(head).checkpoint);
      if (evidence !== undefined) this.#keepEvidence(did, evidence);
    }
  }

  #keepEvidence(did: string, evidence: Uint8Array): void {
    const hash = hex(sha256(evidence));
    if (this.#evidence.has(hash) || this.#evidence.size >= EVIDENCE_MAX) return;
    this.#evidence.add(hash);
    this.#options.log.warn("a registry contradicted itself; the evidence is kept", { did, evidence: hash });
    this.#store([evidenceRow(evidence)]);
  }

  #store(operations: Parameters<Store["batch"]>[0]): void {
    this.#task(
      () => this.#options.store.batch(operations, { durable: true }),
      (outcome) => {
        if (!outcome.ok) this.#options.log.warn("what we know of a registry could not be stored", { error: outcome.error });
      },
    );
  }

  // ---- connections

  #connected(peerId: string): void {
    const member = this.#memberOfPeer(peerId);
    if (member === undefined) return;
    member.connected = true;
    member.dialFailures = 0;
    member.seenAtMs = this.#options.clock.monotonic();
    this.#probe(member);
    this.#reportConnected();
    if (this.#options.identity.peerId < peerId) this.#greet(peerId);
    else this.#later(HELLO_TURN_MS, () => this.#greet(peerId));
  }

  #disconnected({ peerId }: PeerEvent): void {
    const member = this.#members.byPeer(peerId);
    this.#greeted.delete(peerId);
    this.#probeFailures.delete(peerId);
    if (member === undefined) return;
    member.connected = false;
    member.dialAtMs = this.#options.clock.monotonic() + REDIAL_MS_MIN * this.#options.random.unit();
    this.#reportConnected();
  }

  #memberOfPeer(peerId: string): Member | undefined {
    try {
      return this.#members.byPeer(peerId) ?? this.#members.ensure(didOfPeerId(peerId));
    } catch {
      return undefined;
    }
  }

  #greet(peerId: string): void {
    const member = this.#members.byPeer(peerId);
    if (this.#greeted.has(peerId) || member?.connected !== true || this.#descriptor === undefined) return;
    this.#greeted.add(peerId);
    const mine = this.#hello(peerId, this.#descriptor);
    const { network, clock } = this.#options;
    this.#task(
      async (signal) => {
        using deadline = new AbortAfter(clock, HELLO_TIMEOUT_MS, signal);
        const frames = await network.open(peerId, HELLO_PROTOCOL, { signal: deadline.signal });
        return exchangeHello(frames, mine, deadline.signal);
      },
      (outcome) => {
        if (outcome.ok) return this.#helloReceived(peerId, outcome.value);
        this.#greeted.delete(peerId);
        this.#options.log.debug("a hello failed", { peerId, error: outcome.error });
        this.#later(HELLO_TURN_MS, () => this.#greet(peerId));
      },
    );
  }

  #hello(peerId: string, descriptor: Uint8Array): Hello {
    const did = this.#members.byPeer(peerId)?.did;
    const others = this.#members.all().filter((member) => member.bytes !== undefined && member.peerId !== peerId);
    const sample = shuffled(others, this.#options.random).slice(0, Math.min(HELLO_KNOWN_MAX, HELLO_HEADS_MAX));
    const yours = did === undefined ? undefined : newest(this.#members.get(did)?.head, this.#replicated.get(did));
    return {
      descriptor,
      ...(this.#version && { head: this.#version.head }),
      ...(yours && { yours }),
      known: sample.map((member) => member.bytes as Uint8Array),
      heads: sample.flatMap((member) => (member.head === undefined ? [] : [member.head])),
    };
  }

  #helloReceived(peerId: string, hello: Hello): void {
    this.#greeted.add(peerId);
    const member = this.#memberOfPeer(peerId);
    if (member !== undefined) member.seenAtMs = this.#options.clock.monotonic();
    this.#learn(hello.descriptor, peerId);
    for (const bytes of hello.known) this.#learn(bytes, undefined);
    for (const head of [hello.head, hello.yours, ...hello.heads]) if (head !== undefined) this.#learnHead(head);
    this.#dialSoon();
  }

  #learn(bytes: Uint8Array, peerId: string | undefined): void {
    const descriptor = this.#open(bytes);
    if (descriptor === undefined || (peerId !== undefined && descriptor.peerId !== peerId)) return;
    this.#heardOf(descriptor.did, descriptor, bytes, undefined);
  }

  #learnHead(head: SignedHead): void {
    try {
      this.#heardOf(verifyHead(head).checkpoint.did, undefined, undefined, head);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }

  #reportConnected(): void {
    const connected = this.#members.all().filter((member) => member.connected);
    connected.sort((a, b) => (a.rttMs ?? Number.MAX_VALUE) - (b.rttMs ?? Number.MAX_VALUE));
    this.#options.event({ type: "connected", dids: connected.map(({ did }) => did) });
  }

  // ---- dialling

  #dialTick(): void {
    this.#dialSoon();
    if (this.#addresses.join() !== this.#options.network.addresses().join()) this.#renewDescriptor();
    this.#context.after(DIAL_TICK_MS, { type: "tick", what: "dial" });
  }

  #dialSoon(): void {
    const nowMs = this.#options.clock.monotonic();
    const all = this.#members.all();
    let room = Math.min(
      DIALS_MAX - all.filter(({ dialling }) => dialling).length,
      this.#options.connectionsMax - all.filter(({ connected }) => connected).length,
    );
    const due = all.filter(
      (member) => !member.connected && !member.dialling && member.dialAtMs <= nowMs && addressesOf(member).length > 0,
    );
    due.sort((a, b) => Number(b.configured) - Number(a.configured) || a.dialFailures - b.dialFailures);
    for (const member of due) {
      if (room <= 0) return;
      room -= 1;
      this.#dial(member);
    }
  }

  #dial(member: Member): void {
    member.dialling = true;
    const { network, clock, random } = this.#options;
    const target = { peerId: member.peerId, addresses: addressesOf(member) };
    this.#task(
      async (signal) => {
        using deadline = new AbortAfter(clock, DIAL_TIMEOUT_MS, signal);
        await network.connect(target, { signal: deadline.signal });
      },
      (outcome) => {
        member.dialling = false;
        if (outcome.ok) {
          member.dialFailures = 0;
          return;
        }
        const waitMs = Math.min(REDIAL_MS_MAX, REDIAL_MS_MIN * 2 ** member.dialFailures);
        member.dialFailures += 1;
        member.dialAtMs = clock.monotonic() + waitMs * (0.5 + random.unit());
        this.#options.log.debug("a registry could not be reached", { did: member.did, error: outcome.error });
      },
    );
  }

  // ---- liveness

  #probeTick(): void {
    for (const member of this.#members.all()) if (member.connected) this.#probe(member);
    this.#context.after(PROBE_MS, { type: "tick", what: "probe" });
  }

  #probe(member: Member): void {
    const { network, clock } = this.#options;
    this.#task(
      async (signal) => {
        using deadline = new AbortAfter(clock, PROBE_TIMEOUT_MS, signal);
        return network.ping(member.peerId, { signal: deadline.signal });
      },
      (outcome) => {
        if (!member.connected) return;
        if (outcome.ok) {
          this.#probeFailures.delete(member.peerId);
          member.seenAtMs = clock.monotonic();
          member.rttMs = member.rttMs === null ? outcome.value : member.rttMs * 0.7 + outcome.value * 0.3;
          return;
        }
        const failures = (this.#probeFailures.get(member.peerId) ?? 0) + 1;
        this.#probeFailures.set(member.peerId, failures);
        // A frozen peer keeps its sockets open: only our own probes find it.
        if (failures >= PROBE_FAILURES_MAX)
          this.#task(
            () => network.disconnect(member.peerId),
            () => undefined,
          );
      },
    );
  }

  // ---- the operator

  #configure(address: string): Member {
    const peerId = address.slice(address.lastIndexOf("/p2p/") + "/p2p/".length);
    const member = this.#members.ensure(didOfPeerId(peerId));
    if (member === undefined)
      throw new NodeError("overloaded", `more than ${this.#options.registriesMax} registries are configured`);
    member.configured = true;
    member.addresses = [...new Set([...member.addresses, address])];
    member.dialAtMs = Number.NEGATIVE_INFINITY;
    return member;
  }

  #addPeer({ address, reply }: Extract<MembershipMessage, { type: "add_peer" }>): void {
    try {
      this.#configure(address);
    } catch (error) {
      return reply.reject(
        error instanceof NodeError
          ? error
          : new NodeError("invalid", `"${address}" is not a peer's address: it must end in /p2p/<peer id>`),
      );
    }
    this.#dialSoon();
    this.#task(
      () => this.#options.store.batch([{ type: "put", key: addressKey(address), value: Buffer.of(1) }], { durable: true }),
      (outcome) => (outcome.ok ? reply.resolve() : reply.reject(outcome.error)),
    );
  }

  #removePeer({ which, reply }: Extract<MembershipMessage, { type: "remove_peer" }>): void {
    const member = this.#members
      .all()
      .find(({ did, addresses, peerId }) => did === which || peerId === which || addresses.includes(which));
    if (member === undefined) return reply.resolve(undefined);
    const { did, peerId, addresses } = member;
    this.#members.remove(did);
    const { store, network } = this.#options;
    this.#task(
      async () => {
        const keys = [descriptorKey(did), ...addresses.map(addressKey)];
        await store.batch(
          keys.map((key) => ({ type: "del", key })),
          { durable: true },
        );
        await network.disconnect(peerId);
      },
      (outcome) => (outcome.ok ? reply.resolve(did) : reply.reject(outcome.error)),
    );
  }

  #status(): MembershipStatus {
    const nowMs = this.#options.clock.monotonic();
    const members = this.#members.all().map((member) => ({
      did: member.did,
      peerId: member.peerId,
      name: member.descriptor?.name ?? "",
      state: stateOf(member, nowMs),
      ...{ connected: member.connected, configured: member.configured, rttMs: member.rttMs, head: member.head },
      epoch: member.descriptor?.catalog.epoch ?? 0,
    }));
    return { members, evidence: this.#evidence.size, descriptor: this.#descriptor };
  }

  #later(delayMs: number, run: () => void): void {
    this.#context.after(delayMs, { type: "step", run, outcome: { ok: true, value: undefined } });
  }

  #task<T>(run: (signal: AbortSignal) => Promise<T>, then: (outcome: Outcome<T>) => void): void {
    this.#context.task(run, (outcome) => ({ type: "step", run: then as (outcome: Outcome<unknown>) => void, outcome }));
  }
}

function addressesOf(member: Member): string[] {
  const { peerId } = member;
  const named = [...(member.descriptor?.multiaddrs ?? []), ...member.addresses];
  return [...new Set(named.map((address) => (address.includes("/p2p/") ? address : `${address}/p2p/${peerId}`)))];
}

function newest(a: SignedHead | undefined, b: SignedHead | undefined): SignedHead | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const [one, other] = [verifyHead(a).checkpoint, verifyHead(b).checkpoint];
  return other.epoch > one.epoch || (other.epoch === one.epoch && other.size > one.size) ? b : a;
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const out = [...items];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random.unit() * (i + 1));
    [out[i], out[j]] = [out[j] as T, out[i] as T];
  }
  return out;
}
