import type { Endpoint, Port } from '@argyle/host';
import type { SimulatedHost } from '@argyle/simulator';
import type { Lab } from './lab.ts';

const FRONT_PORT = 11_080;

/**
 * A layer-4 balancer: each client address has a node and a port of the balancer's own, until it is
 * dealt again.
 */
export class Balancer {
  readonly host: SimulatedHost;
  readonly #lab: Lab;
  readonly #front: Port;
  readonly #flows = new Map<string, { readonly back: Port; node: string }>();

  constructor(lab: Lab) {
    this.#lab = lab;
    this.host = lab.simulator.host('balancer');
    this.#front = this.#open(FRONT_PORT, (bytes, from) => this.#forward(bytes, from));
  }

  /** Every flow goes to a node that is drawn again. */
  deal(): void {
    for (const flow of this.#flows.values()) flow.node = this.#draw();
  }

  #forward(bytes: Uint8Array, from: Endpoint): void {
    const name = `${from.address}:${from.port}`;
    let flow = this.#flows.get(name);
    if (!flow) {
      let own: Endpoint = from;
      const back = this.#open(
        0,
        (answer, node) => {
          this.#lab.checker.heardAt(this.#lab.nodeAt(node), own);
          this.#front.unicast(answer, from);
        },
        (opened) => (own = opened),
      );
      flow = { back, node: this.#draw() };
      this.#flows.set(name, flow);
    }
    flow.back.unicast(bytes, this.#lab.endpointOf(flow.node));
  }

  /** As one that looks after its servers' health does: not one that is dead, if any is not. */
  #draw(): string {
    const nodes = [...this.#lab.nodes.values()];
    const alive = nodes.filter((node) => node.alive);
    const { random } = this.#lab.simulator;
    return random.pick((alive.length > 0 ? alive : nodes).map(({ name }) => name));
  }

  #open(
    ownPort: number,
    datagram: (bytes: Uint8Array, from: Endpoint) => void,
    opened: (own: Endpoint) => void = () => undefined,
  ): Port {
    return this.host.openPort(
      {
        group: { address: '239.192.0.1', port: 1 },
        interfaceAddress: this.host.address,
        ownPort,
        linkKeys: () => [],
        multicastTtl: 1,
      },
      {
        opened,
        failed: (error) => {
          throw error;
        },
        unsent: () => undefined,
        datagram,
        link: () => undefined,
      },
    );
  }
}
