import { ANNOUNCE_TOPIC, encodeAnnouncement } from "../../protocols/announce/announcement.ts";
import type { Published } from "../catalog/messages.ts";
import type { Introduction } from "../../protocols/http/introduction-documents.ts";
import type { MembershipOptions } from "./options.ts";
import { currentDescriptor, type DescriptorFacts } from "./own-descriptor.ts";
import { memberKey } from "./rows.ts";
import type { Tasks } from "./tasks.ts";

/** Our descriptor and head are announced this often (and at once when they change), ± ANNOUNCE_JITTER. */
export const ANNOUNCE_MS = 30_000;
const ANNOUNCE_JITTER = 0.2;
/**
 * A new neighbour takes part in the gossip some time after its hello. What we published between is told again, this long after
 * the connection was made.
 */
const REPEATS_MS = [1_000, 3_000];
/**
 * Whose first connection is so young has not been heard beyond it: those who came to a neighbour at the same moment were not in
 * the hello that they had from it. What we say of ourselves is told again with each connection that is made meanwhile.
 */
const NEWCOMER_MS = 5_000;

/** Repetitions are at least this far apart. */
const REPEAT_PAUSE_MS = 500;

/** What we say of ourselves: keeps our descriptor current and stored, and announces it with our newest head. */
export class Announcer {
  readonly #options: MembershipOptions;
  readonly #tasks: Tasks;
  readonly #renewed: () => void;
  #version: Published | undefined;
  #descriptor: Uint8Array | undefined;
  /** The newest that is stored; it may say what no longer holds. */
  #stored: Uint8Array | undefined;
  #addresses: readonly string[] = [];
  #publishedAtMs = Number.NEGATIVE_INFINITY;
  #repeatedAtMs = Number.NEGATIVE_INFINITY;
  #newcomerUntilMs = Number.NEGATIVE_INFINITY;
  #renewing = false;
  #again = false;

  /** @param renewed called when our descriptor may be told, at first and whenever it is another */
  constructor(options: MembershipOptions, tasks: Tasks, renewed: () => void) {
    this.#options = options;
    this.#tasks = tasks;
    this.#renewed = renewed;
  }

  /** `undefined` before it is current: an old one names addresses that no longer hold. */
  get descriptor(): Uint8Array | undefined {
    return this.#descriptor;
  }

  get version(): Published | undefined {
    return this.#version;
  }

  /** What anybody may know of us; `undefined` before our descriptor is current. */
  get introduction(): Introduction | undefined {
    if (this.#descriptor === undefined) return undefined;
    return { descriptor: this.#descriptor, ...(this.#version && { head: this.#version.head }) };
  }

  /** @param stored our newest descriptor of an earlier run */
  start(stored: Uint8Array | undefined): void {
    this.#stored = stored;
    this.#version = this.#options.published();
    this.tick();
  }

  /** Our URLs or trust bundle are others by now. */
  facadeChanged(): void {
    this.#renew();
  }

  /** Announces now, and again in a while. */
  tick(): void {
    this.#renew();
    const jitter = 1 + ANNOUNCE_JITTER * (2 * this.#options.random.unit() - 1);
    this.#tasks.later(ANNOUNCE_MS * jitter, () => this.tick());
  }

  published(version: Published): void {
    const epochBefore = this.#version?.epoch;
    this.#version = version;
    this.#publishedAtMs = this.#options.clock.monotonic();
    if (epochBefore !== version.epoch || this.#descriptor === undefined) return this.#renew();
    this.#publish({ head: version.head });
  }

  /**
   * A connection was made: what changes before the gossip reaches the new neighbour is told again.
   * @param isFirst whether there was no other
   */
  connected(isFirst: boolean): void {
    const { clock } = this.#options;
    const sinceMs = clock.monotonic();
    if (isFirst) this.#newcomerUntilMs = sinceMs + NEWCOMER_MS;
    const isNewcomer = sinceMs <= this.#newcomerUntilMs;
    for (const delayMs of REPEATS_MS) {
      this.#tasks.later(delayMs, () => {
        if (!isNewcomer && this.#publishedAtMs < sinceMs) return;
        // One repetition serves all who came meanwhile.
        if (this.#repeatedAtMs >= Math.max(this.#publishedAtMs, clock.monotonic() - REPEAT_PAUSE_MS)) return;
        if (this.#descriptor === undefined || this.#version === undefined) return;
        this.#repeatedAtMs = clock.monotonic();
        this.#publish({ head: this.#version.head, ...(isNewcomer && { descriptor: this.#descriptor }) });
      });
    }
  }

  /** Renews the descriptor if we listen elsewhere by now. */
  checkAddresses(): void {
    if (this.#descriptor !== undefined && this.#addresses.join() !== this.#options.network.addresses().join()) this.#renew();
  }

  /** Makes the descriptor current; a new one is stored first and then told, one at a time: a sequence is never used twice. */
  #renew(): void {
    if (this.#version === undefined) return;
    if (this.#renewing) {
      this.#again = true;
      return;
    }
    const { clock, sign, store, log } = this.#options;
    const facts = this.#facts(this.#version);
    this.#addresses = facts.multiaddrs;
    const { bytes, isNew } = currentDescriptor(this.#stored, facts, clock.now(), sign);
    if (!isNew) return this.#told(bytes);
    this.#renewing = true;
    this.#tasks.task(
      () => store.batch([{ type: "put", key: memberKey("own"), value: bytes }], { durable: true }),
      (outcome) => {
        this.#renewing = false;
        if (outcome.ok) this.#told(bytes);
        else log.error("our descriptor could not be stored, so it is not announced", { error: outcome.error });
        if (this.#again) {
          this.#again = false;
          this.#renew();
        }
      },
    );
  }

  #facts({ epoch, previous }: Published): DescriptorFacts {
    const { identity, domain, network, facade } = this.#options;
    const face = facade?.();
    return {
      ...{ did: identity.did, name: identity.name, peerId: identity.peerId, spiffeId: identity.spiffeId },
      multiaddrs: network.addresses(),
      catalog: { epoch, ...(previous !== undefined && { previous }) },
      ...(domain !== undefined && { domain }),
      ...(face && { facade: { urls: face.urls }, bundle: face.bundle }),
    };
  }

  #told(descriptor: Uint8Array): void {
    this.#stored = descriptor;
    this.#descriptor = descriptor;
    this.#publish({ descriptor, ...(this.#version && { head: this.#version.head }) });
    this.#renewed();
  }

  #publish(announcement: Parameters<typeof encodeAnnouncement>[0]): void {
    this.#tasks.task(
      () => this.#options.network.publish(ANNOUNCE_TOPIC, encodeAnnouncement(announcement)),
      (outcome) => {
        if (!outcome.ok) this.#options.log.debug("an announcement could not be published", { error: outcome.error });
      },
    );
  }
}
