import { exchangeHello, HELLO_HEADS_MAX, HELLO_KNOWN_MAX, HELLO_PROTOCOL, type Hello } from "../../protocols/announce/hello.ts";
import { verifyHead, type SignedHead } from "../../protocols/checkpoint/head.ts";
import { AbortAfter } from "../ports/abort-after.ts";
import type { Random } from "../ports/random.ts";
import type { Announcer } from "./announcer.ts";
import type { MembershipOptions } from "./options.ts";
import type { MemberTable } from "./table.ts";
import type { Tasks } from "./tasks.ts";

export const HELLO_TIMEOUT_MS = 10_000;
/** The peer with the larger id waits this long for the other's hello before it says its own. */
const HELLO_TURN_MS = 1_000;
/** A hello that failed is tried again after HELLO_TURN_MS, then later and later, this many times doubled. */
const HELLO_DOUBLINGS_MAX = 6;
/** Streams of the hello protocol that one peer may have open. */
export const HELLO_STREAMS_MAX = 2;
/** Hellos that one peer may say in a minute: each may carry 67 signatures to check. */
export const HELLOS_PER_PEER_PER_MINUTE_MAX = 30;

/** Says hello on each new connection, once, so that both sides catch up at once. */
export class Greeter {
  readonly #options: MembershipOptions;
  readonly #tasks: Tasks;
  readonly #members: MemberTable;
  readonly #announcer: Announcer;
  readonly #received: (peerId: string, hello: Hello) => void;
  readonly #overheard: (peerId: string, hello: Hello) => void;
  #hasSpoken = false;
  /** Newest heads of our replicas, by DID. */
  readonly #replicated = new Map<string, SignedHead>();

  constructor(
    options: MembershipOptions,
    tasks: Tasks,
    parts: {
      readonly members: MemberTable;
      readonly announcer: Announcer;
      /** Hellos were exchanged. */
      readonly received: (peerId: string, hello: Hello) => void;
      /** We heard theirs, and they have yet to hear ours. */
      readonly overheard: (peerId: string, hello: Hello) => void;
    },
  ) {
    this.#options = options;
    this.#tasks = tasks;
    this.#members = parts.members;
    this.#announcer = parts.announcer;
    this.#received = parts.received;
    this.#overheard = parts.overheard;
  }

  replicated(did: string, head: SignedHead): void {
    if (this.#members.get(did) !== undefined) this.#replicated.set(did, head);
  }

  forget(did: string): void {
    this.#replicated.delete(did);
  }

  /** A connection was made: the peer with the smaller id speaks first. */
  meet(peerId: string): void {
    if (this.#options.identity.peerId < peerId) this.#greet(peerId);
    else this.#tasks.later(HELLO_TURN_MS, () => this.#greet(peerId));
  }

  /** Greets those who could not be greeted before we had a descriptor. */
  greetAll(): void {
    for (const member of this.#members.all()) {
      if (!member.connected) continue;
      // Until now we could only listen.
      if (!this.#hasSpoken) member.greeted = false;
      this.#greet(member.peerId);
    }
    this.#hasSpoken = true;
  }

  /** What we would say to this peer now; `undefined` before we know it ourselves. */
  hello(peerId: string): Hello | undefined {
    const { descriptor, version } = this.#announcer;
    if (descriptor === undefined) return undefined;
    const did = this.#members.byPeer(peerId)?.did;
    const others = this.#members.all().filter((member) => member.bytes !== undefined && member.peerId !== peerId);
    const sample = shuffled(others, this.#options.random).slice(0, Math.min(HELLO_KNOWN_MAX, HELLO_HEADS_MAX));
    const yours = did === undefined ? undefined : newest(this.#members.get(did)?.head, this.#replicated.get(did));
    return {
      descriptor,
      ...(version && { head: version.head }),
      ...(yours && { yours }),
      known: sample.map((member) => member.bytes as Uint8Array),
      heads: sample.flatMap((member) => (member.head === undefined ? [] : [member.head])),
    };
  }

  #greet(peerId: string): void {
    const mine = this.hello(peerId);
    // Our descriptor is there in a moment, unless we were restored and have to hear first what we signed.
    if (mine === undefined) this.#tasks.later(HELLO_TURN_MS, () => this.#listen(peerId));
    else this.#exchange(peerId, mine, this.#received);
  }

  #listen(peerId: string): void {
    if (this.#announcer.descriptor === undefined) this.#exchange(peerId, undefined, this.#overheard);
  }

  #exchange(peerId: string, mine: Hello | undefined, then: (peerId: string, hello: Hello) => void): void {
    const member = this.#members.byPeer(peerId);
    if (member?.connected !== true || member.greeted) return;
    member.greeted = true;
    const { network, clock, log } = this.#options;
    this.#tasks.task(
      async (signal) => {
        using deadline = new AbortAfter(clock, HELLO_TIMEOUT_MS, signal);
        const frames = await network.open(peerId, HELLO_PROTOCOL, { signal: deadline.signal });
        return await exchangeHello(frames, mine, deadline.signal);
      },
      (outcome) => {
        if (outcome.ok) return then(peerId, outcome.value);
        member.greeted = false;
        log.debug("a hello failed", { peerId, error: outcome.error });
        const waitMs = HELLO_TURN_MS * 2 ** Math.min(member.helloFailures, HELLO_DOUBLINGS_MAX);
        member.helloFailures += 1;
        this.#tasks.later(waitMs, () => this.#greet(peerId));
      },
    );
  }
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
