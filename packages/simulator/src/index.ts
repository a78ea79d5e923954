export { Simulator } from './simulator.ts';
export type { SimulatorOptions } from './simulator.ts';
export { SimulatedHost } from './simulated-host.ts';
export { Random } from './random.ts';
export type { NetworkFaults } from './network.ts';
