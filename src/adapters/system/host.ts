import { readFileSync } from "node:fs";
import { hostname } from "node:os";

/** What the node tells operators about its machine, and what the data directory's recorded identity is compared with. */
export interface HostFacts {
  /** `undefined` where the system has none (containers, other systems than Linux). */
  readonly machineId: string | undefined;
  /** Changes with every start of the system; `undefined` where there is none. */
  readonly bootId: string | undefined;
  readonly hostname: string;
  readonly platform: string;
  readonly nodeVersion: string;
  readonly pid: number;
}

export function hostFacts(): HostFacts {
  return {
    machineId: firstLine("/etc/machine-id") ?? firstLine("/var/lib/dbus/machine-id"),
    bootId: firstLine("/proc/sys/kernel/random/boot_id"),
    hostname: hostname(),
    platform: `${process.platform}-${process.arch}`,
    nodeVersion: process.version,
    pid: process.pid,
  };
}

function firstLine(path: string): string | undefined {
  try {
    const line = readFileSync(path, "utf8").split("\n")[0]?.trim();
    return line === "" ? undefined : line;
  } catch {
    return undefined;
  }
}
