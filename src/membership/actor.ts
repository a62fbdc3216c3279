import type { Hello } from "../../protocols/announce/hello.ts";
import { verifyHead, type SignedHead } from "../../protocols/checkpoint/head.ts";
import { contradicts } from "../../protocols/checkpoint/note.ts";
import { openDescriptor } from "../../protocols/descriptor/codec.ts";
import type { Descriptor } from "../../protocols/descriptor/descriptor.ts";
import { didOfPeerId } from "../../protocols/lib/did.ts";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import type { Actor, Context, Outcome, Reply } from "../actors/actor.ts";
import { Stash } from "../actors/stash.ts";
import { NodeError } from "../api.ts";
import type { KnownRegistry } from "../federation-api.ts";
import type { Store } from "../ports/store.ts";
import type { Introduction } from "../../protocols/http/introduction-documents.ts";
import { Aliases } from "./aliases.ts";
import { Announcer } from "./announcer.ts";
import { DIAL_TICK_MS, Dialler } from "./dialler.ts";
import { dialledContacts } from "./dialled-contacts.ts";
import { EvidenceIndex } from "./evidence.ts";
import { Greeter } from "./greeter.ts";
import { ADD_TIMEOUT_MS, Introductions } from "./introductions.ts";
import { loadMembership, type StoredMembership } from "./load.ts";
import type { MembershipMessage, MembershipStatus } from "./messages.ts";
import { Operator } from "./operator.ts";
import type { MembershipOptions } from "./options.ts";
import { Prober } from "./prober.ts";
import { descriptorKey } from "./rows.ts";
import { confirmHead, isMet, MemberTable, stateOf, takeDescriptor, takeHead, type Member } from "./table.ts";
import type { Tasks } from "./tasks.ts";
import { WebContacts } from "./web-contacts.ts";

/** Messages that wait while the stored members are read; what is dropped beyond it is news that comes again. */
const STASH_MESSAGES_MAX = 4_096;

/** Who is out there: announces us, learns of others, keeps connections to them, and knows who is alive and how near. */
export class MembershipActor implements Actor<MembershipMessage> {
  readonly #options: MembershipOptions;
  readonly #members: MemberTable;
  readonly #evidence = new EvidenceIndex();
  readonly #tasks: Tasks;
  readonly #announcer: Announcer;
  readonly #greeter: Greeter;
  readonly #dialler: Dialler;
  readonly #prober: Prober;
  readonly #operator: Operator;
  readonly #introductions: Introductions;
  readonly #webContacts: WebContacts;
  readonly #aliases: Aliases;
  readonly #stash = new Stash<MembershipMessage>("membership", STASH_MESSAGES_MAX);
  #isLoaded = false;

