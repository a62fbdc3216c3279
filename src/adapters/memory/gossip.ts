import type { GossipMessage, GossipVerdict } from "../../ports/network.ts";
import type { Wire } from "./wire.ts";

/** Neighbours to which a message is passed on. With 8, all but one node in 3,000 hear a message of a perfect network. */
export const GOSSIP_FANOUT = 8;
/** Message ids remembered so that nothing is taken twice; the oldest leave first. */
export const SEEN_MESSAGES_MAX = 8_192;
/** Neighbours whose rejected messages are remembered; the oldest leave first. */
export const PENALTIES_MAX = 1_024;
/** What a rejected message costs the neighbour that sent it. */
export const REJECT_COST = 50;
/** At this score and below a neighbour is not listened to. */
export const SCORE_MIN = -1_000;

export interface Envelope {
  /** Unique: author and number. */
  readonly id: string;
  readonly topic: string;
  readonly message: GossipMessage;
}

export interface Neighbour {
  readonly peerId: string;
  readonly gossip: Gossip;
  /** Whether the neighbour still has its connection to us. */
  readonly connected: () => boolean;
}

/** The gossip of one network: passes every new and accepted message on to a few neighbours drawn from the hub's seed. */
export class Gossip {
  readonly #wire: Wire;
  readonly #peerId: string;
  readonly #neighbours: () => Neighbour[];
  readonly #topics = new Map<string, (message: GossipMessage) => GossipVerdict>();
  readonly #seen = new Set<string>();
  readonly #penalties = new Map<string, number>();
  #score: (peerId: string) => number = () => 0;
  #published = 0;

  constructor(wire: Wire, peerId: string, neighbours: () => Neighbour[]) {
    this.#wire = wire;
    this.#peerId = peerId;
    this.#neighbours = neighbours;
  }

  subscribe(topic: string, validate: (message: GossipMessage) => GossipVerdict): void {
    this.#topics.set(topic, validate);
  }

  setScore(score: (peerId: string) => number): void {
    this.#score = score;
  }

  /** @param session tells the messages of one start of the machine from those of another */
  publish(topic: string, data: Uint8Array, session: number): void {
    const id = `${this.#peerId}/${session}/${this.#published++}`;
    this.#remember(id);
    this.#spread({ id, topic, message: { from: this.#peerId, data: data.slice() } }, this.#peerId);
  }

  #arrive(envelope: Envelope, neighbour: string): void {
    const validate = this.#topics.get(envelope.topic);
    const score = this.#score(neighbour) - REJECT_COST * (this.#penalties.get(neighbour) ?? 0);
    if (validate === undefined || score <= SCORE_MIN || this.#seen.has(envelope.id)) return;
    this.#remember(envelope.id);
    const verdict = validate(envelope.message);
    if (verdict === "accept") this.#spread(envelope, neighbour);
    else if (verdict === "reject") this.#penalise(neighbour);
  }

  #spread(envelope: Envelope, receivedFrom: string): void {
    const { message, topic } = envelope;
    const candidates = this.#neighbours().filter(
      ({ peerId, gossip }) => peerId !== receivedFrom && peerId !== message.from && gossip.#topics.has(topic),
    );
    for (const neighbour of this.#draw(candidates)) {
      this.#wire.observe("sent", "gossip", this.#peerId, neighbour.peerId, message.data);
      for (const delayMs of this.#wire.link.gossip(this.#peerId, neighbour.peerId, message.data.length)) {
        this.#wire.after(delayMs, () => {
          if (!neighbour.connected()) return;
          this.#wire.observe("delivered", "gossip", this.#peerId, neighbour.peerId, message.data);
          neighbour.gossip.#arrive(envelope, this.#peerId);
        });
      }
    }
  }

  #draw(candidates: Neighbour[]): Neighbour[] {
    const drawn = Math.min(GOSSIP_FANOUT, candidates.length);
    if (drawn === candidates.length) return candidates;
    for (let i = 0; i < drawn; i++) {
      const j = i + Math.floor(this.#wire.random.unit() * (candidates.length - i));
      [candidates[i], candidates[j]] = [candidates[j] as Neighbour, candidates[i] as Neighbour];
    }
    return candidates.slice(0, drawn);
  }

  #remember(id: string): void {
    if (this.#seen.size >= SEEN_MESSAGES_MAX) this.#seen.delete(this.#seen.values().next().value as string);
    this.#seen.add(id);
  }

  #penalise(peerId: string): void {
    const count = (this.#penalties.get(peerId) ?? 0) + 1;
    this.#penalties.delete(peerId);
    if (this.#penalties.size >= PENALTIES_MAX) this.#penalties.delete(this.#penalties.keys().next().value as string);
    this.#penalties.set(peerId, count);
  }
}
