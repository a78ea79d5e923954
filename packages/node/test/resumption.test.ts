import t from 'tap';
import { FakeCluster } from './fake-cluster.ts';
import { startFront } from './front.ts';
import { Pki } from './pki.ts';
import { sClient } from './s-client.ts';
import { settings } from './settings.ts';

const pki = new Pki();
t.teardown(() => pki.remove());

for (const version of ['-tls1_2', '-tls1_3']) {
  t.test(`openssl s_client ${version} resumes at two other fronts`, async (t) => {
    const cluster = new FakeCluster();
    const options = settings(pki);
    const fronts = [];
    for (let index = 0; index < 3; index += 1) {
      const front = await startFront(cluster.join(), options);
      t.teardown(() => front.close());
      fronts.push(front);
    }
    const [first, second, third] = fronts;
    const made = await sClient(pki, first!.port, [version, '-sess_out', 'session.pem']);
    t.equal(made.reused, false, made.output);
    for (const front of [second, third]) {
      const report = await sClient(pki, front!.port, [version, '-sess_in', 'session.pem']);
      t.equal(report.reused, true, report.output);
    }
  });
}
