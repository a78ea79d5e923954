import t from 'tap';
import { Driver } from '../src/driver.ts';
import type { Host, PortHandlers } from '../src/host.ts';
import type { Machine, Output } from '../src/machine.ts';

/** A host whose clock and timer the test turns by hand. */
class ManualHost implements Host {
  time = 0;
  offset = 1_000_000;
  timer: { at: number; wake: () => void } | undefined;
  handlers: PortHandlers | undefined;
  /** What is to happen when the present turn has ended. */
  turns: (() => void)[] = [];
  readonly sent: string[] = [];
  readonly port = { waitingBytes: 0 };

  now(): number {
    return this.time;
  }

  wallOffset(): number {
    return this.offset;
  }

  random(sizeBytes: number): Uint8Array {
    return new Uint8Array(sizeBytes);
  }

  after(delayMs: number, wake: () => void) {
    if (delayMs === 0) {
      this.turns.push(wake);
      return () => void (this.turns = this.turns.filter((turn) => turn !== wake));
    }
    const timer = { at: this.time + delayMs, wake };
    this.timer = timer;
    return () => {
      if (this.timer === timer) this.timer = undefined;
    };
  }

  openPort(_options: unknown, handlers: PortHandlers) {
    this.handlers = handlers;
    const name = (bytes: Uint8Array) => Buffer.from(bytes).toString();
    return Object.assign(this.port, {
      multicast: (bytes: Uint8Array) => void this.sent.push(`multicast ${name(bytes)}`),
      rejoin: () => void this.sent.push('rejoin'),
      unicast: (bytes: Uint8Array) => void this.sent.push(`unicast ${name(bytes)}`),
      openLink: (link: number) => void this.sent.push(`open ${link}`),
      writeLink: (link: number, bytes: Uint8Array) => {
        this.sent.push(`write ${link} ${name(bytes)}`);
        handlers.link({ kind: 'drained', link });
      },
      closeLink: (link: number) => void this.sent.push(`close ${link}`),
      close: (closed?: () => void) => closed?.(),
    });
  }

  endTurn(): void {
    for (const wake of this.turns.splice(0)) wake();
  }

  /** The timer fires, and the turn ends. */
  fire(): void {
    const timer = this.timer;
    if (!timer) throw new Error('no timer');
    this.timer = undefined;
    this.time = Math.max(this.time, timer.at);
    timer.wake();
    this.endTurn();
  }
}

class Recorder implements Machine<string> {
  deadline = Infinity;
  readonly seen: string[] = [];
  readonly outputs: Output[] = [];
  readonly events: string[] = [];

  handleClock(offsetMs: number): void {
    this.seen.push(`clock ${offsetMs}`);
  }

  handleDatagram(bytes: Uint8Array): void {
    this.seen.push(`datagram ${Buffer.from(bytes).toString()}`);
  }

  handleLink(input: { kind: string }): void {
    this.seen.push(`link ${input.kind}`);
  }

  handleBacklog(waitingBytes: number): void {
    if (waitingBytes > 0) this.seen.push(`backlog ${waitingBytes}`);
  }

  handleDeadline(now: number): void {
    this.seen.push(`deadline ${now}`);
    this.deadline = Infinity;
  }

  pollOutput(): Output | undefined {
    return this.outputs.shift();
  }

  pollEvent(): string | undefined {
    return this.events.shift();
  }
}

const GROUP = { address: '239.192.0.1', port: 1 };
const FROM = { address: '198.18.0.2', port: 2 };

function driven(onEvent: (event: string, machine: Recorder) => void = () => undefined) {
  const host = new ManualHost();
  const machine = new Recorder();
  const driver = new Driver<string>(host, machine, {
    event: (event) => onEvent(event, machine),
    opened: () => undefined,
    failed: () => undefined,
    unsent: () => undefined,
  });
  driver.start({
    group: GROUP,
    interfaceAddress: '127.0.0.1',
    ownPort: 0,
    linkKeys: () => [],
    multicastTtl: 1,
  });
  return { host, machine, driver };
}

const multicast = (text: string): Output => ({ kind: 'multicast', bytes: Buffer.from(text) });

