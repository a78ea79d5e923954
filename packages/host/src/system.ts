import { randomBytes } from 'node:crypto';
import type { Cancel, Host, Port, PortHandlers, PortOptions } from './host.ts';
import { SystemPort } from './system-port.ts';

/** The machine that the process runs on. Nothing else in Argyle reads a clock or opens a port. */
export class SystemHost implements Host {
  now(): number {
    return performance.now();
  }

  wallOffset(): number {
    return Date.now() - performance.now();
  }

  random(sizeBytes: number): Uint8Array {
    return randomBytes(sizeBytes);
  }

  after(delayMs: number, wake: () => void): Cancel {
    if (delayMs <= 0) {
      const immediate = setImmediate(wake);
      return () => clearImmediate(immediate);
    }
    const timer = setTimeout(wake, Math.ceil(delayMs));
    return () => clearTimeout(timer);
  }

  openPort(options: PortOptions, handlers: PortHandlers): Port {
    return new SystemPort(options, handlers);
  }
}
