import t from 'tap';
import { LogSink } from '../src/log-sink.ts';

/** A file with so much room. */
function sink(room: number) {
  const file = { room, text: '' };
  const writeSome = (bytes: Uint8Array) => {
    const taken = Math.min(bytes.length, file.room);
    if (taken === 0) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    file.room -= taken;
    file.text += Buffer.from(bytes.subarray(0, taken)).toString('latin1');
    return taken;
  };
  return { file, log: new LogSink(writeSome, (lost) => `lost ${lost}\n`) };
}

t.test('what there is no room for is counted, and told when there is', (t) => {
  const { file, log } = sink(6);
  for (const line of ['one\n', 'two\n', 'three\n', 'four\n']) log.write(line);
  t.equal(file.text, 'one\ntw');
  file.room = 100;
  log.write('five\n');
  log.write('six\n');
  t.equal(file.text, 'one\ntwo\nlost 2\nfive\nsix\n');
  t.end();
});

t.test('every amount of room leaves whole lines, and no line is lost without a word', (t) => {
  for (let room = 0; room < 60; room += 1) {
    const { file, log } = sink(room);
    for (let line = 1; line <= 20; line += 1) {
      if (line === 15) file.room += room;
      log.write(`line ${line}\n`);
    }
    file.room = 1_000;
    log.write('end\n');
    const lines = file.text.trimEnd().split('\n');
    const lost = lines.flatMap((line) => (line.startsWith('lost ') ? [Number(line.slice(5))] : []));
    const kept = lines.filter((line) => /^(line \d+|end)$/.test(line));
    t.equal(kept.length + lost.length, lines.length, `room ${room}: ${JSON.stringify(lines)}`);
    t.equal(kept.length + lost.reduce((sum, count) => sum + count, 0), 21);
    t.equal(lines.at(-1), 'end');
  }
  t.end();
});

t.test('a sink that takes a byte at a time is given the rest', (t) => {
  let text = '';
  const log = new LogSink((bytes) => {
    text += String.fromCharCode(bytes[0] ?? 0);
    return 1;
  }, String);
  log.write('whole\n');
  t.equal(text, 'whole\n');
  t.end();
});
