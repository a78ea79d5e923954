import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadClientConfig } from '../../src/config/client-config.ts';
import { loadNodeConfig } from '../../src/config/node-config.ts';
import { rightFolder, wallMs } from '../fixture.ts';

t.test('what others may open is warned of, and works', async (t) => {
  const folder = await rightFolder(t);
  for (const name of ['cluster.key', 'node.key.pem', 'users.yaml', 'client.yaml', 'alice.key.pem'])
    chmodSync(join(folder, name), 0o644);
  chmodSync(join(folder, 'node.pem'), 0o644);
  const node = loadNodeConfig(join(folder, 'node-1.yaml'), wallMs());
  const client = loadClientConfig(join(folder, 'client.yaml'), wallMs());
  const warned = (config: { warnings: readonly string[] }) =>
    config.warnings.map((warning) => /([^/]+) holds a secret.*mode 0644/.exec(warning)?.[1]);
  t.same(warned(node).toSorted(), ['cluster.key', 'node.key.pem', 'users.yaml']);
  t.same(warned(client).toSorted(), ['alice.key.pem', 'client.yaml']);
});

t.test('a certificate that ends soon is warned of', async (t) => {
  const folder = await rightFolder(t);
  const days = 86_400_000;
  const { warnings } = loadNodeConfig(join(folder, 'node-1.yaml'), wallMs() + 800 * days);
  t.match(warnings, [/node\.pem expires in 2[45] days/]);
});