  constructor(options: MembershipOptions, context: Context<MembershipMessage>) {
    this.#options = options;
    const tasks: Tasks = {
      task: (run, then) =>
        void context.task(run, (outcome) => ({ type: "step", run: then as (outcome: Outcome<unknown>) => void, outcome })),
      later: (delayMs, run) => void context.after(delayMs, { type: "step", run, outcome: { ok: true, value: undefined } }),
    };
    this.#tasks = tasks;
    this.#members = new MemberTable(options.registriesMax, options.isFollowed, (did) => this.#forgotten(did));
    this.#announcer = new Announcer(options, tasks, () => this.#greeter.greetAll());
    const received = (peerId: string, hello: Hello): void => this.#helloReceived(peerId, hello);
    const overheard = (peerId: string, hello: Hello): void => this.#hello(peerId, hello);
    this.#greeter = new Greeter(options, tasks, { members: this.#members, announcer: this.#announcer, received, overheard });
    this.#dialler = new Dialler(options, tasks, this.#members);
    this.#prober = new Prober(options, tasks, this.#members);
    this.#operator = new Operator(options, tasks, this.#members, {
      introductions: () => this.#introductions,
      added: () => this.#dialler.dial(),
      tryAddress: (member, address, done) => this.#dialler.tryAddress(member, address, ADD_TIMEOUT_MS, done),
      removed: () => {
        this.#reportConnected();
        this.#webContacts.report();
      },
    });
    this.#introductions = new Introductions(options, tasks, this.#members, {
      configure: (did, named) => this.#operator.configureNamed(did, named),
      introduced: (introduction) => this.#introduced(introduction),
    });
    this.#webContacts = new WebContacts(options, tasks, this.#members, {
      introduction: () => this.#announcer.introduction,
      received: (member, hello) => this.#heard(member, hello),
      introduced: (introduction) => this.#introduced(introduction),
      head: (head) => this.#learnHead(head),
    });
    this.#aliases = new Aliases(options, tasks, this.#members);
    tasks.task(
      () => loadMembership(options.store),
      (outcome) => this.#loaded(outcome),
    );
  }

  receive(message: MembershipMessage): void {
    if (message.type === "step") return message.run(message.outcome);
    if (!this.#isLoaded) return this.#stash.put(message);
    switch (message.type) {
      case "listening":
        return this.#dialler.dial();
      case "published":
        return this.#announcer.published(message.version);
      case "announcement": {
        const { opened, raw } = message;
        return this.#heardOf(opened.did, opened.descriptor, raw.descriptor, raw.head);
      }
      case "peer":
        return message.event.type === "connected"
          ? this.#connected(message.event.peerId)
          : this.#disconnected(message.event.peerId);
      case "hello": {
        const hello = this.#greeter.hello(message.peerId);
        if (hello === undefined) return message.reply.reject(new NodeError("unreachable", "not ready to say hello yet"));
        return message.reply.resolve(hello);
      }
      case "hello_received":
        return this.#helloReceived(message.peerId, message.hello);
      case "replicated":
        return this.#greeter.replicated(message.did, message.head);
      case "evidence":
        return this.#keepEvidence(message.did, message.evidence);
      case "add_peer":
        return this.#operator.add(message.address, message.reply);
      case "remove_peer":
        return this.#operator.remove(message.which, message.reply);
      case "status":
        return message.reply.resolve(this.#status());
      case "all_heard":
        return message.reply.resolve(this.#members.all().every(({ heard }) => heard));
      case "introduction":
        return message.reply.resolve(this.#announcer.introduction);
      case "announced":
        return this.#announced(message.introduction, message.reply);
      case "known":
        return message.reply.resolve(this.#known(message.did));
      case "facade_changed":
        return this.#announcer.facadeChanged();
    }
  }

  #loaded(outcome: Outcome<StoredMembership>): void {
    if (!outcome.ok) throw outcome.error;
    const { own, descriptors, addresses, isolated, evidence, removed } = outcome.value;
    this.#evidence.load(isolated, evidence);
    this.#operator.start(addresses, removed);
    this.#isLoaded = true;
    for (const bytes of descriptors) {
      const descriptor = this.#open(bytes);
      if (descriptor !== undefined) this.#heardOf(descriptor.did, descriptor, bytes, undefined, false);
    }
    for (const peerId of this.#options.network.connected()) this.#connected(peerId);
    this.#announcer.start(own);
    this.#stash.release((message) => this.receive(message));
    this.#prober.tick();
    this.#dialTick();
  }

  #dialTick(): void {
    this.#dialler.dial();
    this.#introductions.tick();
    this.#webContacts.tick();
    this.#aliases.tick();
    this.#announcer.checkAddresses();
    this.#tasks.later(DIAL_TICK_MS, () => this.#dialTick());
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
    if (this.#operator.isRemoved(did)) return;
    const member = this.#members.get(did) ?? (descriptor === undefined ? undefined : this.#members.ensure(did));
    if (member === undefined) return;
    if (descriptor !== undefined && bytes !== undefined) this.#takeDescriptor(member, descriptor, bytes, persist);
    if (head !== undefined) this.#takeHead(member, head);
  }

  #takeDescriptor(member: Member, descriptor: Descriptor, bytes: Uint8Array, persist: boolean): void {
    const { did } = member;
    const verdict = takeDescriptor(member, descriptor, bytes);
    if (typeof verdict === "object") return this.#keepEvidence(did, verdict.evidence);
    if (verdict !== "newer") return;
    if (persist) this.#store([{ type: "put", key: descriptorKey(did), value: Uint8Array.from(bytes) }]);
    this.#options.event({ type: "member", descriptor, configured: member.configured });
    confirmHead(member);
    // One that came before its registry was known was followed by nobody.
    if (member.head !== undefined) this.#options.event({ type: "head", did, head: member.head });
    if (member.connected) this.#reportConnected();
  }

  #takeHead(member: Member, head: SignedHead): void {
    const before = member.checkpoint;
    if (takeHead(member, head)) return this.#options.event({ type: "head", did: member.did, head });
    if (before === undefined) return;
    const evidence = contradicts(before, verifyHead(head).checkpoint);
    if (evidence !== undefined) this.#keepEvidence(member.did, evidence);
  }

  #keepEvidence(did: string, evidence: Uint8Array): void {
    const isWanted = this.#members.get(did)?.configured === true || this.#options.isFollowed(did);
    const taken = this.#evidence.take(did, evidence, isWanted);
    if (taken === undefined) return;
    this.#options.log.warn("a registry contradicted itself; it is isolated", { did, isEvidenceKept: taken.isKept });
    this.#store(taken.operations, taken.undo);
  }

  #store(operations: Parameters<Store["batch"]>[0], failed: () => void = () => undefined): void {
    this.#tasks.task(
      () => this.#options.store.batch(operations, { durable: true }),
      (outcome) => {
        if (outcome.ok) return;
        failed();
        this.#options.log.warn("what we know of a registry could not be stored", { error: outcome.error });
      },
    );
  }

  #forgotten(did: string): void {
    this.#greeter.forget(did);
    this.#store([{ type: "del", key: descriptorKey(did) }]);
    this.#options.event({ type: "forgotten", did });
  }

  // ---- connections

  #connected(peerId: string): void {
    const member = this.#memberOfPeer(peerId);
    if (member === undefined) return;
    const isFirst = !this.#members.all().some(({ connected }) => connected);
    Object.assign(member, { connected: true, greeted: false, helloFailures: 0, probeFailures: 0 });
    member.seenAtMs = this.#options.clock.monotonic();
    this.#prober.probe(member);
    this.#reportConnected();
    this.#greeter.meet(peerId);
    this.#announcer.connected(isFirst);
  }

  #disconnected(peerId: string): void {
    const member = this.#members.byPeer(peerId);
    if (member === undefined) return;
    member.connected = false;
    this.#dialler.redial(member);
    this.#reportConnected();
  }

  #memberOfPeer(peerId: string): Member | undefined {
    try {
      const did = didOfPeerId(peerId);
      return this.#operator.isRemoved(did) ? undefined : this.#members.ensure(did);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return undefined;
    }
  }

  #helloReceived(peerId: string, hello: Hello): void {
    const member = this.#members.byPeer(peerId);
    if (member !== undefined) {
      member.greeted = member.connected;
      member.helloFailures = 0;
      member.dialFailures = 0;
      member.seenAtMs = this.#options.clock.monotonic();
    }
    this.#hello(peerId, hello);
  }

  /** A member that is met over the web said hello. */
  #heard(member: Member, hello: Hello): void {
    member.seenAtMs = this.#options.clock.monotonic();
    this.#hello(member.peerId, hello);
  }

  #hello(peerId: string, hello: Hello): void {
    this.#learn(hello.descriptor, peerId);
    const member = this.#members.byPeer(peerId);
    if (member !== undefined) member.heard = true;
    for (const bytes of hello.known) this.#learn(bytes, undefined);
    for (const head of [hello.head, hello.yours, ...hello.heads]) if (head !== undefined) this.#learnHead(head);
    this.#dialler.dial();
  }

  #introduced({ descriptor, head }: Introduction): void {
    this.#learn(descriptor, undefined);
    if (head !== undefined) this.#learnHead(head);
    this.#dialler.dial();
  }

  #announced(introduction: Introduction, reply: Reply<Hello | undefined>): void {
    const descriptor = this.#open(introduction.descriptor);
    const { identity, registriesMax, clock } = this.#options;
    if (descriptor === undefined || descriptor.did === identity.did)
      return reply.reject(new NodeError("invalid", "the descriptor is not a current one of another registry: make it anew"));
    if (this.#operator.isRemoved(descriptor.did))
      return reply.reject(new NodeError("refused", "the operator of this registry removed yours from its federation"));
    this.#introduced(introduction);
    const member = this.#members.get(descriptor.did);
    if (member === undefined)
      return reply.reject(new NodeError("overloaded", `this registry remembers ${registriesMax} others already: try later`));
    member.seenAtMs = clock.monotonic();
    reply.resolve(this.#greeter.hello(member.peerId));
  }

  #known(did: string): KnownRegistry | undefined {
    if (this.#operator.isRemoved(did)) return { bundle: undefined, isolated: true, isWanted: false };
    const member = this.#members.get(did);
    const descriptor = member?.descriptor;
    if (member === undefined || descriptor === undefined) return undefined;
    const url = descriptor.facade?.urls[0];
    const { bundle } = descriptor;
    const isolated = this.#evidence.has(did);
    return { bundle, isolated, isWanted: member.configured, ...(url !== undefined && { url }) };
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

  #status(): MembershipStatus {
    const nowMs = this.#options.clock.monotonic();
    const members = this.#members.all().map((member) => ({
      ...{ did: member.did, peerId: member.peerId, name: member.descriptor?.name ?? "", state: stateOf(member, nowMs) },
      ...{ connected: isMet(member), configured: member.configured, rttMs: member.rttMs, head: member.head },
      transport: member.connected ? ("libp2p" as const) : member.web.peer === undefined ? null : ("http" as const),
      domain: this.#aliases.view(member.did, member.descriptor?.domain),
      epoch: member.descriptor?.catalog.epoch ?? 0,
    }));
    const { identity, domain } = this.#options;
    const own = this.#aliases.view(identity.did, domain);
    const contacts = [...this.#introductions.contacts(), ...dialledContacts(this.#members.all(), this.#options.clock)];
    return { members, contacts, evidence: this.#evidence.size, descriptor: this.#announcer.descriptor, domain: own };
  }
}
