import assert from "node:assert/strict";
import { FramesError, type Frames, type FramesErrorCode } from "../../protocols/lib/frames.ts";
import {
  NetworkError,
  type GossipMessage,
  type GossipVerdict,
  type Network,
  type NetworkErrorCode,
  type PeerEvent,
} from "../../src/ports/network.ts";

/** What the suite of the network port is written with. */

/** Makes the networks of one test. */
export interface Makers {
  /** A network, started. */
  readonly node: () => Promise<Network>;
  /** Two networks with a connection that both sides have seen; `b` echoes. */
  readonly pair: () => Promise<{ a: Network; b: Network }>;
}

export const ECHO = "/theprotocol/test-echo/1.0.0";
export const TOPIC = "theprotocol/test/1";
export const STREAMS_MAX = 4;
export const DEADLINE_MS = 8_000;
const PROBE_INTERVAL_MS = 50;

export interface Tap {
  readonly messages: GossipMessage[];
  count(text: string): number;
  /** Resolves once `text` has been received. */
  until(text: string): Promise<void>;
}

const PROBE = "probe ";

/** Subscribes and keeps what arrives, apart from the probes of `warmUp`. */
export function tap(network: Network, judge: (text: string) => GossipVerdict = () => "accept"): Tap {
  const messages: GossipMessage[] = [];
  const seen = new Set<string>();
  const waiting = new Map<string, () => void>();
  network.subscribe(TOPIC, (message) => {
    const text = Buffer.from(message.data).toString();
    if (!text.startsWith(PROBE)) messages.push(message);
    seen.add(text);
    waiting.get(text)?.();
    return judge(text);
  });
  return {
    messages,
    count: (text) => messages.filter((message) => Buffer.from(message.data).toString() === text).length,
    until: (text) =>
      within(`gossip "${text.slice(0, 20)}"`, (resolve) => {
        if (seen.has(text)) resolve();
        else waiting.set(text, resolve);
      }),
  };
}

let probes = 0;

/** Publishes probes until each tap has had one: neighbours learn of subscriptions, and a mesh forms, some time after a connection. */
export async function warmUp(from: Network, taps: readonly Tap[]): Promise<void> {
  const waiting = new Set(taps);
  while (waiting.size > 0) {
    const text = `${PROBE}${++probes}`;
    assert.ok(probes < 10_000, "the mesh never formed");
    const arrived = [...waiting].map((each) => each.until(text).then(() => waiting.delete(each)));
    await from.publish(TOPIC, Buffer.from(text));
    await Promise.race([Promise.all(arrived), new Promise((resolve) => setTimeout(resolve, PROBE_INTERVAL_MS))]);
    for (const late of arrived) late.catch(() => undefined);
  }
}

export interface Recorder {
  readonly events: PeerEvent[];
  until(enough: (events: readonly PeerEvent[]) => boolean): Promise<void>;
}

export function record(network: Network): Recorder {
  const events: PeerEvent[] = [];
  let check = (): void => undefined;
  network.onPeer((event) => {
    events.push(event);
    check();
  });
  return {
    events,
    until: (enough) =>
      within("peer events", (resolve) => {
        check = () => {
          if (enough(events)) resolve();
        };
        check();
      }),
  };
}

/** Connects `a` to `b` and waits until both know. */
export async function join(a: Network, b: Network): Promise<void> {
  const seenByB = record(b);
  await a.connect({ addresses: b.addresses() }, deadline());
  if (!b.connected().includes(a.peerId)) await seenByB.until(() => b.connected().includes(a.peerId));
}

export async function echo(frames: Frames): Promise<void> {
  for (let frame = await frames.receive(); frame !== undefined; frame = await frames.receive()) await frames.send(frame);
  await frames.close();
}

export async function exchange(stream: Frames, frame: Uint8Array): Promise<Uint8Array | undefined> {
  await stream.send(frame);
  const answer = await stream.receive();
  return answer === undefined ? undefined : new Uint8Array(answer);
}

/** Bytes whose content tells a lost, doubled or moved piece. */
export function bytes(length: number, seed = 0): Uint8Array {
  const out = new Uint8Array(length);
  for (let i = 0; i < length; i++) out[i] = (i * 31 + (i >>> 8) * 17 + seed) & 0xff;
  return out;
}

export function withoutPeer(address: string): string {
  return address.slice(0, address.lastIndexOf("/p2p/"));
}

export function deadline(): { readonly signal: AbortSignal } {
  return { signal: AbortSignal.timeout(DEADLINE_MS) };
}

function within(what: string, start: (resolve: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waited ${DEADLINE_MS} ms for ${what}`)), DEADLINE_MS);
    timer.unref();
    start(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

export function rejectsNetwork(promise: Promise<unknown>, code: NetworkErrorCode): Promise<void> {
  return assert.rejects(promise, (error) => error instanceof NetworkError && (assert.equal(error.code, code), true));
}

export function rejectsFrames(promise: Promise<unknown>, codes: readonly FramesErrorCode[]): Promise<void> {
  return assert.rejects(
    promise,
    (error) => error instanceof FramesError && (assert.ok(codes.includes(error.code), error.code), true),
  );
}
