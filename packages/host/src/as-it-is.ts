/**
 * A datagram socket's `lookup` where there are only addresses: the runtime would look each of them
 * up as if it were a name, with every datagram.
 */
export function asItIs(family: 4 | 6) {
  return (address: string, _options: object, answer: Answer) => answer(null, address, family);
}

type Answer = (error: null, address: string, family: number) => void;
