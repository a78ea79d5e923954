import type { Duplex } from 'node:stream';

/**
 * Watches a paused stream, which nobody reads while something is done for its peer, and calls
 * `left` at most once if the peer goes. Who has sent more waits for what it asked for, even if that
 * was the last that it had to say: the bytes stay in the stream, and only its closing counts then.
 * The answer ends the watch and leaves the stream paused.
 */
export function watchLeaving(stream: Duplex, left: () => void): () => void {
  const leave = () => {
    stop();
    left();
  };
  const keep = (bytes: Buffer) => {
    stop();
    stream.once('close', leave);
    stream.unshift(bytes);
  };
  const stop = () => {
    stream.off('data', keep).off('end', leave).off('close', leave);
    stream.pause();
  };
  if (stream.destroyed || stream.readableEnded) {
    left();
    return () => undefined;
  }
  stream.on('data', keep).once('end', leave).once('close', leave).resume();
  return stop;
}
