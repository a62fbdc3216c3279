import { SingleBar } from "cli-progress";
import type { CliStream } from "./io.ts";
import { count, duration } from "./text.ts";

/** Elsewhere than on a terminal a line is written this often, in milliseconds. */
export const LINE_INTERVAL_MS = 5_000;
const REDRAWS_PER_SECOND = 10;
const BAR_COLUMNS = 28;

export interface Progress {
  /** @param done how much of the total, in its unit (bytes, changes) */
  /** @param items how many things, for the rate; `done` when they are the same */
  update(done: number, items?: number): void;
  /** Grows with what is known, such as the changes that a peer announces. */
  setTotal(total: number): void;
  stop(): void;
}

export interface ProgressOptions {
  readonly label: string;
  /** 0 while it is not known, such as for a pipe. */
  readonly total: number;
  /** What is counted, in the plural. */
  readonly items: string;
  readonly lineIntervalMs?: number;
}

/** A bar with rate and remaining time on a terminal, a line now and then elsewhere. */
export function startProgress(stream: CliStream, options: ProgressOptions): Progress {
  const startedMs = performance.now();
  let { total } = options;
  let done = 0;
  let items = 0;
  const describe = (): { amount: string; rate: string; left: string } => {
    const seconds = Math.max((performance.now() - startedMs) / 1_000, 0.001);
    const secondsLeft = done > 0 && total > done ? ((total - done) * seconds) / done : undefined;
    return {
      amount: `${count(items)} ${options.items}`,
      rate: `${count(Math.round(items / seconds))}/s`,
      left:
        done >= total && total > 0
          ? `took ${duration(seconds)}`
          : secondsLeft === undefined
            ? ""
            : `${duration(secondsLeft)} left`,
    };
  };
  const view = stream.isTTY === true ? drawBar(stream, options.label, total, describe) : writeLines(stream, options, describe);
  return {
    update: (nextDone, nextItems = nextDone) => {
      [done, items] = [nextDone, nextItems];
      view.update(done, total);
    },
    setTotal: (next) => {
      total = next;
      view.update(done, total);
    },
    stop: () => view.stop(done, total),
  };
}

interface View {
  update(done: number, total: number): void;
  stop(done: number, total: number): void;
}

type Describe = () => { amount: string; rate: string; left: string };

function drawBar(stream: CliStream, label: string, total: number, describe: Describe): View {
  const bar = new SingleBar({
    stream,
    format: `  ${label}  {bar} {percentage}%  {amount}  {rate}  {left}`,
    barCompleteChar: "━",
    barIncompleteChar: "─",
    barsize: BAR_COLUMNS,
    fps: REDRAWS_PER_SECOND,
    hideCursor: true,
    clearOnComplete: false,
    // Ctrl-C belongs to the command, which drains.
    gracefulExit: false,
  });
  bar.start(Math.max(total, 1), 0, describe());
  // The bar hides the cursor; a command that Ctrl-C ends must give it back. Who listens for itself decides what ends.
  const restore = (): void => {
    process.off("SIGINT", restore);
    bar.stop();
    if (process.listenerCount("SIGINT") === 0) process.kill(process.pid, "SIGINT");
  };
  process.on("SIGINT", restore);
  return {
    update: (done, nextTotal) => {
      bar.setTotal(Math.max(nextTotal, done, 1));
      bar.update(done, describe());
    },
    stop: (done) => {
      process.off("SIGINT", restore);
      bar.update(done, describe());
      bar.stop();
    },
  };
}

function writeLines(stream: CliStream, options: ProgressOptions, describe: Describe): View {
  let state = { done: 0, total: options.total };
  const timer = setInterval(() => {
    const { amount, rate, left } = describe();
    const percent = state.total > 0 ? `${Math.floor((100 * state.done) / state.total)}%` : "";
    stream.write(`${[options.label, percent, amount, rate, left].filter((part) => part !== "").join("  ")}\n`);
  }, options.lineIntervalMs ?? LINE_INTERVAL_MS).unref();
  return { update: (done, total) => (state = { done, total }), stop: () => clearInterval(timer) };
}
