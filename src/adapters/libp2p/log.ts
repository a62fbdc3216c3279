import type { ComponentLogger, Logger } from "@libp2p/interface";
import type { Log } from "../../ports/log.ts";

/** libp2p's inner errors as debug events of ours; its step-by-step messages, which it writes for every packet, are dropped. */
export function componentLogger(log: Log): ComponentLogger {
  return { forComponent: (name) => logger(log, name) };
}

function logger(log: Log, component: string): Logger {
  const drop = (): void => undefined;
  const error = (formatter: unknown, ...args: unknown[]): void => {
    const cause = args.findLast((each) => each instanceof Error);
    log.debug("libp2p reports an error", { component, what: String(formatter), cause: (cause as Error | undefined)?.message });
  };
  return Object.assign(drop, {
    error,
    trace: drop,
    enabled: false,
    newScope: (name: string) => logger(log, `${component}:${name}`),
  });
}
