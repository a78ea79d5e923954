import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { endsSoon, outOfDate } from '../../src/config/credentials.ts';
import { rightFolder, wallMs } from '../fixture.ts';

t.test('a date that is none is never believed, whatever lay in memory', async (t) => {
  const folder = await rightFolder(t);
  const { raw } = new X509Certificate(readFileSync(join(folder, 'node.pem')));
  const utcTime = Buffer.of(0x17, 13);
  const at = raw.indexOf(utcTime, raw.indexOf(utcTime) + 1) + utcTime.length;
  raw.write('XXXXXXXXXXXXX', at, 'latin1');
  const now = wallMs();
  // Often: what Node makes of no time varies with what it ran before.
  const told = new Set<string | undefined>();
  for (let round = 0; round < 3_000; round += 1) {
    const certificate = new X509Certificate(raw);
    told.add(outOfDate(certificate, now)).add(endsSoon(certificate, now));
  }
  t.same([...told], ['a certificate whose dates cannot be read', undefined]);
});
