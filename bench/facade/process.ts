import { fork, type ChildProcess } from "node:child_process";

/** What the server of the bench says when it is ready. */
export interface Served {
  readonly did: string;
  readonly url: string;
  /** Of the bare HTTP/2 server beside it. */
  readonly bareUrl: string;
  /** DID of one agent. */
  readonly agent: string;
  readonly mapRoot: string;
  /** SPIFFE trust bundle. */
  readonly bundle: string;
}

/** The registry of the bench, in a process of its own. */
export class ServerProcess {
  readonly #child: ChildProcess;
  readonly served: Promise<Served>;

  constructor(...argv: readonly string[]) {
    this.#child = fork(new URL("./server.ts", import.meta.url), argv, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    this.served = this.#next();
  }

  /** CPU time used so far, in milliseconds, and the map root of its catalogue. */
  async state(): Promise<{ readonly cpuMs: number; readonly mapRoot: string }> {
    return this.ask({ do: "cpu" });
  }

  ask<T>(command: object): Promise<T> {
    const answer = this.#next<T>();
    this.#child.send(command);
    return answer;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = new Promise((done) => this.#child.once("exit", done));
    this.#child.send({ do: "stop" });
    await ended;
  }

  #next<T>(): Promise<T> {
    return new Promise((done, fail) => {
      const ended = (code: number | null): void => fail(new Error(`the server ended with ${code}`));
      this.#child.once("exit", ended);
      this.#child.once("message", (message) => {
        this.#child.off("exit", ended);
        done(message as T);
      });
    });
  }
}
