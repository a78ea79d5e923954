import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { run } from './real-cluster.ts';
import { Tool } from './tool.ts';

export const FRAMES_PER_SECOND = 25;
/** From one picture that needs no other to the next. */
export const GROUP_FRAMES = 12;
/** Of RTP: a conventional path's 1 500 without what is around it here. */
const DATAGRAM_BYTES = 1_200;
/** RFC 3551: MPEG-2 transport streams. */
const PAYLOAD_TYPE = 33;
const SEQUENCE_AT = 2;
const QUIET = ['-hide_banner', '-loglevel', 'warning', '-nostdin'];
const DECODE = ['-an', '-fps_mode', 'passthrough', '-flush_packets', '1', '-f', 'framemd5', '-'];

/** Encodes a test film, in which no two pictures are alike. */
export async function encodeFilm(file: string, seconds: number): Promise<void> {
  const film = `testsrc2=size=320x240:rate=${FRAMES_PER_SECOND}:duration=${seconds}`;
  const coded = ['-c:v', 'libx264', '-preset', 'veryfast', '-bf', '0', '-b:v', '600k'];
  const args = [...QUIET, '-f', 'lavfi', '-i', film, ...coded, '-g', String(GROUP_FRAMES)];
  const { code, output } = await run('ffmpeg', [...args, '-f', 'mpegts', file]);
  if (code !== 0) throw new Error(`ffmpeg: ${output}`);
}

/** A digest of each picture. */
export async function picturesOf(file: string): Promise<string[]> {
  const { output } = await run('ffmpeg', [...QUIET, '-i', file, ...DECODE]);
  return picturesIn(output);
}

/** Sends the film as it was encoded, at its own pace, by RTP. */
export function sendFilm(file: string, port: number): Tool {
  const to = `rtp://127.0.0.1:${port}?pkt_size=${DATAGRAM_BYTES}`;
  return new Tool('ffmpeg', ...QUIET, '-re', '-i', file, '-c', 'copy', '-f', 'rtp_mpegts', to);
}

/** Receives RTP at a port, and decodes it. `description`: a file to write. */
export class RtpReceiver {
  readonly #tool: Tool;

  constructor(description: string, port: number) {
    const about = ['v=0', 'o=- 0 0 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'];
    const media = `m=video ${port} RTP/AVP ${PAYLOAD_TYPE}`;
    writeFileSync(description, [...about, media, ''].join('\n'));
    const read = ['-protocol_whitelist', 'file,udp,rtp', '-i', description];
    this.#tool = new Tool('ffmpeg', ...QUIET, ...read, ...DECODE);
  }

  /** A digest of each that was decoded so far. */
  get pictures(): string[] {
    return picturesIn(this.#tool.printed);
  }

  stop(): Promise<void> {
    return this.#tool.stop();
  }
}

/** One datagram socket of this process, which notes what passes it. */
export class Relay {
  /** When something came, by its RTP sequence number. */
  readonly arrivals = new Map<number, number[]>();
  readonly #socket: Socket;

  static async open(
    handle: (bytes: Buffer, from: RemoteInfo, socket: Socket) => void,
  ): Promise<Relay> {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new Relay(socket, handle);
  }

  private constructor(
    socket: Socket,
    handle: (bytes: Buffer, from: RemoteInfo, socket: Socket) => void,
  ) {
    this.#socket = socket;
    socket.on('message', (bytes, from) => {
      if ((bytes[1] ?? 0) % 128 === PAYLOAD_TYPE) {
        const sequence = bytes.readUInt16BE(SEQUENCE_AT);
        const known = this.arrivals.get(sequence) ?? [];
        this.arrivals.set(sequence, [...known, performance.now()]);
      }
      handle(bytes, from, socket);
    });
  }

  /** The longest silence after that time. */
  gapMs(at: number): number {
    const times = [...this.arrivals.values()].flat().filter((time) => time > at - 200);
    const near = times.filter((time) => time < at + 2_000).sort((a, b) => a - b);
    return Math.max(...near.slice(1).map((time, index) => time - (near[index] ?? time)));
  }

  get port(): number {
    return (this.#socket.address() as AddressInfo).port;
  }

  send(bytes: Uint8Array, port: number): void {
    this.#socket.send(bytes, port, '127.0.0.1');
  }

  close(): void {
    this.#socket.close();
  }
}

function picturesIn(printed: string): string[] {
  return [...printed.matchAll(/^0,.*, *([0-9a-f]{32})$/gm)].map(([, digest = '']) => digest);
}