t.test('a machine learns the wall clock before anything else, and again when it steps', (t) => {
  const { host, machine } = driven();
  host.handlers?.datagram(Buffer.from('a'), FROM, 'own');
  host.offset += 1;
  host.handlers?.datagram(Buffer.from('b'), FROM, 'own');
  host.offset += 3_600_000;
  host.handlers?.datagram(Buffer.from('c'), FROM, 'own');
  t.same(machine.seen, [
    'clock 1000000',
    'datagram a',
    'datagram b',
    'clock 4600001',
    'datagram c',
  ]);
  t.end();
});

t.test('events come before outputs, and what an event asks for is carried out with them', (t) => {
  const order: string[] = [];
  const { host, driver, machine } = driven((event, of) => {
    order.push(`${event} after ${host.sent.length} sent`);
    if (event === 'first') {
      driver.run(() => {
        of.outputs.push(multicast('asked for'));
        of.events.push('second');
      });
    }
  });
  driver.run(() => {
    machine.events.push('first');
    machine.outputs.push(multicast('planned'));
  });
  t.same(order, ['first after 0 sent', 'second after 0 sent']);
  host.endTurn();
  t.same(host.sent, ['multicast planned', 'multicast asked for']);
  t.end();
});

t.test(
  'one timer is armed for the deadline, moved when that comes nearer, and none for Infinity',
  (t) => {
    const { host, driver, machine } = driven();
    driver.run(() => {
      machine.deadline = 50;
    });
    host.endTurn();
    t.equal(host.timer?.at, 50);
    driver.run(() => {
      machine.deadline = 20;
    });
    host.endTurn();
    t.equal(host.timer?.at, 20);
    driver.run(() => {
      machine.deadline = 70;
    });
    host.endTurn();
    t.equal(host.timer?.at, 20, 'it is left where it is');
    host.fire();
    host.endTurn();
    t.same(machine.seen, ['clock 1000000']);
    t.equal(host.timer?.at, 70);
    driver.run(() => {
      machine.deadline = 30;
    });
    host.endTurn();
    host.fire();
    t.same(machine.seen, ['clock 1000000', 'deadline 30']);
    t.equal(host.timer, undefined);
    t.end();
  },
);

t.test('a timer that fires early does not make the machine’s deadline come', (t) => {
  const { host, driver, machine } = driven();
  driver.run(() => {
    machine.deadline = 50;
  });
  host.endTurn();
  const wake = host.timer?.wake;
  host.time = 49.9;
  wake?.();
  host.endTurn();
  t.same(machine.seen, ['clock 1000000']);
  t.ok(host.timer, 'it is armed again');
  t.end();
});

t.test('a machine is told what the system has not taken, before it may send more', (t) => {
  const { host, driver, machine } = driven();
  host.port.waitingBytes = 1_400;
  driver.run(() => void machine.outputs.push(multicast('more')));
  t.same(machine.seen, ['clock 1000000']);
  host.endTurn();
  t.same(machine.seen, ['clock 1000000', 'backlog 1400']);
  t.end();
});

t.test('a machine with endless outputs lets others have a turn', (t) => {
  const { host, driver, machine } = driven();
  machine.pollOutput = () => multicast('again');
  driver.run(() => undefined);
  host.endTurn();
  t.equal(host.sent.length, 64);
  t.equal(host.turns.length, 1);
  host.endTurn();
  t.equal(host.sent.length, 128);
  t.end();
});

t.test('commands of one turn are carried out together, when it ends', (t) => {
  const { host, driver, machine } = driven();
  for (const word of ['one', 'two']) driver.run(() => machine.outputs.push(multicast(word)));
  t.same(host.sent, []);
  t.equal(host.turns.length, 1);
  host.endTurn();
  t.same(host.sent, ['multicast one', 'multicast two']);
  t.equal(host.turns.length, 0);
  t.end();
});

t.test('what is left to do is done before it closes, and nothing after', (t) => {
  const { host, driver, machine } = driven();
  driver.run(() => {
    machine.deadline = 50;
    machine.outputs.push(multicast('farewell'));
  });
  driver.close();
  t.same(host.sent, ['multicast farewell']);
  t.equal(host.timer, undefined);
  driver.run(() => machine.outputs.push(multicast('late')));
  host.endTurn();
  t.same(host.sent, ['multicast farewell']);
  t.end();
});
