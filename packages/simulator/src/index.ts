export { Simulator } from './simulator.ts';
export type { SimulatorOptions } from './simulator.ts';
export { SimulatedHost } from './simulated-host.ts';
export { Random } from './random.ts';
export { UNLIMITED } from './limits.ts';
export type { HostLimits } from './limits.ts';
export type { LossCause, NetworkFaults, Passage } from './network.ts';
