import t from 'tap';
import { parseDuration, parseSize } from '../../src/config/units.ts';

t.test('durations are whole milliseconds', async (t) => {
  t.same(
    ['250ms', '10s', '1.5h', '2m', '1d', '0ms', '0.5s'].map(parseDuration),
    [250, 10_000, 5_400_000, 120_000, 86_400_000, 0, 500],
  );
});

t.test('sizes are whole bytes', async (t) => {
  t.same(
    ['1400B', '16KiB', '64MiB', '1GiB', '0.5KiB'].map(parseSize),
    [1_400, 16_384, 67_108_864, 1_073_741_824, 512],
  );
});

t.test('what has no unit, another unit or a fraction of the smallest is refused', async (t) => {
  for (const text of ['', '10', 's', '10 s', '-1s', '1e3s', '0.5ms', '10S', '10sec', '1h30m', '1w'])
    t.equal(parseDuration(text), undefined, text);
  for (const text of ['', '10', '64M', '64MB', '64mib', '0.5B', '1TiB', ' 1B', '-1B'])
    t.equal(parseSize(text), undefined, text);
});
