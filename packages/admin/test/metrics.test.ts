import t from 'tap';
import type { MetricFamily } from '../src/index.ts';
import { Metrics } from '../src/metrics.ts';

const handshakes = (...values: MetricFamily['values']): MetricFamily => ({
  name: 'tls_handshakes_total',
  help: 'Handshakes.',
  type: 'counter',
  values,
});

/** Our own lines of a scrape, without those of the process. */
async function scrape(metrics: Metrics): Promise<string[]> {
  const lines = (await metrics.text()).split('\n');
  return lines.filter((line) => line.startsWith('argyle_tls') || line.startsWith('argyle_group'));
}

t.test('a scrape shows what the source counts at that moment', async (t) => {
  let value = 1;
  const metrics = new Metrics(() => [handshakes({ labels: { resumed: 'true' }, value })]);
  t.same(await scrape(metrics), ['argyle_tls_handshakes_total{resumed="true"} 1']);
  value = 5;
  t.same(await scrape(metrics), ['argyle_tls_handshakes_total{resumed="true"} 5']);
});

t.test('a value that the source no longer names is gone', async (t) => {
  let values = [
    { labels: { member: 'a' }, value: 1 },
    { labels: { member: 'b' }, value: 2 },
  ];
  const metrics = new Metrics(() => [{ name: 'group_lag', help: 'Lag.', type: 'gauge', values }]);
  t.equal((await scrape(metrics)).length, 2);
  values = [{ labels: { member: 'b' }, value: 3 }];
  t.same(await scrape(metrics), ['argyle_group_lag{member="b"} 3']);
});

t.test('a family may come, change its labels, and go', async (t) => {
  let families: MetricFamily[] = [];
  const metrics = new Metrics(() => families);
  t.same(await scrape(metrics), []);
  families = [handshakes()];
  t.same(await scrape(metrics), []);
  families = [handshakes({ labels: { resumed: 'false', protocol: 'TLSv1.3' }, value: 2 })];
  t.same(await scrape(metrics), [
    'argyle_tls_handshakes_total{resumed="false",protocol="TLSv1.3"} 2',
  ]);
  families = [];
  t.same(await scrape(metrics), []);
});

t.test('the process itself is shown, the lag of its event loop among it', async (t) => {
  const text = await new Metrics(() => []).text();
  t.match(text, /^argyle_nodejs_eventloop_lag_p99_seconds \d/m);
  t.match(text, /^argyle_process_resident_memory_bytes \d/m);
});

t.test('two endpoints in one process do not share a registry', async (t) => {
  const one = new Metrics(() => [handshakes({ labels: {}, value: 1 })]);
  const two = new Metrics(() => [handshakes({ labels: {}, value: 2 })]);
  t.same(await scrape(one), ['argyle_tls_handshakes_total 1']);
  t.same(await scrape(two), ['argyle_tls_handshakes_total 2']);
});
