import { AskError, type Reply } from "./actor.ts";

/** Messages that an actor puts off while it cannot work on them: in order, bounded. */
export class Stash<M extends object> {
  readonly #owner: string;
  readonly #max: number;
  #messages: M[] = [];

  /** @param owner name of the actor, for those who are turned away */
  constructor(owner: string, max: number) {
    this.#owner = owner;
    this.#max = max;
  }

  /** Keeps the message. Without room it is dropped, and whoever asked is told `mailbox_full`. */
  put(message: M): void {
    if (this.#messages.length < this.#max) this.#messages.push(message);
    else if ("reply" in message) (message.reply as Reply<never>).reject(new AskError("mailbox_full", this.#owner));
  }

  /** Hands over what waits; what is put off again meanwhile waits for the next release. */
  release(receive: (message: M) => void): void {
    const messages = this.#messages;
    this.#messages = [];
    for (const message of messages) receive(message);
  }
}
